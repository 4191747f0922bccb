// The explanation: the logits of one image as sums over eigenvectors.

/** Numbers that are not finite come as null, which arithmetic would take for 0. */
const withNaN = (object, ...keys) =>
  ({ ...object, ...Object.fromEntries(keys.map((key) => [key, object[key] ?? NaN])) });

const classes = data.classes.map((c) => ({
  ...withNaN(c, "logit", "sum", "shared", "direct", "linear", "other"),
  terms: c.terms.map((term) => withNaN(term, "eigenvalue", "projection", "contribution"))
}));
const pixels = decode(data.image.pixels),
  shape = [data.image.height, data.image.width];
const inputs = Float64Array.from(pixels, (value) => (value / 255 - data.pixel_mean) / data.pixel_std);
const number = (value) => (isNumber(value) ? value : 0); // what is not finite takes no room in a chart
const maxRows = 12;

/** Class numbers by falling logit. */
const ranking = classes.map((_, i) => i).sort((a, b) => number(classes[b].logit) - number(classes[a].logit) || a - b);

function probability(c) {
  const largest = classes[ranking[0]].logit,
    weight = (u) => Math.exp(classes[u].logit - largest);
  return weight(c) / classes.reduce((sum, _, u) => sum + weight(u), 0);
}

// --------------------------------------------------------------------------------------------------------- the numbers

/**
 * The logit of class c as a sum, or its lead over the class `against`: then what makes up the other logit enters with
 * the opposite sign.
 */
function sumOf(c, against) {
  const rows = (u, sign) =>
    classes[u].terms.map((term, i) => ({ ...term, from: u, rank: i, sign, adds: sign * term.contribution }));
  const bySize = (a, b) => Math.abs(number(b.adds)) - Math.abs(number(a.adds));
  const part = (key) => classes[c][key] - (against === null ? 0 : classes[against][key]);
  const terms = against === null ? rows(c, 1) : [...rows(c, 1), ...rows(against, -1)].sort(bySize);
  const shown = terms.slice(0, Math.max(maxRows, classes[c].terms.length)),
    rest = terms.slice(shown.length);
  return {
    shared: part("shared"),
    direct: part("direct"),
    linear: part("linear"),
    logit: part("logit"),
    sum: part("sum"),
    terms: shown,
    other: rest.reduce((sum, term) => sum + term.adds, part("other"))
  };
}

/** Each pixel's share of what a term adds: λp v x. Null where the eigenvector's components are no pixels. */
function meeting(term) {
  if (!term.vector || !term.sees_pixels) return null;
  const factor = term.sign * term.eigenvalue * term.projection * (term.vector.scale / 127);
  return Float64Array.from(decodeSigned(term.vector.values), (step, i) => factor * step * inputs[i]);
}

/** Signed steps of −127 … 127, and the value of the last one. */
function quantise(values) {
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { scale, steps: Int8Array.from(values, (value) => (scale > 0 ? Math.round((127 * value) / scale) : 0)) };
}

function together(terms) {
  const maps = terms.map(meeting).filter(Boolean);
  if (!maps.length) return null;
  return { count: maps.length, values: maps[0].map((_, i) => maps.reduce((sum, map) => sum + map[i], 0)) };
}

const termName = (term, against) =>
  (against === null ? `Eigenvector ${term.index}` : `Class ${term.from}, eigenvector ${term.index}`);

const layered = classes.some((c) => c.terms.some((term) => term.layer !== classes[0].terms[0]?.layer));

// --------------------------------------------------------------------------------------------------------- the opening

function place(node, scale, from, to = null) {
  node.style.left = `${scale(to === null ? from : Math.min(from, to)).toFixed(3)}%`;
  if (to !== null) node.style.width = `${Math.abs(scale(to) - scale(from)).toFixed(3)}%`;
  return node;
}

