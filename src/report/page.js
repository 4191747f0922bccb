// Sections, controls and printing: a part of all pages, the last before a page's own script.

function block(id, level, title, intro, ...content) {
  const head = element("header", {}, element(level === 1 ? "h2" : "h3", {}, title),
    intro ? element("p", {}, intro) : null);
  return element("section", { class: "block", id }, head, content);
}

function bigFigure(value, unit, label) {
  return element("div", {}, element("div", { class: "figure-value" }, value, unit ? element("small", {}, unit) : null),
    element("div", { class: "figure-label" }, label));
}

function navigation(links) {
  document.getElementById("nav").append(...links.map(([id, name]) => element("a", { href: `#${id}` }, name)));
}

/** On a narrow screen the enlarged eigenvector may be far above the thumbnail that was chosen. */
function bringIntoView(panel) {
  const box = panel.getBoundingClientRect();
  if (box.bottom < 120 || box.top > innerHeight - 40) panel.scrollIntoView();
}

/** A row of tabs; arrow keys, Home and End move along it. choose(i) */
function tabs(label, names, choose) {
  const nodes = names.map((name, i) => element("button", {
    role: "tab",
    type: "button",
    "aria-selected": "false",
    tabindex: -1,
    onclick: () => choose(i)
  }, name));
  const list = element("div", {
    role: "tablist",
    "aria-label": label,
    onkeydown: (event) => {
      const now = nodes.indexOf(document.activeElement),
        last = nodes.length - 1,
        next = now === last ? 0 : now + 1,
        before = now === 0 ? last : now - 1;
      const to = { ArrowRight: next, ArrowLeft: before, Home: 0, End: last } [event.key];
      if (to === undefined || now < 0) return;
      event.preventDefault();
      nodes[to].focus();
      choose(to);
    }
  }, nodes);
  const select = (chosen) => nodes.forEach((node, i) => {
    node.setAttribute("aria-selected", String(i === chosen));
    node.setAttribute("tabindex", i === chosen ? 0 : -1);
  });
  return Object.assign(list, { select });
}

function menu(label, names, choose) {
  const list = element("select", { "aria-label": label, onchange: () => choose(list.selectedIndex) },
    names.map((name) => element("option", {}, name)));
  return Object.assign(list, { select: (chosen) => { list.selectedIndex = chosen; } });
}

const picker = (label, names, choose) => (names.length <= 20 ? tabs : menu)(label, names, choose);

/** A control under its name. */
function labelled(name, control) {
  return element("div", { class: "picker" },
    element("span", { class: "picker-label", "aria-hidden": "true" }, name), control);
}

function signedValue(value, digits = 3) {
  return element("span", { class: signOf(value) }, signed(value, digits));
}

/** On paper everything is light, charts have the width of a page, and what is folded away is laid open. */
function preparePrinting() {
  let before = null;
  const redraw = () => document.querySelectorAll(".chart.drawn").forEach((box) => charts.get(box)(printing));
  addEventListener("beforeprint", () => {
    before ??= { theme: theme(), closed: [...document.querySelectorAll("details.provenance:not([open])")] };
    before.closed.forEach((details) => { details.open = true; });
    printing = true;
    setTheme("light");
    redraw();
  });
  addEventListener("afterprint", () => {
    before?.closed.forEach((details) => { details.open = false; });
    printing = false;
    setTheme(before?.theme ?? theme());
    before = null;
    redraw();
  });
}

setTheme(systemDark.matches ? "dark" : "light");
systemDark.addEventListener("change", () => setTheme(systemDark.matches ? "dark" : "light"));
themeButton.addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
document.getElementById("footer").textContent =
  `Written by bilens ${data.version}. The page is one file and loads nothing from anywhere.`;
preparePrinting();
