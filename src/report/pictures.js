// Colours, and pictures of vectors and images: a part of all pages.

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.getElementById("theme");
const painters = new WeakMap(); // canvas -> the function that paints it

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
    const place = (i / 254) * (stops.length - 1),
      left = Math.min(Math.floor(place), stops.length - 2);
    return stops[left].map((c, j) => Math.round(c + (place - left) * (stops[left + 1][j] - c)));
  });
}

const ramps = { light: makeRamp(anchors.light), dark: makeRamp(anchors.dark) };
const colourOf = (step) => ramps[theme()][step + 127]; // step: −127 … 127

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
  const context = node.getContext("2d"),
    image = context.createImageData(node.width, node.height);
  for (let i = 0; i < count; ++i) {
    image.data.set(colour(i), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A vector over the components of a hidden state: bars up and down from zero. */
function paintProfile(node, steps) {
  const context = node.getContext("2d"),
    middle = node.height / 2,
    width = node.width / steps.length;
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

const vectorPicture = (vector, shape, label, className) =>
  stepsPicture(decodeSigned(vector.values), shape, label, className);

/** A picture of pixels as part of a drawing, sharp at any size. paint(node) fills a canvas of [height, width]. */
function pixelImage([height, width], place, paint) {
  const times = Math.max(1, Math.ceil(480 / Math.max(height, width)));
  const small = element("canvas", { width, height }),
    large = element("canvas", { width: times * width, height: times * height });
  paint(small);
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false; // for programs that do not know image-rendering
  context.drawImage(small, 0, 0, large.width, large.height);
  const href = large.toDataURL();
  return svg("image", { ...place, href, style: "image-rendering: pixelated", preserveAspectRatio: "none" });
}

/** A vector as a part of a drawing, as wide as `size`: over pixels a picture, else bars up and down from zero. */
function vectorDrawing(steps, shape, size, left = 0, top = 0) {
  if (shape) {
    const height = (size * shape[0]) / shape[1];
    return pixelImage(shape, { x: left, y: top, width: size, height },
      (node) => paintPixels(node, steps.length, (i) => colourOf(steps[i])));
  }
  const width = size / steps.length,
    tall = size / 2,
    middle = top + tall / 2;
  const axis = { x1: left, x2: left + size, y1: middle, y2: middle, stroke: "#787e84", "stroke-width": 0.5 };
  const bar = (step, i) => {
    const length = (Math.abs(step) / 127) * (tall / 2);
    return svg("rect", {
      class: "component",
      x: left + i * width,
      y: step > 0 ? middle - length : middle,
      width: width * 0.8,
      height: length,
      fill: `rgb(${colourOf(Math.sign(step) * 70).join(" ")})`
    });
  };
  return svg("g", {}, svg("line", axis), [...steps].map(bar));
}

const heightOf = (shape, size) => (shape ? (size * shape[0]) / shape[1] : size / 2);

/** A bar of the colours from the most negative to the most positive value. */
function colourKey() {
  const colours = anchors.light,
    id = `key-${Math.random().toString(36).slice(2)}`;
  const stop = (colour, i) => svg("stop", { offset: i / (colours.length - 1), "stop-color": colour });
  return svg("svg", { viewBox: "0 0 160 12" }, svg("linearGradient", { id }, colours.map(stop)),
    svg("path", { d: "M0 0H160V12H0Z", fill: `url(#${id})` }));
}

const colourLegend = (scale) => ({ before: figure(-scale, 2), mark: colourKey(), text: figure(scale, 2) });

/** Buttons that save a vector: its picture, large, and its components as they are on the page. */
function vectorExports(vector, shape, label) {
  const steps = [...decodeSigned(vector.values)],
    size = 560,
    range = `from ${figure(-vector.scale, 2)} to ${figure(vector.scale, 2)}`;
  const drawing = () =>
    svg("svg", { viewBox: `0 0 ${size} ${heightOf(shape, size)}` }, vectorDrawing(steps, shape, size));
  const numbers = () => [
    ["component", "value, to 1/254 of the largest"], ...steps.map((step, i) => [i, (step / 127) * vector.scale])
  ];
  const words = `${integer(steps.length)} components of the layer’s input, ${range}; their order means nothing.`;
  return exports(label, drawing, numbers, () => [shape ? colourLegend(vector.scale) : { text: words }]);
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
