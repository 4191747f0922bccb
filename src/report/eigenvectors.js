// The eigenvectors of a layer: a part of the report's script.

function contributionText(vector) {
  return isNumber(vector.mean) ? `${signed(vector.mean, 2)} ± ${figure(vector.std, 2)}` : null;
}

/** The same with as many decimals as the largest contributions of the direction deserve, so that a row can be compared. */
function shortContribution(direction, vector) {
  if (!isNumber(vector.mean) || !isNumber(vector.std)) return null;
  const largest = Math.max(...direction.eigenvectors.map((v) => Math.max(Math.abs(v.mean), v.std)).filter(isNumber));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(largest)));
  if (!isNumber(decimals) || decimals > 3 || largest >= 1e4) return contributionText(vector);
  const mean = vector.mean.toFixed(decimals),
    sign = Number(mean) > 0 ? "+" : "";
  return `${sign}${Number(mean) === 0 ? mean.replace("-", "") : minus(mean)} ± ${vector.std.toFixed(decimals)}`;
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
    row("energy", isNumber(vector.weight_energy) ? percent(vector.weight_energy, vector.weight_energy >= 0.985 && vector.weight_energy < 0.9995 ? 1 : 0) : null),
    row("R²", measured(vector.data_r2, (r2) => minus(r2.toFixed(2))))));
}

function strip(model, layer, direction, sign, selected, choose) {
  const vectors = direction.eigenvectors.filter((v) => signOf(direction.eigenvalues[v.index]) === sign);
  const total = direction.eigenvalues.filter((value) => signOf(value) === sign).length;
  const effect = sign === "positive" ? "raise the output" : "lower the output";
  const cut = vectors.length < total ? `, the first ${vectors.length} of ${total} on this page` : "";
  return element("div", { class: "strip" },
    element("h4", {}, element("b", { class: sign }, sign === "positive" ? "Positive λ" : "Negative λ"), element("span", {}, ` ${effect}${cut}`)),
    vectors.length ? element("ul", { class: "thumbnails" }, vectors.map((v) => thumbnail(model, layer, direction, v, selected, choose)))
    : element("p", { class: "muted" }, total ? "Left out to keep the page small." : "There is none among the eigenvalues found."));
}

function exampleList(title, list) {
  if (!list || !list.length) return null;
  return element("div", { class: "examples" }, element("h4", {}, title),
    element("ul", {}, list.map((example) => element("li", {},
      imagePicture(data.images[example.image], `Image with label ${example.label}`), element("b", {}, example.label),
      element("span", {}, figure(example.projection, 2))))));
}

/** @param name of the direction */
function selectedPanel(model, layer, direction, name, selected, choose) {
  const order = direction.eigenvectors.map((v) => v.index),
    place = order.indexOf(selected),
    vector = direction.eigenvectors[place];
  const panel = element("div", { class: "selected", "aria-live": "polite" });
  if (!vector) return append(panel, [element("p", { class: "muted" }, noVectorReason(layer, direction))]);
  const eigenvalue = direction.eigenvalues[selected],
    shape = shapeOf(model, layer);
  const step = (by, text, label) => element("button", {
    type: "button",
    class: "quiet",
    "aria-label": label,
    "data-step": by,
    disabled: order[place + by] === undefined,
    onclick: () => choose(order[place + by])
  }, text);
  const split = at(model, "study", "data", "split");
  return append(panel, [
    element("div", { class: "selected-head" }, element("h4", {}, `${name}, eigenvector ${selected}`),
      element("div", {}, step(-1, "←", "Previous eigenvector"), step(1, "→", "Next eigenvector"))),
    element("div", {}, vectorPicture(vector, shape, `${name}, eigenvector ${selected}, enlarged`, "large"), shape ? colourBar(vector.scale)
      : element("p", { class: "note" }, `The ${integer(layer.d_in)} components along the layer’s input, from −${figure(vector.scale, 2)} to ${figure(vector.scale, 2)}; their order means nothing.`),
      vectorExports(vector, shape, `${name}, eigenvector ${selected}, layer ${layer.layer}`)),
    definitions("numbers", [
      ["Eigenvalue λ", signedValue(eigenvalue, 4)],
      ["λ with the trace", isNumber(direction.shift) ? signedValue(eigenvalue + direction.shift, 4) : null],
      ["Contribution λp²", contributionText(vector)],
      ["Weight energy up to here", isNumber(vector.weight_energy) ? percent(vector.weight_energy) : null],
      ["Data R² up to here", measured(vector.data_r2)],
      ["Residual", isNumber(vector.residual) ? figure(vector.residual, 2) : null],
      ["Vector error", isNumber(vector.vector_error) ? figure(vector.vector_error, 2) : null]
    ]),
    element("div", { class: "examples-all" },
      vector.vector_error > 0.1 ? element("p", { class: "note" }, "This eigenvalue is not told apart from its neighbours: only the space they span is determined.") : null,
      exampleList(`Most positive projection${split ? `, ${split} images` : ""}`, vector.positive),
      exampleList(`Most negative projection${split ? `, ${split} images` : ""}`, vector.negative),
      tokensOfEigenvector(model, layer, direction, vector),
      contextsOnText(vector, at(model, "decomposition", "corpus", "quantiles"), `Histogram of p of ${name}, eigenvector ${selected}, layer ${layer.layer}`),
      vector.positive || vector.negative ? element("p", { class: "note" }, "Under each image: its label and the projection p.") : null)
  ]);
}

