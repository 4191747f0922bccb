"use strict";

// What all pages share: elements, numbers, colours, pictures, charts, controls, printing. A page's own script follows
// and draws the JSON in #data. Every string of the data came out of somebody's file: it reaches the document as text
// only, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);

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
  const raised = [...String(Number(exponent))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹" [c])).join("");
  return minus(mantissa) + "×10" + raised;
}

/** As figure, without zeros at the end: for settings and axes. */
const brief = (value, digits) =>
  figure(value, digits).replace(/\.(\d*?)0+(?=$|×)/, (_, kept) => (kept ? "." + kept : ""));

const signed = (value, digits) => (value > 0 ? "+" : "") + figure(value, digits);
const integer = (value) => (isNumber(value) ? value.toLocaleString("en") : "–");
const percent = (value, digits = 1) => (isNumber(value) ? minus((100 * value).toFixed(digits)) + "%" : "–");
/** In words what was measured; nothing where it was not, "undefined" where it has no value, as R² of a constant. */
const measured = (value, words = figure) => (value === undefined ? null : isNumber(value) ? words(value) : "undefined");
const plural = (count, one, many = one + "s") => integer(count) + " " + (count === 1 ? one : many);

function seconds(value) {
  if (!isNumber(value)) return "–";
  if (value < 60) return figure(value) + " s";
  return Math.floor(value / 60) + " min " + Math.round(value % 60) + " s";
}

/** The value at a path of keys; null where there is none. */
function at(object, ...keys) {
  const inside = (value, key) => (value && typeof value === "object" ? value[key] ?? null : null);
  return keys.reduce(inside, object);
}

/** A list of terms and values; values are text or nodes, and what is unknown is left out. */
function definitions(className, rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "–" && value !== "");
  return element("dl", { class: className },
    known.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

/** What may be wider than the page, and is then moved within it. @param label what a screen reader calls it */
function scrollable(label, content) {
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, content);
}

/** A table of numbers. @param heads of the columns, the first that of the names @param lines [name, ...numbers] each */
function numberTable([corner, ...heads], lines) {
  const head = element("tr", {}, element("th", { scope: "col" }, corner),
    heads.map((name) => element("th", { scope: "col", class: "number" }, name)));
  const rows = lines.map(([name, ...numbers]) => element("tr", {}, element("th", { scope: "row" }, name),
    numbers.map((words) => element("td", { class: "number" }, words))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, rows));
}

/** The same, a line for each thing. @param columns [head, thing => words] each @param lines [name, thing] each */
function columnsTable(corner, columns, lines) {
  const line = ([name, thing]) => [name, ...columns.map(([, words]) => words(thing))];
  return numberTable([corner, ...columns.map(([head]) => head)], lines.map(line));
}
