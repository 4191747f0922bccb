// The explanation of a prompt: a difference of logits as a sum over embedding, attentions and eigenvectors.

/** Numbers that are not finite come as null, which arithmetic would take for 0. */
const finite = (value) => value ?? NaN;
const drawable = (value) => (isNumber(value) ? value : 0); // what is not finite takes no room in a chart
const layerParts = [
  ["attention", "Attention"],
  ["eigenvectors", "Eigenvectors"],
  ["linear", "Linear"],
  ["remainder", "Remainder"]
];
/** Parts that no layer has, such as the biases of a model without any, are left out. */
const shownParts = layerParts.filter(([key]) => data.layers.some((layer) => layer[key] !== 0));
const difference = data.minus === null ? `${data.token} over the mean of all tokens`
  : `${data.token} minus ${data.minus}`;

/** The parts of the sum in their order, each from the sum before it. */
function rowsOfSum() {
  const partsOf = (layer) => shownParts.map(([key, name]) =>
    ({ name: `Layer ${layer.layer}, ${name.toLowerCase()}`, value: finite(layer[key]) }));
  const steps = [{ name: "Embedding", value: finite(data.embedding) }, ...data.layers.flatMap(partsOf)];
  let sum = 0;
  const rows = steps.map((step) => {
    const before = sum;
    sum += drawable(step.value);
    return { ...step, before, after: sum };
  });
  const end = { value: finite(data.sum), before: 0, after: drawable(data.sum) };
  return [...rows, { name: "Logit difference", ...end, total: true }];
}

function surrogateNotice({ meaning, hidden_act }) {
  return element("p", { class: "notice" }, element("b", {}, "A surrogate, not the model’s own MLPs. "),
    `${meaning} The model’s own gate is ${hidden_act || "not known"}. `
    + "What the surrogate leaves out of an MLP is that MLP’s remainder, so the sum is still the model’s own.");
}

function opening() {
  const { surrogate } = data;
  return element("div", {},
    element("p", { class: "eyebrow" }, "Explanation of a prompt"),
    element("h1", {}, `${difference}: ${signed(finite(data.sum), 4)}`),
    surrogate ? surrogateNotice(surrogate) : null,
    element("p", { class: "lead" },
      "This is the difference of the logits of the next token, as a sum over everything that writes into the last "
      + "position."),
    element("p", { class: "prompt", "aria-label": `The prompt: ${data.prompt}` },
      data.tokens.map((token) => element("span", {}, token)), " → ", element("span", { class: "answer" }, data.token)),
    definitions("facts", [
      ["Sum", figure(finite(data.sum), 5)],
      ["The model’s own, float32", figure(finite(data.logit), 5)],
      ["Tokens", integer(data.tokens.length)],
      ["Layers", integer(data.layers.length)],
      ["Divisor r of the last norm", figure(finite(data.rms), 4)],
      ["Logits in front of the model’s cap, c", data.soft_cap ? figure(data.soft_cap, 4) : null]
    ]));
}

/** The parts of the sum by layer, and their sums. */
function partsTable() {
  const words = (value) => (isNumber(value) ? signed(value, 4) : "–");
  const line = (name, value) => {
    const values = shownParts.map(([key]) => value(key));
    return [name, ...values.map(words), words(values.reduce((sum, v) => sum + v, 0))];
  };
  const total = (key) => data.layers.reduce((sum, layer) => sum + finite(layer[key]), 0);
  const ofNorm = (value) => (data.layers.some((layer) => isNumber(layer.output_rms)) ? [value] : []);
  const heads = ["Layer", ...shownParts.map(([, name]) => name), "All", ...ofNorm("Divisor of the MLP’s norm")];
  return numberTable(heads, [
    ...data.layers.map((layer) => {
      const parts = line(layer.layer, (key) => finite(layer[key]));
      return [...parts, ...ofNorm(figure(layer.output_rms, 4))];
    }),
    [...line("All layers", total), ...ofNorm("–")]
  ]);
}

