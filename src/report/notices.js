// What qualifies every number of a model, at the top of its part of the page: a part of the report's script.

/** What became of the gain of the norm before the MLPs, and so what x is. */
function gainWords(gain, folded) {
  if (folded === true) {
    return `. Its gain${gain ? ` ${gain}` : ""} is folded into the MLPs: x is the normed input before the gain.`;
  }
  return folded === false ? ". Its gain is not folded into the MLPs: x is the normed input behind the gain." : ".";
}

/** A norm in front of the MLPs, what became of its gain, and one behind them. */
function normWords({ kind, before, gain, behind, source, folded }) {
  const from = source ? ` (${source})` : "",
    name = { rms: "RMS norm", layer: "layer norm" } [kind] ?? kind;
  const front = kind === "none" || !before ? `No norm stands before the MLPs${from}.`
    : `Before the MLPs stands the ${name} ${before}${from}${gainWords(gain, folded)}`;
  const back = behind ? ` Behind the MLPs stands ${behind}. For each token it divides the output by a positive number, `
    + "which is not in the form." : "";
  return front + back;
}

/** @param whose MLPs they are */
function gateWords({ name, source }, whose = "The") {
  const gate = name === "none" ? `${whose} MLPs have no gate` : `${whose} MLPs’ gate is ${name}`;
  return `${gate}${source ? ` (${source})` : ""}.`;
}

/** What a surrogate is worth, and what lines az + b in the place of its units would be. */
function worthWords({ held_out_tokens, layers }) {
  const all = layers ?? [],
    values = (key) => all.map((layer) => layer[key]).filter(isNumber);
  const r2 = (key) => values(key).map((value) => figure(value)).join(", ");
  if (values("output_r2").length) {
    return ` On ${integer(held_out_tokens)} other tokens R² of each layer’s output is ${r2("output_r2")}. With a line `
      + `az + b for each activation it would be ${r2("line_output_r2")}.`;
  }
  const explained = values("unit_r2");
  return explained.length ? ` They explain at least ${percent(Math.min(...explained))} of the activations’ variance `
    + "in each layer." : "";
}

/** On what a surrogate was fitted, and what it is worth. Earlier versions fitted lines to activations. */
function fittedWords(surrogate) {
  const { data, first_token, tokens, layers } = surrogate;
  if (!isNumber(tokens)) return "";
  const what = (layers ?? []).some((layer) => isNumber(layer.product_r2)) ? "units" : "lines";
  const text = plain(at(data, "path")) || "a text",
    start = first_token > 0 ? `, from token ${integer(first_token)} on` : "";
  return ` The ${what} were fitted on ${integer(tokens)} tokens of ${text}${start}.${worthWords(surrogate)}`;
}

function surrogateWords(surrogate) {
  const { meaning, hidden_act } = surrogate;
  return `${meaning}${hidden_act ? ` The model’s own gate is ${hidden_act}.` : ""}${fittedWords(surrogate)}`;
}

/** What was subtracted from what. */
function differenceWords({ model, minus, minus_gate }) {
  const gate = minus_gate ? ` ${gateWords(minus_gate, "The second model’s")}` : "";
  return `These are the layers of ${model} minus those of ${minus}.${gate}`;
}

const warn = (title, text) => element("p", { class: "notice" }, element("b", {}, `${title} `), text);

/** What `bilens check` has found of the same weights. */
function checkedLine({ check }) {
  if (!check) return null;
  const against = `Checked against transformers ${check.transformers}`;
  if (!check.passed) return warn("Not what transformers computes.", `${against}: ${check.failures.join(" ")}`);
  const parts = check.dtypes.map(({ dtype, error, tolerance, loss }) =>
    `in ${dtype} hidden states differ by at most ${figure(error, 2)} of their size (rounding is up to `
    + `${figure(tolerance, 2)}), the loss by ${figure(loss, 2)} nats`);
  const text = check.same_text ? "; the tokens of a text are the same" : "";
  return element("p", { class: "checked" }, `${against}: ${parts.join("; ")}${text}.`);
}

/** The notices of a model, in the order of their weight. */
function notices(model) {
  const made = model.decomposition;
  if (!made) return null;
  const { surrogate, gate, norm } = made;
  const about = [gate ? gateWords(gate) : null, norm ? normWords(norm) : null].filter(Boolean);
  return [
    surrogate ? warn("A surrogate, not the model’s own layers.", surrogateWords(surrogate)) : null,
    made.lacks_record ? warn("Made by an earlier version.",
      "No record says where the gate and the norm came from, and they may be wrong. Please decompose again.") : null,
    made.minus ? warn("A difference.", differenceWords(made)) : null,
    about.length ? element("p", { class: "about" }, about.join(" ")) : null
  ];
}
