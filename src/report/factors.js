// Factors of other methods: a part of the report's script.

/** What each method's factors are, in a sentence. */
const factorMeanings = {
  hosvd: "Singular vectors of the whole tensor: the input patterns and the mixtures of outputs that hold most of its energy.",
  sparse_eigen: "Vectors with few entries for which |xᵀQx| is large: each says what a handful of components do together.",
  rotate: "A sparse orthonormal basis of the space that each output’s top eigenvectors span.",
  joint: "One orthonormal basis for all outputs, in which their matrices are as nearly diagonal as possible.",
  cp: "Terms that all outputs share: a term is the product of two projections, (l·x)(r·x), with a weight for each output. It is a quarter of the difference of the squares of two projections: on plus, l + r, and on minus, l − r.",
};

/** The names of a method's figures. */
const figureNames = {
  squared_norm: "Energy Σ‖Q‖²",
  output: "Output",
  input: "Input",
  kept: "factors kept",
  resolved: "above rounding",
  energy: "share of energy",
  discarded: "Σσ² left out",
  floor: "rounding up to",
  unchanged: "Nothing but rounding",
  sparsity: "Entries of a vector",
  converged: "Converged",
  mean_objective: "Mean ‖Z‖₄⁴",
  mean_start_objective: "The same of the eigenvectors",
  mean_off_diagonal: "Mean share off the diagonal",
  objective: "Objective",
  diagonal_energy: "Energy without cross terms",
  full_energy: "Energy with cross terms",
  off_diagonal: "Share off the diagonal",
  gradient: "Gradient at the end",
  condition: "Condition of the terms",
  cancellation: "Cancellation Σ‖term‖²/‖M‖²",
  status: "Status",
  refit_residual: "Residual of the refit"
};

/** All figures of a method by name, those of its modes one by one. */
function figureRows(figures, before = "") {
  const words = (value) => (isNumber(value) ? figure(value) : Array.isArray(value) ? value.join(", ") : value === true ? "yes" : value === false ? "no" : plain(value));
  return Object.entries(figures ?? {}).flatMap(([key, value]) => {
    const name = `${before}${before ? (figureNames[key] ?? key).toLowerCase() : figureNames[key] ?? key}`;
    return value && typeof value === "object" && !Array.isArray(value) ? figureRows(value, `${name}, `) : [
      [name, words(value)]
    ];
  });
}

/** What is left of the classifier with the factors in a layer's place. */
function rebuiltWords({ accuracy, loss, relative_error, data_r2 }) {
  const known = data_r2.filter(isNumber);
  const outputs = known.length ? ` R² of its outputs ${known.length <= 12 ? data_r2.map((r2) => measured(r2)).join(", ") : `from ${figure(Math.min(...known))} to ${figure(Math.max(...known))}`}.` : "";
  const whole = isNumber(accuracy) ? `the accuracy is ${percent(accuracy)}, the loss ${figure(loss)} and ` : "";
  return `With these factors in the layer’s place ${whole}the relative error of its outputs ${whole ? "" : "is "}${figure(relative_error, 2)}.${outputs}`;
}

const factorNames = { sigma: "σ", value: "xᵀQx", energy: "energy", participation: "entries", cosine: "cos(l, r)" };

/** Bars up and down from zero, one for each output, beside a scale. @param title of the saved figure */
function weightBars(weights, kind, title) {
  const left = 34,
    width = 160,
    height = 56,
    largest = Math.max(...weights.map(Math.abs), 1e-300),
    step = (width - left) / weights.length;
  const label = `Weight of each ${kind.toLowerCase()}: ` + weights.map((w, i) => `${i}: ${figure(w, 2)}`).join(", ");
  const y = linearScale([-largest, largest], [height + 4, 4]),
    low = Math.min(...weights) < 0,
    high = Math.max(...weights) > 0;
  const ticks = [...(low ? [-largest] : []), 0, ...(high ? [largest] : [])];
  const drawing = svg("svg", { class: "weights", viewBox: `0 0 ${width} ${height + 18}`, role: "img", "aria-label": label },
    ticks.map((t) => [svg("line", { class: t === 0 ? "axis" : "grid", x1: left, x2: width, y1: y(t), y2: y(t) }),
      svg("text", { x: left - 3, y: y(t) + 3, "text-anchor": "end" }, brief(t, 2))
    ]),
    weights.map((w, i) => [svg("rect", { class: `bar-${signOf(w) || "positive"}`, x: left + (i + 0.15) * step, y: Math.min(y(w), y(0)), width: step * 0.7, height: Math.abs(y(w) - y(0)) }),
      weights.length <= 12 ? svg("text", { x: left + (i + 0.5) * step, y: height + 15, "text-anchor": "middle" }, i) : null
    ]));
  return element("div", {}, drawing, exports(title, () => drawing, () => [
    [kind, "weight"], ...weights.map((w, i) => [i, w])
  ], () => [{ text: `Weight of each ${kind.toLowerCase()}` }]));
}

