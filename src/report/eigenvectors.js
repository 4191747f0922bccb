// The eigenvectors of a layer: a part of the report's script.

function contributionText(vector) {
  return isNumber(vector.mean) ? `${signed(vector.mean, 2)} ± ${figure(vector.std, 2)}` : null;
}

/** The same with as many decimals as the largest contributions of the direction deserve: a row can be compared. */
function shortContribution(direction, vector) {
  if (!isNumber(vector.mean) || !isNumber(vector.std)) return null;
  const largest = Math.max(...direction.eigenvectors.map((v) => Math.max(Math.abs(v.mean), v.std)).filter(isNumber));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(largest)));
  if (!isNumber(decimals) || decimals > 3 || largest >= 1e4) return contributionText(vector);
  const mean = vector.mean.toFixed(decimals),
    sign = Number(mean) > 0 ? "+" : "";
  return `${sign}${Number(mean) === 0 ? mean.replace("-", "") : minus(mean)} ± ${vector.std.toFixed(decimals)}`;
}

/** Just below all of it with a decimal, so that what is not all does not read 100%. */
function energyText({ weight_energy }) {
  if (!isNumber(weight_energy)) return null;
  return percent(weight_energy, weight_energy >= 0.985 && weight_energy < 0.9995 ? 1 : 0);
}

function thumbnail(model, layer, direction, vector, selected, choose) {
  const eigenvalue = direction.eigenvalues[vector.index],
    row = (name, value) =>
    value ? element("span", { class: "row" }, element("span", {}, name), element("span", {}, value)) : null;
  return element("li", {}, element("button", {
      type: "button",
      "aria-pressed": String(vector.index === selected),
      "data-index": vector.index,
      onclick: () => choose(vector.index)
    },
    vectorPicture(vector, shapeOf(model, layer), `Eigenvector ${vector.index}`, ""),
    element("span", { class: "eigenvalue" }, signedValue(eigenvalue), element("i", {}, vector.index)),
    row("", shortContribution(direction, vector)),
    row("energy", energyText(vector)),
    row("R²", measured(vector.data_r2, (r2) => minus(r2.toFixed(2))))));
}

function strip(model, layer, direction, sign, selected, choose) {
  const vectors = direction.eigenvectors.filter((v) => signOf(direction.eigenvalues[v.index]) === sign);
  const total = direction.eigenvalues.filter((value) => signOf(value) === sign).length;
  const [name, effect] = sign === "positive" ? ["Positive λ", "raise the output"] : ["Negative λ", "lower the output"];
  const cut = vectors.length < total ? `, the first ${vectors.length} of ${total} on this page` : "";
  const missing = total ? "Left out to keep the page small." : "There is none among the eigenvalues found.";
  const thumbnails = vectors.map((v) => thumbnail(model, layer, direction, v, selected, choose));
  return element("div", { class: "strip" },
    element("h4", {}, element("b", { class: sign }, name), element("span", {}, ` ${effect}${cut}`)),
    vectors.length ? element("ul", { class: "thumbnails" }, thumbnails) : element("p", { class: "muted" }, missing));
}

function exampleList(title, list) {
  if (!list || !list.length) return null;
  return element("div", { class: "examples" }, element("h4", {}, title),
    element("ul", {}, list.map((example) => element("li", {},
      imagePicture(data.images[example.image], `Image with label ${example.label}`), element("b", {}, example.label),
      element("span", {}, figure(example.projection, 2))))));
}

/** The vector enlarged, with the scale of its colours, or in words what its components are. */
function enlargedVector(layer, vector, shape, title) {
  const { scale } = vector;
  const range = `from −${figure(scale, 2)} to ${figure(scale, 2)}`;
  return element("div", {}, vectorPicture(vector, shape, `${title}, enlarged`, "large"),
    shape ? colourBar(scale) : element("p", { class: "note" },
      `The ${integer(layer.d_in)} components along the layer’s input, ${range}; their order means nothing.`),
    vectorExports(vector, shape, `${title}, layer ${layer.layer}`));
}

