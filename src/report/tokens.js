// What eigenvectors of a language model say in tokens: a part of the report's script.

/** Tokens with their cosines; how far a token is from what random directions reach shows in its shade. */
function tokenList(side) {
  const worth = (quantile) => (isNumber(quantile) ? Math.max(0, (quantile - 0.5) * 2).toFixed(2) : 0);
  return element("ol", { class: "tokens" }, side.map(([token, cosine, quantile]) =>
    element("li", { title: `cosine ${figure(cosine)}, nearer than ${percent(quantile)} of random directions` },
      element("span", { class: "token", style: `--worth: ${worth(quantile)}` }, token),
      element("span", { class: "number" }, figure(cosine, 2)),
      element("span", { class: "number worth" }, percent(quantile, 1)))));
}

function tokenCard(title, card, note) {
  const basis = (name, key) => element("div", { class: "token-basis" }, element("h5", {}, name),
    element("div", { class: "sides" }, card[key].map(tokenList)));
  return element("div", { class: "token-card" }, element("h4", {}, title),
    note ? element("p", { class: "note" }, note) : null,
    basis("By embedding rows: what it reads", "embedding"),
    basis("By unembedding rows: what it resembles in the output", "unembedding"));
}

/** The card of an eigenvector, and two that mean nothing beside it. */
function tokensOfEigenvector(model, layer, direction, vector) {
  if (!at(vector, "tokens", "embedding", 0, 0)) return null;
  const about = at(model, "decomposition", "tokens"),
    own = about.layers.find((l) => l.layer === layer.layer);
  const { permuted } = direction.tokens ?? {};
  return element("div", { class: "on-tokens" },
    tokenCard("Nearest tokens, on both sides", vector.tokens,
      `Beside each token stand its cosine with the token’s centred row, and the share of `
      + `${integer(about.random_directions)} random directions whose nearest tokens are less near. Such lists always `
      + "look meaningful; below about 95% they are no evidence."),
    own ? element("p", { class: "note" }, `${own.words} ${about.space}`) : null,
    element("details", {},
      element("summary", {}, "Controls: a random direction, and the layer with its units paired at random"),
      own ? tokenCard("A random direction", own.random) : null,
      permuted ? tokenCard("Leading eigenvector with gate and up units paired at random, "
        + `λ = ${signed(permuted.eigenvalue)}`, permuted.card) : null));
}

const faintest = 0.08; // of a cell, so that it is seen at all

/** The colours of the cells, from the most negative to the most positive value. */
function strengthKey() {
  const id = `strength-${Math.random().toString(36).slice(2)}`;
  const stop = (offset, sign, opacity) => svg("stop", { offset, class: `stop-${sign}`, "stop-opacity": opacity });
  return svg("svg", { viewBox: "0 0 160 12", class: "strength", "aria-hidden": "true" },
    svg("linearGradient", { id },
      stop(0, "negative", 1), stop(0.5, "negative", faintest), stop(0.5, "positive", faintest), stop(1, "positive", 1)),
    svg("path", { d: "M0 0H160V12H0Z", fill: `url(#${id})` }));
}

function interactionTable(list) {
  const head = element("tr", {}, ["Token", "Token", "Interaction", "Known to"].map((name) =>
    element("th", { scope: "col" }, name)));
  const row = ([a, b, value, bound]) => element("tr", {}, element("td", {}, a), element("td", {}, b),
    element("td", { class: "number" }, signed(value)), element("td", { class: "number" }, `± ${figure(bound, 2)}`));
  return scrollable("The interactions as a table", element("table", { class: "interactions" },
    element("thead", {}, head), element("tbody", {}, list.map(row))));
}