function logitRow(c, scale, choose) {
  const predicted = c === data.prediction,
    { logit } = classes[c],
    tag = (text, first) => element("span", { class: "tag" + (first ? " first" : "") }, text);
  const track = append(element("span", { class: "track", "aria-hidden": "true" }), [
    place(element("i", { class: "bar-of" }), scale, 0, number(logit)),
    place(element("i", { class: "zero" }), scale, 0)
  ]);
  const name = element("span", { class: "name" }, `Class ${c}`,
    predicted ? tag("predicted", true) : null, c === data.label ? tag("label") : null);
  const value = element("span", { class: "value" }, isNumber(logit) ? minus(logit.toFixed(3)) : "–");
  const button = { type: "button", "aria-pressed": "false", "data-class": c, onclick: () => choose(c) };
  return element("li", { class: predicted ? "predicted" : "" }, element("button", button, name, track, value));
}

/** A logit as a row of a drawing, its bar from zero. */
function logitBar(c) {
  const { logit } = classes[c];
  return { name: `Class ${c}`, total: true, value: logit, before: 0, after: number(logit) };
}

/** The logits as bars; with many classes the largest ones. */
function logitChart(choose) {
  const shown = classes.length <= 20 ? classes.map((_, i) => i) : ranking.slice(0, 20),
    values = shown.map((c) => number(classes[c].logit));
  const scale = linearScale([Math.min(0, ...values), Math.max(0, ...values)], [0, 100]);
  const rows = shown.map((c) => logitRow(c, scale, choose));
  const drawing = () => waterfallDrawing(shown.map(logitBar), 480);
  const numbers = () => [
    ["class", "logit"], ...classes.map((c, i) => [i, c.logit])
  ];
  const title = shown.length < classes.length ? `The ${shown.length} largest logits` : "Logits";
  const box = element("div", { class: "panel logits" }, element("h2", {}, title), element("ul", {}, rows),
    exports(`Logits of ${data.input || "image"}`, drawing, numbers));
  const press = (row, pressed) => row.firstChild.setAttribute("aria-pressed", String(pressed));
  return Object.assign(box, { select: (c) => rows.forEach((row, i) => press(row, shown[i] === c)) });
}

function verdict() {
  const [first, second] = ranking, lead = classes[first].logit - classes[second]?.logit;
  const next = second === undefined || !isNumber(lead) ? "" : ` Next is class ${second}, ${figure(lead)} behind.`;
  if (data.label === null) return `The label of this image is not known.${next}`;
  return (data.label === data.prediction ? "This is the image’s label." : `The image’s label is ${data.label}.`) + next;
}

function imageDrawing() {
  const width = 560,
    height = heightOf(shape, width);
  const paint = (node) => paintPixels(node, pixels.length, (i) => [pixels[i], pixels[i], pixels[i]]);
  return svg("svg", { viewBox: `0 0 ${width} ${height}` }, pixelImage(shape, { x: 0, y: 0, width, height }, paint));
}

function opening(chart) {
  const title = data.input || "Image";
  return element("div", { class: "opening" },
    element("figure", { class: "input-image" }, imagePicture(data.image, `The image ${title}`, "large"),
      element("figcaption", {}, `${title}, ${shape[1]} × ${shape[0]} pixels`),
      exports(`The image ${title}`, imageDrawing, null)),
    element("div", {},
      element("p", { class: "eyebrow" }, "Explanation of one image"),
      element("h1", {}, `Predicted ${data.prediction}`),
      element("p", { class: "lead" }, verdict()),
      definitions("facts", [
        ["Prediction", String(data.prediction)],
        ["Label", data.label === null ? "not known" : String(data.label)],
        ["Its logit", figure(classes[data.prediction].logit, 4)],
        ["Its probability", percent(probability(data.prediction))]
      ]),
      chart));
}

// -------------------------------------------------------------------------------------------------- the sum of a logit

