// How many eigenvectors it takes: a part of the report's script.

function truncationCurve(curve, full, now, choose, label) {
  const kept = curve.validation_accuracy,
    validated = (i) => (kept ? [kept[i], curve.validation_loss[i]] : []);
  return chart(label, 250, (node, width, height) => {
      const most = Math.max(...curve.k, 1),
        even = most <= 32,
        place = (k) => (even ? k : Math.log2(1 + k));
      const x = linearScale([0, place(most)], [46, width - 14]);
      const low = Math.min(...curve.accuracy.filter(isNumber), 1),
        floor = Math.max(0, Math.floor(low * 10) / 10);
      const y = linearScale([floor, 1], [height - 42, 28]);
      let taken = -Infinity;
      const ticks = curve.k.filter((k, i) => {
        const last = k === most || i === curve.k.length - 1;
        const free = x(place(k)) - taken > 26 && (last || x(place(most)) - x(place(k)) > 26);
        if (free) taken = x(place(k));
        return free;
      });
      node.append(axes({
        x: Object.assign((k) => x(place(k)), { range: x.range }),
        y,
        xTicks: ticks,
        yTicks: niceTicks(floor, 1, 5),
        xFormat: String,
        yFormat: (t) => Math.round(100 * t) + "%",
        xName: even ? "eigenvectors kept for each output, k" : "eigenvectors kept for each output, k (log scale)",
        yName: "accuracy"
      }));
      const points = curve.k.map((k, i) => [x(place(k)), y(curve.accuracy[i])]).filter((p) => isNumber(p[1]));
      if (isNumber(full)) {
        node.append(svg("line", { class: "reference", x1: 46, x2: width - 14, y1: y(full), y2: y(full) }));
        const below = full > 0.8 ? 19 : -8;
        const name = `full model ${percent(full)}`;
        node.append(svg("text", { x: width - 14, y: y(full) + below, "text-anchor": "end" }, name));
      }
      node.append(svg("path", { class: "curve", d: path(points) }));
      points.forEach(([px, py]) => node.append(svg("circle", { class: "point", cx: px, cy: py, r: 3.5 })));
      const i = now();
      if (isNumber(curve.accuracy[i])) {
        node.append(svg("circle", { class: "point-now", cx: x(place(curve.k[i])), cy: y(curve.accuracy[i]), r: 6 }));
      }
      node.addEventListener("click", (event) => {
        const box = node.getBoundingClientRect(),
          at = ((event.clientX - box.left) / box.width) * width;
        const distances = curve.k.map((k) => Math.abs(x(place(k)) - at));
        choose(distances.indexOf(Math.min(...distances)));
      });
    }, 470, () => [
      ["k", "accuracy", "loss", ...(kept ? ["validation accuracy", "validation loss"] : [])],
      ...curve.k.map((k, i) => [k, curve.accuracy[i], curve.loss[i], ...validated(i)])
    ],
    () => [
      { mark: lineKey("curve"), text: "accuracy with the top k eigenvectors" },
      isNumber(full) ? { mark: lineKey("reference"), text: "full model" } : null
    ]);
}

const unitOf = (layer) => (layer && directionKind(layer) === "Class" ? "a class" : "an output");

/** "1.2 points below the full model" */
function difference(value, full) {
  if (!isNumber(value) || !isNumber(full)) return null;
  const points = 100 * (value - full);
  if (Math.abs(points) < 0.05) return "as the full model";
  return `${Math.abs(points).toFixed(1)} points ${points < 0 ? "below" : "above"} the full model`;
}

/** What the kept eigenvectors reach on the images that k was chosen on. */
const validationText = ({ validation_accuracy, validation_loss }, i) =>
  `${percent(validation_accuracy[i])} of the validation images, loss ${figure(validation_loss[i])}`;

