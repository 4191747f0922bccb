// Training curves: a part of the report's script.

/** The mean over a window around each point; what is not finite is passed over. */
function smooth(values, window) {
  const half = Math.floor(window / 2);
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - half), i + half + 1).filter(isNumber);
    return near.length ? near.reduce((a, b) => a + b, 0) / near.length : null;
  });
}

const marks = {
  validation: (x, y) => svg("circle", { class: "validation", cx: x, cy: y, r: 4.5 }),
  test: (x, y) => svg("path", { class: "test", d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z` }),
};

/** The items of its legend, as of exports. */
function trainingLegend(splits, window, group) {
  return [
    { mark: lineKey("smooth"), text: window > 1 ? `training, mean of ${window * group} steps` : "training" },
    window > 1 ? { mark: lineKey("raw"), text: group > 1 ? `mean of ${group} steps` : "raw" } : null,
    ...splits.map((split) => ({ mark: legendMark(marks[split](10, 6)), text: split }))
  ].filter(Boolean);
}

/** One quantity over the epochs. quantity: {key, name, unit, format, log, bounds} */
function trainingChart(metrics, quantity, unit) {
  const { train, evaluations } = metrics, { key, format } = quantity;
  const useEpochs = train.epoch.concat(evaluations.map((e) => e.epoch)).every(isNumber);
  const xKey = useEpochs ? "epoch" : "step",
    values = train[key];
  const window = values.length < 20 ? 1 : Math.max(3, Math.round(values.length / 40) | 1),
    mean = smooth(values, window);
  const shown = evaluations.filter((e) => marks[e.split] && isNumber(e[key]));
  const all = values.concat(shown.map((e) => e[key])).filter(isNumber);
  const settled = mean.concat(shown.map((e) => e[key])).filter(isNumber);
  if (!all.length) return null;
  const readout = element("div", { class: "readout", "aria-live": "polite" });
  const label = `${quantity.name} over ${xKey}s`,
    splits = ["validation", "test"].filter((split) => shown.some((e) => e.split === split));
  const legend = () => trainingLegend(splits, window, metrics.steps_per_point);
  const figureBox = chart(label, 270, (node, width, height) => {
    const last = Math.max(...train[xKey], ...shown.map((e) => e[xKey]), 1e-9);
    const x = linearScale([0, last], [46, width - 10]);
    const domain = quantity.bounds(all, settled);
    const y = (quantity.log(domain) ? logScale : linearScale)(domain, [height - 42, 28]);
    const clip = `clip-${Math.random().toString(36).slice(2)}`;
    const points = (list) =>
      list.map((v, i) => [x(train[xKey][i]), isNumber(v) ? y(v) : NaN]).filter((p) => isNumber(p[1]));
    const validated = shown.filter((e) => e.split === "validation").map((e) => [x(e[xKey]), y(e[key])]);
    append(node, [
      axes({
        x,
        y,
        xTicks: niceTicks(0, last, width < 420 ? 4 : 8).filter((t) => useEpochs || Number.isInteger(t)),
        yTicks: quantity.log(domain) ? logTicks(...domain) : niceTicks(...domain, 5),
        xFormat: (t) => integer(Number(t.toFixed(6))),
        yFormat: format,
        xName: xKey,
        yName: quantity.axis(domain, unit)
      }),
      svg("clipPath", { id: clip }, svg("rect", { x: 46, y: 20, width: width - 46, height: height - 62 })),
      svg("g", { "clip-path": `url(#${clip})` },
        window > 1 ? svg("path", { class: "raw", d: path(points(values)) }) : null,
        svg("path", { class: "smooth", d: path(points(mean)) })),
      svg("path", { class: "validation-line", d: path(validated) }),
      shown.map((e) => marks[e.split](x(e[xKey]), y(Math.max(e[key], domain[0]))))
    ]);
    const cursor = svg("line", { class: "cursor", y1: 22, y2: height - 42, visibility: "hidden" });
    node.append(cursor);
    const stops = train[xKey].length ? train[xKey].map((v) => x(v)) : shown.map((e) => x(e[xKey]));
    explore(node, stops, {
      label: label + ". Arrow keys read the values.",
      move: (i) => {
        cursor.setAttribute("visibility", i === null ? "hidden" : "visible");
        readout.replaceChildren();
        if (i === null) return;
        cursor.setAttribute("x1", stops[i]);
        cursor.setAttribute("x2", stops[i]);
        append(readout, trainingReadout(metrics, shown, key, format, mean, i));
      }
    });
  }, 330, () => [
    ["split", "step", key],
    ...values.map((value, i) => ["train", train.step[i], value]),
    ...shown.map((e) => [e.split, e.step, e[key]])
  ], legend);
  return element("figure", { class: "panel" },
    element("div", { class: "chart-head" }, element("h4", {}, quantity.name), legendLine(legend())),
    figureBox, readout);
}

