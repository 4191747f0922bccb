"use strict";

// What all pages share: elements, numbers, colours, pictures, charts, controls, printing. A page's own script follows and
// draws the JSON in #data. Every string of the data came out of somebody's file: it reaches the document as text only,
// never as markup.

const data = JSON.parse(document.getElementById("data").textContent);

// ---------------------------------------------------------------------------------------------- elements and numbers

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  return append(node, children);
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return append(node, children);
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const signOf = (value) => (value > 0 ? "positive" : value < 0 ? "negative" : "");
const minus = (text) => text.replace("-", "−");

/** Significant digits, with powers of ten where they are needed: 0.0123, 1.30×10⁻⁷. */
function figure(value, digits = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) {
    const text = size >= 10 ** digits ? Math.round(value).toLocaleString("en") : value.toPrecision(digits);
    return minus(text);
  }
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const raised = [...String(Number(exponent))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
  return minus(mantissa) + "×10" + raised;
}

/** As figure, without zeros at the end: for settings and axes. */
const brief = (value, digits) => figure(value, digits).replace(/\.(\d*?)0+(?=$|×)/, (_, kept) => (kept ? "." + kept : ""));

const signed = (value, digits) => (value > 0 ? "+" : "") + figure(value, digits);
const integer = (value) => (isNumber(value) ? value.toLocaleString("en") : "–");
const percent = (value, digits = 1) => (isNumber(value) ? minus((100 * value).toFixed(digits)) + "%" : "–");
/** In words what was measured; nothing where it was not, "undefined" where it has no value, such as R² of a constant. */
const measured = (value, words = figure) => (value === undefined ? null : isNumber(value) ? words(value) : "undefined");
const plural = (count, one, many = one + "s") => integer(count) + " " + (count === 1 ? one : many);

function seconds(value) {
  if (!isNumber(value)) return "–";
  if (value < 60) return figure(value) + " s";
  return Math.floor(value / 60) + " min " + Math.round(value % 60) + " s";
}

/** The value at a path of keys; null where there is none. */
const at = (object, ...keys) => keys.reduce((value, key) => (value && typeof value === "object" ? value[key] ?? null : null), object);

/** A list of terms and values; values are text or nodes, and what is unknown is left out. */
function definitions(className, rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "–" && value !== "");
  return element("dl", { class: className },
    known.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

// -------------------------------------------------------------------------------------------------- themes and colour

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.getElementById("theme");
const painters = new WeakMap();  // canvas -> the function that paints it

let printing = false;

const theme = () => document.documentElement.dataset.theme;

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  themeButton.textContent = name === "dark" ? "Light" : "Dark";
  themeButton.setAttribute("aria-pressed", String(name === "dark"));
  for (const canvas of document.querySelectorAll("canvas")) painters.get(canvas)?.(canvas);
}

/** Anchors from −1 to +1. Zero, in the middle, is neutral; orange and blue are told apart with any colour vision. */
const anchors = {
  light: ["#7a2e04", "#c95c10", "#f0a868", "#f7dcc3", "#f8f8f6", "#c9ddf0", "#78aedd", "#2468b4", "#0b2f66"],
  dark: ["#ffe2c4", "#f7a25c", "#c4651c", "#6d3510", "#16191d", "#153a66", "#2a6fbd", "#76b4fb", "#d6eaff"],
};

function makeRamp(colours) {
  const stops = colours.map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  return Array.from({ length: 255 }, (_, i) => {
    const place = (i / 254) * (stops.length - 1), left = Math.min(Math.floor(place), stops.length - 2);
    return stops[left].map((c, j) => Math.round(c + (place - left) * (stops[left + 1][j] - c)));
  });
}

const ramps = { light: makeRamp(anchors.light), dark: makeRamp(anchors.dark) };
const colourOf = (step) => ramps[theme()][step + 127];  // step: −127 … 127

// ---------------------------------------------------------------------------------------------------------- pictures