function truncationPanel(model, curve, many) {
  const full = at(model, "study", "evaluation") ?? {},
    enough = curve.k.indexOf(at(curve, "chosen", "k"));
  let now = enough >= 0 ? enough : curve.k.length - 1;
  const layer = layersOf(model).find((l) => l.layer === curve.layer),
    unit = unitOf(layer);
  const kept = (i) => `${plural(curve.k[i], "eigenvector")} ${unit}`;
  const title = `Accuracy with the top k eigenvectors${many ? ` of layer ${curve.layer}` : ""}`;
  const accuracy = element("div", { class: "figure-value" }),
    notes = element("div", { class: "figure-label" }),
    count = element("b", {});
  const slider = element("input", {
    type: "range",
    min: 0,
    max: curve.k.length - 1,
    step: 1,
    value: now,
    oninput: () => go(Number(slider.value))
  });
  const figureBox = truncationCurve(curve, full.accuracy, () => now, (i) => go(i), title);
  const go = (i) => {
    now = i;
    slider.value = i;
    slider.setAttribute("aria-valuetext", `${kept(i)}: accuracy ${percent(curve.accuracy[i])}`);
    count.textContent = kept(i);
    const reached = curve.accuracy[i];
    accuracy.replaceChildren(isNumber(reached) ? (100 * reached).toFixed(1) : "–", element("small", {}, "%"));
    const loss = curve.loss[i],
      above = isNumber(full.loss) && isNumber(loss) ? ` (${signed(loss - full.loss, 2)})` : "";
    notes.replaceChildren(difference(curve.accuracy[i], full.accuracy) ?? "accuracy", element("br"),
      `loss ${figure(loss)}${above}`, curve.validation_accuracy ? [element("br"), validationText(curve, i)] : "");
    figureBox.redraw();
  };
  const panel = element("figure", { class: "panel truncation" },
    element("div", {}, element("div", { class: "chart-head" }, element("h4", {}, title)), figureBox),
    element("div", {}, element("label", {}, "Keep ", count, slider), element("output", {}, accuracy, notes)));
  go(now);
  return panel;
}

/** Of exactness, what is rounding and what was left out: with all eigenvectors the sum is the layer. */
function exactnessText(model) {
  return (at(model, "study", "exactness") ?? []).map((e) => {
    const layer = layersOf(model).find((l) => l.layer === e.layer);
    return element("p", { class: "note" }, exactnessWords(e, layer));
  });
}

function exactnessWords({ layer: number, relative_error, max_error }, layer) {
  const off = `differs from the model by a relative error of ${figure(relative_error, 2)} `
    + `(largest absolute difference ${figure(max_error, 2)})`;
  if (!layer) return `Rebuilt from its decomposition, layer ${number} ${off}.`;
  if (layer.k >= layer.d_in) {
    return `With all ${integer(layer.k)} eigenvectors the sum is the layer: rebuilt from them, layer ${number} ${off}. `
      + "That is rounding.";
  }
  return `Layer ${number}, rebuilt from ${integer(layer.k)} of ${integer(layer.d_in)} eigenvectors of each `
    + `${directionKind(layer).toLowerCase()}, ${off}. That is what the others would add; with all of them nothing but `
    + "rounding is left.";
}

/** On how many images of what the curves were measured. */
function measuredOn(model) {
  const from = at(model, "study", "data"),
    full = at(model, "study", "evaluation");
  if (!full || !full.examples) return "";
  const split = from && from.split ? `${from.split} ` : "",
    dataset = from && from.dataset ? ` of ${from.dataset}` : "";
  return ` Measured on ${integer(full.examples)} ${split}images${dataset}.`;
}

/** Where the k at first comes from. */
function choiceWords(validation) {
  if (!validation) {
    return " The slider begins at the smallest k that comes within one point of the whole model’s accuracy on these "
      + "same images: none were kept to choose it on.";
  }
  return " The slider begins at the smallest k that comes within one point of the whole model’s accuracy on the "
    + `${integer(validation.examples)} validation images, which is ${percent(validation.accuracy)} with a loss of `
    + `${figure(validation.loss)}.`;
}

function truncation(model, id, level) {
  const all = at(model, "study", "truncation") ?? [],
    curves = all.filter((curve) => curve.k.length && curve.accuracy.some(isNumber));
  const exact = exactnessText(model);
  if (!curves.length && !exact.length) return null;
  const chosen = curves.some((curve) => curve.chosen);
  const choice = chosen ? choiceWords(at(model, "study", "validation")) : "",
    kept = "For each output only the k eigenvectors of largest |λ| are kept.";
  return block(id, level, "How many eigenvectors it takes",
    curves.length ? `${kept}${measuredOn(model)}${choice}` : null,
    curves.map((curve) => truncationPanel(model, curve, layersOf(model).length > 1)), exact);
}
