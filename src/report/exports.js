// Figures as files of their own, fit to stand in a paper: SVG, PNG, CSV. A part of all pages.

/** Where files are made the page is light, whatever it is for its reader. */
function inLight(make) {
  const root = document.documentElement,
    before = root.dataset.theme;
  root.dataset.theme = "light";
  try {
    return make();
  } finally {
    root.dataset.theme = before;
  }
}

/** A button that saves a file. make() gives a text or a Blob, now or later. */
function saver(name, file, type, make) {
  return element("button", {
    type: "button",
    class: "quiet",
    "aria-label": `Save as ${name}: ${file}`,
    onclick: async () => {
      const content = await make(),
        blob = content instanceof Blob ? content : new Blob([content], { type });
      const link = element("a", { download: file, href: URL.createObjectURL(blob) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }, name);
}

/** Rows of cells as CSV (RFC 4180). */
const csv = (rows) => rows.map((row) => row.map((cell) => {
  const text = String(cell ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",")).join("\r\n") + "\r\n";

/** What a table shows, as rows. */
const tableRows = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));

const drawnStyles = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "visibility", "font-size", "font-family",
  "font-weight", "color", "image-rendering", "text-anchor", "stop-color", "stop-opacity"
];

/** A copy of a drawing in which stands what the page's style sheet says of it. */
function styled(drawing) {
  const host = drawing.isConnected ? null : element("div", { class: "chart off-stage" }, drawing);
  if (host) document.body.append(host);
  const copy = drawing.cloneNode(true),
    copies = [copy, ...copy.querySelectorAll("*")];
  [drawing, ...drawing.querySelectorAll("*")].forEach((part, i) => {
    const style = getComputedStyle(part);
    for (const name of drawnStyles) copies[i].style.setProperty(name, style.getPropertyValue(name));
  });
  copy.querySelectorAll(".cursor[visibility=hidden]").forEach((cursor) => cursor.remove());
  host?.remove();
  return copy;
}

const sizeOf = (drawing) => drawing.getAttribute("viewBox").split(" ").slice(2).map(Number);
const sheetFont = { "font-family": "Helvetica, Arial, sans-serif", fill: "#1a1d21" };

function textWidth(text, size, weight = "") {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${weight} ${size}px Helvetica, Arial, sans-serif`;
  return context.measureText(text).width;
}

/** Words in lines that are no wider than this. */
function wrapped(text, width, size, weight) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (lines.at(-1) && textWidth(longer, size, weight) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** Puts a drawing at a place of a sheet, at a scale. */
function placed(drawing, x, y, scale = 1) {
  const transform = `translate(${x} ${y}) scale(${scale})`;
  return svg("g", { transform, style: drawing.getAttribute("style") ?? "" }, ...drawing.childNodes);
}

/**
 * The items of a legend one behind the other, in as many lines as they take.
 * @param items [{before, mark, text}] @return nodes and height
 */
function legendNodes(items, left, top, width) {
  const nodes = [];
  let x = left,
    y = top;
  for (const { before = "", mark = null, text = "" } of items) {
    const [markWidth] = mark ? sizeOf(mark) : [0], gap = (part) => (part ? textWidth(part, 12) + 6 : 0);
    const whole = gap(before) + (mark ? markWidth + 6 : 0) + gap(text);
    const say = (line) => {
      nodes.push(svg("text", { ...sheetFont, x, y: y + 10, "font-size": 12 }, line));
      x += textWidth(line, 12) + 6;
    };
    if (x > left && x + whole > left + width)[x, y] = [left, y + 18];
    if (before) say(before);
    if (mark) {
      nodes.push(placed(styled(mark), x, y));
      x += markWidth + 6;
    }
    wrapped(text, Math.max(120, left + width - x), 12).forEach((line, i) => {
      if (i)[x, y] = [left, y + 16];
      if (line) say(line);
    });
    x += 12;
  }
  return { nodes, height: items.length ? y - top + 24 : 0 };
}

/** A drawing as an SVG file that needs no page around it: title, legend, white background. */
function standalone(drawing, title, legend = []) {
  const margin = 20,
    [width, height] = sizeOf(drawing),
    scale = Math.max(1, 420 / width),
    inner = width * scale;
  const lines = wrapped(title, inner, 15, "bold"),
    top = margin + lines.length * 20 + 6;
  const key = legendNodes(legend, margin, top, inner),
    above = top + key.height;
  const [sheetWidth, sheetHeight] = [inner + 2 * margin, above + height * scale + margin].map(Math.ceil),
    size = { width: sheetWidth, height: sheetHeight };
  const heading = (line, i) => {
    const place = { x: margin, y: margin + 14 + 20 * i };
    return svg("text", { ...sheetFont, ...place, "font-size": 15, "font-weight": "bold" }, line);
  };
  const sheet = svg("svg", { viewBox: `0 0 ${sheetWidth} ${sheetHeight}`, ...size },
    svg("title", {}, title),
    svg("rect", { class: "background", ...size, style: "fill: rgb(255, 255, 255)" }),
    lines.map(heading), key.nodes, placed(styled(drawing), margin, above, scale));
  return new XMLSerializer().serializeToString(sheet);
}

/** The same as pixels, at least 1,600 across. */
async function rasterised(text) {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await picture.decode();
  const scale = Math.max(2, 1600 / picture.width),
    sheet = element("canvas", { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
  sheet.getContext("2d").drawImage(picture, 0, 0, sheet.width, sheet.height);
  return new Promise((done) => { sheet.toBlob(done, "image/png"); });
}

/**
 * Buttons that save a figure.
 * @param find gives its drawing, or null: it has none @param rows gives its numbers under a head, or null
 * @param legend gives the items of its legend: [{ before, mark, text }], mark a small drawing
 */
function exports(label, find, rows, legend = () => []) {
  const file = label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  const draw = () => inLight(() => standalone(find(), label, legend().filter(Boolean)));
  const drawn = () => [
    saver("SVG", `${file}.svg`, "image/svg+xml", draw),
    saver("PNG", `${file}.png`, "image/png", () => rasterised(draw()))
  ];
  return element("div", { class: "exports" }, find ? drawn() : null,
    rows ? saver("CSV", `${file}.csv`, "text/csv", () => csv(rows())) : null);
}
