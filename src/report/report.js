
// The report: runs, models and decompositions.

// --------------------------------------------------------------------------------------------------- facts of a model

const layersOf = (model) => at(model, "decomposition", "layers") ?? [];
const withEigenvectors = (model) => layersOf(model).filter((layer) => layer.k > 0);

/** Whether it is a language model; else an image classifier. */
const speaks = (model) => at(model, "model", "model_type") === "llama" || at(model, "decomposition", "model_type") === "llama"
  || Boolean(model.conversion);

/** The result to put on top: the run's test, else the study's, else the last validation. */
function headline(model) {
  const evaluations = at(model, "metrics", "evaluations") ?? [];
  const test = at(model, "conversion", "test");
  if (test) return { split: "test", loss: test.loss, tokens: test.tokens };
  const last = (split) => evaluations.filter((e) => e.split === split && isNumber(speaks(model) ? e.loss : e.accuracy)).pop();
  const study = at(model, "study", "evaluation");
  if (last("test")) return last("test");
  if (study) return { ...study, split: at(model, "study", "data", "split") || "study" };
  return last("validation") ?? null;
}

/** The smallest k that loses at most a point of accuracy on the images it was chosen on, with what it reaches on the test images; of the last layer that was truncated. */
function sufficient(model) {
  const curve = (at(model, "study", "truncation") ?? []).at(-1);
  if (!curve || !curve.chosen) return null;
  return { ...curve.chosen, layer: curve.layer, accuracy: curve.accuracy[curve.k.indexOf(curve.chosen.k)] };
}

function factsOf(model) {
  const config = at(model, "run", "config"), built = model.model ?? at(config, "model");
  const noise = at(config, "train", "input_noise", "std");
  return {
    layers: at(built, "n_layers") ?? at(built, "num_hidden_layers") ?? (layersOf(model).length || null),
    width: at(built, "d_model") ?? at(built, "hidden_size"),
    vocabulary: at(built, "vocab_size"),
    context: at(config, "data", "context"),
    activation: at(built, "hidden_act"),
    inputs: at(built, "d_input"),
    classes: at(built, "d_output"),
    shape: at(built, "image_shape") ?? at(model, "decomposition", "image_shape"),
    gate: at(built, "gate"),
    bias: at(built, "bias"),
    residual: at(built, "residual"),
    dataset: at(config, "data", "dataset") ?? (at(model, "study", "data", "dataset") || null),
    epochs: at(config, "train", "steps") > 0 ? null : at(config, "train", "epochs"),
    seed: at(config, "train", "seed"),
    noise: isNumber(noise) ? noise : null,
    version: at(model, "run", "environment", "version") ?? (at(model, "decomposition", "version") || null),
    built: Boolean(built),
  };
}

const plain = (value) => (value === null || value === undefined ? null : typeof value === "object" ? JSON.stringify(value) : String(value));

function languageSentence(model, facts) {
  const bilinear = facts.activation === "linear";
  const of = isNumber(facts.layers) ? ` of ${plural(facts.layers, "layer")}` : "";
  const width = facts.width ? `, width ${plain(facts.width)}` : "", words = facts.vocabulary ? `, ${integer(facts.vocabulary)} tokens` : "";
  const kind = `${of}${width}${words}`;
  const { conversion } = model;
  if (!conversion) return `A Llama-type language model${kind}, its MLPs ${bilinear ? "bilinear" : `gated with ${plain(facts.activation)}`}.`;
  const from = conversion.calibrated ? "converted in closed form" : "converted";
  const trained = conversion.trained_tokens ? `${integer(conversion.trained_tokens)} tokens of training (${figure(conversion.epochs)} epochs)` : "no training";
  return conversion.converted ? `${plain(conversion.teacher)} with its MLPs made bilinear: a language model${kind}, ${from}, then ${trained}.`
    : `${plain(conversion.teacher)} trained on without conversion: a language model${kind}, ${trained}.`;
}

function sentence(model, facts) {
  if (speaks(model) && facts.built) return languageSentence(model, facts);
  if (!facts.built) {
    const layers = layersOf(model);
    return `The weights of ${plain(at(model, "decomposition", "model")) || "a model"}, taken apart: `
      + `${plural(layers.length, "layer")}, ${layers.map((l) => plural(l.n_directions, "output direction")).join(", ")}.`;
  }
  const bilinear = facts.gate === null || facts.gate === "none";
  const shape = Array.isArray(facts.shape) ? facts.shape.map(plain).join(" × ") + " pixels" : facts.inputs ? `${plain(facts.inputs)} inputs` : "an image";
  const extras = [facts.residual === true ? "with residual connections" : null, facts.bias === true ? "with biases" : null].filter(Boolean);
  const trained = facts.dataset ? ` Trained on ${plain(facts.dataset)}${facts.epochs ? ` for ${plain(facts.epochs)} epoch${facts.epochs === 1 ? "" : "s"}` : ""}`
    + `${facts.noise > 0 ? `, with input noise of standard deviation ${brief(facts.noise)}` : ""}.` : "";
  const gate = bilinear ? "" : ` with a ${plain(facts.gate)} gate`, kind = bilinear ? "bilinear layer" : "layer";
  const count = isNumber(facts.layers) ? plural(facts.layers, kind + gate, kind + "s" + gate) : kind + "s" + gate;
  return `${bilinear ? "A bilinear image classifier" : "An image classifier"}: from ${shape} through ${count}`
    + `${facts.width ? ` of width ${plain(facts.width)}` : ""}${extras.length ? " " + extras.join(" and ") : ""}`
    + `${facts.classes ? ` to ${plain(facts.classes)} classes` : ""}.${trained}`;
}

// ------------------------------------------------------------------------------------------------------ head of a model

function headFigures(model) {
  const result = headline(model), enough = sufficient(model);
  const many = layersOf(model).length > 1, unit = unitOf(layersOf(model).find((l) => l.layer === at(enough, "layer")));
  const examples = result && result.examples ? `, ${integer(result.examples)} images` : "";
  const tokens = result && result.tokens ? `, ${integer(result.tokens)} tokens` : "";
  const test = at(model, "conversion", "test"), unitName = speaks(model) ? `nats a token${tokens}` : "nats an image";
  return element("div", { class: "figures" },
    result && isNumber(result.accuracy) ? bigFigure((100 * result.accuracy).toFixed(1), "%", `${result.split} accuracy${examples}`) : null,
    result && isNumber(result.loss) ? bigFigure(figure(result.loss, 4), "", `${result.split} loss, ${unitName}`) : null,
    test ? bigFigure(signed(test.loss - test.teacher_loss, 3), "", "above the teacher, nats a token") : null,
    test ? bigFigure((100 * test.agreement).toFixed(1), "%", "same likeliest next token as the teacher") : null,
    enough ? bigFigure(integer(enough.k), "", `${enough.k === 1 ? "eigenvector" : "eigenvectors"} ${unit}${many ? ` in layer ${enough.layer}` : ""} ${enough.k === 1 ? "comes" : "come"} within one point of `
      + (enough.split === "validation" ? `the accuracy on the validation images, where k was chosen; on the test images ${percent(enough.accuracy)}` : "that accuracy, chosen on the same images")) : null);
}

