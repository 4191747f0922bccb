// What a language model's eigenvectors contribute on text: a part of the report's script.

function corpusTable(corpus) {
  const last = (values) => values.at(-1);
  const columns = [
    ["Directions", (l) => integer(l.directions)],
    ["Quadratic", (l) => percent(l.quadratic)],
    ["Linear", (l) => percent(l.linear)],
    ["Constant", (l) => percent(l.constant)],
    ["R² of the form", (l) => measured(l.form_r2)],
    ["R² of k eigenpairs", (l) => measured(last(l.r2))],
    ["Their correlation", (l) => measured(last(l.correlation))],
    ["k", (l) => integer(l.r2.length - 1)],
    ["R² where active", (l) => measured(last(l.active.r2))],
    ["Active tokens", (l) => percent(l.active.share)], ...(corpus.layers.some((l) => l.surrogate) ? [
      ["Error of a token", (l) => figure(at(l, "surrogate", "error"))],
      ["At most", (l) => figure(at(l, "surrogate", "bound"))]
    ] : [])
  ];
  const table = columnsTable("Layer", columns, corpus.layers.map((layer) => [layer.layer, layer]));
  return scrollable("The layers on text", [table, exports("The layers on text", null, () => tableRows(table))]);
}

/**
 * A line a layer over the eigenpairs kept.
 * @param lines [{layer, k: [], values: []}] @param least, most of the values shown
 */
function keptChart(title, label, yName, lines, least, most) {
  const last = Math.max(...lines.map((line) => line.k.at(-1)));
  const drawn = ({ layer, k, values }) => ({ name: `layer ${layer}`, points: values.map((v, i) => [k[i], v]) });
  return linesChart(title, lines.map(drawn), {
    label,
    height: 260,
    x: [0, last],
    y: [least, most],
    xName: "eigenpairs kept of each direction",
    yName,
    xFormat: integer,
    xTicks: [8, 8],
    ordered: true,
    point: (name, k, value) => `${name}, k = ${k}: ${figure(value)}`,
    columns: ["layer", "k", "value"]
  });
}

function explainedChart(corpus) {
  const known = corpus.layers.filter((layer) => layer.r2.length > 2 && layer.r2.every(isNumber));
  const lines = known.map(({ layer, r2 }) => ({ layer, k: r2.map((_, k) => k), values: r2 })),
    lowest = Math.min(0, ...lines.flatMap((line) => line.values));
  return keptChart("How much of the outputs the eigenpairs explain", "R² of the eigenpairs kept, by layer",
    "R², mean over directions", lines, Math.max(-1, lowest), 1);
}

function lossChart(corpus) {
  const lines = corpus.losses.filter((line) => line.values.every(isNumber)),
    all = lines.flatMap((line) => line.values);
  const figureBox = keptChart("What the model loses with eigenpairs in a layer’s place",
    "Loss with the eigenpairs kept in a layer’s place, by layer", "loss above the model’s, nats", lines,
    Math.min(0, ...all), Math.max(1e-3, ...all));
  return figureBox ? append(figureBox, [lossTable(corpus, lines)]) : null;
}

/** The same in numbers, with the intervals over documents that a chart of many lines has no room for. */
function lossTable(corpus, lines) {
  const { loss } = corpus;
  const kept = [...new Set(lines.flatMap((line) => line.k))].sort((a, b) => a - b);
  const cell = ({ k, values, low, high, flip_p }, wanted) => {
    const i = k.indexOf(wanted);
    if (i < 0) return "–";
    const interval = isNumber(low[i]) && isNumber(high[i]) ? ` (${signed(low[i], 2)} to ${signed(high[i], 2)})` : "";
    return signed(values[i], 2) + interval + (isNumber(flip_p[i]) ? `, p = ${figure(flip_p[i], 2)}` : "");
  };
  const table = numberTable(["Layer", ...kept.map((k) => `k = ${k}`)],
    lines.map((line) => [line.layer, ...kept.map((k) => cell(line, k))]));
  const measuredOn = loss ? `Measured on ${integer(loss.tokens)} tokens of ${plural(loss.documents, "document")}, `
    + `on which the model’s own loss is ${figure(loss.own, 4)} nats a token.` : null;
  return element("details", {}, element("summary", {}, "In numbers, with 95% intervals and sign flips over documents"),
    measuredOn ? element("p", { class: "note" }, measuredOn) : null,
    scrollable("Loss above the model’s with the eigenpairs kept", table));
}