function noVectorReason(layer, direction) {
  if (!direction.eigenvalues.length) return "No eigenpairs were asked for.";
  if (direction.eigenvalues.every((value) => value === 0)) return "Every eigenvalue is zero: the layer adds nothing in this direction.";
  return "The eigenvectors were left out to keep the page small. They are in the decomposition directory.";
}

function linearPart(model, layer, direction, name) {
  const part = direction.linear;
  if (!part) return null;
  const share = isNumber(direction.linear_share) ? ` It makes up ${percent(direction.linear_share, 0)} of the output’s variance.` : "";
  return element("div", { class: "linear" }, element("div", {}, vectorPicture(part, shapeOf(model, layer), "Linear part", ""),
      vectorExports(part, shapeOf(model, layer), `Linear part of ${name}, layer ${layer.layer}`)),
    element("p", {}, element("b", {}, "Linear part. "), `Besides the quadratic form, the output has a linear term l·x with |l| = ${figure(part.norm)} `
      + `(largest component ${figure(part.scale, 2)})${isNumber(part.constant) ? ` and the constant ${signed(part.constant)}` : ""}.${share}`));
}

function directionFacts(direction) {
  const count = (sign) => direction.eigenvalues.filter((value) => signOf(value) === sign).length;
  const parts = [`${count("positive")} positive, ${count("negative")} negative`,
    isNumber(direction.effective_rank) ? `effective rank ${figure(direction.effective_rank)}${direction.effective_rank_error > 0 ? ` ± ${figure(direction.effective_rank_error, 2)}` : ""}` : null,
    isNumber(direction.shift) ? `without its trace: add the shift ${signed(direction.shift)} to each λ for that of Q`
    : isNumber(direction.trace) ? `trace ${figure(direction.trace)}` : null,
    isNumber(direction.frobenius) ? `norm ${figure(direction.frobenius)}` : null,
    direction.converged === 0 ? "not converged" : null,
    isNumber(direction.certified_bound) ? `proved: every other |λ| is below ${figure(direction.certified_bound)}` : null,
    direction.tie_at_k === 1 ? "the last eigenvalue ties with one that is not listed" : null
  ];
  return parts.filter(Boolean).join(" · ");
}

/** One direction of one layer: spectrum, eigenvectors, and the chosen one in detail. */
function directionCard(model, layer, index, selected, choose) {
  const direction = layer.shown[index],
    name = directionName(layer, index),
    words = directionWords(layer, index);
  const studied = direction.eigenvectors.some((v) => isNumber(v.mean));
  return element("div", { class: "card-body" },
    element("div", { class: "spectrum" },
      element("div", { class: "chart-head" }, element("h4", {}, `Spectrum of ${words}`), element("span", { class: "legend" }, directionFacts(direction))),
      spectrumChart(direction, `Spectrum of ${words}, layer ${layer.layer}`, selected, choose)),
    selectedPanel(model, layer, direction, name, selected, choose),
    element("div", { class: "strips" },
      direction.eigenvectors.length ? ["positive", "negative"].map((sign) => strip(model, layer, direction, sign, selected, choose)) : null,
      linearPart(model, layer, direction, words),
      interactionHeatmap(direction, `${words}, layer ${layer.layer}`),
      direction.eigenvectors.length > 0 && element("p", { class: "note" }, "Under each image: λ and its number by falling |λ|, from 0 as in the files" + (studied ? `; the contribution λp², mean ± standard deviation over the ${at(model, "decomposition", "corpus") ? "text" : "images"}` : "")
        + "; then what all eigenvectors up to this one reach together. Each image has its own colour scale.")));
}

