// How many eigenvectors it takes: a part of the report's script.

function truncationCurve(curve, full, now, choose, label) {
  const kept = curve.validation_accuracy;
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
        const free = x(place(k)) - taken > 26 && (i === curve.k.length - 1 || x(place(most)) - x(place(k)) > 26 || k === most);
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
        node.append(svg("text", { x: width - 14, y: y(full) + (full > 0.8 ? 19 : -8), "text-anchor": "end" }, `full model ${percent(full)}`));
      }
      node.append(svg("path", { class: "curve", d: path(points) }));
      points.forEach(([px, py]) => node.append(svg("circle", { class: "point", cx: px, cy: py, r: 3.5 })));
      const i = now();
      if (isNumber(curve.accuracy[i])) node.append(svg("circle", { class: "point-now", cx: x(place(curve.k[i])), cy: y(curve.accuracy[i]), r: 6 }));
      node.addEventListener("click", (event) => {
        const box = node.getBoundingClientRect(),
          at = ((event.clientX - box.left) / box.width) * width;
        const distances = curve.k.map((k) => Math.abs(x(place(k)) - at));
        choose(distances.indexOf(Math.min(...distances)));
      });
    }, 470, () => [
      ["k", "accuracy", "loss", ...(kept ? ["validation accuracy", "validation loss"] : [])],
      ...curve.k.map((k, i) => [k, curve.accuracy[i], curve.loss[i], ...(kept ? [kept[i], curve.validation_loss[i]] : [])])
    ],
    () => [{ mark: lineKey("curve"), text: "accuracy with the top k eigenvectors" }, isNumber(full) ? { mark: lineKey("reference"), text: "full model" } : null]);
}

const unitOf = (layer) => (layer && directionKind(layer) === "Class" ? "a class" : "an output");

/** "1.2 points below the full model" */
function difference(value, full) {
  if (!isNumber(value) || !isNumber(full)) return null;
  const points = 100 * (value - full);
  if (Math.abs(points) < 0.05) return "as the full model";
  return `${Math.abs(points).toFixed(1)} points ${points < 0 ? "below" : "above"} the full model`;
}

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
  const slider = element("input", { type: "range", min: 0, max: curve.k.length - 1, step: 1, value: now, oninput: () => go(Number(slider.value)) });
  const figureBox = truncationCurve(curve, full.accuracy, () => now, (i) => go(i), title);
  const go = (i) => {
    now = i;
    slider.value = i;
    slider.setAttribute("aria-valuetext", `${kept(i)}: accuracy ${percent(curve.accuracy[i])}`);
    count.textContent = kept(i);
    accuracy.replaceChildren(isNumber(curve.accuracy[i]) ? (100 * curve.accuracy[i]).toFixed(1) : "–", element("small", {}, "%"));
    const loss = curve.loss[i];
    notes.replaceChildren(difference(curve.accuracy[i], full.accuracy) ?? "accuracy", element("br"),
      `loss ${figure(loss)}` + (isNumber(full.loss) && isNumber(loss) ? ` (${signed(loss - full.loss, 2)})` : ""),
      curve.validation_accuracy ? [element("br"), `${percent(curve.validation_accuracy[i])} of the validation images, loss ${figure(curve.validation_loss[i])}`] : "");
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
    const layer = layersOf(model).find((l) => l.layer === e.layer),
      all = layer && layer.k >= layer.d_in;
    const off = `by a relative error of ${figure(e.relative_error, 2)} (largest absolute difference ${figure(e.max_error, 2)})`;
    const words = !layer ? `Rebuilt from its decomposition, layer ${e.layer} differs from the model ${off}.`
      : all ? `With all ${integer(layer.k)} eigenvectors the sum is the layer: rebuilt from them, layer ${e.layer} differs from the model ${off}: rounding.`
      : `Layer ${e.layer} rebuilt from ${integer(layer.k)} of ${integer(layer.d_in)} eigenvectors of each ${directionKind(layer).toLowerCase()} differs from the model ${off}. That is what the others would add; with all of them nothing but rounding is left.`;
    return element("p", { class: "note" }, words);
  });
}

function truncation(model, id, level) {
  const curves = (at(model, "study", "truncation") ?? []).filter((curve) => curve.k.length && curve.accuracy.some(isNumber));
  const exact = exactnessText(model);
  if (!curves.length && !exact.length) return null;
  const from = at(model, "study", "data"),
    full = at(model, "study", "evaluation");
  const images = full && full.examples ? ` Measured on ${integer(full.examples)} ${from && from.split ? from.split + " " : ""}images${from && from.dataset ? ` of ${from.dataset}` : ""}.` : "";
  const validation = at(model, "study", "validation"),
    chosen = curves.some((curve) => curve.chosen);
  const choice = !chosen ? "" : validation ? ` The k at first is the smallest within one point of the whole model’s accuracy on the ${integer(validation.examples)} validation images, ${percent(validation.accuracy)} with a loss of ${figure(validation.loss)}.`
    : " The k at first is the smallest within one point of the whole model’s accuracy on these same images: none were kept to choose it on.";
  return block(id, level, "How many eigenvectors it takes", curves.length ? `For each output only the k eigenvectors of largest |λ| are kept.${images}${choice}` : null,
    curves.map((curve) => truncationPanel(model, curve, layersOf(model).length > 1)), exact);
}
