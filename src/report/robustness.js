// How far images are from another class: a part of the report's script.

/** Proved and found robust accuracy; where both bounds meet, one line. */
function robustChart(attack) {
  const sets = [
    ["any change", attack.smallest],
    ["pixels stay in [0, 1], first images alone", attack.bounded]
  ].filter(([, of]) => of);
  const points = ({ length }, values) => length.map((l, i) => [l, values[i]]).filter((p) => p.every(isNumber));
  const apart = ({ curve }) => curve.lower.some((low, i) => Math.abs(low - curve.upper[i]) > 5e-4);
  const lines = sets.flatMap(([name, of]) => {
    const { curve } = of;
    if (!apart(of)) return [{ name, points: points(curve, curve.lower) }];
    return [
      { name: `${name}, proved`, points: points(curve, curve.lower) },
      { name: `${name}, not refuted`, points: points(curve, curve.upper) }
    ];
  });
  const longest = Math.max(...sets.flatMap(([, { curve }]) => curve.length.filter(isNumber)), 1e-9);
  return linesChart("Robust accuracy", lines, {
    label: "Share of images that keep their right class, by the length of the change",
    height: 300,
    x: [0, longest],
    y: [0, 1],
    xName: "length of the change ‖δ‖, in pixel/255",
    yName: "accuracy",
    xFormat: (v) => brief(v),
    xTicks: [4, 8],
    point: (name, x, y) => `${name}: ${percent(y)} at ${figure(x)}`,
    columns: ["line", "length", "accuracy"]
  });
}

function changedPicture(picture) {
  const { width, height, pixels } = data.images[picture.image],
    bytes = decode(pixels),
    steps = decodeSigned(picture.change.values);
  const moved = (i) => bytes[i] + (255 * picture.change.scale * steps[i]) / 127,
    changed = (i) => Math.round(Math.max(0, Math.min(255, moved(i))));
  return canvas(width, height, `The image with its smallest change, class ${picture.other}`,
    (node) => paintPixels(node, bytes.length, (i) => [changed(i), changed(i), changed(i)]));
}

/** An image, its smallest change, and both together. */
function changePictures({ pictures, shape }) {
  if (!pictures.length) return null;
  const item = (picture) => element("li", {},
    imagePicture(data.images[picture.image], `Test image ${picture.number}, class ${picture.prediction}`),
    vectorPicture(picture.change, shape, "The smallest change", ""), changedPicture(picture),
    element("span", {}, `${picture.prediction} → ${picture.other}, ${figure(picture.length)}`));
  return element("figure", { class: "panel" },
    element("div", { class: "chart-head" },
      element("h4", {}, "Images, their smallest changes, and both together")),
    element("ul", { class: "changes" }, pictures.map(item)));
}

function maskPanel({ masks, mask_pictures: pictures, shape }) {
  if (!masks.length) return null;
  const head = ["Mask", "Strength", "Accuracy", "Gets the mask’s class"].map((name) => element("th", {}, name));
  const row = ({ kind, strength, accuracy, misclassified }) => element("tr", {},
    [kind, figure(strength), percent(accuracy), percent(misclassified)].map((text) => element("td", {}, text)));
  const shown = pictures.map((mask, i) => element("li", {},
    vectorPicture(mask, shape, `The mask of class ${i}`, ""), element("span", {}, `class ${i}`)));
  return element("figure", { class: "panel" },
    element("div", { class: "chart-head" }, element("h4", {}, "Masks that are added to every image")),
    element("ul", { class: "changes masks" }, shown),
    scrollable("What masks do", element("table", {}, element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, masks.map(row)))),
    element("p", { class: "note" }, "An eigenvector’s mask is its dual: it moves the projection on that eigenvector "
      + "and on no other. The strength is the root mean square over the pixels. Edge masks are kept to the pixels "
      + "that are dark in the training images. Accuracy is on the images of other classes than the mask’s."));
}

function boundsWords(name, of) {
  if (!of) return "";
  const between = of.exact === of.images ? figure(of.median_lower)
    : `${figure(of.median_lower)} proved, ${figure(of.median_upper)} found`;
  const unreached = of.unreached ? `; for ${integer(of.unreached)} no change was found` : "";
  return `${name}, median of ${plural(of.images, "image")}: ${between}. The proved and the found length agree to 1e-6 `
    + `for ${integer(of.exact)}${unreached}; the largest gap is ${figure(of.largest_gap, 2)}. `;
}

function attackWords({ gradient: found }) {
  if (!found) return "";
  const below = found.below_bound
    ? ` ${plural(found.below_bound, "change")} of it lie below the proved bound, which is therefore wrong.`
    : " None of its changes is below the proved bound.";
  return `An attack by gradients of ${plural(found.steps, "step")} changes the class of `
    + `${plural(found.found, "image")}. At the median its change is ${figure(found.median_ratio, 4)} times as long as `
    + `the shortest one.${below}`;
}

function robustness(model, id, level) {
  const { attack } = model;
  if (!attack) return null;
  const images = `${integer(attack.data.examples)} ${attack.data.split} images of ${attack.data.dataset}`;
  const intro = `For each of ${images} this is the shortest change that gives another class; `
    + `${percent(attack.accuracy)} of the images are classified rightly. `
    + `At the median, ${percent(attack.beyond_range)} of such a change’s squared length lies beyond [0, 1].`;
  const curve = robustChart(attack);
  curve.append(element("p", { class: "note" }, boundsWords("Shortest change", attack.smallest),
    boundsWords("Within [0, 1]", attack.bounded), attackWords(attack)));
  return block(id, level, "How far another class is", intro, curve, changePictures(attack), maskPanel(attack));
}
