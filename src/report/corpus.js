
// What a language model's eigenvectors contribute on text: a part of the report's script.

function corpusTable(corpus) {
  const last = (values) => values.at(-1);
  const columns = [["Directions", (l) => integer(l.directions)], ["Quadratic", (l) => percent(l.quadratic)], ["Linear", (l) => percent(l.linear)],
    ["Constant", (l) => percent(l.constant)], ["R² of the form", (l) => figure(l.form_r2)], ["R² of k eigenpairs", (l) => figure(last(l.r2))],
    ["Their correlation", (l) => figure(last(l.correlation))], ["k", (l) => integer(l.r2.length - 1)]];
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The layers on text" },
    element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Layer"), columns.map(([name]) => element("th", { scope: "col", class: "number" }, name)))),
      element("tbody", {}, corpus.layers.map((layer) => element("tr", {}, element("th", { scope: "row" }, layer.layer), columns.map(([, text]) => element("td", { class: "number" }, text(layer))))))));
}

/** R² against the number of eigenpairs kept, a line a layer. */
function corpusChart(corpus) {
  const lines = corpus.layers.filter((layer) => layer.r2.length > 2 && layer.r2.every(isNumber));
  if (!lines.length) return null;
  const values = lines.flatMap((layer) => layer.r2), low = Math.max(-1, Math.min(0, ...values)), most = Math.max(...lines.map((layer) => layer.r2.length - 1));
  const hue = (order) => `hsl(${Math.round((order * 300) / lines.length)} 60% 48%)`;
  const box = chart("R² of the eigenpairs kept, by layer", 260, (node, width, height) => {
    const x = linearScale([0, most], [52, width - 12]), y = linearScale([low, 1], [height - 42, 28]);
    append(node, [axes({ x, y, xTicks: niceTicks(0, most, 8).filter(Number.isInteger), yTicks: niceTicks(low, 1, 5), xFormat: integer,
      yFormat: (v) => brief(v), xName: "eigenpairs kept of each direction", yName: "R², mean over directions" }),
    lines.map((layer, order) => [svg("path", { d: path(layer.r2.map((v, k) => [x(k), y(Math.max(v, low))])), fill: "none", stroke: hue(order), "stroke-width": 2 }),
      layer.r2.map((v, k) => svg("circle", { cx: x(k), cy: y(Math.max(v, low)), r: 3, fill: hue(order) }, svg("title", {}, `layer ${layer.layer}, k = ${k}: ${figure(v)}`)))])]);
  }, 330);
  const key = (layer, order) => element("span", {}, svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 20, y1: 6, y2: 6, stroke: hue(order), "stroke-width": 2 })), `layer ${layer.layer}`);
  return element("figure", { class: "panel" }, element("div", { class: "chart-head" }, element("h4", {}, "How much of the outputs the eigenpairs explain"),
    element("div", { class: "legend chart" }, lines.map(key))), box);
}

function corpusSection(model, id, level) {
  const corpus = at(model, "decomposition", "corpus");
  if (!corpus) return null;
  return block(id, level, "On text", `Measured on ${integer(corpus.tokens)} tokens of ${plain(corpus.path) || "a text"}. Each output of a layer is xᵀQx + l·x + c: `
    + "the shares are of the mean squares of these three parts, which may cancel each other. R² compares with what the model’s own layer put out, nothing refitted; "
    + "below 0 the mean alone is nearer.", element("div", { class: "panel" }, corpusTable(corpus)), corpusChart(corpus));
}

/** How often p falls where: bars between its smallest and largest value in the sample. */
function projectionHistogram({ low, high, counts }) {
  const width = 240, height = 44, most = Math.max(...counts, 1), bar = width / counts.length, zero = ((0 - low) / (high - low || 1)) * width;
  return svg("svg", { class: "histogram", viewBox: `0 0 ${width} ${height + 12}`, role: "img", "aria-label": `Histogram of p, from ${figure(low, 2)} to ${figure(high, 2)}` },
    counts.map((count, i) => svg("rect", { class: (i + 0.5) * bar >= zero ? "bar-positive" : "bar-negative", x: i * bar, y: height - (count / most) * height, width: bar * 0.9, height: (count / most) * height },
      svg("title", {}, `${integer(count)} tokens`))),
    svg("text", { x: 0, y: height + 10 }, figure(low, 2)), svg("text", { x: width, y: height + 10, "text-anchor": "end" }, figure(high, 2)));
}

function contextList(title, list) {
  return element("div", {}, element("h4", {}, title), list.length ? element("ol", { class: "contexts" }, list.map(([before, token, after, p]) =>
    element("li", {}, element("span", { class: "context" }, before, element("mark", {}, token), after), element("span", { class: "number" }, figure(p, 2)))))
    : element("p", { class: "muted" }, "None."));
}

/** Where a projection is largest and where it is most negative: since the sign of v is free, the two are told apart, not named. */
function contextsOnText(vector) {
  const { contexts, histogram } = vector;
  if (!contexts) return null;
  return element("div", { class: "on-text" }, element("h4", {}, "p = v·x over the text"), projectionHistogram(histogram),
    contextList("Where p is largest", contexts.positive), contextList("Where p is most negative", contexts.negative));
}