/** What the layers' outputs along the directions are made of, in the order of the layers. */
function sharesLine(model) {
  const corpus = at(model, "decomposition", "corpus");
  if (!corpus) return null;
  const shares = (part) => corpus.layers.map((layer) => percent(layer[part])).join(", ");
  const whose = corpus.layers.length === 1 ? `layer ${corpus.layers[0].layer}’s` : "the layers’";
  return element("p", { class: "shares" }, `On text, the mean squares of ${whose} outputs are made of these shares: `
    + `quadratic ${shares("quadratic")}; linear ${shares("linear")}; constant ${shares("constant")}.`);
}

/** What was measured, and how to read it. */
function corpusIntro(corpus) {
  const text = plain(at(corpus, "data", "path")) || "a text";
  return `Measured on ${integer(corpus.tokens)} tokens of ${text}, in windows of ${integer(corpus.window)}; `
    + `histograms, quantiles and active tokens are of ${integer(corpus.sample)} of them, drawn at random. `
    + "Each output of a layer is xᵀQx + l·x + c. The shares are those of the mean squares of these three parts, which "
    + "may cancel each other. R² compares the form with what the model’s own layer put out, with nothing refitted; "
    + "below 0 the mean alone is nearer. A token is active for a direction where the output is more than one standard "
    + "deviation from its mean."
    + (corpus.layers.some((l) => l.surrogate) ? " The layers decomposed stand for gated ones. The last two columns say "
      + "how far a token’s output is off, and the bound on it that the activations give: both are medians, in standard "
      + "deviations of the output." : "");
}

function corpusSection(model, id, level) {
  const corpus = at(model, "decomposition", "corpus");
  if (!corpus) return null;
  return block(id, level, "On text", corpusIntro(corpus), element("div", { class: "panel" }, corpusTable(corpus)),
    explainedChart(corpus), lossChart(corpus));
}

/** How often p falls where: bars between its smallest and largest value in the sample. */
function projectionHistogram({ low, high, counts }, title) {
  const step = (high - low) / counts.length,
    rows = () => [
      ["from", "to", "tokens"], ...counts.map((count, i) => [low + i * step, low + (i + 1) * step, count])
    ];
  const width = 240,
    height = 44,
    most = Math.max(...counts, 1),
    bar = width / counts.length,
    zero = ((0 - low) / (high - low || 1)) * width;
  const column = (count, i) => svg("rect", {
    class: (i + 0.5) * bar >= zero ? "bar-positive" : "bar-negative",
    x: i * bar,
    y: height - (count / most) * height,
    width: bar * 0.9,
    height: (count / most) * height
  }, svg("title", {}, `${integer(count)} tokens`));
  const ends = `from ${figure(low, 2)} to ${figure(high, 2)}`;
  const drawing = svg("svg", {
      class: "histogram",
      viewBox: `0 0 ${width} ${height + 12}`,
      role: "img",
      "aria-label": `Histogram of p, ${ends}`
    },
    counts.map(column),
    svg("text", { x: 0, y: height + 10 }, figure(low, 2)),
    svg("text", { x: width, y: height + 10, "text-anchor": "end" }, figure(high, 2)));
  const legend = () => [{ text: `Tokens by p = v·x, ${ends}` }];
  return element("div", {}, drawing, exports(title, () => drawing, rows, legend));
}

/** @param labels of the items, in the place of their numbers */
function contextList(title, list, labels) {
  const item = ([before, token, after, p], i) => element("li", {},
    labels ? element("span", { class: "quantile" }, labels[i]) : null,
    element("span", { class: "context" }, before, element("mark", {}, token), after),
    element("span", { class: "number" }, figure(p, 2)));
  return element("div", {}, element("h4", {}, title),
    list.length ? element(labels ? "ul" : "ol", { class: "contexts" }, list.map(item))
    : element("p", { class: "muted" }, "None."));
}

/**
 * Where a projection is largest and where it is most negative: since the sign of v is free, the two are told apart, not
 * named. And what lies between.
 * @param title of the histogram
 */
function contextsOnText(vector, quantiles, title) {
  const { contexts, histogram } = vector;
  if (!contexts) return null;
  return element("div", { class: "on-text" },
    element("h4", {}, "p = v·x over the text"), projectionHistogram(histogram, title),
    contextList("Where p is largest", contexts.positive), contextList("Where p is most negative", contexts.negative),
    contextList("At quantiles of p", contexts.quantiles, quantiles.map((q) => `${brief(100 * q)}%`)));
}