/** What the data say of the vector: images, tokens, places in a text. @param title of the vector */
function examplesPanel(model, layer, direction, vector, title) {
  const split = at(model, "study", "data", "split"),
    source = split ? `, ${split} images` : "";
  return element("div", { class: "examples-all" },
    vector.vector_error > 0.1 ? element("p", { class: "note" },
      "This eigenvalue is not told apart from its neighbours: only the space that their eigenvectors span is "
      + "determined.") : null,
    exampleList(`Most positive projection${source}`, vector.positive),
    exampleList(`Most negative projection${source}`, vector.negative),
    tokensOfEigenvector(model, layer, direction, vector),
    contextsOnText(vector, at(model, "decomposition", "corpus", "quantiles"),
      `Histogram of p of ${title}, layer ${layer.layer}`),
    vector.positive || vector.negative ? element("p", { class: "note" },
      "Under each image: its label and the projection p.") : null);
}

/** @param name of the direction */
function selectedPanel(model, layer, direction, name, selected, choose) {
  const order = direction.eigenvectors.map((v) => v.index),
    place = order.indexOf(selected),
    vector = direction.eigenvectors[place];
  const panel = element("div", { class: "selected", "aria-live": "polite" });
  if (!vector) return append(panel, [element("p", { class: "muted" }, noVectorReason(layer, direction))]);
  const eigenvalue = direction.eigenvalues[selected],
    title = `${name}, eigenvector ${selected}`;
  const step = (by, text, label) => element("button", {
    type: "button",
    class: "quiet",
    "aria-label": label,
    "data-step": by,
    disabled: order[place + by] === undefined,
    onclick: () => choose(order[place + by])
  }, text);
  return append(panel, [
    element("div", { class: "selected-head" }, element("h4", {}, title),
      element("div", {}, step(-1, "←", "Previous eigenvector"), step(1, "→", "Next eigenvector"))),
    enlargedVector(layer, vector, shapeOf(model, layer), title),
    definitions("numbers", [
      ["Eigenvalue λ", signedValue(eigenvalue, 4)],
      ["λ with the trace", isNumber(direction.shift) ? signedValue(eigenvalue + direction.shift, 4) : null],
      ["Contribution λp²", contributionText(vector)],
      ["Its place by explained variance", placeText(direction, vector)],
      ["Weight energy up to here", isNumber(vector.weight_energy) ? percent(vector.weight_energy) : null],
      ["Data R² up to here", measured(vector.data_r2)],
      ["Residual", isNumber(vector.residual) ? figure(vector.residual, 2) : null],
      ["Vector error", isNumber(vector.vector_error) ? figure(vector.vector_error, 2) : null]
    ]),
    examplesPanel(model, layer, direction, vector, title)
  ]);
}

/** Where the eigenvector stands by the variance of its contribution, which is not the order by |λ|. */
function placeText({ eigenvalues }, { place_by_std }) {
  return isNumber(place_by_std) ? `${place_by_std} of ${eigenvalues.length}, from 0` : null;
}

function noVectorReason(layer, direction) {
  const { eigenvalues } = direction;
  if (!eigenvalues.length) return "No eigenpairs were asked for.";
  if (eigenvalues.every((value) => value === 0)) {
    return "Every eigenvalue is zero: the layer adds nothing in this direction.";
  }
  return "The eigenvectors were left out to keep the page small. They are in the decomposition directory.";
}

function linearPart(model, layer, direction, name) {
  const part = direction.linear;
  if (!part) return null;
  const constant = isNumber(part.constant) ? ` and the constant ${signed(part.constant)}` : "";
  const share = isNumber(direction.linear_share)
    ? ` It makes up ${percent(direction.linear_share, 0)} of the output’s variance.` : "";
  return element("div", { class: "linear" },
    element("div", {}, vectorPicture(part, shapeOf(model, layer), "Linear part", ""),
      vectorExports(part, shapeOf(model, layer), `Linear part of ${name}, layer ${layer.layer}`)),
    element("p", {}, element("b", {}, "Linear part. "),
      `Besides the quadratic form, the output has a linear term l·x with |l| = ${figure(part.norm)} `
      + `(largest component ${figure(part.scale, 2)})${constant}.${share}`));
}

function effectiveRankText({ effective_rank, effective_rank_error }) {
  if (!isNumber(effective_rank)) return null;
  const error = effective_rank_error > 0 ? ` ± ${figure(effective_rank_error, 2)}` : "";
  return `effective rank ${figure(effective_rank)}${error}`;
}