/** @param place of the card, for the titles of saved figures */
function factorCard(item, shape, kind, place) {
  return element("li", { class: item.pictures.length > 2 ? "wide" : "" },
    element("div", { class: "factor-title" }, item.title),
    element("div", { class: "pictures" }, item.pictures.map((p) => element("figure", {},
      vectorPicture(p, shape, `${item.title}${p.label ? ", " + p.label : ""}`, ""), p.label ? element("figcaption", {}, p.label) : null,
      vectorExports(p, shape, `${item.title}${p.label ? `, ${p.label}` : ""}, ${place}`)))),
    item.weights ? weightBars(item.weights, kind, `${item.title}, weights, ${place}`) : null,
    item.facts.map(([name, value]) => element("span", { class: "row" }, element("span", {}, factorNames[name] ?? name),
      element("span", {}, name === "energy" ? percent(value) : figure(value)))));
}

function factorGroup(group, shape, kind, perDirection, place) {
  const left = group.left_out > 0 ? element("p", { class: "note" }, `${integer(group.left_out)} more in the decomposition directory.`) : null;
  return element("div", {}, group.title && !perDirection ? element("h4", {}, group.title) : null,
    group.items.length ? element("ul", { class: "factors" }, group.items.map((item) => factorCard(item, shape, kind, place)))
    : element("p", { class: "muted" }, "Left out to keep the page small."), left);
}

/** The factors of one layer; those of single directions one direction at a time. */
function factorPanel(model, layer) {
  const shape = shapeOf(model, layer),
    kind = directionKind(layer),
    groups = layer.factors.groups,
    place = `${layer.method}, layer ${layer.layer}`;
  const perDirection = layer.method === "sparse_eigen" || layer.method === "rotate";
  const rebuilt = (at(model, "study", "reconstruction") ?? []).find((r) => r.layer === layer.layer);
  const panel = element("div", { class: "panel factor-panel" },
    element("p", {}, element("b", {}, `Layer ${layer.layer}. `), layer.factors.words + ". ",
      rebuilt ? rebuiltWords(rebuilt) : null),
    element("details", {}, element("summary", {}, "All figures of the method"), definitions("facts", figureRows(layer.figures))));
  if (!perDirection || groups.length < 2) return append(panel, [groups.map((g) => factorGroup(g, shape, kind, perDirection, place))]);
  const holder = element("div", {});
  const choose = (i) => {
    choice.select(i);
    holder.replaceChildren(factorGroup(groups[i], shape, kind, true, `${kind.toLowerCase()} ${groups[i].title}, ${place}`));
  };
  const choice = picker(kind, groups.map((g) => (groups.length <= 20 ? g.title : `${kind} ${g.title}`)), choose);
  choose(0);
  return append(panel, [element("div", { class: "picker" }, element("span", { class: "picker-label", "aria-hidden": "true" }, kind), choice), holder]);
}

function factors(model, id, level) {
  const layers = layersOf(model).filter((layer) => layer.factors);
  if (!layers.length) return null;
  const methods = [...new Set(layers.map((layer) => layer.method))];
  return block(id, level, "Factors", methods.map((m) => factorMeanings[m]).filter(Boolean).join(" "),
    layers.map((layer) => factorPanel(model, layer)));
}