function headFacts(model, facts) {
  const converged = withEigenvectors(model).reduce((sum, layer) => sum + (layer.converged ?? 0), 0);
  const total = withEigenvectors(model).reduce((sum, layer) => sum + layer.n_directions, 0);
  return definitions("facts", [
    ["Layers", plain(facts.layers)], ["Width", plain(facts.width)], ["Dataset", plain(facts.dataset)],
    ["Epochs", plain(facts.epochs)], ["Seed", plain(facts.seed)],
    ["Parameters", isNumber(model.parameters) ? integer(model.parameters) : null],
    ["Converged", total ? `${converged} of ${total}` : null], ["bilens", plain(facts.version)]]);
}

function head(model, level) {
  const facts = factsOf(model);
  return element("div", {},
    level === 1 ? element("p", { class: "eyebrow" }, "Model") : null,
    level === 1 ? element("h1", {}, model.name) : null,
    element("p", { class: "lead" }, sentence(model, facts)), convertedLine(model), sharesLine(model), headFigures(model), headFacts(model, facts));
}

// ---------------------------------------------------------------------------------------------------- training curves

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

function trainingLegend(splits, window, group) {
  const key = (content, text) => element("span", {}, svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" }, content), text);
  return element("div", { class: "legend chart" },
    key(svg("line", { class: "smooth", x1: 0, x2: 20, y1: 6, y2: 6 }), window > 1 ? `training, mean of ${window * group} steps` : "training"),
    window > 1 ? key(svg("line", { class: "raw", x1: 0, x2: 20, y1: 6, y2: 6 }), "raw") : null,
    splits.map((split) => key(marks[split](10, 6), split)));
}

/** One quantity over the epochs. quantity: {key, name, unit, format, log, bounds} */
function trainingChart(metrics, quantity, unit) {
  const { train, evaluations } = metrics, { key, format } = quantity;
  const useEpochs = train.epoch.concat(evaluations.map((e) => e.epoch)).every(isNumber);
  const xKey = useEpochs ? "epoch" : "step", values = train[key];
  const window = values.length < 20 ? 1 : Math.max(3, Math.round(values.length / 40) | 1), mean = smooth(values, window);
  const shown = evaluations.filter((e) => marks[e.split] && isNumber(e[key]));
  const all = values.concat(shown.map((e) => e[key])).filter(isNumber);
  const settled = mean.concat(shown.map((e) => e[key])).filter(isNumber);
  if (!all.length) return null;
  const readout = element("div", { class: "readout", "aria-live": "polite" });
  const label = `${quantity.name} over ${xKey}s`;
  const figureBox = chart(label, 270, (node, width, height) => {
    const last = Math.max(...train[xKey], ...shown.map((e) => e[xKey]), 1e-9);
    const x = linearScale([0, last], [46, width - 10]);
    const domain = quantity.bounds(all, settled);
    const y = (quantity.log(domain) ? logScale : linearScale)(domain, [height - 42, 28]);
    const clip = `clip-${Math.random().toString(36).slice(2)}`;
    const points = (list) => list.map((v, i) => [x(train[xKey][i]), isNumber(v) ? y(v) : NaN]).filter((p) => isNumber(p[1]));
    append(node, [
      axes({ x, y, xTicks: niceTicks(0, last, width < 420 ? 4 : 8).filter((t) => useEpochs || Number.isInteger(t)),
        yTicks: quantity.log(domain) ? logTicks(...domain) : niceTicks(...domain, 5),
        xFormat: (t) => integer(Number(t.toFixed(6))), yFormat: format, xName: xKey, yName: quantity.axis(domain, unit) }),
      svg("clipPath", { id: clip }, svg("rect", { x: 46, y: 20, width: width - 46, height: height - 62 })),
      svg("g", { "clip-path": `url(#${clip})` },
        window > 1 ? svg("path", { class: "raw", d: path(points(values)) }) : null,
        svg("path", { class: "smooth", d: path(points(mean)) })),
      svg("path", { class: "validation-line", d: path(shown.filter((e) => e.split === "validation").map((e) => [x(e[xKey]), y(e[key])])) }),
      shown.map((e) => marks[e.split](x(e[xKey]), y(Math.max(e[key], domain[0]))))]);
    const cursor = svg("line", { class: "cursor", y1: 22, y2: height - 42, visibility: "hidden" });
    node.append(cursor);
    const stops = train[xKey].length ? train[xKey].map((v) => x(v)) : shown.map((e) => x(e[xKey]));
    explore(node, stops, { label: label + ". Arrow keys read the values.", move: (i) => {
      cursor.setAttribute("visibility", i === null ? "hidden" : "visible");
      readout.replaceChildren();
      if (i === null) return;
      cursor.setAttribute("x1", stops[i]);
      cursor.setAttribute("x2", stops[i]);
      append(readout, trainingReadout(metrics, shown, key, format, mean, i));
    } });
  }, 330, () => [["split", "step", key], ...values.map((value, i) => ["train", train.step[i], value]), ...shown.map((e) => [e.split, e.step, e[key]])]);
  const splits = ["validation", "test"].filter((split) => shown.some((e) => e.split === split));
  return element("figure", { class: "panel" },
    element("div", { class: "chart-head" }, element("h4", {}, quantity.name), trainingLegend(splits, window, metrics.steps_per_point)), figureBox, readout);
}

function trainingReadout(metrics, shown, key, format, mean, i) {
  const { train } = metrics;
  if (!train.step.length) return [`${shown[i].split} `, element("b", {}, format(shown[i][key]))];
  const near = shown.filter((e) => Math.abs(e.step - train.step[i]) <= metrics.steps_per_point);
  const epoch = isNumber(train.epoch[i]) ? `, epoch ${figure(train.epoch[i])}` : "";
  return [`step ${integer(Math.round(train.step[i]))}${epoch} · training `, element("b", {}, format(train[key][i])),
    mean[i] !== train[key][i] ? ` (smoothed ${format(mean[i])})` : "",
    near.map((e) => [` · ${e.split} `, element("b", {}, format(e[key]))])];
}

const quantities = [
  { key: "loss", name: "Loss", format: (v) => brief(v),
    axis: function (domain, unit) { return this.log(domain) ? `${unit}, log scale` : unit; },
    log: ([low, high]) => low > 0 && high / low > 6,
    bounds: (all) => {
      const low = Math.min(...all), high = Math.max(...all);
      return low > 0 && high / low > 6 ? [low * 0.9, high * 1.1] : [Math.min(0, low), high * 1.05 || 1];
    } },
  { key: "accuracy", name: "Accuracy", format: (v) => (isNumber(v) ? Number((100 * v).toFixed(1)) + "%" : "–"),
    axis: () => "share of images classified correctly", log: () => false,
    bounds: (all, settled) => {
      const sorted = [...settled].sort((a, b) => a - b), low = sorted[Math.floor(sorted.length * 0.04)];
      return [Math.max(0, Math.min(Math.floor(low * 20) / 20, 0.9)), 1];
    } },
];

function training(model, id, level) {
  const metrics = model.metrics;
  if (!metrics || !(metrics.train.step.length || metrics.evaluations.length)) return null;
  const unit = speaks(model) ? "nats a token" : "nats an image";
  const charts = quantities.map((quantity) => trainingChart(metrics, quantity, unit)).filter(Boolean);
  if (!charts.length) return null;
  const coarse = metrics.steps_per_point > 1 ? `Each raw point is the mean of ${metrics.steps_per_point} steps.` : null;
  const weights = model.conversion ? at(model, "run", "config", "train", "loss") : null;
  const loss = at(weights, "divergence") > 0 ? `The training loss is ${brief(weights.cross_entropy)} × cross-entropy + ${brief(weights.divergence)} × KL to the teacher${weights.states > 0 ? ` + ${brief(weights.states)} × the error of the hidden states` : ""}; `
    + "that of validation is the cross-entropy alone." : null;
  return block(id, level, "Training", [coarse, loss].filter(Boolean).join(" ") || null, element("div", { class: "pair" }, charts));
}

// ------------------------------------------------------------------------------------------------------- eigenvectors

/** What one output direction of a layer is called. */
function directionKind(layer) {
  if (layer.directions === "outputs" && layer.output_is === "logits") return "Class";
  if (layer.directions === "outputs") return "Output";
  return layer.directions === "axes" ? "Axis" : "Direction";
}

/** "Class 3", or the tokens that a direction is made of. */
const directionName = (layer, i) => at(layer, "direction_names", i) ?? `${directionKind(layer)} ${i}`;

function shapeOf(model, layer) {
  const shape = at(model, "decomposition", "image_shape");
  return layer.input_space === "input" && shape && shape[0] * shape[1] === layer.d_in ? shape : null;
}

const leading = (direction, sign) =>
  direction.eigenvectors.find((vector) => signOf(direction.eigenvalues[vector.index]) === sign) ?? null;

/** The leading eigenvector of each sign, of all directions side by side. */
function overview(model, layer, choose) {
  const shape = shapeOf(model, layer), kind = directionKind(layer);
  const half = (direction, sign, name) => {
    const vector = leading(direction, sign);
    if (!vector) return [element("span", { class: "absent" }, "none"), element("span", { class: "value" }, " ")];
    const eigenvalue = direction.eigenvalues[vector.index];
    return [vectorPicture(vector, shape, `${name}, top ${sign} eigenvector`, ""),
      element("span", { class: "value" }, signedValue(eigenvalue))];
  };
  const buttons = layer.shown.map((direction, i) => {
    const name = directionName(layer, i);
    return element("button", { type: "button", "aria-pressed": "false", onclick: () => choose(i) },
      element("span", { class: "title" }, name), half(direction, "positive", name), half(direction, "negative", name));
  });
  const long = buttons.length > 40;
  const grid = element("div", { class: "overview" + (buttons.length < 6 ? " few" : "") + (long ? " long" : ""), role: "group",
    "aria-label": `Top positive and negative eigenvector of every ${kind.toLowerCase()}`, tabindex: long ? 0 : null }, buttons);
  return Object.assign(grid, { select: (chosen) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === chosen))) });
}