/** One row of the waterfall, from `before` to `after` on the axis. */
function waterfallRow(row, scale, ticks, open) {
  const bar = (className, ...ends) => place(element("i", { class: className }), scale, ...ends);
  const track = append(element("span", { class: "track", "aria-hidden": "true" }), [
    ticks.map((t) => bar("tick", t)), bar("zero", 0),
    row.total ? null : bar("wire before", row.before), bar("wire after", row.after),
    bar(`bar-of ${row.total ? "" : signOf(row.after - row.before)}`, row.total ? 0 : row.before, row.after)
  ]);
  const { term } = row, pressable = Boolean(term);
  const line = element(pressable ? "button" : "div", {
      class: `row${term ? "" : " plain"}${row.total ? " total" : ""}`,
      type: pressable ? "button" : null,
      "aria-pressed": pressable ? "false" : null,
      "data-term": pressable ? row.number : null,
      onclick: () => pressable && open(row.number)
    },
    element("span", { class: "what" }, element("b", {}, row.name), row.about ? element("small", {}, row.about) : null),
    term ? termPictures(term, row.name) : null, track,
    element("span", { class: `value ${row.total ? "" : signOf(row.value)}` },
      row.total ? figure(row.value, 4) : signed(row.value)));
  return element("li", {}, line);
}

/** The eigenvector, and where it meets the image, small. */
function termPictures(term, name) {
  const map = meeting(term),
    met = map ? quantise(map) : null,
    range = (scale) => `±${figure(scale, 2)}`;
  const seen = term.vector ? vectorPicture(term.vector, term.sees_pixels ? shape : null, name, "") : null;
  return [
    element("span", { class: "vector" }, seen, seen ? range(term.vector.scale) : null),
    element("span", { class: "meet" },
      met ? [stepsPicture(met.steps, shape, `${name} times the image`, ""), range(met.scale)] : null)
  ];
}

function rowsOf(sum, against) {
  const facts = (term) =>
    `λ ${signed(term.eigenvalue)} · p ${figure(term.projection)}` + (layered ? ` · layer ${term.layer}` : "");
  const ofTerm = (term, i) =>
    ({ name: termName(term, against), about: facts(term), value: term.adds, term, number: i });
  const shared = { name: "Shared", about: "the mean of all classes", value: sum.shared };
  const steps = [
    ...(data.center === "mean" && against === null ? [shared] : []),
    { name: "Direct", about: "residual path", value: sum.direct },
    { name: "Linear", about: "biases", value: sum.linear },
    ...sum.terms.map(ofTerm),
    { name: "All others", about: "eigenvectors not shown", value: sum.other }
  ];
  let at = 0;
  const rows = steps.map((step) => {
    const before = at;
    at += number(step.value);
    return { ...step, before, after: at };
  });
  const name = against === null ? "Logit" : "Difference";
  const total = { name, about: "the sum of all rows", value: sum.sum, before: 0, after: number(sum.sum), total: true };
  return [...rows, total];
}

function check(sum, against) {
  const size = Math.max(...classes.map((c) => Math.abs(number(c.logit))));
  const between = against === null ? undefined : "the model’s own logits, in float32, differ by ";
  return gapText(sum.sum, sum.logit, size, between);
}

/** Buttons that save the rows of a sum as a drawing and as numbers. */
function sumExports(title, rows) {
  const picture = ({ vector, sees_pixels }) => (x, y, size) =>
    svg("g", {}, vectorDrawing(decodeSigned(vector.values), sees_pixels ? shape : null, size, x, y));
  const pictured = rows.map((row) => ({ ...row, picture: row.term?.vector ? picture(row.term) : null }));
  const numbers = () => [
    ["part", "layer", "eigenvector", "eigenvalue", "projection", "value"],
    ...rows.map(({ name, term, value }) => [name, term?.layer, term?.index, term?.eigenvalue, term?.projection, value])
  ];
  const legend = () => [...signLegend(), { text: "λ eigenvalue, p = v·x projection; a term adds λp²" }];
  return exports(`${title}, ${data.input || "image"}`, () => waterfallDrawing(pictured), numbers, legend);
}

