// How does the page sort, fold and compare? Without this script everything in it is there to be read; nothing here loads anything.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);  // a string becomes text, never markup
  return made;
}

// The table.

const rows = all("tbody.row");
const headings = all("thead th");

function compareValues(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");  // a dash comes last, whichever way
  const difference = Number(a) - Number(b);
  return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
}

function sortBy(column) {
  const heading = headings[column];
  const ascending = heading.hasAttribute("aria-sort") ? heading.getAttribute("aria-sort") === "descending" : column === 0;
  for (const other of headings) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.rows[0].cells[column].dataset.value;
  const order = [...rows].sort((a, b) => compareValues(value(a), value(b), ascending ? 1 : -1));
  for (const group of all("tbody.group")) {
    const own = order.filter((row) => row.dataset.group === group.dataset.group);
    group.after(...own);
  }
  one("#sorted").textContent = `sorted by ${heading.textContent}, ${heading.getAttribute("aria-sort")}, within each group`;
}

function unfold(row, open) {
  const details = one("tr.details", row);
  one("th button", row).setAttribute("aria-expanded", String(open));
  details.hidden = !open;
  if (open) showThumbnails(details);
}

// The pixels of a figure stand in the page once: a thumbnail is the same picture again.
function showThumbnails(details) {
  for (const link of all("a[data-figure]:not(:has(img))", details)) {
    const picture = one("img", document.getElementById(link.dataset.figure));
    const thumbnail = element("img", { alt: "" });
    thumbnail.src = picture.src;
    link.prepend(thumbnail);
  }
}

function press(button, act) {
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    act(pressed);
  });
}

function startTable() {
  for (const button of all("table button")) button.disabled = false;
  for (const button of all("thead button")) button.addEventListener("click", () => sortBy(Number(button.dataset.column)));
  for (const row of rows) {
    const button = one("th button", row);
    button.addEventListener("click", () => unfold(row, button.getAttribute("aria-expanded") !== "true"));
    unfold(row, false);
  }
  for (const button of all("#views button")) button.addEventListener("click", () => show(button.dataset.view));
  show(one("#views button").dataset.view);
  press(one("#all-details"), (pressed) => rows.forEach((row) => unfold(row, pressed)));
}