function decode(base64) {
  const text = atob(base64);
  return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

const decodeSigned = (base64) => new Int8Array(decode(base64).buffer);

function canvas(width, height, label, paint, className = "") {
  const node = element("canvas", { width, height, class: className, role: "img", "aria-label": label });
  painters.set(node, paint);
  paint(node);
  return node;
}

function paintPixels(node, count, colour) {
  const context = node.getContext("2d"), image = context.createImageData(node.width, node.height);
  for (let i = 0; i < count; ++i) {
    image.data.set(colour(i), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A vector over the components of a hidden state: bars up and down from zero. */
function paintProfile(node, steps) {
  const context = node.getContext("2d"), middle = node.height / 2, width = node.width / steps.length;
  context.clearRect(0, 0, node.width, node.height);
  steps.forEach((step, i) => {
    context.fillStyle = `rgb(${colourOf(step > 0 ? 70 : -70).join(" ")})`;
    const length = (step / 127) * middle * 0.94;
    context.fillRect(i * width, middle - Math.max(length, 0), Math.max(width * 0.8, 1), Math.abs(length));
  });
  context.fillStyle = `rgb(${theme() === "dark" ? "140 146 153" : "120 126 132"})`;
  context.fillRect(0, middle - 0.5, node.width, 1);
}

/** @param steps −127 … 127; shape [height, width], or null where the components are no pixels */
function stepsPicture(steps, shape, label, className) {
  if (shape) {
    return canvas(shape[1], shape[0], label,
      (node) => paintPixels(node, steps.length, (i) => colourOf(steps[i])), className);
  }
  const side = className === "large" ? 640 : 240;
  return canvas(side, side, label, (node) => paintProfile(node, steps), className + " profile");
}

const vectorPicture = (vector, shape, label, className) => stepsPicture(decodeSigned(vector.values), shape, label, className);

/** Buttons that save a vector: its picture as rectangles, and its components as they are on the page. */
function vectorExports(vector, shape, label) {
  const steps = [...decodeSigned(vector.values)], width = shape ? shape[1] : steps.length, height = shape ? shape[0] : width / 2;
  const bar = (step, i) => ({ x: i, y: height / 2 - (Math.max(step, 0) / 127) * (height / 2), width: 0.8, height: (Math.abs(step) / 127) * (height / 2) });
  const pixel = (i) => ({ x: i % width, y: Math.floor(i / width), width: 1, height: 1 });
  const drawing = () => svg("svg", { viewBox: `0 0 ${width} ${height}` }, steps.map((step, i) =>
    svg("rect", { ...(shape ? pixel(i) : bar(step, i)), fill: `rgb(${colourOf(shape ? step : Math.sign(step) * 70).join(" ")})` })));
  return exports(label, drawing, () => [["component", "value, to 1/254 of the largest"], ...steps.map((step, i) => [i, (step / 127) * vector.scale])]);
}

/** @param image {height, width, pixels} */
function imagePicture(image, label, className) {
  const pixels = decode(image.pixels);
  return canvas(image.width, image.height, label,
    (node) => paintPixels(node, pixels.length, (i) => [pixels[i], pixels[i], pixels[i]]), className);
}

function colourBar(scale) {
  const bar = canvas(255, 1, "Colour scale", (node) => paintPixels(node, 255, (i) => colourOf(i - 127)));
  bar.setAttribute("aria-hidden", "true");
  return element("div", { class: "colour-bar" }, bar,
    element("div", {}, [-scale, 0, scale].map((value) => element("span", {}, figure(value, 2)))));
}

// ------------------------------------------------------------------------------------------------------------ charts

function niceTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) ticks.push(i * step + 0);  // no −0
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power) {
    for (const m of [1, 2, 5]) ticks.push(m * 10 ** power);
  }
  return ticks.filter((t) => t >= low * 0.999 && t <= high * 1.001);
}

function linearScale(domain, range) {
  const [a, b] = domain, width = b - a || 1;
  const scale = (value) => range[0] + ((value - a) / width) * (range[1] - range[0]);
  return Object.assign(scale, { domain, range });
}

function logScale(domain, range) {
  const inner = linearScale(domain.map(Math.log), range);
  return Object.assign((value) => inner(Math.log(value)), { domain, range });
}

const path = (points) => points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");

/** Grid, ticks and names of the two axes. spec: {x, y, xTicks, yTicks, xName, yName, xFormat, yFormat, grid} */
function axes(spec) {
  const { x, y } = spec, [left, right] = x.range, [bottom, top] = y.range;
  const text = (attributes, content) => svg("text", attributes, content);
  return svg("g", { "aria-hidden": "true" },
    spec.yTicks.map((t) => [
      svg("line", { class: "grid", x1: left, x2: right, y1: y(t), y2: y(t) }),
      text({ x: left - 7, y: y(t) + 4, "text-anchor": "end" }, spec.yFormat(t))]),
    spec.xTicks.map((t) => text({ x: x(t), y: bottom + 17, "text-anchor": "middle" }, spec.xFormat(t))),
    svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    text({ x: right, y: bottom + 34, "text-anchor": "end" }, spec.xName),
    text({ x: 0, y: top - 16 }, spec.yName));
}

const charts = new WeakMap();  // the element of a chart -> the function that draws it at a width

/** A button that saves a text as a file. */
function saver(name, file, type, make) {
  return element("button", { type: "button", class: "quiet", "aria-label": `Save as ${name}: ${file}`, onclick: () => {
    const link = element("a", { download: file, href: URL.createObjectURL(new Blob([make()], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } }, name);
}

/** Rows of cells as CSV (RFC 4180). */
const csv = (rows) => rows.map((row) => row.map((cell) => {
  const text = String(cell ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",")).join("\r\n") + "\r\n";

/** A drawing as a file of its own: what the page's style sheet says stands in it. */
function standalone(node) {
  const copy = node.cloneNode(true), [, , width, height] = node.getAttribute("viewBox").split(" ");
  const parts = [copy, ...copy.querySelectorAll("*")];
  [node, ...node.querySelectorAll("*")].forEach((part, i) => {
    const style = getComputedStyle(part);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "visibility", "font-size", "font-family", "font-weight", "color"]) {
      parts[i].style.setProperty(name, style.getPropertyValue(name));
    }
  });
  copy.style.background = getComputedStyle(document.body).backgroundColor;
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new XMLSerializer().serializeToString(copy);
}

/** Buttons that save a figure: find() gives its drawing, rows() its numbers under a head. */
function exports(label, find, rows) {
  const file = label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return element("div", { class: "exports" }, find ? saver("SVG", `${file}.svg`, "image/svg+xml", () => standalone(find())) : null,
    rows ? saver("CSV", `${file}.csv`, "text/csv", () => csv(rows())) : null);
}

/** What a table shows, as rows. */
const tableRows = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));

/** A figure that is drawn again for every width it gets. draw(svg, width, height) */
function chart(label, height, draw, paperWidth, rows) {
  const box = element("div", { class: "chart drawn" });
  let drawn = 0;
  const redraw = (paper = false) => {
    const width = paper ? paperWidth : Math.max(220, Math.round(box.clientWidth));
    if (!box.clientWidth) return;
    drawn = box.clientWidth;
    const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    box.replaceChildren(node, exports(label, () => node, rows));
    draw(node, width, height);
  };
  new ResizeObserver(() => { if (!printing && Math.abs(box.clientWidth - drawn) > 1) redraw(); }).observe(box);
  charts.set(box, redraw);
  return Object.assign(box, { redraw });
}

/** Lets pointer and arrow keys walk over the points of a chart. stops: pixel positions; move(i) or move(null). */
function explore(node, stops, { move, choose, label, start = () => 0 }) {
  let current = null;
  const go = (i) => {
    current = i;
    move(i);
  };
  const nearest = (event) => {
    const box = node.getBoundingClientRect(), scale = node.viewBox.baseVal.width / box.width;
    const at = (event.clientX - box.left) * scale;
    let best = 0;
    stops.forEach((stop, i) => { if (Math.abs(stop - at) < Math.abs(stops[best] - at)) best = i; });
    return best;
  };
  if (!stops.length) return;
  node.setAttribute("tabindex", "0");
  node.setAttribute("aria-label", label);
  node.addEventListener("pointermove", (event) => go(nearest(event)));
  node.addEventListener("pointerleave", () => go(null));
  node.addEventListener("blur", () => go(null));
  if (choose) node.addEventListener("click", (event) => choose(nearest(event)));
  node.addEventListener("keydown", (event) => {
    const from = current ?? start(), last = stops.length - 1;
    const to = { ArrowRight: current === null ? from : from + 1, ArrowLeft: current === null ? from : from - 1,
      Home: 0, End: last }[event.key];
    if (to !== undefined) go(Math.min(Math.max(to, 0), last));
    else if (choose && current !== null && (event.key === "Enter" || event.key === " ")) choose(current);
    else return;
    event.preventDefault();
  });
}

// ------------------------------------------------------------------------------------------------------------- sections

function block(id, level, title, intro, ...content) {
  return element("section", { class: "block", id },
    element("header", {}, element(level === 1 ? "h2" : "h3", {}, title), intro ? element("p", {}, intro) : null), content);
}

function bigFigure(value, unit, label) {
  return element("div", {}, element("div", { class: "figure-value" }, value, unit ? element("small", {}, unit) : null),
    element("div", { class: "figure-label" }, label));
}

function navigation(links) {
  document.getElementById("nav").append(...links.map(([id, name]) => element("a", { href: `#${id}` }, name)));
}

/** On a narrow screen the enlarged eigenvector may be far above the thumbnail that was chosen. */
function bringIntoView(panel) {
  const box = panel.getBoundingClientRect();
  if (box.bottom < 120 || box.top > innerHeight - 40) panel.scrollIntoView();
}

// ------------------------------------------------------------------------------------------------------------- controls

/** A row of tabs; arrow keys, Home and End move along it. choose(i) */
function tabs(label, names, choose) {
  const nodes = names.map((name, i) => element("button", { role: "tab", type: "button", "aria-selected": "false", tabindex: -1,
    onclick: () => choose(i) }, name));
  const list = element("div", { role: "tablist", "aria-label": label, onkeydown: (event) => {
    const now = nodes.indexOf(document.activeElement), last = nodes.length - 1;
    const to = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last }[event.key];
    if (to === undefined || now < 0) return;
    event.preventDefault();
    nodes[to].focus();
    choose(to);
  } }, nodes);
  const select = (chosen) => nodes.forEach((node, i) => {
    node.setAttribute("aria-selected", String(i === chosen));
    node.setAttribute("tabindex", i === chosen ? 0 : -1);
  });
  return Object.assign(list, { select });
}

function menu(label, names, choose) {
  const list = element("select", { "aria-label": label, onchange: () => choose(list.selectedIndex) },
    names.map((name) => element("option", {}, name)));
  return Object.assign(list, { select: (chosen) => { list.selectedIndex = chosen; } });
}

const picker = (label, names, choose) => (names.length <= 20 ? tabs : menu)(label, names, choose);

function signedValue(value, digits = 3) {
  return element("span", { class: signOf(value) }, signed(value, digits));
}

// ------------------------------------------------------------------------------------------------------------- the page

/** On paper everything is light, charts have the width of a page, and what is folded away is laid open. */
function preparePrinting() {
  let before = null;
  const redraw = () => document.querySelectorAll(".chart.drawn").forEach((box) => charts.get(box)(printing));
  addEventListener("beforeprint", () => {
    before ??= { theme: theme(), closed: [...document.querySelectorAll("details.provenance:not([open])")] };
    before.closed.forEach((details) => { details.open = true; });
    printing = true;
    setTheme("light");
    redraw();
  });
  addEventListener("afterprint", () => {
    before?.closed.forEach((details) => { details.open = false; });
    printing = false;
    setTheme(before?.theme ?? theme());
    before = null;
    redraw();
  });
}

setTheme(systemDark.matches ? "dark" : "light");
systemDark.addEventListener("change", () => setTheme(systemDark.matches ? "dark" : "light"));
themeButton.addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
document.getElementById("footer").textContent = `Written by bilens ${data.version}. The page is one file and loads nothing from anywhere.`;
preparePrinting();
