// What a model is and how well it does: a part of the report's script.

const layersOf = (model) => at(model, "decomposition", "layers") ?? [];
const withEigenvectors = (model) => layersOf(model).filter((layer) => layer.k > 0);

/** Whether it is a language model; else an image classifier. */
const speaks = (model) => at(model, "model", "vocab_size") > 0 || Boolean(model.conversion);

/** The result to put on top: the run's test, else the study's, else the last validation. */
function headline(model) {
  const evaluations = at(model, "metrics", "evaluations") ?? [];
  const test = at(model, "conversion", "test");
  if (test) return { split: "test", loss: test.loss, tokens: test.tokens };
  const counts = ({ loss, accuracy }) => isNumber(speaks(model) ? loss : accuracy);
  const last = (split) => evaluations.filter((e) => e.split === split && counts(e)).pop();
  const study = at(model, "study", "evaluation");
  if (last("test")) return last("test");
  if (study) return { ...study, split: at(model, "study", "data", "split") || "study" };
  return last("validation") ?? null;
}

/**
 * The smallest k that loses at most a point of accuracy on the images it was chosen on, with what it reaches on the
 * test images; of the last layer that was truncated.
 */
function sufficient(model) {
  const curve = (at(model, "study", "truncation") ?? []).at(-1);
  if (!curve || !curve.chosen) return null;
  return { ...curve.chosen, layer: curve.layer, accuracy: curve.accuracy[curve.k.indexOf(curve.chosen.k)] };
}