// Which columns are shown: those of one view, or with "" all.
function show(view) {
  for (const button of all("#views button")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
  for (const cell of all("th[data-view], td[data-view]", one("table"))) cell.hidden = view !== "" && cell.dataset.view !== view;
}

// What scrolls sideways has to be reached by keyboard; what does not is no stop on the way.
function reachPlates() {
  for (const plate of all(".plate.broad")) {
    const scrolls = plate.scrollWidth > plate.clientWidth;
    const attributes = { tabindex: "0", role: "group", "aria-label": one("strong", plate.parentElement).textContent };
    for (const [name, value] of Object.entries(attributes)) scrolls ? plate.setAttribute(name, value) : plate.removeAttribute(name);
  }
}

// Two rows compared.

function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const nats = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const signed = (value) => (value > 0 ? "+" : "") + nats(value, 1);

// The pairs stand in the order (0, 1), (0, 2) …, (1, 2) …; what was found was computed when the page was made.
function pairOf(scores, i, j) {
  const [low, high] = i < j ? [i, j] : [j, i];
  return scores.pairs[low * scores.rows.length - (low * (low + 1)) / 2 + high - low - 1];
}

function verdict(pair, a, b) {
  const caution = a.samples === b.samples ? "" : " Their numbers of samples differ: not a fair comparison.";
  return pair.sentence + caution;
}

const name = (row) => element("bdi", {}, row.name);

function tile(scores, index, label) {
  const { width, height, columns } = scores;
  const canvas = element("canvas", { role: "img", "aria-label": label, width, height });
  const place = scores.images.indexOf(index);
  const source = [(place % columns) * width, Math.floor(place / columns) * height, width, height];
  canvas.getContext("2d").drawImage(one("#sprite"), ...source, 0, 0, width, height);
  return canvas;
}

function bestImages(scores, title, indices, differences) {
  const items = indices.map((i) => {
    const label = `test image ${i}: ${signed(differences[i])} nats`;
    return element("li", {}, tile(scores, i, label), element("span", { "aria-hidden": "true" }, signed(differences[i])));
  });
  return element("section", {}, element("h3", {}, ...title), element("ol", { class: "tiles" }, ...items));
}

function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Bars of equal width, one edge at zero, so that no bar mixes images that the one and the other row explains better.
function histogram(differences) {
  const [low, high] = [Math.min(0, ...differences), Math.max(0, ...differences)];
  const step = (high - low) / 40 || 1;
  const first = Math.floor(low / step);
  const counts = new Array(Math.max(1, Math.ceil(high / step) - first + 1)).fill(0);
  for (const d of differences) counts[Math.floor(d / step) - first] += 1;
  const [width, height, foot] = [560, 140, 26];
  const bar = width / counts.length;
  const tallest = Math.max(...counts);
  const bars = counts.map((count, i) => drawing("rect", {
    class: first + i < 0 ? "below" : "above", x: i * bar + 0.5, width: Math.max(bar - 1, 0.5),
    y: height - (height * count) / tallest, height: (height * count) / tallest,
  }));
  const zero = -first * bar;
  const text = (x, anchor, content) => drawing("text", { x, y: height + 18, "text-anchor": anchor }, content);
  const labels = [text(0, "start", nats(first * step, 0)), text(width, "end", `${nats((first + counts.length) * step, 0)} nats`)];
  if (zero > 70 && zero < width - 90) labels.push(text(zero, "middle", "0"));
  return drawing("svg", { viewBox: `0 0 ${width} ${height + foot}`, role: "img", "aria-labelledby": "histogram-caption" },
    ...bars, drawing("line", { x1: zero, x2: zero, y1: 0, y2: height }), ...labels);
}

function compare(scores) {
  const [i, j] = [one("#first"), one("#second")].map((select) => Number(select.value));
  const [a, b] = [scores.rows[i], scores.rows[j]];
  const output = one("#verdict");
  one("#compared").hidden = one("#lacking").hidden = true;
  if (i === j) {
    output.replaceChildren("Choose two different rows.");
    return;
  }
  const pair = pairOf(scores, i, j);
  output.replaceChildren(verdict(pair, a, b));
  Object.assign(output.dataset, { value: i < j ? pair.value : -pair.value, error: pair.stderr, verdict: pair.verdict });
  if (!a.values || !b.values) {
    one("#lacking").hidden = false;
    return;
  }
  one("#compared").hidden = false;
  a.decoded ??= decoded(a.values);
  b.decoded ??= decoded(b.values);
  const differences = a.decoded.map((value, k) => value - b.decoded[k]);
  const order = [...differences.keys()].sort((k, l) => differences[k] - differences[l]);  // stable, as where the images were chosen
  one("#histogram").replaceChildren(histogram(differences));
  const median = differences[order[Math.floor(order.length / 2)]];
  const range = `from ${signed(differences[order[0]])} to ${signed(differences[order.at(-1)])}, median ${signed(median)}`;
  one("#histogram-caption").replaceChildren(`Test images by ${scores.title} under `, name(a), " minus that under ", name(b), `: ${range}.`);
  const best = [
    bestImages(scores, [name(a), " explains best against ", name(b)], order.slice(-scores.shown).reverse().filter((k) => differences[k] > 0), differences),
    bestImages(scores, [name(b), " explains best against ", name(a)], order.slice(0, scores.shown).filter((k) => differences[k] < 0), differences),
  ];
  one("#best").replaceChildren(...(scores.shown ? best : []));
}

async function startComparison() {
  if (!one("#scores")) return;
  const scores = JSON.parse(one("#scores").textContent);
  for (const [select, chosen] of [[one("#first"), 0], [one("#second"), 1]]) {
    for (const group of new Set(scores.rows.map((row) => row.group))) {
      const options = scores.rows.map((row, i) => [row, i]).filter(([row]) => row.group === group);
      select.append(element("optgroup", { label: group }, ...options.map(([row, i]) => element("option", { value: i }, row.name))));
    }
    select.value = chosen
    select.addEventListener("change", () => compare(scores));
  }
  if (scores.shown) await one("#sprite").decode();
  compare(scores);
}

for (const controls of all(".controls")) controls.hidden = false;
for (const excuse of all(".plain")) excuse.hidden = true;
document.documentElement.classList.add("script");
startTable();
reachPlates();
addEventListener("resize", reachPlates);
startComparison();