function spectrumChart(direction, name, selected, choose) {
  const values = direction.eigenvalues, shown = new Set(direction.eigenvectors.map((v) => v.index));
  const readout = element("div", { class: "readout", "aria-live": "polite" });
  const box = chart(`Spectrum of ${name}`, 210, (node, width, height) => {
    const low = Math.min(0, ...values), high = Math.max(0, ...values), room = (high - low) * 0.04 || 1;
    const x = linearScale([0.5, values.length + 0.5], [52, width - 4]), y = linearScale([low - room, high + room], [height - 38, 28]);
    const step = (width - 56) / values.length, bar = Math.min(Math.max(step * 0.62, 1), 14);
    const ticks = niceTicks(1, values.length, 8).filter(Number.isInteger).filter((t) => t >= 1);
    node.append(axes({ x, y, xTicks: [...new Set([1, ...ticks])].filter((t) => t === 1 || x(t) - x(1) > 16), yTicks: low === high ? [0] : niceTicks(low, high, 5), xFormat: String,
      yFormat: (t) => brief(t, 2), xName: "rank by |λ|", yName: "eigenvalue λ" }));
    node.append(svg("line", { class: "axis", x1: 52, x2: width - 4, y1: y(0), y2: y(0) }));
    values.forEach((value, i) => {
      const tall = Math.max(Math.abs(y(value) - y(0)), 0.75);
      node.append(svg("rect", { class: `bar-${signOf(value) || "positive"}${shown.has(i) ? "" : " bar-faint"}`, x: x(i + 1) - bar / 2,
        y: value >= 0 ? y(0) - tall : y(0), width: bar, height: tall }));
    });
    const pointer = (i) => {
      const up = values[i] >= 0, tip = y(values[i]) + (up ? -4 : 4), size = up ? -6 : 6;
      return `M${x(i + 1)} ${tip}l-4.5 ${size}h9z`;
    };
    if (selected !== null) node.append(svg("path", { class: "mark", d: pointer(selected) }));
    const cursor = svg("line", { class: "cursor", y1: 22, y2: height - 38, visibility: "hidden" });
    node.append(cursor);
    explore(node, values.map((_, i) => x(i + 1)), {
      label: `Spectrum of ${name}: ${plural(values.length, "eigenvalue")}. Arrow keys read them, Enter selects.`,
      start: () => selected ?? 0,
      choose: (i) => { if (shown.has(i)) choose(i); },
      move: (i) => {
        cursor.setAttribute("visibility", i === null ? "hidden" : "visible");
        readout.replaceChildren();
        if (i === null) return;
        for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(i + 1));
        append(readout, [`rank ${i + 1} · λ `, element("b", {}, signed(values[i], 4)), shown.has(i) ? "" : " · beyond those shown below"]);
      } });
  }, 420, () => [["rank", "eigenvalue"], ...values.map((value, i) => [i + 1, value])]);
  return element("div", {}, box, readout);
}