function traceText({ shift, trace }) {
  if (isNumber(shift)) return `without its trace: add the shift ${signed(shift)} to each λ for that of Q`;
  return isNumber(trace) ? `trace ${figure(trace)}` : null;
}

function directionFacts(direction) {
  const count = (sign) => direction.eigenvalues.filter((value) => signOf(value) === sign).length;
  const { frobenius, certified_bound } = direction;
  const parts = [
    `${count("positive")} positive, ${count("negative")} negative`,
    effectiveRankText(direction),
    traceText(direction),
    isNumber(frobenius) ? `norm ${figure(frobenius)}` : null,
    direction.converged === 0 ? "not converged" : null,
    isNumber(certified_bound) ? `proved: every other |λ| is below ${figure(certified_bound)}` : null,
    direction.tie_at_k === 1 ? "the last eigenvalue ties with one that is not listed" : null
  ];
  return parts.filter(Boolean).join(" · ");
}

/** What stands under each eigenvector. */
function thumbnailsNote(model, direction) {
  const studied = direction.eigenvectors.some((v) => isNumber(v.mean)),
    over = at(model, "decomposition", "corpus") ? "text" : "images";
  return element("p", { class: "note" }, "Under each image: λ and its number by falling |λ|, from 0 as in the files"
    + (studied ? `; the contribution λp², mean ± standard deviation over the ${over}` : "")
    + "; then what all eigenvectors up to this one reach together. Each image has its own colour scale.");
}

/** One direction of one layer: spectrum, eigenvectors, and the chosen one in detail. */
function directionCard(model, layer, index, selected, choose) {
  const direction = layer.shown[index],
    name = directionName(layer, index),
    words = directionWords(layer, index),
    some = direction.eigenvectors.length > 0;
  const stripOf = (sign) => strip(model, layer, direction, sign, selected, choose);
  return element("div", { class: "card-body" },
    element("div", { class: "spectrum" },
      element("div", { class: "chart-head" }, element("h4", {}, `Spectrum of ${words}`),
        element("span", { class: "legend" }, directionFacts(direction))),
      spectrumChart(direction, `Spectrum of ${words}, layer ${layer.layer}`, selected, choose)),
    selectedPanel(model, layer, direction, name, selected, choose),
    element("div", { class: "strips" },
      some ? ["positive", "negative"].map(stripOf) : null,
      linearPart(model, layer, direction, words),
      interactionHeatmap(direction, `${words}, layer ${layer.layer}`),
      some ? thumbnailsNote(model, direction) : null));
}

/** Whether what all directions share was taken out. */
function centring(layer) {
  const kind = directionKind(layer);
  if (kind !== "Class" && !layer.direction_names.length) return "";
  const [one, all] = kind === "Class" ? ["Scores", "classes"] : ["Token rows", "vocabulary"];
  if (layer.center === "mean") {
    return `${one} are centred: measured against their mean over the ${all}, which changes no probability.`;
  }
  const whole = kind === "Class" ? "all classes share" : "the whole vocabulary shares";
  return `${one} are not centred: they include what ${whole}, which changes no probability.`;
}

const valuesOfKinds = {
  Class: "score of a class",
  Output: "value of an output",
  Axis: "value along an axis",
  Direction: "value along a direction"
};

function formula(layer) {
  const linear = layer.shown.some((direction) => direction.linear);
  return [
    `The ${valuesOfKinds[directionKind(layer)]} is a quadratic form of the layer’s input x, and its eigenvectors v `
    + `take it apart without cross terms: it is the sum of λp² with p = v·x${linear ? ", and a linear part. " : ". "}`,
    element("b", { class: "positive" }, "Blue"), " stands for positive numbers, ",
    element("b", { class: "negative" }, "orange"),
    " for negative ones; neutral is zero. v and −v are the same eigenvector.",
    ` ${centring(layer)}${shiftWords(layer)}`
  ];
}

function layerTitle(layer) {
  const space = layer.input_space === "input" ? "seen in pixels" : "in the model’s own space";
  return `Layer ${layer.layer}, ${space}`;
}