function waterfall(sum, c, against, open) {
  const rows = rowsOf(sum, against),
    ends = rows.flatMap((row) => [row.before, row.after]);
  const low = Math.min(...ends),
    high = Math.max(...ends),
    scale = linearScale([low, high > low ? high : low + 1], [2, 98]);
  const ticks = niceTicks(low, high, 4),
    nodes = rows.map((row) => waterfallRow(row, scale, ticks, open));
  const meets = sum.terms.some((term) => term.sees_pixels && term.vector);
  const head = element("div", { class: "row-head", "aria-hidden": "true" },
    element("span", {}, ""),
    element("span", {}, "eigen-vector"),
    element("span", {}, meets ? "where it meets" : ""),
    element("span", { class: "scale" }, ticks.map((t) => place(element("span", {}, brief(t, 2)), scale, t))),
    element("span", {}, "adds"));
  const title = against === null ? `The logit of class ${c}` : `How far class ${c} is ahead of class ${against}`;
  const box = element("div", { class: "list" },
    element("div", { class: "chart-head" }, element("h3", {}, title),
      element("span", { class: "legend" }, "by falling size, from the top to the sum")),
    head, element("ol", { class: "rows", "aria-label": title }, nodes), sumExports(title, rows), check(sum, against));
  const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));
  const select = (chosen) =>
    box.querySelectorAll("button.row").forEach((button) => press(button, Number(button.dataset.term) === chosen));
  return Object.assign(box, { select });
}

// ------------------------------------------------------------------------------------------------------------ enlarged

/**
 * A picture with what it shows, its scale and buttons that save it.
 * @param steps, shape as of stepsPicture, scale the value of the last step
 */
function enlarged(title, note, steps, pictureShape, scale, place) {
  const drawing = () =>
    svg("svg", { viewBox: `0 0 560 ${heightOf(pictureShape, 560)}` }, vectorDrawing(steps, pictureShape, 560));
  const numbers = () => [
    ["component", "value, to 1/254 of the largest"], ...[...steps].map((step, i) => [i, (step / 127) * scale])
  ];
  const legend = () => [pictureShape ? colourLegend(scale) : null, { text: note }];
  return element("figure", {},
    element("figcaption", {}, element("b", {}, title), element("span", {}, note)),
    stepsPicture(steps, pictureShape, title, "large"),
    pictureShape ? colourBar(scale) : null,
    exports(`${title}, ${place}`, drawing, numbers, legend));
}

function meetingFigure(values, title, note, place) {
  const { steps, scale } = quantise(values);
  return enlarged(title, note, steps, shape, scale, place);
}

function togetherFigures(sum, of, place) {
  const all = together(sum.terms);
  if (!all) {
    return [element("p", { class: "muted" }, "The eigenvectors here live in the model’s own space, not in pixels: "
      + "choose a row to see one as a profile.")];
  }
  const names = `${plural(all.count, "eigenvector")} shown`,
    added = sum.terms.filter((t) => t.vector && t.sees_pixels).reduce((total, t) => total + t.adds, 0);
  const note = `Each pixel’s share of the ${of}, over the ${names} that see pixels. `
    + `The picture adds up to ${signed(added)}.`;
  return [
    meetingFigure(all.values, "Which strokes count", note, place),
    element("p", { class: "note" }, element("b", { class: "positive" }, "Blue"), ` raises the ${of}, `,
      element("b", { class: "negative" }, "orange"), " lowers it. Choose a row for its eigenvector.")
  ];
}

function vectorFigure({ vector, sees_pixels, entries }, place) {
  if (!vector) {
    return element("p", { class: "muted" },
      "The picture was left out to keep the page small. It is in explanation.safetensors.");
  }
  const note = sees_pixels ? "Zero is neutral; v and −v are the same."
    : `${integer(entries)} components of the model’s own space, up to ±${figure(vector.scale, 2)}; `
    + "their order means nothing.";
  return enlarged("Eigenvector v", note, decodeSigned(vector.values), sees_pixels ? shape : null, vector.scale, place);
}

function termFigures(term, place) {
  const map = meeting(term);
  const note = `v × image, times λp: each pixel’s share. Adds up to ${signed(term.adds)}.`;
  return [map ? meetingFigure(map, "Where it meets the image", note, place) : null, vectorFigure(term, place)];
}

function placeOf(c, term) {
  const vector = term ? `, eigenvector ${term.index}, layer ${term.layer}` : "";
  return `class ${c}${vector}, ${data.input || "image"}`;
}

