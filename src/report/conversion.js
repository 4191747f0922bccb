// What a conversion cost: a part of the report's script.

function comparisonTable(conversion) {
  const parts = [
    ["validation, before training", conversion.untrained],
    ["validation", conversion.validation],
    ["test", conversion.test]
  ].filter(([, seen]) => seen);
  const columns = [
    ["Tokens", (s) => integer(s.tokens)],
    ["Loss", (s) => figure(s.loss, 4)],
    ["Teacher’s loss", (s) => figure(s.teacher_loss, 4)],
    ["Above the teacher", (s) => signed(s.loss - s.teacher_loss, 3)],
    ["KL to the teacher", (s) => figure(s.divergence)],
    ["Same top token", (s) => percent(s.agreement)]
  ];
  return scrollable("The model beside its teacher", columnsTable("Part", columns, parts));
}

/** 1 − R² of the residual stream behind each layer, before and after training: what is lost. */
function layerErrors(conversion) {
  const pointsOf = (part) => {
    const values = at(conversion, part, "layer_r2") ?? [];
    return values.map((r2, layer) => [layer, 1 - r2]).filter(([layer]) => isNumber(values[layer]));
  };
  const lines = [
    { name: "before training", style: "before", points: pointsOf("untrained") },
    { name: "finished", style: "smooth", points: pointsOf("validation") }
  ].filter((line) => line.points.length);
  const points = lines.flatMap((line) => line.points),
    high = Math.max(...points.map(([, v]) => v).filter(isNumber), 1e-9);
  return linesChart("What each layer is off by", lines, {
    label: "Error of the residual stream by layer",
    height: 240,
    x: [0, Math.max(1, ...points.map(([layer]) => layer))],
    y: [0, high * 1.05],
    xName: "layer",
    yName: "1 − R² behind it, validation",
    xFormat: integer,
    xTicks: [8, 8],
    point: (name, layer, value) => `layer ${layer}, ${name}: ${figure(value)}`,
    columns: ["when", "layer", "1 − R²"]
  });
}

/** What the closed-form stage made of each layer. */
function calibrationTable({ calibration }) {
  if (!calibration) return null;
  const isNew = calibration.layers.some((layer) => isNumber(layer.product_r2)), // earlier versions had lines alone
    only = (...more) => (isNew ? more : []);
  const columns = [
    ["R² of lines az + b", (l) => figure(l.unit_r2)], ...only(["R² of the units", (l) => figure(l.product_r2)]),
    ["Undetermined", (l) => integer(l.degenerate_units)],
    ...only(["Error with lines", (l) => figure(l.error_lines)]),
    [isNew ? "Error with the units" : "Error with the lines", (l) => figure(l.error_scaled)],
    ["Output refitted", (l) => figure(l.error_refitted)],
    ["Ridge", (l) => (isNumber(l.ridge) ? figure(l.ridge, 2) : "as it was")],
    ["Sweeps", (l) => integer(l.sweeps)],
    ["Error kept", (l) => figure(l.error)]
  ];
  return element("div", { class: "panel" }, element("h4", {}, "The closed-form stage"),
    element("p", { class: "note" }, `This stage was fitted to ${integer(calibration.tokens)} tokens. The errors are `
      + `relative, on ${integer(calibration.held_out_tokens)} other tokens. `
      + operations("The stage", calibration.flops)),
    scrollable("The closed-form stage by layer",
      columnsTable("Layer", columns, calibration.layers.map((layer, i) => [layer.layer ?? i, layer]))));
}

/** What it costs to convert layers, nothing refitted: the loss against how many are, and each layer by itself. */
function layerCosts(conversion) {
  const costs = at(conversion, "calibration", "costs");
  if (!costs) return null;
  const converted = new Set(conversion.calibration.layers.map((layer) => layer.layer)),
    curve = [
      [0, 0], ...costs.layers.map(({ together }, i) => [i + 1, together])
    ].filter(([, rise]) => isNumber(rise)),
    rises = curve.map(([, rise]) => rise),
    high = Math.max(...rises),
    low = Math.min(...rises);
  const lines = [{ name: "cheapest first", style: "smooth", points: curve }];
  const chart = linesChart("What converting more layers costs", lines, {
    label: "Rise of the loss by the number of converted layers",
    height: 240,
    x: [0, costs.layers.length],
    y: [low, high + (high - low || 1) * 0.05],
    xName: "converted layers, the cheapest first",
    yName: "loss above the gated model, nats a token",
    xFormat: integer,
    xTicks: [8, 8],
    point: (_, count, rise) => `${integer(count)} layers: ${signed(rise, 4)}`,
    columns: ["order", "converted layers", "rise of the loss"]
  });
  const columns = [
    ["Alone", (c) => signed(c.alone, 4)],
    ["Estimated", (c) => signed(c.estimate, 4)],
    ["With those above", (c) => signed(c.together, 4)],
    ["Converted", (c) => (converted.has(c.layer) ? "yes" : "no")]
  ];
  const note = `On the same tokens the gated model has a loss of ${figure(costs.teacher_loss, 4)}. For these costs `
    + "bilinear units take the place of a layer’s own units and nothing is refitted: so the closed-form stage begins. "
    + "The estimate comes from one backward pass.";
  return element("div", { class: "pair" }, chart, element("div", { class: "panel" },
    element("h4", {}, "What each layer costs"), element("p", { class: "note" }, note), scrollable("Costs of the layers",
      columnsTable("Layer", columns, costs.layers.map((cost) => [cost.layer, cost])))));
}

/** "Training took 3.1e+7 floating-point operations." */
const operations = (what, flops) => (flops > 0 ? `${what} took ${figure(flops)} floating-point operations.` : "");

