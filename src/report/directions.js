// Output directions, the gallery of their leading eigenvectors and their spectra: a part of the report's script.

/** What one output direction of a layer is called. */
function directionKind(layer) {
  if (layer.directions === "outputs" && layer.output_is === "logits") return "Class";
  if (layer.directions === "outputs") return "Output";
  return layer.directions === "axes" ? "Axis" : "Direction";
}

/** "Class 3", or the tokens that a direction is made of. */
const directionName = (layer, i) => at(layer, "direction_names", i) ?? `${directionKind(layer)} ${i}`;

/** The same in the midst of a sentence. */
const directionWords = (layer, i) => at(layer, "direction_names", i) ?? `${directionKind(layer).toLowerCase()} ${i}`;

function shapeOf(model, layer) {
  const shape = at(model, "decomposition", "image_shape");
  return layer.input_space === "input" && shape && shape[0] * shape[1] === layer.d_in ? shape : null;
}

const leading = (direction, sign) =>
  direction.eigenvectors.find((vector) => signOf(direction.eigenvalues[vector.index]) === sign) ?? null;

/** The leading eigenvector of each sign, of all directions side by side. */
function overview(model, layer, choose) {
  const shape = shapeOf(model, layer),
    kind = directionKind(layer);
  const half = (direction, sign, name) => {
    const vector = leading(direction, sign);
    if (!vector) return [element("span", { class: "absent" }, "none"), element("span", { class: "value" }, " ")];
    const eigenvalue = direction.eigenvalues[vector.index];
    return [vectorPicture(vector, shape, `${name}, top ${sign} eigenvector`, ""),
      element("span", { class: "value" }, signedValue(eigenvalue))
    ];
  };
  const buttons = layer.shown.map((direction, i) => {
    const name = directionName(layer, i);
    return element("button", { type: "button", "aria-pressed": "false", onclick: () => choose(i) },
      element("span", { class: "title" }, name), half(direction, "positive", name), half(direction, "negative", name));
  });
  const long = buttons.length > 40;
  const grid = element("div", {
    class: "overview" + (buttons.length < 6 ? " few" : "") + (long ? " long" : ""),
    role: "group",
    "aria-label": `Top positive and negative eigenvector of every ${kind.toLowerCase()}`,
    tabindex: long ? 0 : null
  }, buttons);
  const title = `Top positive and negative eigenvector of each ${kind.toLowerCase()}, layer ${layer.layer}`;
  const rows = () => [
    [kind.toLowerCase(), "positive index", "positive eigenvalue", "negative index", "negative eigenvalue"],
    ...layer.shown.map((direction, i) => [directionName(layer, i), ...["positive", "negative"].flatMap((sign) => {
      const vector = leading(direction, sign);
      return vector ? [vector.index, direction.eigenvalues[vector.index]] : ["", ""];
    })])
  ];
  const legend = () => [{ text: "Each has its own colour scale: zero is neutral, blue positive, orange negative." }];
  const box = element("div", {}, grid, exports(title, () => gallery(layer, shape), rows, legend));
  const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));
  return Object.assign(box, { select: (chosen) => buttons.forEach((button, i) => press(button, i === chosen)) });
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** The same as one drawing: a column for each direction, its name, the two vectors and their eigenvalues. */
function gallery(layer, shape) {
  const size = 88,
    gap = 12,
    tall = heightOf(shape, size),
    columns = Math.min(10, layer.shown.length),
    row = 2 * (tall + 20) + 28;
  const font = { "text-anchor": "middle", "font-size": 12 };
  const text = (x, y, content, weight = "normal") =>
    svg("text", { x, y, ...font, "font-weight": weight, style: "fill: #1a1d21" }, content);
  const cell = (direction, i) => {
    const left = (i % columns) * (size + gap),
      top = Math.floor(i / columns) * (row + gap),
      middle = left + size / 2;
    const half = (sign, y) => {
      const vector = leading(direction, sign);
      if (!vector) return text(middle, y + tall / 2, "none");
      return [
        vectorDrawing(decodeSigned(vector.values), shape, size, left, y),
        text(middle, y + tall + 14, signed(direction.eigenvalues[vector.index]))
      ];
    };
    return [
      text(middle, top + 14, shortened(directionName(layer, i), 14), "bold"),
      half("positive", top + 22), half("negative", top + 22 + tall + 22)
    ];
  };
  const width = columns * (size + gap) - gap,
    height = Math.ceil(layer.shown.length / columns) * (row + gap) - gap;
  return svg("svg", { viewBox: `0 0 ${width} ${height}` }, layer.shown.map(cell));
}

/** @param title of the chart, its direction and layer */
function spectrumChart(direction, title, selected, choose) {
  const values = direction.eigenvalues,
    shown = new Set(direction.eigenvectors.map((v) => v.index));
  const readout = element("div", { class: "readout", "aria-live": "polite" });
  const box = chart(title, 210, (node, width, height) => {
      const low = Math.min(0, ...values),
        high = Math.max(0, ...values),
        room = (high - low) * 0.04 || 1;
      const x = linearScale([-0.5, values.length - 0.5], [52, width - 4]),
        y = linearScale([low - room, high + room], [height - 38, 28]);
      const step = (width - 56) / values.length,
        bar = Math.min(Math.max(step * 0.62, 1), 14);
      node.append(axes({
        x,
        y,
        xTicks: niceTicks(0, values.length - 1, 8).filter(Number.isInteger),
        yTicks: low === high ? [0] : niceTicks(low, high, 5),
        xFormat: String,
        yFormat: (t) => brief(t, 2),
        xName: "eigenvector, by falling |λ|",
        yName: "eigenvalue λ"
      }));
      node.append(svg("line", { class: "axis", x1: 52, x2: width - 4, y1: y(0), y2: y(0) }));
      values.forEach((value, i) => {
        const tall = Math.max(Math.abs(y(value) - y(0)), 0.75);
        node.append(svg("rect", {
          class: `bar-${signOf(value) || "positive"}${shown.has(i) ? "" : " bar-faint"}`,
          x: x(i) - bar / 2,
          y: value >= 0 ? y(0) - tall : y(0),
          width: bar,
          height: tall
        }));
      });
      const pointer = (i) => {
        const up = values[i] >= 0,
          tip = y(values[i]) + (up ? -4 : 4),
          size = up ? -6 : 6;
        return `M${x(i)} ${tip}l-4.5 ${size}h9z`;
      };
      if (selected !== null) node.append(svg("path", { class: "mark", d: pointer(selected) }));
      const cursor = svg("line", { class: "cursor", y1: 22, y2: height - 38, visibility: "hidden" });
      node.append(cursor);
      explore(node, values.map((_, i) => x(i)), {
        label: `${title}: ${plural(values.length, "eigenvalue")}. Arrow keys read them, Enter selects.`,
        start: () => selected ?? 0,
        choose: (i) => { if (shown.has(i)) choose(i); },
        move: (i) => {
          cursor.setAttribute("visibility", i === null ? "hidden" : "visible");
          readout.replaceChildren();
          if (i === null) return;
          for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(i));
          append(readout, [
            `eigenvector ${i} · λ `, element("b", {}, signed(values[i], 4)),
            shown.has(i) ? "" : " · beyond those shown below"
          ]);
        }
      });
    }, 420, () => [
      ["index", "eigenvalue"], ...values.map((value, i) => [i, value])
    ],
    () => [{ text: directionFacts(direction) }]);
  return element("div", {}, box, readout);
}