function selectedPanel(sum, chosen, of, c, against, open) {
  const term = sum.terms[chosen],
    panel = element("div", { class: "selected", "aria-live": "polite" }),
    last = sum.terms.length - 1;
  const step = (to, text, label) => element("button", {
    type: "button",
    class: "quiet",
    "aria-label": label,
    "data-step": label,
    disabled: to === null || to < -1 || to > last,
    onclick: () => open(to < 0 ? null : to)
  }, text);
  const rowsPlace = of === "logit" ? placeOf(c) : `class ${c} ahead of class ${against}`;
  append(panel, [
    element("div", { class: "selected-head" }, element("h4", {}, term ? termName(term, against) : "All rows together"),
      element("div", {},
        step(term ? chosen - 1 : -2, "←", "Previous row"), step(term ? chosen + 1 : 0, "→", "Next row"))),
    element("div", { class: "pictures" },
      term ? termFigures(term, placeOf(term.from, term)) : togetherFigures(sum, of, rowsPlace))
  ]);
  if (term) {
    append(panel, [definitions("numbers", [
      ["Eigenvalue λ", signedValue(term.eigenvalue, 4)],
      ["Projection p = v·x", figure(term.projection, 4)],
      ["Contribution λp²", signedValue(term.contribution, 4)],
      [term.sign < 0 ? "Enters with a minus" : null, term.sign < 0 ? signedValue(term.adds, 4) : null],
      ["Layer", String(term.layer)],
      ["Number by falling |λ|, from 0", String(term.index)]
    ])]);
  }
  return panel;
}

const sumIntro = {
  centred: "A logit is a sum without a remainder. Its parts are what all classes share, the direct path, the biases, "
    + "and for every eigenvector v of every layer the term λp² with p = v·x. All parts but the first are centred, that "
    + "is, measured against their mean over the classes, as in a decomposition and its report: eigenvector i here is "
    + "eigenvector i there. ",
  whole: "A logit is a sum without a remainder. Its parts are the direct path, the biases, and for every eigenvector v "
    + "of every layer the term λp² with p = v·x. Scores are not centred: each includes what all classes share. "
};

function sumSection(changed) {
  const view = { c: data.prediction, against: null, term: null };
  const names = classes.map((_, i) => (classes.length <= 20 ? String(i) : `Class ${i}`));
  const classPicker = picker("Class", names, (c) => go({ c, against: view.against === c ? null : view.against }));
  const others = menu("Compare with", ["no other class", ...classes.map((_, i) => `class ${i}`)],
    (i) => go({ c: view.c, against: i ? i - 1 : null }));
  const holder = element("div", { class: "sum" });
  let sum = null,
    list = null,
    drawn = "";

  const open = (term, focus = true) => {
    const within = holder.contains(document.activeElement) ? document.activeElement.dataset.step : null;
    go({ ...view, term });
    const panel = holder.querySelector(".selected");
    const another = () => panel.querySelector("[data-step]:not(:disabled)");
    if (within)(panel.querySelector(`[data-step="${within}"]:not(:disabled)`) ?? another())?.focus();
    if (focus) bringIntoView(panel);
  };
  const draw = () => {
    const { c, against, term } = view, of = against === null ? "logit" : "difference";
    classPicker.select(c);
    others.select(against === null ? 0 : against + 1);
    if (drawn !== `${c}/${against}`) {
      drawn = `${c}/${against}`;
      sum = sumOf(c, against);
      list = waterfall(sum, c, against, (number) => open(number === view.term ? null : number));
    }
    holder.replaceChildren(list, selectedPanel(sum, term ?? -1, of, c, against, open));
    list.select(term);
  };
  const go = (wanted, silent = false) => {
    const against = classes[wanted.against] && wanted.against !== wanted.c ? wanted.against : null;
    Object.assign(view, { c: classes[wanted.c] ? wanted.c : data.prediction, against, term: null });
    if (sumOf(view.c, view.against).terms[wanted.term]) view.term = wanted.term;
    const focused = document.activeElement;
    draw();
    if (focused !== document.activeElement && document.contains(focused)) focused.focus();
    changed(view, silent);
  };
  const section = block("sum", 1, "What makes up a logit", null, element("div", { class: "panel" },
    element("div", { class: "card-head" }, element("div", { class: "choice" },
      labelled("Class", classPicker), classes.length > 1 ? labelled("Compare with", others) : null)), holder));
  section.querySelector("header").append(element("p", {}, sumIntro[data.center === "mean" ? "centred" : "whole"],
    element("b", { class: "positive" }, "Blue"), " adds to the logit, ",
    element("b", { class: "negative" }, "orange"), " takes from it."));
  return Object.assign(section, { go });
}

