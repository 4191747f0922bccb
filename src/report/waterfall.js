// Sums as drawings: a part of the explanations' scripts.

/**
 * A row for each part of a sum, its bar from the sum before it to the sum behind it.
 * @param node of the drawing, empty
 * @param rows [{ name, about, value, before, after, total: whether its bar begins at zero,
 *   picture: (x, y, size) => a drawing of its vector }], numbers finite but for `value`
 */
function drawWaterfall(node, rows, width) {
  const pictured = rows.some((row) => row.picture),
    tall = pictured ? 40 : 24,
    right = width - 66,
    top = 26;
  const wordsWidth = ({ name, about }) =>
    Math.max(textWidth(name, 12, "bold"), pictured && about ? textWidth(about, 12) : 0);
  const words = Math.max(...rows.map(wordsWidth));
  const left = Math.min(words, width / 2) + 14 + (pictured ? 48 : 0);
  const ends = rows.flatMap((row) => [row.total ? 0 : row.before, row.after]),
    low = Math.min(0, ...ends),
    high = Math.max(0, ...ends);
  const x = linearScale([low, high > low ? high : low + 1], [left, right]),
    bottom = top + tall * rows.length;
  const text = (className, attributes, content) => svg("text", { class: className, ...attributes }, content);
  const tick = (t) => [
    svg("line", { class: t === 0 ? "axis" : "grid", x1: x(t), x2: x(t), y1: top, y2: bottom }),
    text("tick", { x: x(t), y: top - 8, "text-anchor": "middle" }, brief(t, 2))
  ];
  append(node, [
    niceTicks(low, high, width < 520 ? 3 : 6).map(tick),
    rows.map((row, i) => {
      const y = top + i * tall,
        middle = y + tall / 2,
        from = x(row.total ? 0 : row.before),
        to = x(row.after),
        sign = signOf(row.after - (row.total ? 0 : row.before)),
        value = row.total ? figure(row.value, 4) : signed(row.value);
      const bar = svg("rect", {
        class: row.total ? "bar-total" : `bar-${sign || "positive"}`,
        x: Math.min(from, to),
        y: y + tall * 0.2,
        width: Math.max(Math.abs(to - from), 1),
        height: tall * 0.6
      }, svg("title", {}, `${row.name}: ${value}`));
      const wire = { class: "wire", x1: to, x2: to, y1: y + tall * 0.8, y2: y + tall * 1.2 };
      return svg("g", {},
        text("name", { x: 0, y: middle + (row.about && pictured ? -2 : 4) }, row.name),
        row.about && pictured ? text("about", { x: 0, y: middle + 12 }, row.about) : null,
        row.picture?.(left - 48, y + 2, tall - 4) ?? null,
        bar,
        i + 1 < rows.length ? svg("line", wire) : null,
        text("name", { x: width, y: middle + 4, "text-anchor": "end" }, value));
    })
  ]);
}

const waterfallHeight = (rows) => 30 + rows.length * (rows.some((row) => row.picture) ? 40 : 24);

/** The same as a drawing of its own, for a file. */
function waterfallDrawing(rows, width = 720) {
  const node = svg("svg", { class: "waterfall", viewBox: `0 0 ${width} ${waterfallHeight(rows)}` });
  drawWaterfall(node, rows, width);
  return node;
}

const signLegend = () => [{ mark: barKey("positive"), text: "adds" }, { mark: barKey("negative"), text: "takes away" }];
const barKey = (sign) => legendMark(svg("path", { class: `bar-${sign}`, d: "M0 1H20V11H0Z" }));

/** Whether the parts add up to what the model itself says. @param size of the numbers that rounding is measured by */
function gapText(sum, own, size, between = "the model itself, in float32, says ") {
  const gap = Math.abs(sum - own);
  const note = (...content) => element("p", { class: "note check" }, content);
  if (!isNumber(gap)) return note("Some of these numbers are not finite: there is no sum to check.");
  return note("The rows add up to ", element("b", {}, minus(sum.toFixed(6))), "; ",
    between, element("b", {}, minus(own.toFixed(6))), ". The difference is ",
    element("b", { class: "gap" }, gap === 0 ? "0" : figure(gap, 2)),
    gap <= 1e-4 * Math.max(1, size) ? ": rounding." : ".");
}
