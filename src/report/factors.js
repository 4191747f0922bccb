// Factors of other methods: a part of the report's script.

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
  refit_residual: "Residual of the refit",
  data: "Data",
  weights: "Weighted by",
  measured: "R² measured on",
  part: "part",
  inputs: "inputs",
  documents: "documents",
  dimensions: "Dimensions in which inputs vary",
  cut: "Share of the variance cut",
  fixed_length: "Inputs of one length",
  solver: "Solver",
  worst_residual: "Worst residual",
  certified: "Certified",
  mean_linear_share: "Mean share of the linear part under a Gaussian",
  mean_linear_r2: "Mean R² of the linear part",
  mean_r2: "Mean R² with these terms"
};

function figureText(value) {
  if (isNumber(value)) return figure(value);
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return plain(value);
}

/** All figures of a method by name, those of its modes one by one. */
function figureRows(figures, before = "") {
  return Object.entries(figures ?? {}).flatMap(([key, value]) => {
    const own = figureNames[key] ?? key,
      name = before ? before + own.toLowerCase() : own;
    return value && typeof value === "object" && !Array.isArray(value) ? figureRows(value, `${name}, `) : [
      [name, figureText(value)]
    ];
  });
}

/** R² of all outputs, or from where to where they reach. */
function r2Words(values) {
  const known = values.filter(isNumber);
  if (!known.length) return "";
  const words = known.length <= 12 ? values.map((r2) => measured(r2)).join(", ")
    : `from ${figure(Math.min(...known))} to ${figure(Math.max(...known))}`;
  return ` R² of its outputs ${words}.`;
}

/** What is left of the classifier with the factors in a layer's place. */
function rebuiltWords({ accuracy, loss, relative_error, data_r2 }) {
  const error = figure(relative_error, 2);
  const words = isNumber(accuracy)
    ? `the accuracy is ${percent(accuracy)}, the loss ${figure(loss)} and the relative error of its outputs ${error}`
    : `the relative error of its outputs is ${error}`;
  return `With these factors in the layer’s place ${words}.${r2Words(data_r2)}`;
}

const factorNames = {
  sigma: "σ",
  value: "xᵀQx",
  energy: "energy",
  participation: "entries",
  cosine: "cos(l, r)",
  kappa: "κ",
  share: "share κ²/Σκ²",
  r2: "R² so far",
  residual: "residual",
  vector_error: "vector error",
  linear_variance: "variance",
  quadratic_variance: "variance of the terms",
  variance: "variance on data",
  centre: "mean on data",
  shift: "shift c",
  rank: "effective rank",
  bound: "certified bound",
  floor: "rounding up to"
};

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
  const tick = (t) => [
    svg("line", { class: t === 0 ? "axis" : "grid", x1: left, x2: width, y1: y(t), y2: y(t) }),
    svg("text", { x: left - 3, y: y(t) + 3, "text-anchor": "end" }, brief(t, 2))
  ];
  const bar = (weight, i) => svg("rect", {
    class: `bar-${signOf(weight) || "positive"}`,
    x: left + (i + 0.15) * step,
    y: Math.min(y(weight), y(0)),
    width: step * 0.7,
    height: Math.abs(y(weight) - y(0))
  });
  const number = (i) => svg("text", { x: left + (i + 0.5) * step, y: height + 15, "text-anchor": "middle" }, i);
  const view = { class: "weights", viewBox: `0 0 ${width} ${height + 18}`, role: "img", "aria-label": label };
  const drawing = svg("svg", view, ticks.map(tick),
    weights.map((weight, i) => [bar(weight, i), weights.length <= 12 ? number(i) : null]));
  const numbers = () => [
    [kind, "weight"], ...weights.map((weight, i) => [i, weight])
  ];
  const legend = () => [{ text: `Weight of each ${kind.toLowerCase()}` }];
  return element("div", {}, drawing, exports(title, () => drawing, numbers, legend));
}

/** @param place of the card, for the titles of saved figures */
function factorCard(item, shape, kind, place) {
  const picture = (vector) => {
    const title = `${item.title}${vector.label ? `, ${vector.label}` : ""}`;
    return element("figure", {},
      vectorPicture(vector, shape, title, ""),
      vector.label ? element("figcaption", {}, vector.label) : null,
      vectorExports(vector, shape, `${title}, ${place}`));
  };
  const fact = ([name, value]) => element("span", { class: "row" },
    element("span", {}, factorNames[name] ?? name),
    element("span", {}, name === "energy" || name === "share" ? percent(value) : figure(value)));
  return element("li", { class: item.pictures.length > 2 ? "wide" : "" },
    element("div", { class: "factor-title" }, item.title),
    element("div", { class: "pictures" }, item.pictures.map(picture)),
    item.weights ? weightBars(item.weights, kind, `${item.title}, weights, ${place}`) : null,
    item.facts.map(fact));
}

function factorGroup(group, shape, kind, perDirection, place) {
  const left = group.left_out > 0 ? element("p", { class: "note" },
    `${integer(group.left_out)} more in the decomposition directory.`) : null;
  const cards = group.items.map((item) => factorCard(item, shape, kind, place));
  return element("div", {}, group.title && !perDirection ? element("h4", {}, group.title) : null,
    cards.length ? element("ul", { class: "factors" }, cards)
    : element("p", { class: "muted" }, "Left out to keep the page small."), left);
}

/** The factors of one layer; those of single directions one direction at a time. */
function factorPanel(model, layer) {
  const shape = shapeOf(model, layer),
    kind = directionKind(layer),
    groups = layer.factors.groups,
    perDirection = layer.factors.by_direction,
    place = `${layer.method}, layer ${layer.layer}`;
  const rebuilt = (at(model, "study", "reconstruction") ?? []).find((r) => r.layer === layer.layer);
  const panel = element("div", { class: "panel factor-panel" },
    element("p", {}, element("b", {}, `Layer ${layer.layer}. `), layer.factors.words + ". ",
      rebuilt ? rebuiltWords(rebuilt) : null),
    element("details", {}, element("summary", {}, "All figures of the method"),
      definitions("facts", figureRows(layer.figures))));
  if (!perDirection || groups.length < 2) {
    return append(panel, groups.map((group) => factorGroup(group, shape, kind, perDirection, place)));
  }
  const holder = element("div", {});
  const choose = (i) => {
    choice.select(i);
    const title = `${kind.toLowerCase()} ${groups[i].title}, ${place}`;
    holder.replaceChildren(factorGroup(groups[i], shape, kind, true, title));
  };
  const choice = picker(kind, groups.map((g) => (groups.length <= 20 ? g.title : `${kind} ${g.title}`)), choose);
  choose(0);
  return append(panel, [labelled(kind, choice), holder]);
}

function factors(model, id, level) {
  const layers = layersOf(model).filter((layer) => layer.factors);
  if (!layers.length) return null;
  const meanings = [...new Set(layers.map((layer) => layer.factors.meaning))];
  return block(id, level, "Factors", meanings.join(" "),
    layers.map((layer) => factorPanel(model, layer)));
}