/** Of traceless forms, what that means for their eigenvalues. */
function shiftWords(layer) {
  if (!layer.shown.some((direction) => isNumber(direction.shift))) return "";
  return " The forms are without their trace: Q − (tr Q/d) I. Their eigenvectors are those of Q. Each direction states "
    + "a shift: add it to an eigenvalue to get that of Q.";
}

/** The name of a direction in a picker, where its kind stands beside it if there are few. */
function pickerName(layer, i) {
  return at(layer, "direction_names", i) ?? (layer.shown.length <= 20 ? String(i) : `${directionKind(layer)} ${i}`);
}

/** @param view {layer, direction, eigenvector}, indices; changed(view) is told of every choice */
function eigenvectors(model, id, level, view, changed) {
  const layers = withEigenvectors(model);
  if (!layers.length) return null;
  const holder = element("div", {});
  const layerTabs = layers.length > 1 ? picker("Layer", layers.map(layerTitle), (i) => go({ layer: i })) : null;
  const intro = element("p", {});
  let parts = null;

  const drawLayer = () => {
    const layer = layers[view.layer],
      kind = directionKind(layer);
    intro.replaceChildren(...formula(layer));
    holder.replaceChildren();
    parts = null;
    if (!layer.shown.length) {
      holder.append(element("p", { class: "panel muted" },
        "The eigenvectors were left out to keep the page small. They are in the decomposition directory."));
      return;
    }
    const choose = (i) => go({ layer: view.layer, direction: i });
    parts = {
      grid: overview(model, layer, choose),
      card: element("div", {}),
      picker: picker(kind, layer.shown.map((_, i) => pickerName(layer, i)), choose)
    };
    const { length } = layer.shown;
    const cut = length < layer.n_directions ? element("p", { class: "note" },
      `The first ${length} of ${layer.n_directions} are on this page; all are in the decomposition directory.`) : null;
    append(holder, [
      length > 1 ? element("div", { class: "panel" }, parts.grid, cut) : null,
      element("div", { class: "panel card" },
        element("div", { class: "card-head" }, labelled(kind, parts.picker)), parts.card)
    ]);
  };
  const drawCard = () => {
    layerTabs?.select(view.layer);
    if (!parts) return;
    parts.grid.select(view.direction);
    parts.picker.select(view.direction);
    const focus = parts.card.contains(document.activeElement) ? document.activeElement : null,
      { index, step } = focus?.dataset ?? {};
    const again = index ? `[data-index="${view.eigenvector}"]` : step ? `[data-step="${step}"]:not(:disabled)` : null;
    const chosen = (eigenvector) => {
      go({ ...view, eigenvector });
      bringIntoView(parts.card.querySelector(".selected"));
    };
    parts.card.replaceChildren(
      directionCard(model, layers[view.layer], view.direction, view.eigenvector, chosen));
    if (again) parts.card.querySelector(again)?.focus();
    else if (focus) parts.card.querySelector(".spectrum svg")?.focus();
  };
  const go = (wanted, silent = false) => {
    const previous = view.layer;
    Object.assign(view, settle(layers, wanted));
    if (view.layer !== previous || !parts) drawLayer();
    drawCard();
    if (!silent) changed(view);
  };
  const search = tokenSearch(model, layers, (wanted) => {
    go(wanted);
    bringIntoView(holder.querySelector(".card"));
  });
  const title = layerTabs ? element("div", { class: "layers" }, layerTabs)
    : element("h4", { class: "layers" }, layerTitle(layers[0]));
  const section = block(id, level, "Eigenvectors", null, search, title, holder);
  section.querySelector("header").append(intro);
  go(view, true);
  const card = () => holder.querySelector(".card") ?? section;
  return Object.assign(section, { go: (wanted) => go(wanted, true), card });
}

/** Keeps a choice inside what there is; without an eigenvector, the leading one. */
function settle(layers, { layer = 0, direction = 0, eigenvector = null }) {
  const chosen = { layer: layers[layer] ? layer : 0, direction: 0, eigenvector: null };
  const shown = layers[chosen.layer].shown;
  if (shown[direction]) chosen.direction = direction;
  const indices = (at(shown[chosen.direction], "eigenvectors") ?? []).map((vector) => vector.index);
  chosen.eigenvector = indices.includes(eigenvector) ? eigenvector : indices[0] ?? null;
  return chosen;
}