function trainingReadout(metrics, shown, key, format, mean, i) {
  const { train } = metrics;
  if (!train.step.length) return [`${shown[i].split} `, element("b", {}, format(shown[i][key]))];
  const near = shown.filter((e) => Math.abs(e.step - train.step[i]) <= metrics.steps_per_point);
  const epoch = isNumber(train.epoch[i]) ? `, epoch ${figure(train.epoch[i])}` : "";
  return [`step ${integer(Math.round(train.step[i]))}${epoch} · training `, element("b", {}, format(train[key][i])),
    mean[i] !== train[key][i] ? ` (smoothed ${format(mean[i])})` : "",
    near.map((e) => [` · ${e.split} `, element("b", {}, format(e[key]))])
  ];
}

const quantities = [{
  key: "loss",
  name: "Loss",
  format: (v) => brief(v),
  axis: function(domain, unit) { return this.log(domain) ? `${unit}, log scale` : unit; },
  log: ([low, high]) => low > 0 && high / low > 6,
  bounds: (all) => {
    const low = Math.min(...all),
      high = Math.max(...all);
    return low > 0 && high / low > 6 ? [low * 0.9, high * 1.1] : [Math.min(0, low), high * 1.05 || 1];
  }
}, {
  key: "accuracy",
  name: "Accuracy",
  format: (v) => (isNumber(v) ? Number((100 * v).toFixed(1)) + "%" : "–"),
  axis: () => "share of images classified correctly",
  log: () => false,
  bounds: (all, settled) => {
    const sorted = [...settled].sort((a, b) => a - b),
      low = sorted[Math.floor(sorted.length * 0.04)];
    return [Math.max(0, Math.min(Math.floor(low * 20) / 20, 0.9)), 1];
  }
}, ];

/** What the model made of the prompt as it was trained, the last first. */
function trainingSamples({ samples }) {
  if (!samples.length) return null;
  const texts = samples.toReversed().slice(0, 20);
  const item = ({ step, text }) =>
    element("div", {}, element("dt", {}, `Step ${integer(step)}`), element("dd", {}, text));
  return element("details", { class: "panel" }, element("summary", {}, "What the model made of the prompt"),
    element("dl", { class: "samples" }, texts.map(item)));
}

/** What the training loss of a conversion is made of; null of other models. */
function lossWords(model) {
  const weights = model.conversion ? at(model, "run", "config", "train", "loss") : null;
  if (!(at(weights, "divergence") > 0)) return null;
  const states = weights.states > 0 ? ` + ${brief(weights.states)} × the error of the hidden states` : "";
  return `The training loss is ${brief(weights.cross_entropy)} × cross-entropy + ${brief(weights.divergence)} × KL to `
    + `the teacher${states}; the validation loss is the cross-entropy alone.`;
}

function training(model, id, level) {
  const metrics = model.metrics;
  if (!metrics || !(metrics.train.step.length || metrics.evaluations.length)) return null;
  const unit = speaks(model) ? "nats a token" : "nats an image";
  const charts = quantities.map((quantity) => trainingChart(metrics, quantity, unit)).filter(Boolean);
  if (!charts.length) return null;
  const coarse = metrics.steps_per_point > 1 ? `Each raw point is the mean of ${metrics.steps_per_point} steps.` : null;
  const intro = [coarse, lossWords(model)].filter(Boolean).join(" ") || null;
  return block(id, level, "Training", intro, element("div", { class: "pair" }, charts),
    at(model, "conversion", "samples") ? null : trainingSamples(metrics));
}
