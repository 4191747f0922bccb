
// What a conversion cost: a part of the report's script.

function comparisonTable(conversion) {
  const parts = [["validation, before training", conversion.untrained], ["validation", conversion.validation], ["test", conversion.test]].filter(([, seen]) => seen);
  const columns = [["Tokens", (s) => integer(s.tokens)], ["Loss", (s) => figure(s.loss, 4)], ["Teacher's", (s) => figure(s.teacher_loss, 4)],
    ["Above it", (s) => signed(s.loss - s.teacher_loss, 3)], ["KL to it", (s) => figure(s.divergence)], ["Same top token", (s) => percent(s.agreement)]];
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The model beside its teacher" },
    element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Part"), columns.map(([name]) => element("th", { scope: "col", class: "number" }, name)))),
      element("tbody", {}, parts.map(([name, seen]) => element("tr", {}, element("th", { scope: "row" }, name), columns.map(([, text]) => element("td", { class: "number" }, text(seen))))))));
}

/** 1 − R² of the residual stream behind each layer, before and after training: what is lost. */
function layerErrors(conversion) {
  const series = [["before training", "before", at(conversion, "untrained", "layer_r2")], ["finished", "smooth", at(conversion, "validation", "layer_r2")]]
    .map(([name, style, values]) => ({ name, style, values: (values ?? []).map((v) => 1 - v) })).filter((s) => s.values.length);
  if (!series.length) return null;
  const count = series[0].values.length, high = Math.max(...series.flatMap((s) => s.values).filter(isNumber), 1e-9);
  const box = chart("Error of the residual stream by layer", 240, (node, width, height) => {
    const x = linearScale([0, Math.max(count - 1, 1)], [52, width - 12]), y = linearScale([0, high * 1.05], [height - 42, 28]);
    append(node, [axes({ x, y, xTicks: niceTicks(0, count - 1, 8).filter(Number.isInteger), yTicks: niceTicks(0, high * 1.05, 4),
      xFormat: integer, yFormat: (v) => brief(v), xName: "layer", yName: "1 − R² behind it, validation" }),
    series.map((s) => [svg("path", { class: s.style, d: path(s.values.map((v, i) => [x(i), y(v)])) }),
      s.values.map((v, i) => svg("circle", { class: `${s.style}-dot`, cx: x(i), cy: y(v), r: 3.5 },
        svg("title", {}, `layer ${i}, ${s.name}: ${figure(v)}`)))])]);
  }, 330, () => [["layer", ...series.map((s) => s.name)], ...series[0].values.map((_, i) => [i, ...series.map((s) => s.values[i])])]);
  const key = (s) => element("span", {}, svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" }, svg("line", { class: s.style, x1: 0, x2: 20, y1: 6, y2: 6 })), s.name);
  return element("figure", { class: "panel" }, element("div", { class: "chart-head" }, element("h4", {}, "What each layer is off by"),
    element("div", { class: "legend chart" }, series.map(key))), box);
}

function sampleTexts(conversion) {
  const { samples } = conversion;
  if (!samples) return null;
  const texts = [["Teacher", samples.teacher], ["Before training", samples.untrained], ["Finished", samples.finished]].filter(([, text]) => text);
  return element("div", { class: "panel" }, element("h4", {}, `What follows “${samples.prompt}”`),
    element("dl", { class: "samples" }, texts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)))));
}

function conversionSection(model, id, level) {
  const { conversion } = model;
  if (!conversion) return null;
  const intro = conversion.converted ? "The bilinear model beside the gated one it was made from, on the same windows of text."
    : "The model trained on without conversion, beside what it was.";
  return block(id, level, "Conversion", intro, element("div", { class: "panel" }, comparisonTable(conversion)),
    element("div", { class: "pair" }, layerErrors(conversion), sampleTexts(conversion)));
}

/** Validation loss of several conversions against the tokens they have seen. */
function conversionsTogether(models) {
  const lines = models.map((model, i) => {
    const config = at(model, "run", "config"), tokensAStep = at(config, "train", "batch_size") * at(config, "data", "context");
    const points = (at(model, "metrics", "evaluations") ?? []).filter((e) => e.split === "validation" && isNumber(e.loss)).map((e) => [e.step * tokensAStep, e.loss]);
    const start = at(model, "conversion", "untrained", "loss");
    return { i, name: model.name, points: isNumber(start) ? [[0, start], ...points] : points };
  }).filter((line) => models[line.i].conversion && line.points.every(([tokens]) => isNumber(tokens)) && line.points.length > 1);
  if (lines.length < 2) return null;
  const losses = lines.flatMap((line) => line.points.map(([, loss]) => loss)), teacher = at(models[lines[0].i], "conversion", "validation", "teacher_loss");
  const all = isNumber(teacher) ? [...losses, teacher] : losses, low = Math.min(...all), high = Math.max(...all), room = (high - low) * 0.06 || 0.1;
  const most = Math.max(...lines.flatMap((line) => line.points.map(([tokens]) => tokens)));
  const hue = (order) => `hsl(${Math.round((order * 360) / lines.length)} 65% 48%)`;
  const box = chart("Validation loss against tokens, all runs", 340, (node, width, height) => {
    const x = linearScale([0, most], [52, width - 12]), y = linearScale([low - room, high + room], [height - 42, 28]);
    append(node, [axes({ x, y, xTicks: niceTicks(0, most, width < 420 ? 3 : 6), yTicks: niceTicks(low - room, high + room, 5),
      xFormat: (v) => `${brief(v / 1e6)} M`, yFormat: (v) => brief(v), xName: "tokens", yName: "validation loss, nats a token" }),
    isNumber(teacher) ? svg("line", { class: "cursor", x1: 52, x2: width - 12, y1: y(teacher), y2: y(teacher) }, svg("title", {}, `teacher: ${figure(teacher, 4)}`)) : null,
    lines.map((line, order) => [svg("path", { d: path(line.points.map(([t, l]) => [x(t), y(l)])), fill: "none", stroke: hue(order), "stroke-width": 2 }),
      line.points.map(([t, l]) => svg("circle", { cx: x(t), cy: y(l), r: 3, fill: hue(order) }, svg("title", {}, `${line.name}, ${integer(t)} tokens: ${figure(l, 4)}`)))])]);
  }, 700, () => [["run", "tokens", "validation loss"], ...lines.flatMap((line) => line.points.map((point) => [line.name, ...point]))]);
  const key = (line, order) => element("span", {}, svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 20, y1: 6, y2: 6, stroke: hue(order), "stroke-width": 2 })), `${line.name}: ${figure(line.points.at(-1)[1], 4)}`);
  return element("figure", { class: "panel together" }, element("div", { class: "chart-head" }, element("h4", {}, "Validation loss against tokens"),
    element("div", { class: "legend chart" }, lines.map(key), isNumber(teacher) ? element("span", {}, `the teacher: ${figure(teacher, 4)} (dashed)`) : null)), box);
}