function contributionText(vector) {
  return isNumber(vector.mean) ? `${signed(vector.mean, 2)} ± ${figure(vector.std, 2)}` : null;
}

/** The same with as many decimals as the largest contributions of the direction deserve, so that a row can be compared. */
function shortContribution(direction, vector) {
  if (!isNumber(vector.mean) || !isNumber(vector.std)) return null;
  const largest = Math.max(...direction.eigenvectors.map((v) => Math.max(Math.abs(v.mean), v.std)).filter(isNumber));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(largest)));
  if (!isNumber(decimals) || decimals > 3 || largest >= 1e4) return contributionText(vector);
  const mean = vector.mean.toFixed(decimals), sign = Number(mean) > 0 ? "+" : "";
  return `${sign}${Number(mean) === 0 ? mean.replace("-", "") : minus(mean)} ± ${vector.std.toFixed(decimals)}`;
}

function thumbnail(model, layer, direction, vector, selected, choose) {
  const eigenvalue = direction.eigenvalues[vector.index], row = (name, value) =>
    value ? element("span", { class: "row" }, element("span", {}, name), element("span", {}, value)) : null;
  return element("li", {}, element("button", { type: "button", "aria-pressed": String(vector.index === selected),
    "data-index": vector.index, onclick: () => choose(vector.index) },
    vectorPicture(vector, shapeOf(model, layer), `Eigenvector ${vector.index + 1}`, ""),
    element("span", { class: "eigenvalue" }, signedValue(eigenvalue), element("i", {}, vector.index + 1)),
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

function selectedPanel(model, layer, direction, name, selected, choose) {
  const order = direction.eigenvectors.map((v) => v.index), place = order.indexOf(selected), vector = direction.eigenvectors[place];
  const panel = element("div", { class: "selected", "aria-live": "polite" });
  if (!vector) return append(panel, [element("p", { class: "muted" }, noVectorReason(layer, direction))]);
  const eigenvalue = direction.eigenvalues[selected], shape = shapeOf(model, layer);
  const step = (by, text, label) => element("button", { type: "button", class: "quiet", "aria-label": label, "data-step": by,
    disabled: order[place + by] === undefined, onclick: () => choose(order[place + by]) }, text);
  const split = at(model, "study", "data", "split");
  return append(panel, [
    element("div", { class: "selected-head" }, element("h4", {}, `${name}, eigenvector ${selected + 1}`),
      element("div", {}, step(-1, "←", "Previous eigenvector"), step(1, "→", "Next eigenvector"))),
    element("div", {}, vectorPicture(vector, shape, `${name}, eigenvector ${selected + 1}, enlarged`, "large"), shape ? colourBar(vector.scale)
      : element("p", { class: "note" }, `The ${integer(layer.d_in)} components along the layer’s input, from −${figure(vector.scale, 2)} to ${figure(vector.scale, 2)}; their order means nothing.`),
      vectorExports(vector, shape, `${name}, eigenvector ${selected + 1}`)),
    definitions("numbers", [
      ["Eigenvalue λ", signedValue(eigenvalue, 4)],
      ["Contribution λp²", contributionText(vector)],
      ["Weight energy up to here", isNumber(vector.weight_energy) ? percent(vector.weight_energy) : null],
      ["Data R² up to here", measured(vector.data_r2)],
      ["Residual", isNumber(vector.residual) ? figure(vector.residual, 2) : null],
      ["Vector error", isNumber(vector.vector_error) ? figure(vector.vector_error, 2) : null]]),
    element("div", { class: "examples-all" },
      vector.vector_error > 0.1 ? element("p", { class: "note" }, "This eigenvalue is not told apart from its neighbours: only the space they span is determined.") : null,
      exampleList(`Most positive projection${split ? `, ${split} images` : ""}`, vector.positive),
      exampleList(`Most negative projection${split ? `, ${split} images` : ""}`, vector.negative),
      tokensOfEigenvector(model, layer, direction, vector),
      contextsOnText(vector, at(model, "decomposition", "corpus", "quantiles")),
      vector.positive || vector.negative ? element("p", { class: "note" }, "Under each image: its label and the projection p.") : null)]);
}

function noVectorReason(layer, direction) {
  if (!direction.eigenvalues.length) return "No eigenpairs were asked for.";
  if (direction.eigenvalues.every((value) => value === 0)) return "Every eigenvalue is zero: the layer adds nothing in this direction.";
  return "The eigenvectors were left out to keep the page small. They are in the decomposition directory.";
}

function linearPart(model, layer, direction) {
  const part = direction.linear;
  if (!part) return null;
  const share = isNumber(direction.linear_share) ? ` It makes up ${percent(direction.linear_share, 0)} of the output’s variance.` : "";
  return element("div", { class: "linear" }, element("div", {}, vectorPicture(part, shapeOf(model, layer), "Linear part", ""), vectorExports(part, shapeOf(model, layer), "Linear part")),
    element("p", {}, element("b", {}, "Linear part. "), `Besides the quadratic form, the output has a linear term l·x with |l| = ${figure(part.norm)} `
      + `(largest component ${figure(part.scale, 2)})${isNumber(part.constant) ? ` and the constant ${signed(part.constant)}` : ""}.${share}`));
}

function directionFacts(direction) {
  const count = (sign) => direction.eigenvalues.filter((value) => signOf(value) === sign).length;
  const parts = [`${count("positive")} positive, ${count("negative")} negative`,
    isNumber(direction.effective_rank) ? `effective rank ${figure(direction.effective_rank)}${direction.effective_rank_error > 0 ? ` ± ${figure(direction.effective_rank_error, 2)}` : ""}` : null,
    isNumber(direction.trace) ? `trace ${figure(direction.trace)}` : null,
    isNumber(direction.frobenius) ? `norm ${figure(direction.frobenius)}` : null,
    direction.converged === 0 ? "not converged" : null,
    isNumber(direction.certified_bound) ? `proved: every other |λ| is below ${figure(direction.certified_bound)}` : null,
    direction.tie_at_k === 1 ? "the last eigenvalue ties with one that is not listed" : null];
  return parts.filter(Boolean).join(" · ");
}

/** One direction of one layer: spectrum, eigenvectors, and the chosen one in detail. */
function directionCard(model, layer, index, selected, choose) {
  const direction = layer.shown[index], name = directionName(layer, index), plain = name === `${directionKind(layer)} ${index}` ? name.toLowerCase() : name;
  const studied = direction.eigenvectors.some((v) => isNumber(v.mean));
  return element("div", { class: "card-body" },
    element("div", { class: "spectrum" },
      element("div", { class: "chart-head" }, element("h4", {}, `Spectrum of ${plain}`), element("span", { class: "legend" }, directionFacts(direction))),
      spectrumChart(direction, plain, selected, choose)),
    selectedPanel(model, layer, direction, name, selected, choose),
    element("div", { class: "strips" },
      direction.eigenvectors.length ? ["positive", "negative"].map((sign) => strip(model, layer, direction, sign, selected, choose)) : null,
      linearPart(model, layer, direction),
      interactionHeatmap(direction, plain),
      direction.eigenvectors.length > 0 && element("p", { class: "note" }, "Under each image: λ and its rank" + (studied ? `; the contribution λp², mean ± standard deviation over the ${at(model, "decomposition", "corpus") ? "text" : "images"}` : "")
        + "; then what all eigenvectors up to this rank reach together. Each image has its own colour scale.")));
}

function formula(layer) {
  const linear = layer.shown.some((direction) => direction.linear);
  const what = { Class: "score of a class", Output: "value of an output", Axis: "value along an axis", Direction: "value along a direction" }[directionKind(layer)];
  return [`The ${what} is a quadratic form of the layer’s input x, and its eigenvectors v take it apart without cross terms: it is the sum of λp² with p = v·x`
    + (linear ? ", and a linear part. " : ". "),
  element("b", { class: "positive" }, "Blue"), " stands for positive numbers, ", element("b", { class: "negative" }, "orange"),
  " for negative ones; neutral is zero. v and −v are the same eigenvector.",
  layer.center === "mean" ? ` ${directionKind(layer) === "Class" ? "Scores are measured against their mean over the classes" : "Token rows are measured against their mean over the vocabulary"}, which changes no probability.` : ""];
}

function layerTitle(layer) {
  const space = layer.input_space === "input" ? "seen in pixels" : "in the model’s own space";
  return `Layer ${layer.layer}, ${space}`;
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
    const layer = layers[view.layer], kind = directionKind(layer);
    intro.replaceChildren(...formula(layer));
    holder.replaceChildren();
    parts = null;
    if (!layer.shown.length) {
      holder.append(element("p", { class: "panel muted" }, "The eigenvectors were left out to keep the page small. They are in the decomposition directory."));
      return;
    }
    const choose = (i) => go({ layer: view.layer, direction: i });
    parts = { grid: overview(model, layer, choose), card: element("div", {}),
      picker: picker(kind, layer.shown.map((_, i) => (at(layer, "direction_names", i) ?? (layer.shown.length <= 20 ? String(i) : `${kind} ${i}`))), choose) };
    const cut = layer.shown.length < layer.n_directions ? `The first ${layer.shown.length} of ${layer.n_directions} are on this page; all are in the decomposition directory.` : null;
    append(holder, [
      layer.shown.length > 1 ? element("div", { class: "panel" }, parts.grid, cut ? element("p", { class: "note" }, cut) : null) : null,
      element("div", { class: "panel card" },
        element("div", { class: "card-head" }, element("div", { class: "picker" }, element("span", { class: "picker-label", "aria-hidden": "true" }, kind), parts.picker)), parts.card)]);
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
  }), layerTabs ? element("div", { class: "layers" }, layerTabs) : null, holder);
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

// --------------------------------------------------------------------------------------------------------- truncation

function truncationCurve(curve, full, now, choose, label) {
  return chart(label, 250, (node, width, height) => {
    const most = Math.max(...curve.k, 1), even = most <= 32, place = (k) => (even ? k : Math.log2(1 + k));
    const x = linearScale([0, place(most)], [46, width - 14]);
    const low = Math.min(...curve.accuracy.filter(isNumber), 1), floor = Math.max(0, Math.floor(low * 10) / 10);
    const y = linearScale([floor, 1], [height - 42, 28]);
    let taken = -Infinity;
    const ticks = curve.k.filter((k, i) => {
      const free = x(place(k)) - taken > 26 && (i === curve.k.length - 1 || x(place(most)) - x(place(k)) > 26 || k === most);
      if (free) taken = x(place(k));
      return free;
    });
    node.append(axes({ x: Object.assign((k) => x(place(k)), { range: x.range }), y, xTicks: ticks, yTicks: niceTicks(floor, 1, 5),
      xFormat: String, yFormat: (t) => Math.round(100 * t) + "%", xName: even ? "eigenvectors kept for each output, k" : "eigenvectors kept for each output, k (log scale)", yName: "accuracy" }));
    const points = curve.k.map((k, i) => [x(place(k)), y(curve.accuracy[i])]).filter((p) => isNumber(p[1]));
    if (isNumber(full)) {
      node.append(svg("line", { class: "reference", x1: 46, x2: width - 14, y1: y(full), y2: y(full) }));
      node.append(svg("text", { x: width - 14, y: y(full) + (full > 0.8 ? 19 : -8), "text-anchor": "end" }, `full model ${percent(full)}`));
    }
    node.append(svg("path", { class: "curve", d: path(points) }));
    points.forEach(([px, py]) => node.append(svg("circle", { class: "point", cx: px, cy: py, r: 3.5 })));
    const i = now();
    if (isNumber(curve.accuracy[i])) node.append(svg("circle", { class: "point-now", cx: x(place(curve.k[i])), cy: y(curve.accuracy[i]), r: 6 }));
    node.addEventListener("click", (event) => {
      const box = node.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * width;
      const distances = curve.k.map((k) => Math.abs(x(place(k)) - at));
      choose(distances.indexOf(Math.min(...distances)));
    });
  }, 470, () => [["k", "accuracy", "loss"], ...curve.k.map((k, i) => [k, curve.accuracy[i], curve.loss[i]])]);
}

const unitOf = (layer) => (layer && directionKind(layer) === "Class" ? "a class" : "an output");

/** "1.2 points below the full model" */
function difference(value, full) {
  if (!isNumber(value) || !isNumber(full)) return null;
  const points = 100 * (value - full);
  if (Math.abs(points) < 0.05) return "as the full model";
  return `${Math.abs(points).toFixed(1)} points ${points < 0 ? "below" : "above"} the full model`;
}

function truncationPanel(model, curve, many) {
  const full = at(model, "study", "evaluation") ?? {}, enough = curve.k.indexOf(at(curve, "chosen", "k"));
  let now = enough >= 0 ? enough : curve.k.length - 1;
  const layer = layersOf(model).find((l) => l.layer === curve.layer), unit = unitOf(layer);
  const kept = (i) => `${plural(curve.k[i], "eigenvector")} ${unit}`;
  const title = `Accuracy with the top k eigenvectors${many ? ` of layer ${curve.layer}` : ""}`;
  const accuracy = element("div", { class: "figure-value" }), notes = element("div", { class: "figure-label" }), count = element("b", {});
  const slider = element("input", { type: "range", min: 0, max: curve.k.length - 1, step: 1, value: now, oninput: () => go(Number(slider.value)) });
  const figureBox = truncationCurve(curve, full.accuracy, () => now, (i) => go(i), title);
  const go = (i) => {
    now = i;
    slider.value = i;
    slider.setAttribute("aria-valuetext", `${kept(i)}: accuracy ${percent(curve.accuracy[i])}`);
    count.textContent = kept(i);
    accuracy.replaceChildren(isNumber(curve.accuracy[i]) ? (100 * curve.accuracy[i]).toFixed(1) : "–", element("small", {}, "%"));
    const loss = curve.loss[i];
    notes.replaceChildren(difference(curve.accuracy[i], full.accuracy) ?? "accuracy", element("br"),
      `loss ${figure(loss)}` + (isNumber(full.loss) && isNumber(loss) ? ` (${signed(loss - full.loss, 2)})` : ""));
    figureBox.redraw();
  };
  const panel = element("figure", { class: "panel truncation" },
    element("div", {}, element("div", { class: "chart-head" }, element("h4", {}, title)), figureBox),
    element("div", {}, element("label", {}, "Keep ", count, slider), element("output", {}, accuracy, notes)));
  go(now);
  return panel;
}

function exactnessText(model) {
  return (at(model, "study", "exactness") ?? []).map((e) => element("p", { class: "note" },
    `With all eigenvectors the sum is the layer: rebuilt from its decomposition, layer ${e.layer} differs from the model by a relative error of `
    + `${figure(e.relative_error, 2)} (largest absolute difference ${figure(e.max_error, 2)}).`));
}

function truncation(model, id, level) {
  const curves = (at(model, "study", "truncation") ?? []).filter((curve) => curve.k.length && curve.accuracy.some(isNumber));
  const exact = exactnessText(model);
  if (!curves.length && !exact.length) return null;
  const from = at(model, "study", "data"), full = at(model, "study", "evaluation");
  const images = full && full.examples ? ` Measured on ${integer(full.examples)} ${from && from.split ? from.split + " " : ""}images${from && from.dataset ? ` of ${from.dataset}` : ""}.` : "";
  const validation = at(model, "study", "validation"), chosen = curves.some((curve) => curve.chosen);
  const choice = !chosen ? "" : validation ? ` The k at first is the smallest within one point of the whole model’s accuracy on the ${integer(validation.examples)} validation images.`
    : " The k at first is the smallest within one point of the whole model’s accuracy on these same images: none were kept to choose it on.";
  return block(id, level, "How many eigenvectors it takes", curves.length ? `For each output only the k eigenvectors of largest |λ| are kept.${images}${choice}` : null,
    curves.map((curve) => truncationPanel(model, curve, layersOf(model).length > 1)), exact);
}

// ------------------------------------------------------------------------------------------------------------ factors

/** What each method's factors are, in a sentence. */
const factorMeanings = {
  hosvd: "Singular vectors of the whole tensor: the input patterns and the mixtures of outputs that hold most of its energy.",
  sparse_eigen: "Vectors with few entries for which |xᵀQx| is large: each says what a handful of components do together.",
  rotate: "A sparse orthonormal basis of the space that each output’s top eigenvectors span.",
  joint: "One orthonormal basis for all outputs, in which their matrices are as nearly diagonal as possible.",
  cp: "Terms that all outputs share: a term is the product of two projections, (l·x)(r·x), with a weight for each output. It is a quarter of the difference of the squares of two projections: on plus, l + r, and on minus, l − r.",
};

const factorNames = { sigma: "σ", value: "xᵀQx", energy: "energy", participation: "entries", cosine: "cos(l, r)" };

/** Bars up and down from zero, one for each output. */
function weightBars(weights, kind) {
  const width = 120, height = 44, largest = Math.max(...weights.map(Math.abs), 1e-300), step = width / weights.length;
  const label = `Weight of each ${kind.toLowerCase()}: ` + weights.map((w, i) => `${i}: ${figure(w, 2)}`).join(", ");
  const drawing = svg("svg", { class: "weights", viewBox: `0 0 ${width} ${height + 10}`, role: "img", "aria-label": label },
    svg("line", { class: "axis", x1: 0, x2: width, y1: height / 2, y2: height / 2 }),
    weights.map((w, i) => {
      const tall = Math.abs(w) / largest * height / 2;
      return [svg("rect", { class: `bar-${signOf(w) || "positive"}`, x: (i + 0.15) * step, y: w >= 0 ? height / 2 - tall : height / 2, width: step * 0.7, height: tall }),
        weights.length <= 12 ? svg("text", { x: (i + 0.5) * step, y: height + 9, "text-anchor": "middle" }, i) : null];
    }));
  return element("div", {}, drawing, exports(`Weight of each ${kind}`, () => drawing, () => [[kind, "weight"], ...weights.map((w, i) => [i, w])]));
}

function factorCard(item, shape, kind) {
  return element("li", { class: item.pictures.length > 2 ? "wide" : "" },
    element("div", { class: "factor-title" }, item.title),
    element("div", { class: "pictures" }, item.pictures.map((p) => element("figure", {},
      vectorPicture(p, shape, `${item.title}${p.label ? ", " + p.label : ""}`, ""), p.label ? element("figcaption", {}, p.label) : null,
      vectorExports(p, shape, `${item.title} ${p.label ?? ""}`)))),
    item.weights ? weightBars(item.weights, kind) : null,
    item.facts.map(([name, value]) => element("span", { class: "row" }, element("span", {}, factorNames[name] ?? name),
      element("span", {}, name === "energy" ? percent(value) : figure(value)))));
}

function factorGroup(group, shape, kind, perDirection) {
  const left = group.left_out > 0 ? element("p", { class: "note" }, `${integer(group.left_out)} more in the decomposition directory.`) : null;
  return element("div", {}, group.title && !perDirection ? element("h4", {}, group.title) : null,
    group.items.length ? element("ul", { class: "factors" }, group.items.map((item) => factorCard(item, shape, kind)))
      : element("p", { class: "muted" }, "Left out to keep the page small."), left);
}

/** The factors of one layer; those of single directions one direction at a time. */
function factorPanel(model, layer) {
  const shape = shapeOf(model, layer), kind = directionKind(layer), groups = layer.factors.groups;
  const perDirection = layer.method === "sparse_eigen" || layer.method === "rotate";
  const rebuilt = (at(model, "study", "reconstruction") ?? []).find((r) => r.layer === layer.layer);
  const panel = element("div", { class: "panel factor-panel" },
    element("p", {}, element("b", {}, `Layer ${layer.layer}. `), layer.factors.words + ". ",
      rebuilt && isNumber(rebuilt.accuracy) ? `With these factors in the layer’s place the accuracy is ${percent(rebuilt.accuracy)}, the relative error of its outputs ${figure(rebuilt.relative_error, 2)}.` : null));
  if (!perDirection || groups.length < 2) return append(panel, [groups.map((g) => factorGroup(g, shape, kind, perDirection))]);
  const holder = element("div", {});
  const choose = (i) => {
    choice.select(i);
    holder.replaceChildren(factorGroup(groups[i], shape, kind, true));
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

// --------------------------------------------------------------------------------------------------------- provenance

function layerTable(layers) {
  const time = (layer) => (layer.seconds && typeof layer.seconds === "object" ? Object.entries(layer.seconds).map(([name, s]) => `${name} ${seconds(s)}`).join(", ") : "–");
  const rows = [["Method", (l) => [l.method, l.solver, l.dtype].filter(Boolean).join(", ")], ["Input space", (l) => `${l.input_space}, ${plural(l.d_in, "component")}`],
    ["Hidden units", (l) => integer(l.d_hidden)], ["Directions", (l) => `${integer(l.n_directions)} (${l.directions})`],
    ["Eigenpairs for each, k", (l) => integer(l.k)],
    ["Centred", (l) => (l.center === "mean" ? `by the mean${isNumber(l.mean_energy_share) ? `, ${percent(l.mean_energy_share)} of the energy` : ""}` : l.center || "–")],
    ["Converged", (l) => (!isNumber(l.converged) ? "–" : `${l.converged} of ${l.n_directions}`)], ["Certified", (l) => integer(l.certified)],
    ["Worst residual", (l) => figure(l.worst_residual, 2)], ["Time", time]];
  const header = (name, scope) => element("th", { scope }, name);
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Layers of the decomposition" }, element("table", { class: "layer-table" },
    element("thead", {}, element("tr", {}, element("td"), layers.map((layer) => header(`Layer ${layer.layer}`, "col")))),
    element("tbody", {}, rows.map(([name, value]) => element("tr", {}, header(name, "row"), layers.map((layer) => element("td", {}, value(layer))))))));
}

function provenance(model, id, level) {
  const made = model.decomposition, tag = level === 1 ? "h3" : "h4";
  const json = (title, value) => (value ? element("div", {}, element(tag, {}, title), element("pre", { tabindex: 0 }, JSON.stringify(value, null, 2))) : null);
  const sources = definitions("sources", [["Read from", model.directory],
    ["Decomposition", made && made.directory !== model.directory ? made.directory : null], ["Decomposed model", made ? made.model : null],
    ["SHA-256 of its weights", made ? made.model_sha256 : null], ["Decomposed with", made && made.version ? `bilens ${made.version}` : null],
    ["Decomposed on", made ? made.device : null], ["Time", made && isNumber(made.seconds) ? seconds(made.seconds) : null],
    ["This page", `bilens ${data.version}`]]);
  return block(id, level, "Provenance", null, element("details", { class: "panel provenance" },
    element("summary", {}, "Files, settings, environment, solver status"), element(tag, {}, "Sources"), sources,
    made && made.layers.length ? [element(tag, {}, "Layers"), layerTable(made.layers)] : null,
    element("div", { class: "settings" }, json("Settings of the decomposition", made && made.config), json("Model", model.model),
      json("Training configuration", at(model, "run", "config")), json("Environment of the training", at(model, "run", "environment")))));
}

// ---------------------------------------------------------------------------------------------------------- the page

const sections = [["conversion", "Conversion", conversionSection], ["training", "Training", training], ["eigenvectors", "Eigenvectors", null], ["factors", "Factors", factors], ["corpus", "On text", corpusSection], ["truncation", "Truncation", truncation], ["provenance", "Provenance", provenance]];
const views = data.models.map(() => ({ layer: 0, direction: 0, eigenvector: null }));
const bodies = data.models.map(() => null);  // what has been drawn of each model

const hashOf = (number, view) => `#model-${number + 1}/layer-${withEigenvectors(data.models[number])[view.layer].layer}/direction-${view.direction}`
  + (view.eigenvector === null ? "" : `/eigenvector-${view.eigenvector + 1}`);

/** {model, view} of "#model-1/layer-0/direction-3/eigenvector-2"; the last parts may be missing. Null for other hashes. */
function parseHash(hash) {
  const found = /^#model-(\d+)(?:\/layer-(\d+)(?:\/direction-(\d+)(?:\/eigenvector-(\d+))?)?)?$/.exec(hash);
  const model = found ? Number(found[1]) - 1 : -1;
  if (!data.models[model]) return null;
  if (found[2] === undefined) return { model, view: null };
  const layer = withEigenvectors(data.models[model]).findIndex((l) => l.layer === Number(found[2]));
  return { model, view: { layer: Math.max(layer, 0), direction: Number(found[3] ?? 0), eigenvector: found[4] ? Number(found[4]) - 1 : null } };
}

function modelBody(number, level) {
  const model = data.models[number], id = (name) => `${name}-${number + 1}`;
  const vectors = eigenvectors(model, id("eigenvectors"), level, views[number], (view) => history.replaceState(null, "", hashOf(number, view)));
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
  return speaks(model) ? `${result.split} loss ${figure(result.loss, 4)}` : `${percent(result.accuracy)} ${result.split} accuracy`;
}

/** A section is drawn when it is first opened. */
function fill(holder, number) {
  if (!bodies[number]) append(holder, modelBody(number, 2));
}

function modelSection(number) {
  const model = data.models[number], result = headline(model);
  const holder = element("details", { class: "model", id: `model-${number + 1}`, ontoggle: () => { if (holder.open) fill(holder, number); } },
    element("summary", {}, element("h2", {}, model.name), element("span", { class: "muted" }, resultWords(model, result))));
  return holder;
}

const meanOf = (values) => (values.length && values.every(isNumber) ? values.reduce((sum, v) => sum + v, 0) / values.length : null);
/** Means over all directions of a layer. */
const largestEigenvalue = (layer) => layer.mean_largest ?? null, effectiveRank = (layer) => layer.mean_effective_rank ?? null;
const overLayers = (model, figureOf) => meanOf(layersOf(model).map(figureOf).filter((v) => v !== null));

/** Spectra of a run's checkpoints over its steps, a line a layer, one run after another. */
function checkpointsTogether(models) {
  const runs = new Map();
  for (const model of models.filter((m) => isNumber(at(m, "decomposition", "step")))) {
    const run = model.decomposition.model.replace(/step-\d+\/?$/, "");
    runs.set(run, [...(runs.get(run) ?? []), model]);
  }
  return [...runs].map(([run, found]) => checkpointsOfRun(run, found.sort((a, b) => a.decomposition.step - b.decomposition.step)));
}

function checkpointsOfRun(run, steps) {
  if (new Set(steps.map((model) => model.decomposition.step)).size < 2) return null;
  const difference = steps.some((model) => model.decomposition.minus), numbers = [...new Set(steps.flatMap((model) => layersOf(model).map((l) => l.layer)))];
  const figureFor = (title, yName, figureOf) => {
    const lines = numbers.map((number) => ({ name: `layer ${number}`, points: steps.map((model) => [model.decomposition.step, figureOf(layersOf(model).find((l) => l.layer === number) ?? {})]).filter(([, v]) => isNumber(v)) }))
      .filter((line) => line.points.length > 1);
    const most = Math.max(...lines.flatMap((line) => line.points.map(([, v]) => v))) * 1.05 || 1;
    return linesChart(title, lines, { label: title, height: 280, x: [steps[0], steps.at(-1)].map((model) => model.decomposition.step), y: [0, most], xName: "training step", yName, xFormat: integer,
      xTicks: [3, 6], point: (name, step, value) => `${name}, step ${integer(step)}: ${figure(value)}`, columns: ["layer", "step", "value"] });
  };
  return element("div", { class: "together checkpoints" }, element("h3", {}, run.replace(/\/checkpoints\/$/, "") || "Checkpoints"), element("div", { class: "pair" }, figureFor(difference ? "Largest eigenvalue of what changed since the checkpoint before" : "Largest eigenvalue over training", "mean over directions of the largest |λ|", largestEigenvalue),
    figureFor("Effective rank over training", "mean over directions", effectiveRank)));
}

const indexColumns = [
  ["Model", (m) => m.name], ["Accuracy", (m) => at(headline(m), "accuracy"), percent], ["Loss", (m) => at(headline(m), "loss"), (v) => figure(v, 4)],
  ["Above the teacher", (m) => (at(m, "conversion", "test") ? m.conversion.test.loss - m.conversion.test.teacher_loss : null), (v) => signed(v, 3)],
  ["Above it trained on", aboveContinued, (v) => signed(v, 3)],
  ["Dataset", (m) => plain(factsOf(m).dataset)], ["Layers", (m) => factsOf(m).layers, integer], ["Width", (m) => factsOf(m).width, integer],
  ["Parameters", (m) => m.parameters, integer], ["Noise", (m) => factsOf(m).noise, brief], ["Epochs", (m) => factsOf(m).epochs, integer],
  ["Step", (m) => at(m, "decomposition", "step"), integer], ["Largest |λ|", (m) => overLayers(m, largestEigenvalue), figure], ["Effective rank", (m) => overLayers(m, effectiveRank), figure],
  ["R² of k on text", (m) => { const corpus = at(m, "decomposition", "corpus"); return corpus ? meanOf(corpus.layers.map((l) => l.r2.at(-1)).filter(isNumber)) ?? "undefined" : null; },
    (v) => (isNumber(v) ? figure(v) : v ?? "–")],
  ["Seed", (m) => factsOf(m).seed, (v) => (isNumber(v) ? String(v) : "–")], ["k within 1 point", (m) => at(sufficient(m), "k"), integer]];

function indexTable() {
  const rows = data.models.map((model, i) => ({ i, values: indexColumns.map(([, value]) => value(model)) }));
  const used = indexColumns.map((column, c) => c).filter((c) => rows.some((row) => row.values[c] !== null && row.values[c] !== undefined));
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
    rows.sort((a, b) => {
      const [p, q] = [a.values[c], b.values[c]];
      if (missing(p) || missing(q)) return missing(p) - missing(q);
      return rising * (isNumber(p) && isNumber(q) ? p - q : String(p).localeCompare(String(q), "en", { numeric: true })) || a.i - b.i;
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
  return element("div", { class: "panel index" }, element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Models" },
    element("table", {}, element("thead", {}, element("tr", {}, headers)), body)));
}

function drawOneModel(main) {
  const holder = element("article", { id: "model-1" });
  main.append(holder);
  append(holder, modelBody(0, 1));
  document.title = `${data.models[0].name} · bilens report`;
  navigation([...sections.map(([id, name]) => [`${id}-1`, name]).filter(([id]) => document.getElementById(id)), ["glossary", "Glossary"]]);
}

function drawManyModels(main) {
  const holders = data.models.map((_, i) => modelSection(i));
  append(main, [element("p", { class: "eyebrow" }, "Report"), element("h1", {}, `${data.models.length} models`), indexTable(), conversionsTogether(data.models), checkpointsTogether(data.models),
    element("div", { class: "models", id: "models" }, holders)]);
  document.title = `${data.models.length} models · bilens report`;
  navigation([["content", "Index"], ["models", "Models"], ["glossary", "Glossary"]]);
  if (!parseHash(location.hash)) holders[0].open = true;
}

(data.models.length === 1 ? drawOneModel : drawManyModels)(document.getElementById("content"));
addEventListener("hashchange", openHash);
openHash();
