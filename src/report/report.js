// The report: runs, models and decompositions.

// ---------------------------------------------------------------------------------------------------------- provenance

/** How long each part took. */
function timeText({ seconds: parts }) {
  if (!parts || typeof parts !== "object") return "–";
  return Object.entries(parts).map(([name, s]) => `${name} ${seconds(s)}`).join(", ");
}

function centreText({ center, mean_energy_share }) {
  if (center !== "mean") return center || "–";
  return `by the mean${isNumber(mean_energy_share) ? `, ${percent(mean_energy_share)} of the energy` : ""}`;
}

function layerTable(layers, surrogate) {
  const lines = (l) => (at(surrogate, "layers") ?? []).find((line) => line.layer === l.layer);
  const rows = [
    ["Method", (l) => [l.method, l.solver, l.dtype].filter(Boolean).join(", ")],
    ["Input space", (l) => `${l.input_space}, ${plural(l.d_in, "component")}`],
    ["Hidden units", (l) => integer(l.d_hidden)],
    ["Outputs", (l) => plural(l.d_out, "component")],
    ["Directions", (l) => `${integer(l.n_directions)} (${l.directions})`],
    ["Eigenpairs for each, k", (l) => integer(l.k)],
    ["Linear part", (l) => (l.has_linear ? "yes" : "none")],
    ["Centred", centreText],
    ["Converged", (l) => (!isNumber(l.converged) ? "–" : `${l.converged} of ${l.n_directions}`)],
    ["Certified", (l) => integer(l.certified)],
    ["Repaired by the probe", (l) => integer(l.repaired)],
    ...(layers.some((l) => isNumber(l.unchanged)) ? [
      ["Nothing but rounding", (l) => (isNumber(l.unchanged) ? `${l.unchanged} of ${l.n_directions}` : "–")]
    ] : []),
    ["Worst residual", (l) => figure(l.worst_residual, 2)],
    ...(at(surrogate, "layers") ? [
      ["R² of the units’ lines", (l) => figure(at(lines(l), "unit_r2"))],
      ["Units without a line", (l) => integer(at(lines(l), "degenerate_units"))]
    ] : []),
    ["Time", timeText]
  ];
  const header = (name, scope) => element("th", { scope }, name);
  const row = ([name, value]) =>
    element("tr", {}, header(name, "row"), layers.map((layer) => element("td", {}, value(layer))));
  const heads = layers.map((layer) => header(`Layer ${layer.layer}`, "col"));
  return scrollable("Layers of the decomposition", element("table", { class: "layer-table" },
    element("thead", {}, element("tr", {}, element("td"), heads)),
    element("tbody", {}, rows.map(row))));
}

function provenance(model, id, level) {
  const made = model.decomposition,
    original = model.conversion ?? at(made, "converted"),
    tag = level === 1 ? "h3" : "h4";
  const json = (title, value) => (value ? element("div", {}, element(tag, {}, title),
    element("pre", { tabindex: 0 }, JSON.stringify(value, null, 2))) : null);
  const sources = definitions("sources", [
    ["Read from", model.directory],
    ["Decomposition", made && made.directory !== model.directory ? made.directory : null],
    ["Decomposed model", made ? made.model : null],
    ["SHA-256 of its weights", made ? made.model_sha256 : null],
    ["Model subtracted", made ? made.minus : null],
    ["SHA-256 of its weights", made ? made.minus_sha256 : null],
    ["Converted from", at(original, "teacher")],
    ["SHA-256 of its weights", at(original, "teacher_sha256")],
    ["Decomposed with", made && made.version ? `bilens ${made.version}` : null],
    ["Decomposed on", made ? made.device : null],
    ["Time", made && isNumber(made.seconds) ? seconds(made.seconds) : null],
    ["This page", `bilens ${data.version}`]
  ]);
  return block(id, level, "Provenance", null, element("details", { class: "panel provenance" },
    element("summary", {}, "Files, settings, environment, solver status"), element(tag, {}, "Sources"), sources,
    made && made.layers.length ? [element(tag, {}, "Layers"), layerTable(made.layers, made.surrogate)] : null,
    element("div", { class: "settings" },
      json("Settings of the decomposition", made && made.config), json("Model", model.model),
      json("Training configuration", at(model, "run", "config")),
      json("Environment of the training", at(model, "run", "environment")))));
}

// ------------------------------------------------------------------------------------------------------------ the page