function sampleTexts(conversion) {
  const { samples } = conversion;
  if (!samples) return null;
  const texts = [
    ["Teacher", samples.teacher],
    ["Before training", samples.untrained],
    ["Finished", samples.finished]
  ].filter(([, text]) => text);
  return element("div", { class: "panel" }, element("h4", {}, `What follows “${samples.prompt}”`),
    element("dl", { class: "samples" }, texts.map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, text)))));
}

/** Of a model that was converted elsewhere: what went with its weights. */
function convertedSection(model, id, level) {
  const converted = at(model, "decomposition", "converted");
  if (!at(converted, "validation") && !at(converted, "test")) return null;
  const from = plain(converted.teacher) || "a gated one";
  const intro = `The model was made from ${from}, and is compared with it on the same windows of text.`;
  return block(id, level, "Conversion", intro,
    element("div", { class: "panel" }, comparisonTable(converted)), layerErrors(converted));
}

function conversionSection(model, id, level) {
  const { conversion } = model;
  if (!conversion) return convertedSection(model, id, level);
  const { parameters, teacher_parameters } = conversion;
  const cost = ` ${operations("Training", conversion.training_flops)}`;
  const sizes = isNumber(parameters) && isNumber(teacher_parameters)
    ? ` It has ${integer(parameters)} parameters, the gated one ${integer(teacher_parameters)}.` : "";
  const layers = at(conversion, "calibration", "layers", "length"),
    all = at(conversion.test ?? conversion.validation, "layer_r2", "length");
  const what = layers < all ? `The model with ${layers} of ${all} layers made bilinear`
    : "The bilinear model";
  const beside = `${what} is compared with the gated one that it was made from, on the same windows of text.`;
  const intro = conversion.converted ? `${beside}${sizes}${cost}`
    : `The model was trained further without conversion, and is compared with what it was before.${cost}`;
  return block(id, level, "Conversion", intro, element("div", { class: "panel" }, comparisonTable(conversion)),
    layerCosts(conversion), calibrationTable(conversion),
    element("div", { class: "pair" }, layerErrors(conversion), sampleTexts(conversion)));
}

/** How far a converted model is from the original, on the part of the text that was kept for last. */
function convertedLine(model) {
  const account = at(model, "conversion", "converted") ? model.conversion : at(model, "decomposition", "converted");
  const seen = at(account, "test") ?? at(account, "validation");
  if (!seen) return null;
  const behind = seen.layer_r2.map((value) => measured(value)).join(", ");
  return element("p", { class: "converted" },
    `The converted model has a KL of ${figure(seen.divergence)} nats a token to the original, and the same likeliest `
    + `next token in ${percent(seen.agreement)} of all cases. R² of the residual stream behind each layer is `
    + `${behind}.`);
}

/**
 * Of a conversion, its test loss above that of its teacher, as wide as it was, trained on for as many tokens, where
 * that run is there too.
 */
function aboveContinued(model) {
  const { conversion } = model;
  if (!conversion || !conversion.converted || !conversion.test) return null;
  const same = (c, ...keys) => keys.every((key) => c[key] === conversion[key]);
  const isBeside = (c) => c && !c.converted && c.test && c.parameters === c.teacher_parameters
    && same(c, "teacher", "teacher_sha256", "trained_tokens") && c.test.tokens === conversion.test.tokens;
  const other = data.models.map((m) => m.conversion).find(isBeside);
  return other ? conversion.test.loss - other.test.loss : null;
}

/** Validation loss of a run against the tokens it has seen: [[tokens, loss]]. */
function lossByTokens(model) {
  const config = at(model, "run", "config"),
    tokensAStep = at(config, "train", "batch_size") * at(config, "data", "context"),
    start = at(model, "conversion", "untrained", "loss");
  const seen = (at(model, "metrics", "evaluations") ?? []).filter((e) => e.split === "validation" && isNumber(e.loss));
  const points = seen.map((e) => [e.step * tokensAStep, e.loss]);
  return isNumber(start) ? [
    [0, start], ...points
  ] : points;
}

/** The same of several conversions. */
function conversionsTogether(models) {
  const drawable = ({ points }) => points.every(([tokens]) => isNumber(tokens)) && points.length > 1;
  const lines = models.filter((model) => model.conversion)
    .map((model) => ({ model, name: model.name, points: lossByTokens(model) })).filter(drawable);
  if (lines.length < 2) return null;
  const losses = lines.flatMap((line) => line.points.map(([, loss]) => loss)),
    teachers = new Set(lines.map(({ model }) => at(model, "conversion", "validation", "teacher_loss")));
  const teacher = teachers.size === 1 ? [...teachers][0] : null;
  const all = isNumber(teacher) ? [...losses, teacher] : losses,
    low = Math.min(...all),
    high = Math.max(...all),
    room = (high - low) * 0.06 || 0.1;
  const most = Math.max(...lines.flatMap((line) => line.points.map(([tokens]) => tokens)));
  const drawn = lines.map(({ name, points }) => ({ name, points, key: `${name}: ${figure(points.at(-1)[1], 4)}` }));
  return element("div", { class: "together" }, linesChart("Validation loss against tokens", drawn, {
    label: "Validation loss against tokens, all runs",
    height: 340,
    paper: 700,
    x: [0, most],
    y: [low - room, high + room],
    xName: "tokens",
    yName: "validation loss, nats a token",
    xFormat: (v) => `${brief(v / 1e6)} M`,
    xTicks: [3, 6],
    point: (name, tokens, loss) => `${name}, ${integer(tokens)} tokens: ${figure(loss, 4)}`,
    columns: ["run", "tokens", "validation loss"],
    level: isNumber(teacher) ? { value: teacher, name: `the teacher: ${figure(teacher, 4)}` } : null
  }));
}
