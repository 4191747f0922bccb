// Axes, charts and what walks over them: a part of all pages.

function niceTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) ticks.push(i * step + 0); // no −0
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
      text({ x: left - 7, y: y(t) + 4, "text-anchor": "end" }, spec.yFormat(t))
    ]),
    spec.xTicks.map((t) => text({ x: x(t), y: bottom + 17, "text-anchor": "middle" }, spec.xFormat(t))),
    svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    text({ x: right, y: bottom + 34, "text-anchor": "end" }, spec.xName),
    text({ x: 0, y: top - 16 }, spec.yName));
}

/** A small drawing that stands in a legend. */
const legendMark = (content) => svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" }, content);

/** The piece of a line that stands for it in a legend. */
const lineKey = (className, style = "") =>
  legendMark(svg("line", { class: className, style, x1: 0, x2: 20, y1: 6, y2: 6 }));

/** The items of a legend, as of exports, in a line beside a chart's title. */
function legendLine(items) {
  const item = ({ before, mark, text }) => element("span", {}, before, mark, text);
  return element("div", { class: "legend chart" }, items.map(item));
}

const charts = new WeakMap(); // the element of a chart -> the function that draws it at a width

/** A figure that is drawn again for every width it gets. draw(svg, width, height); rows and legend as of exports */
function chart(label, height, draw, paperWidth, rows, legend) {
  const box = element("div", { class: "chart drawn" });
  let drawn = 0;
  const redraw = (paper = false) => {
    const width = paper ? paperWidth : Math.max(220, Math.round(box.clientWidth));
    if (!box.clientWidth) return;
    drawn = box.clientWidth;
    const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    box.replaceChildren(node, exports(label, () => node, rows, legend));
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
    const box = node.getBoundingClientRect(),
      scale = node.viewBox.baseVal.width / box.width;
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
    const from = current ?? start(),
      last = stops.length - 1;
    const to = {
      ArrowRight: current === null ? from : from + 1,
      ArrowLeft: current === null ? from : from - 1,
      Home: 0,
      End: last
    } [event.key];
    if (to !== undefined) go(Math.min(Math.max(to, 0), last));
    else if (choose && current !== null && (event.key === "Enter" || event.key === " ")) choose(current);
    else return;
    event.preventDefault();
  });
}
