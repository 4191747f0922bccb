// Charts of several lines: a part of the report's script.

/**
 * Lines with a dot at each point, and their key. Values beyond the axis stand at its end.
 * @param lines [{ name, points: [[x, y]], key, style }] key: what stands beside its line, else the name; style: its
 *   class, else a hue of its own
 * @param view { label, height, paper, x: [low, high], y: [low, high], xName, yName, xFormat, xTicks: how many on a
 *   narrow and a wide screen, point: (name, x, y) => its words, columns: of the CSV, level: { value, name } of a dashed
 *   line across, ordered: whether the lines follow one another, as layers do; then their colours do, from dark to
 *   light }
 */
function linesChart(title, lines, view) {
  if (!lines.length) return null;
  const { level, y: [least, most] } = view;
  const last = view.ordered ? Math.max(1, lines.length - 1) : lines.length,
    colour = (order) => `--place: ${(order / last).toFixed(3)}`;
  const family = view.ordered ? "sequential" : "categorical",
    name = ({ style }) => style ?? family,
    own = ({ style }, order) => (style ? "" : colour(order));
  const box = chart(view.label, view.height, (node, width, height) => {
    const x = linearScale(view.x, [52, width - 12]),
      y = linearScale(view.y, [height - 42, 28]),
      shown = (v) => y(Math.min(most, Math.max(v, least)));
    const [few, many] = view.xTicks;
    const dot = (line, order, [at, value]) => svg("circle", {
      class: `${name(line)}-dot`,
      style: own(line, order),
      cx: x(at),
      cy: shown(value),
      r: 3
    }, svg("title", {}, view.point(line.name, at, value)));
    append(node, [
      axes({
        x,
        y,
        xTicks: niceTicks(...view.x, width < 420 ? few : many).filter(Number.isInteger),
        yTicks: niceTicks(least, most, 5),
        xFormat: view.xFormat,
        yFormat: (v) => brief(v),
        xName: view.xName,
        yName: view.yName
      }),
      level ? svg("line", { class: "cursor", x1: 52, x2: width - 12, y1: y(level.value), y2: y(level.value) },
        svg("title", {}, level.name)) : null,
      lines.map((line, order) => {
        const d = path(line.points.map(([at, value]) => [x(at), shown(value)]));
        return [
          svg("path", { class: name(line), style: own(line, order), d }),
          line.points.map((point) => dot(line, order, point))
        ];
      })
    ]);
  }, view.paper ?? 330, () => [view.columns, ...lines.flatMap(rowsOf)], () => legend());
  const rowsOf = ({ name, points }) => points.map((point) => [name, ...point]);
  const keyOf = (line, order) => ({ mark: lineKey(name(line), own(line, order)), text: line.key ?? line.name });
  const legend = () => [
    ...lines.map(keyOf), ...(level ? [{ mark: lineKey("cursor"), text: level.name }] : [])
  ];
  return element("figure", { class: "panel" },
    element("div", { class: "chart-head" }, element("h4", {}, title), legendLine(legend())), box);
}
