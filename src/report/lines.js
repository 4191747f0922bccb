
// Charts of several lines: a part of the report's script.

/**
 * Lines with a dot at each point, and their key. Values beyond the axis stand at its end.
 * @param lines [{ name, points: [[x, y]], key, style }] key: what stands beside its line, else the name; style: its class, else a hue of its own
 * @param view { label, height, paper, x: [low, high], y: [low, high], xName, yName, xFormat, xTicks: how many on a narrow and a wide screen,
 *   point: (name, x, y) => its words, columns: of the CSV, level: { value, name } of a dashed line across }
 */
function linesChart(title, lines, view) {
  if (!lines.length) return null;
  const hue = (order) => `hsl(${Math.round((order * 300) / lines.length)} 60% 48%)`, { level, y: [least, most] } = view;
  const stroke = ({ style }, order) => (style ? { class: style } : { fill: "none", stroke: hue(order), "stroke-width": 2 });
  const fill = ({ style }, order) => (style ? { class: `${style}-dot` } : { fill: hue(order) });
  const box = chart(view.label, view.height, (node, width, height) => {
    const x = linearScale(view.x, [52, width - 12]), y = linearScale(view.y, [height - 42, 28]), shown = (v) => y(Math.min(most, Math.max(v, least)));
    const [few, many] = view.xTicks;
    append(node, [axes({ x, y, xTicks: niceTicks(...view.x, width < 420 ? few : many).filter(Number.isInteger), yTicks: niceTicks(least, most, 5), xFormat: view.xFormat, yFormat: (v) => brief(v),
      xName: view.xName, yName: view.yName }),
    level ? svg("line", { class: "cursor", x1: 52, x2: width - 12, y1: y(level.value), y2: y(level.value) }, svg("title", {}, level.name)) : null,
    lines.map((line, order) => [svg("path", { ...stroke(line, order), d: path(line.points.map(([at, value]) => [x(at), shown(value)])) }),
      line.points.map(([at, value]) => svg("circle", { ...fill(line, order), cx: x(at), cy: shown(value), r: 3 }, svg("title", {}, view.point(line.name, at, value))))])]);
  }, view.paper ?? 330, () => [view.columns, ...lines.flatMap(({ name, points }) => points.map((point) => [name, ...point]))]);
  const key = (line, order) => element("span", {}, svg("svg", { viewBox: "0 0 20 12", class: "chart", "aria-hidden": "true" },
    svg("line", { ...stroke(line, order), x1: 0, x2: 20, y1: 6, y2: 6 })), line.key ?? line.name);
  return element("figure", { class: "panel" }, element("div", { class: "chart-head" }, element("h4", {}, title),
    element("div", { class: "legend chart" }, lines.map(key), level ? element("span", {}, `${level.name} (dashed)`) : null)), box);
}