/** The largest interactions of a direction: a cell for each pair that is listed, the rest is smaller. */
function interactionHeatmap(direction, name) {
  const list = at(direction, "tokens", "interactions");
  if (!list || !list.length) return null;
  const tokens = [...new Set(list.flatMap(([a, b]) => [a, b]))].slice(0, 24),
    place = new Map(tokens.map((token, i) => [token, i]));
  const largest = Math.max(...list.map(([, , value]) => Math.abs(value)), 1e-300),
    size = 20,
    left = 84,
    top = 84,
    width = left + size * tokens.length + 48;
  const cells = list.filter(([a, b]) => place.has(a) && place.has(b));
  const cell = ([a, b, value, bound], i, j) => svg("rect", {
    class: `bar-${signOf(value) || "positive"}`,
    x: left + j * size + 1,
    y: top + i * size + 1,
    width: size - 2,
    height: size - 2,
    opacity: Math.max(faintest, Math.abs(value) / largest).toFixed(3)
  }, svg("title", {}, `${a} × ${b}: ${signed(value)} ± ${figure(bound, 2)}`));
  const grid = svg("svg", {
      class: "heatmap",
      viewBox: `0 0 ${width} ${top + size * tokens.length + 4}`,
      role: "img",
      "aria-label": `Largest interactions of tokens, ${name}`,
      style: `max-width: ${width * 1.2}px`
    },
    tokens.map((token, i) => [svg("text", { x: left - 5, y: top + (i + 0.7) * size, "text-anchor": "end" }, token),
      svg("text", { transform: `translate(${left + (i + 0.7) * size} ${top - 5}) rotate(-60)` }, token)
    ]),
    cells.map((entry) => {
      const i = place.get(entry[0]),
        j = place.get(entry[1]);
      return i === j ? cell(entry, i, j) : [cell(entry, i, j), cell(entry, j, i)];
    }));
  const meaning = "2Q across, Q on the diagonal; made of the eigenpairs found";
  const scale = () => ({ before: figure(-largest, 2), mark: strengthKey(), text: figure(largest, 2) });
  const legend = () => [{ text: meaning }, scale()];
  const numbers = () => [
    ["token", "token", "interaction", "known to"], ...list
  ];
  return element("figure", { class: "interaction-figure" },
    element("div", { class: "chart-head" }, element("h4", {}, "Largest interactions of tokens"),
      element("span", { class: "legend" }, meaning)),
    grid, legendLine([scale()]), exports(`Interactions of ${name}`, () => grid, numbers, legend),
    element("details", {}, element("summary", {}, "As a table"), interactionTable(list)));
}

/** What tokenSearch looks through: of each eigenvector its words, its place in words, and the view that shows it. */
function searchEntries(layers) {
  const entry = (layer, l, d, vector) => {
    const direction = directionName(layer, d),
      card = vector.tokens ? Object.values(vector.tokens).flat(2).map(([token]) => token) : [];
    return {
      view: { layer: l, direction: d, eigenvector: vector.index },
      words: [...new Set([direction, ...card])],
      place: `Layer ${layer.layer}, ${direction}, eigenvector ${vector.index}`
    };
  };
  return layers.flatMap((layer, l) => layer.shown.flatMap(({ eigenvectors }, d) =>
    eigenvectors.map((vector) => entry(layer, l, d, vector))));
}

/** A box that finds eigenvectors by the tokens of their cards and by their direction. @param go(view) opens a card */
function tokenSearch(model, layers, go) {
  const directions = layers.flatMap((layer) => layer.shown);
  if (!directions.some((direction) => direction.eigenvectors.some((vector) => vector.tokens))) return null;
  const entries = searchEntries(layers);
  const found = element("ul", { class: "found" }),
    count = element("p", { class: "note", "aria-live": "polite" });
  const input = element("input", {
    type: "search",
    placeholder: "she",
    "aria-label": "Find eigenvectors by a token or a direction",
    oninput: () => look()
  });
  const item = ({ view, place, hit }) => element("li", {},
    element("button", { type: "button", class: "quiet", onclick: () => go(view) }, place),
    ` ${hit.slice(0, 6).join(" ")}`);
  const hitsOf = (wanted) => entries
    .map((entry) => ({ ...entry, hit: entry.words.filter((word) => word.toLowerCase().includes(wanted)) }))
    .filter((entry) => entry.hit.length);
  const look = () => {
    const wanted = input.value.trim().toLowerCase();
    const hits = wanted ? hitsOf(wanted) : [],
      cut = hits.length > 50 ? ", the first 50" : "";
    count.textContent = wanted ? `${plural(hits.length, "eigenvector")}${cut}` : "";
    found.replaceChildren(...hits.slice(0, 50).map(item));
  };
  return element("div", { class: "panel search" },
    element("label", {}, "Find a token in the cards ", input), count, found);
}