/** Whether what all directions share was taken out. */
function centring(layer) {
  const kind = directionKind(layer);
  if (kind !== "Class" && !layer.direction_names.length) return "";
  const [one, all] = kind === "Class" ? ["Scores", "classes"] : ["Token rows", "vocabulary"];
  return layer.center === "mean" ? `${one} are centred: measured against their mean over the ${all}, which changes no probability.`
    : `${one} are not centred: what the whole ${all === "classes" ? "set of classes" : all} shares, which changes no probability, is in them.`;
}

function formula(layer) {
  const linear = layer.shown.some((direction) => direction.linear);
  const what = { Class: "score of a class", Output: "value of an output", Axis: "value along an axis", Direction: "value along a direction" } [directionKind(layer)];
  return [`The ${what} is a quadratic form of the layer’s input x, and its eigenvectors v take it apart without cross terms: it is the sum of λp² with p = v·x`
    + (linear ? ", and a linear part. " : ". "),
    element("b", { class: "positive" }, "Blue"), " stands for positive numbers, ", element("b", { class: "negative" }, "orange"),
    " for negative ones; neutral is zero. v and −v are the same eigenvector.",
    ` ${centring(layer)}${shiftWords(layer)}`
  ];
}

function layerTitle(layer) {
  const space = layer.input_space === "input" ? "seen in pixels" : "in the model’s own space";
  return `Layer ${layer.layer}, ${space}`;
}

/** Of traceless forms, what that means for their eigenvalues. */
const shiftWords = (layer) => (layer.shown.some((direction) => isNumber(direction.shift))
  ? " The forms are without their trace, Q − (tr Q/d) I: eigenvectors are those of Q, and each direction states the shift that makes an eigenvalue that of Q." : "");

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
      holder.append(element("p", { class: "panel muted" }, "The eigenvectors were left out to keep the page small. They are in the decomposition directory."));
      return;
    }
    const choose = (i) => go({ layer: view.layer, direction: i });
    parts = {
      grid: overview(model, layer, choose),
      card: element("div", {}),
      picker: picker(kind, layer.shown.map((_, i) => (at(layer, "direction_names", i) ?? (layer.shown.length <= 20 ? String(i) : `${kind} ${i}`))), choose)
    };
    const cut = layer.shown.length < layer.n_directions ? `The first ${layer.shown.length} of ${layer.n_directions} are on this page; all are in the decomposition directory.` : null;
    append(holder, [
      layer.shown.length > 1 ? element("div", { class: "panel" }, parts.grid, cut ? element("p", { class: "note" }, cut) : null) : null,
      element("div", { class: "panel card" },
        element("div", { class: "card-head" }, element("div", { class: "picker" }, element("span", { class: "picker-label", "aria-hidden": "true" }, kind), parts.picker)), parts.card)
    ]);
  };
  const drawCard = () => {
    layerTabs?.select(view.layer);
    if (!parts) return;
    parts.grid.select(view.direction);
    parts.picker.select(view.direction);
    const focus = parts.card.contains(document.activeElement) ? document.activeElement : null;
    const again = focus?.dataset.index ? `[data-index="${view.eigenvector}"]` : focus?.dataset.step ? `[data-step="${focus.dataset.step}"]:not(:disabled)` : null;
    parts.card.replaceChildren(directionCard(model, layers[view.layer], view.direction, view.eigenvector, (index) => {
      go({ ...view, eigenvector: index });
      bringIntoView(parts.card.querySelector(".selected"));
    }));
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
  const section = block(id, level, "Eigenvectors", null, tokenSearch(model, layers, (wanted) => {
    go(wanted);
    bringIntoView(holder.querySelector(".card"));
  }), layerTabs ? element("div", { class: "layers" }, layerTabs) : element("h4", { class: "layers" }, layerTitle(layers[0])), holder);
  section.querySelector("header").append(intro);
  go(view, true);
  return Object.assign(section, { go: (wanted) => go(wanted, true), card: () => holder.querySelector(".card") ?? section });
}

/** Keeps a choice inside what there is; without an eigenvector, the leading one. */
function settle(layers, { layer = 0, direction = 0, eigenvector = null }) {
  const chosen = { layer: layers[layer] ? layer : 0, direction: 0, eigenvector: null };
  const shown = layers[chosen.layer].shown;
  if (shown[direction]) chosen.direction = direction;
  const vectors = at(shown[chosen.direction], "eigenvectors") ?? [];
  chosen.eigenvector = vectors.some((v) => v.index === eigenvector) ? eigenvector : vectors.length ? vectors[0].index : null;
  return chosen;
}
