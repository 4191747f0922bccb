// What qualifies every number of a model, at the top of its part of the page: a part of the report's script.

/** A norm in front of the MLPs, what became of its gain, and one behind them. */
function normWords({ kind, before, gain, behind, source, folded }) {
  const from = source ? ` (${source})` : "";
  const front = kind === "none" || !before ? `No norm stands before the MLPs${from}.` : `Before the MLPs stands the ${{ rms: "RMS norm", layer: "layer norm" }[kind] ?? kind} ${before}${from}`
    + (folded === true ? `, its gain${gain ? ` ${gain}` : ""} folded into them: x is the normed input before the gain.`
      : folded === false ? ", its gain not folded into them: x is the normed input behind the gain." : ".");
  const back = behind ? ` Behind them stands ${behind}: for each token it divides the output by a positive number, which is not in the form.` : "";
  return front + back;
}

const gateWords = ({ name, source }) => `${name === "none" ? "The MLPs have no gate" : `The MLPs’ gate is ${name}`}${source ? ` (${source})` : ""}.`;

function surrogateWords({ meaning, hidden_act, data, first_token, tokens, layers }) {
  const explained = (layers ?? []).map((layer) => layer.unit_r2).filter(isNumber);
  const worth = explained.length ? ` They explain ${percent(Math.min(...explained))} of the activations’ variance in the layer where they explain least.` : "";
  const fitted = isNumber(tokens) ? ` The lines were fitted on ${integer(tokens)} tokens of ${plain(at(data, "path")) || "a text"}${first_token > 0 ? `, from token ${integer(first_token)} on` : ""}.${worth}` : "";
  return `${meaning}${hidden_act ? ` The model’s own gate is ${hidden_act}.` : ""}${fitted}`;
}

/** The notices of a model, in the order of their weight. */
function notices(model) {
  const made = model.decomposition;
  if (!made) return null;
  const warn = (title, text) => element("p", { class: "notice" }, element("b", {}, `${title} `), text);
  const { surrogate, gate, norm, minus, minus_gate } = made;
  const about = [gate ? gateWords(gate) : null, norm ? normWords(norm) : null].filter(Boolean);
  return [
    surrogate ? warn("A surrogate, not the model’s own layers.", surrogateWords(surrogate)) : null,
    made.lacks_record ? warn("Made by an earlier version.", "Nothing records where gate and norm came from, and they may be wrong: decompose again.") : null,
    minus ? warn("A difference.", `These are the layers of ${made.model} minus those of ${minus}.${minus_gate ? ` Of the second model: ${gateWords(minus_gate)}` : ""}`) : null,
    about.length ? element("p", { class: "about" }, about.join(" ")) : null
  ];
}