// ------------------------------------------------------------------------------------------------ all classes, sources

function classTable() {
  const cell = (value, digits = 4) => element("td", { class: "number" }, figure(value, digits));
  const shown = (c) => c.terms.reduce((sum, term) => sum + term.contribution, 0);
  const rows = classes.map((c, i) => element("tr", { class: i === data.prediction ? "predicted" : null },
    element("th", { scope: "row" }, element("a", { href: `#class-${i}` }, `Class ${i}`)),
    data.center === "mean" ? cell(c.shared) : null, cell(c.direct), cell(c.linear), cell(shown(c)), cell(c.other),
    cell(c.sum, 6), cell(c.logit, 6), cell(Math.abs(c.sum - c.logit), 2)));
  const heads = [
    ...(data.center === "mean" ? ["Shared"] : []),
    "Direct", "Linear", "Eigenvectors shown", "All others", "Sum", "Logit, float32", "Difference"
  ];
  const head = element("tr", {}, element("td"),
    heads.map((name) => element("th", { scope: "col", class: "number" }, name)));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, rows));
  return block("classes", 1, "All classes", null, element("div", { class: "panel" },
    scrollable("Parts of all logits", table),
    exports(`Parts of all logits, ${data.input || "image"}`, null, () => tableRows(table))));
}

function provenance() {
  const shifted = data.pixel_mean === 0 ? "pixel/255" : `(pixel/255 − ${figure(data.pixel_mean)})`;
  const input = `x = ${shifted}${data.pixel_std === 1 ? "" : ` / ${figure(data.pixel_std)}`}`;
  const space = data.input_space === "input" ? "pixels" : "the model’s own space";
  return block("provenance", 1, "Provenance", null, element("div", { class: "panel" }, definitions("sources", [
    ["Model", data.model],
    ["Image", data.input],
    ["A pixel as the model gets it", input],
    ["First layer explained", `lives in ${space}`],
    ["Numbers and eigenvectors", "explanation.json, explanation.safetensors"],
    ["This page", `bilens ${data.version}`]
  ])));
}

function hashOf({ c, against, term }) {
  const compared = against === null ? "" : `/against-${against}`,
    row = term === null ? "" : `/row-${term}`;
  return `#class-${c}${compared}${row}`;
}

/** {c, against, term} of "#class-3/against-5/row-2"; the last parts may be missing. Null for other hashes. */
function parseHash(hash) {
  const found = /^#class-(\d+)(?:\/against-(\d+))?(?:\/row-(\d+))?$/.exec(hash);
  if (!found || !classes[Number(found[1])]) return null;
  const [c, against, term] = found.slice(1).map((digits) => (digits === undefined ? null : Number(digits)));
  return { c, against, term };
}

const logits = logitChart((c) => {
  section.go({ c, against: null, term: null });
  section.scrollIntoView();
});
const section = sumSection((view, silent) => {
  logits.select(view.c);
  if (!silent) history.replaceState(null, "", hashOf(view));
});

function openHash() {
  const wanted = parseHash(location.hash);
  if (!wanted) return;
  section.go(wanted, true);
  section.scrollIntoView();
}

append(document.getElementById("content"), [opening(logits), section, classTable(), provenance()]);
document.title = `${data.input || "Image"}: predicted ${data.prediction} · bilens explanation`;
navigation([
  ["content", "Image"],
  ["sum", "Logit"],
  ["classes", "All classes"],
  ["provenance", "Provenance"],
  ["glossary", "Glossary"]
]);
section.go({ c: data.prediction, against: null, term: null }, true);
addEventListener("hashchange", openHash);
openHash();