function factsOf(model) {
  const config = at(model, "run", "config"),
    built = model.model ?? at(config, "model");
  const noise = at(config, "train", "input_noise", "std");
  return {
    layers: at(built, "n_layers") ?? at(built, "num_hidden_layers") ?? (layersOf(model).length || null),
    width: at(built, "d_model") ?? at(built, "hidden_size"),
    vocabulary: at(built, "vocab_size"),
    context: at(config, "data", "context"),
    type: at(built, "model_type") ?? at(built, "type"),
    activation: at(built, "hidden_activation") ?? at(built, "hidden_act"),
    activations: at(built, "hidden_acts") ?? null,
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

function plain(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Of a model that is bilinear in some layers; else null. */
function partly({ activations }) {
  if (!Array.isArray(activations)) return null;
  const gated = activations.filter((name) => name !== "linear");
  const bilinear = activations.length - gated.length;
  return `bilinear in ${integer(bilinear)} of ${plural(activations.length, "layer")}, the others gated with `
    + `${plain(gated[0])}`;
}

function languageSentence(model, facts) {
  const bilinear = facts.activation === "linear";
  const of = isNumber(facts.layers) ? ` of ${plural(facts.layers, "layer")}` : "";
  const width = facts.width ? `, width ${plain(facts.width)}` : "",
    words = facts.vocabulary ? `, ${integer(facts.vocabulary)} tokens` : "";
  const kind = `${of}${width}${words}`;
  const { conversion } = model;
  if (!conversion) {
    const mlps = bilinear ? "bilinear" : partly(facts) ?? `gated with ${plain(facts.activation)}`;
    const type = facts.type ? ` (${plain(facts.type)})` : "";
    return `A language model${type}${kind}, its MLPs ${mlps}.`;
  }
  const teacher = plain(conversion.teacher),
    tokens = conversion.trained_tokens;
  const trained = tokens ? `${integer(tokens)} tokens of training (${figure(conversion.epochs)} epochs)`
    : "no training";
  if (!conversion.converted) {
    return `${teacher} trained further without conversion: a language model${kind}, ${trained}.`;
  }
  const from = conversion.calibration ? "converted in closed form" : "converted";
  const which = partly(facts) ? "some of its MLPs" : "its MLPs";
  return `${teacher} with ${which} made bilinear: a language model${kind}, ${from}, then ${trained}.`;
}

function inputsText({ shape, inputs }) {
  if (Array.isArray(shape)) return shape.map(plain).join(" × ") + " pixels";
  return inputs ? `${plain(inputs)} inputs` : "an image";
}

/** On what and how the classifier was trained, as far as it is known. */
function trainedText({ dataset, epochs, noise }) {
  if (!dataset) return "";
  const time = epochs ? ` for ${plain(epochs)} epoch${epochs === 1 ? "" : "s"}` : "",
    noisy = noise > 0 ? `, with input noise of standard deviation ${brief(noise)}` : "";
  return ` Trained on ${plain(dataset)}${time}${noisy}.`;
}

function sentence(model, facts) {
  if (speaks(model) && facts.built) return languageSentence(model, facts);
  if (!facts.built) {
    const layers = layersOf(model);
    const type = plain(at(model, "decomposition", "model_type"));
    const directions = layers.map((l) => plural(l.n_directions, "output direction")).join(", ");
    const weights = (plain(at(model, "decomposition", "model")) || "a model") + (type ? ` (${type})` : "");
    return `The weights of ${weights}, taken apart: `
      + `${plural(layers.length, "layer")}, ${directions}.`;
  }
  const bilinear = facts.gate === null || facts.gate === "none";
  const extras = [
    facts.residual === true ? "with residual connections" : null,
    facts.bias === true ? "with biases" : null
  ].filter(Boolean);
  const gate = bilinear ? "" : ` with a ${plain(facts.gate)} gate`,
    kind = bilinear ? "bilinear layer" : "layer";
  const count = isNumber(facts.layers) ? plural(facts.layers, kind + gate, kind + "s" + gate) : kind + "s" + gate;
  return `${bilinear ? "A bilinear" : "An"} image classifier: from ${inputsText(facts)} through ${count}`
    + `${facts.width ? ` of width ${plain(facts.width)}` : ""}${extras.length ? " " + extras.join(" and ") : ""}`
    + `${facts.classes ? ` to ${plain(facts.classes)} classes` : ""}.${trainedText(facts)}`;
}

// ----------------------------------------------------------------------------------------------------- head of a model

/** How few eigenvectors are enough, and by which images that was found. */
function enoughFigure(model) {
  const enough = sufficient(model);
  if (!enough) return null;
  const layers = layersOf(model),
    unit = unitOf(layers.find((l) => l.layer === enough.layer)),
    layer = layers.length > 1 ? ` in layer ${enough.layer}` : "";
  const [vectors, come] = enough.k === 1 ? ["eigenvector", "comes"] : ["eigenvectors", "come"];
  const found = enough.split === "validation" ? "the accuracy on the validation images, where k was chosen; "
    + `on the test images ${percent(enough.accuracy)}` : "that accuracy, chosen on the same images";
  return bigFigure(integer(enough.k), "", `${vectors} ${unit}${layer} ${come} within one point of ${found}`);
}

function headFigures(model) {
  const result = headline(model);
  const examples = result && result.examples ? `, ${integer(result.examples)} images` : "";
  const tokens = result && result.tokens ? `, ${integer(result.tokens)} tokens` : "";
  const test = at(model, "conversion", "test"),
    unitName = speaks(model) ? `nats a token${tokens}` : "nats an image";
  return element("div", { class: "figures" },
    result && isNumber(result.accuracy)
    ? bigFigure((100 * result.accuracy).toFixed(1), "%", `${result.split} accuracy${examples}`) : null,
    result && isNumber(result.loss) ? bigFigure(figure(result.loss, 4), "", `${result.split} loss, ${unitName}`) : null,
    test ? bigFigure(signed(test.loss - test.teacher_loss, 3), "", "above the teacher, nats a token") : null,
    test ? bigFigure((100 * test.agreement).toFixed(1), "%", "with the teacher’s likeliest next token") : null,
    enoughFigure(model));
}

function headFacts(model, facts) {
  const converged = withEigenvectors(model).reduce((sum, layer) => sum + (layer.converged ?? 0), 0);
  const total = withEigenvectors(model).reduce((sum, layer) => sum + layer.n_directions, 0);
  return definitions("facts", [
    ["Layers", plain(facts.layers)],
    ["Width", plain(facts.width)],
    ["Dataset", plain(facts.dataset)],
    ["Epochs", plain(facts.epochs)],
    ["Seed", plain(facts.seed)],
    ["Parameters", isNumber(model.parameters) ? integer(model.parameters) : null],
    ["Converged", total ? `${converged} of ${total}` : null],
    ["bilens", plain(facts.version)]
  ]);
}

function head(model, level) {
  const facts = factsOf(model);
  return element("div", {},
    level === 1 ? element("p", { class: "eyebrow" }, "Model") : null,
    level === 1 ? element("h1", {}, model.name) : null,
    notices(model),
    element("p", { class: "lead" }, sentence(model, facts)),
    checkedLine(model), convertedLine(model), sharesLine(model), headFigures(model), headFacts(model, facts));
}
