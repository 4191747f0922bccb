// Several models side by side: a part of the report's script.

function meanOf(values) {
  return values.length && values.every(isNumber) ? values.reduce((sum, v) => sum + v, 0) / values.length : null;
}

/** Means over all directions of a layer. */
const largestEigenvalue = (layer) => layer.mean_largest ?? null,
  effectiveRank = (layer) => layer.mean_effective_rank ?? null;
const overLayers = (model, figureOf) => meanOf(layersOf(model).map(figureOf).filter((v) => v !== null));

/** Spectra of a run's checkpoints over its steps, a line a layer, one run after another. */
function checkpointsTogether(models) {
  const runs = new Map();
  for (const model of models.filter((m) => isNumber(at(m, "decomposition", "step")))) {
    const run = model.decomposition.model.replace(/step-\d+\/?$/, "");
    runs.set(run, [...(runs.get(run) ?? []), model]);
  }
  const byStep = (a, b) => a.decomposition.step - b.decomposition.step;
  return [...runs].map(([run, found]) => checkpointsOfRun(run, found.sort(byStep)));
}

function checkpointsOfRun(run, steps) {
  if (new Set(steps.map((model) => model.decomposition.step)).size < 2) return null;
  const difference = steps.some((model) => model.decomposition.minus),
    numbers = [...new Set(steps.flatMap((model) => layersOf(model).map((l) => l.layer)))];
  const figureFor = (title, yName, figureOf) => {
    const pointOf = (model, number) => {
      const layer = layersOf(model).find((l) => l.layer === number) ?? {};
      return [model.decomposition.step, figureOf(layer)];
    };
    const pointsOf = (number) => steps.map((model) => pointOf(model, number)).filter(([, v]) => isNumber(v));
    const lines = numbers.map((number) => ({ name: `layer ${number}`, points: pointsOf(number) }))
      .filter((line) => line.points.length > 1);
    const most = Math.max(...lines.flatMap((line) => line.points.map(([, v]) => v))) * 1.05 || 1;
    return linesChart(title, lines, {
      label: title,
      height: 280,
      x: [steps[0], steps.at(-1)].map((model) => model.decomposition.step),
      y: [0, most],
      xName: "training step",
      yName,
      xFormat: integer,
      xTicks: [3, 6],
      ordered: true,
      point: (name, step, value) => `${name}, step ${integer(step)}: ${figure(value)}`,
      columns: ["layer", "step", "value"]
    });
  };
  const largest = difference ? "Largest eigenvalue of what changed since the checkpoint before"
    : "Largest eigenvalue over training";
  return element("div", { class: "together checkpoints" },
    element("h3", {}, run.replace(/\/checkpoints\/$/, "") || "Checkpoints"),
    element("div", { class: "pair" },
      figureFor(largest, "mean over directions of the largest |λ|", largestEigenvalue),
      figureFor("Effective rank over training", "mean over directions", effectiveRank)));
}

function aboveTeacher(model) {
  const test = at(model, "conversion", "test");
  return test ? test.loss - test.teacher_loss : null;
}

/** R² on text of all eigenpairs that were kept, mean over the layers. */
function r2OnText(model) {
  const corpus = at(model, "decomposition", "corpus");
  return corpus ? meanOf(corpus.layers.map((l) => l.r2.at(-1)).filter(isNumber)) ?? "undefined" : null;
}

const indexColumns = [
  ["Model", (m) => m.name],
  ["Accuracy", (m) => at(headline(m), "accuracy"), percent],
  ["Loss", (m) => at(headline(m), "loss"), (v) => figure(v, 4)],
  ["Above the teacher", aboveTeacher, (v) => signed(v, 3)],
  ["Above the teacher trained further", aboveContinued, (v) => signed(v, 3)],
  ["Dataset", (m) => plain(factsOf(m).dataset)],
  ["Layers", (m) => factsOf(m).layers, integer],
  ["Width", (m) => factsOf(m).width, integer],
  ["Parameters", (m) => m.parameters, integer],
  ["Noise", (m) => factsOf(m).noise, brief],
  ["Epochs", (m) => factsOf(m).epochs, integer],
  ["Step", (m) => at(m, "decomposition", "step"), integer],
  ["Largest |λ|", (m) => overLayers(m, largestEigenvalue), figure],
  ["Effective rank", (m) => overLayers(m, effectiveRank), figure],
  ["R² of k on text", r2OnText, (v) => (isNumber(v) ? figure(v) : v ?? "–")],
  ["Seed", (m) => factsOf(m).seed, (v) => (isNumber(v) ? String(v) : "–")],
  ["k within 1 point", (m) => at(sufficient(m), "k"), integer]
];

function indexTable() {
  const rows = data.models.map((model, i) => ({ i, values: indexColumns.map(([, value]) => value(model)) }));
  const has = (row, c) => row.values[c] !== null && row.values[c] !== undefined;
  const used = indexColumns.map((column, c) => c).filter((c) => rows.some((row) => has(row, c)));
  const body = element("tbody", {});
  const cell = (row, c) => {
    const [, , format] = indexColumns[c], value = row.values[c];
    if (c === 0) return element("td", {}, element("a", { href: `#model-${row.i + 1}` }, value));
    return element("td", { class: format ? "number" : null }, format ? format(value) : value ?? "–");
  };
  const lines = new Map(rows.map((row) => [row, element("tr", {}, used.map((c) => cell(row, c)))]));
  const draw = () => body.replaceChildren(...rows.map((row) => lines.get(row)));
  const sort = (c, header) => {
    const rising = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const missing = (v) => v === null || v === undefined;
    const compared = (p, q) =>
      (isNumber(p) && isNumber(q) ? p - q : String(p).localeCompare(String(q), "en", { numeric: true }));
    rows.sort((a, b) => {
      const [p, q] = [a.values[c], b.values[c]];
      if (missing(p) || missing(q)) return missing(p) - missing(q);
      return rising * compared(p, q) || a.i - b.i;
    });
    headers.forEach((h) => h.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", rising > 0 ? "ascending" : "descending");
    draw();
  };
  const headers = used.map((c) => {
    const header = element("th", { scope: "col", class: indexColumns[c][2] ? "number" : null },
      element("button", { type: "button", onclick: () => sort(c, header) }, indexColumns[c][0]));
    return header;
  });
  draw();
  return element("div", { class: "panel index" }, scrollable("Models",
    element("table", {}, element("thead", {}, element("tr", {}, headers)), body)));
}