const sections = [
  ["conversion", "Conversion", conversionSection],
  ["training", "Training", training],
  ["eigenvectors", "Eigenvectors", null],
  ["factors", "Factors", factors],
  ["corpus", "On text", corpusSection],
  ["truncation", "Truncation", truncation],
  ["robustness", "Robustness", robustness],
  ["provenance", "Provenance", provenance]
];
const views = data.models.map(() => ({ layer: 0, direction: 0, eigenvector: null }));
const bodies = data.models.map(() => null); // what has been drawn of each model

function hashOf(number, view) {
  const { layer } = withEigenvectors(data.models[number])[view.layer];
  const eigenvector = view.eigenvector === null ? "" : `/eigenvector-${view.eigenvector}`;
  return `#model-${number + 1}/layer-${layer}/direction-${view.direction}${eigenvector}`;
}

/** {model, view} of "#model-1/layer-0/direction-3/eigenvector-2"; the last parts may be missing. Null for others. */
function parseHash(hash) {
  const found = /^#model-(\d+)(?:\/layer-(\d+)(?:\/direction-(\d+)(?:\/eigenvector-(\d+))?)?)?$/.exec(hash);
  const model = found ? Number(found[1]) - 1 : -1;
  if (!data.models[model]) return null;
  if (found[2] === undefined) return { model, view: null };
  const layer = withEigenvectors(data.models[model]).findIndex((l) => l.layer === Number(found[2]));
  const eigenvector = found[4] === undefined ? null : Number(found[4]);
  return { model, view: { layer: Math.max(layer, 0), direction: Number(found[3] ?? 0), eigenvector } };
}

function modelBody(number, level) {
  const model = data.models[number],
    id = (name) => `${name}-${number + 1}`;
  const remember = (view) => history.replaceState(null, "", hashOf(number, view));
  const vectors = eigenvectors(model, id("eigenvectors"), level, views[number], remember);
  const drawn = sections.map(([name, , draw]) => (draw ? draw(model, id(name), level) : vectors));
  bodies[number] = { vectors };
  return [head(model, level), ...drawn];
}

function openHash() {
  const wanted = parseHash(location.hash);
  if (!wanted) return;
  const holder = document.getElementById(`model-${wanted.model + 1}`);
  if (holder instanceof HTMLDetailsElement) {
    fill(holder, wanted.model);
    holder.open = true;
  }
  const { vectors } = bodies[wanted.model];
  if (wanted.view && vectors) {
    vectors.go(wanted.view);
    vectors.card().scrollIntoView();
  } else {
    holder.scrollIntoView();
  }
}

function resultWords(model, result) {
  if (!result) return "";
  if (speaks(model)) return `${result.split} loss ${figure(result.loss, 4)}`;
  return `${percent(result.accuracy)} ${result.split} accuracy`;
}

/** A section is drawn when it is first opened. */
function fill(holder, number) {
  if (!bodies[number]) append(holder, modelBody(number, 2));
}

function modelSection(number) {
  const model = data.models[number],
    result = headline(model);
  const drawn = () => { if (holder.open) fill(holder, number); };
  const holder = element("details", { class: "model", id: `model-${number + 1}`, ontoggle: drawn },
    element("summary", {}, element("h2", {}, model.name),
      element("span", { class: "muted" }, resultWords(model, result))));
  return holder;
}

function drawOneModel(main) {
  const holder = element("article", { id: "model-1" });
  main.append(holder);
  append(holder, modelBody(0, 1));
  document.title = `${data.models[0].name} · bilens report`;
  const links = sections.map(([id, name]) => [`${id}-1`, name]).filter(([id]) => document.getElementById(id));
  navigation([...links, ["glossary", "Glossary"]]);
}

function drawManyModels(main) {
  const holders = data.models.map((_, i) => modelSection(i));
  append(main, [
    element("p", { class: "eyebrow" }, "Report"), element("h1", {}, `${data.models.length} models`),
    indexTable(), conversionsTogether(data.models), checkpointsTogether(data.models),
    element("div", { class: "models", id: "models" }, holders)
  ]);
  document.title = `${data.models.length} models · bilens report`;
  navigation([
    ["content", "Index"],
    ["models", "Models"],
    ["glossary", "Glossary"]
  ]);
  if (!parseHash(location.hash)) holders[0].open = true;
}

(data.models.length === 1 ? drawOneModel : drawManyModels)(document.getElementById("content"));
addEventListener("hashchange", openHash);
openHash();