function sumSection() {
  const rows = rowsOfSum(),
    title = `What makes up ${difference}`,
    own = `${title}, “${data.prompt}”`;
  const csvRows = () => [
    ["part", "value"], ...rows.map(({ name, value }) => [name, value])
  ];
  const box = chart(own, waterfallHeight(rows), (node, width) => {
    node.classList.add("waterfall");
    drawWaterfall(node, rows, width);
  }, 620, csvRows, signLegend);
  const table = partsTable();
  return block("sum", 1, "What makes up the difference",
    "From the top to the sum: blue adds to the difference, orange takes from it.",
    element("figure", { class: "panel" }, box,
      gapText(finite(data.sum), finite(data.logit), Math.abs(drawable(data.logit)))),
    element("div", { class: "panel parts" }, scrollable("The parts by layer", table),
      exports(`The parts of ${difference} by layer`, null, () => tableRows(table)),
      element("p", { class: "note" },
        `The embedding of the last token adds ${signed(finite(data.embedding), 4)} beside these.`)));
}

function termItem(term, i) {
  const contribution = finite(term.contribution),
    vector = `eigenvector ${term.index}, layer ${term.layer}`;
  const side = (name, tokens) =>
    element("div", { class: "side" }, element("small", {}, name), tokens.map((token) => element("span", {}, token)));
  return element("li", { "data-term": i },
    element("div", {},
      element("b", {}, `Layer ${term.layer}, eigenvector ${term.index}`),
      element("span", { class: `adds ${signOf(contribution)}` }, signed(contribution, 4)),
      element("br"),
      element("small", {}, `λ ${signed(finite(term.eigenvalue))} · p ${figure(finite(term.projection))}`)),
    side("nearest tokens", term.nearest[0]),
    side("nearest to −v", term.nearest[1]),
    element("div", { class: "picture" },
      stepsPicture(decodeSigned(term.vector.values), null, `Components of ${vector}`, ""),
      vectorExports(term.vector, null, `Components of ${vector}`)));
}

function termsSection() {
  const { terms } = data, title = `Largest contributions of eigenvectors to ${difference}`;
  const row = (name, value) => ({ name, before: 0, after: drawable(value), value: finite(value) });
  const drawing = () => waterfallDrawing([
    ...terms.map((term) => row(`Layer ${term.layer}, eigenvector ${term.index}`, term.contribution)),
    row("All other eigenvectors", data.other)
  ]);
  const words = (tokens) => tokens.join(" ");
  const numbers = () => [
    ["layer", "eigenvector", "eigenvalue", "projection", "contribution", "nearest", "nearest to -v"],
    ...terms.map((t) => [t.layer, t.index, t.eigenvalue, t.projection, t.contribution, ...t.nearest.map(words)])
  ];
  return block("terms", 1, "Eigenvectors that count most",
    "These are the contributions λp² of largest size in all layers together, with the tokens nearest to each "
    + "eigenvector. The sign of v is free, so both sides are shown. Eigenvectors are counted from 0 by falling |λ| in "
    + "their layer.",
    element("div", { class: "panel" }, element("ol", { class: "terms" }, terms.map(termItem)),
      element("p", { class: "note" }, `All other eigenvectors together add ${signed(finite(data.other), 4)}. `
        + "Pictures: the components along the layer’s input, whose order means nothing."),
      exports(title, drawing, numbers, signLegend)));
}

function provenance() {
  return block("provenance", 1, "Provenance", null, element("div", { class: "panel" }, definitions("sources", [
    ["Model", data.model],
    ["Prompt", data.prompt],
    ["Numbers and eigenvectors", "explanation.json, explanation.safetensors"],
    ["This page", `bilens ${data.version}`]
  ])));
}

append(document.getElementById("content"), [opening(), sumSection(), termsSection(), provenance()]);
document.title = `${difference} · bilens explanation`;
navigation([
  ["content", "Prompt"],
  ["sum", "Sum"],
  ["terms", "Eigenvectors"],
  ["provenance", "Provenance"],
  ["glossary", "Glossary"]
]);
