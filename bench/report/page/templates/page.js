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
  press(one("#all-columns"), (pressed) => one("table").classList.toggle("every", pressed));
  press(one("#all-details"), (pressed) => rows.forEach((row) => unfold(row, pressed)));
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

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function foldMeans(values, folds) {
  const sums = new Map();
  values.forEach((value, i) => {
    const [sum, n] = sums.get(folds[i]) ?? [0, 0];
    sums.set(folds[i], [sum + value, n + 1]);
  });
  return [...sums.values()].map(([sum, n]) => sum / n);
}

// The mean of differences and its standard error, sd / √n with ddof 1, over test images or over the means of folds.
function paired(differences, folds) {
  const values = folds ? foldMeans(differences, folds) : [...differences];
  const n = values.length;
  const centre = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (n - 1);
  const error = Math.sqrt(variance / n);
  const share = (condition) => differences.filter(condition).length / differences.length;
  return { n, mean: centre, error, z: centre / error, above: share((d) => d > 0), below: share((d) => d < 0) };
}

const nats = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const signed = (value) => (value > 0 ? "+" : "") + nats(value, 1);

function verdict(a, b, result, scores) {
  const over = scores.folds ? `the means of ${result.n} folds` : `${result.n.toLocaleString("en")} test images`;
  const error = Number.isFinite(result.error) ? nats(result.error) : "unknown";
  const clear = Math.abs(result.z) >= scores.clear;
  const needed = clear ? "" : ` where ${nats(scores.clear, 1)} would be clear`;
  const z = Number.isFinite(result.z) ? `, z\u00a0=\u00a0${nats(result.z, 1)}${needed}` : "";
  const size = `${nats(Math.abs(result.mean))}\u00a0±\u00a0${error}\u00a0nats per image`;
  const [better, worse] = result.mean >= 0 ? [a, b] : [b, a];
  const found = clear ? [name(better), " explains them better than ", name(worse), `, by ${size}`]
    : ["Neither explains them clearly better: ", name(better), " is above ", name(worse), ` by ${size}`];
  const share = better === a ? result.above : result.below;
  const details = ` (paired over ${over}${z}), and gives the higher log p to ${nats(100 * share, 1)}\u00a0% of the images.`;
  const caution = a.samples === b.samples ? [] : [" Their numbers of samples differ, and the log-likelihood grows with it: not a fair comparison."];
  return [...found, details, ...caution];
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
  const [a, b] = [one("#first"), one("#second")].map((select) => scores.rows[select.value]);
  const output = one("#verdict");
  one("#compared").hidden = a === b;
  if (a === b) {
    output.replaceChildren("Choose two different rows.");
    return;
  }
  a.values ??= decoded(a.logProb);
  b.values ??= decoded(b.logProb);
  const differences = a.values.map((value, i) => value - b.values[i]);
  const result = paired(differences, scores.folds);
  Object.assign(output.dataset, { mean: result.mean, error: result.error, z: result.z, n: result.n });
  output.replaceChildren(...verdict(a, b, result, scores));
  const order = [...differences.keys()].sort((i, j) => differences[i] - differences[j]);  // stable, as where the images were chosen
  one("#histogram").replaceChildren(histogram(differences));
  const median = differences[order[Math.floor(order.length / 2)]];
  const range = `from ${signed(differences[order[0]])} to ${signed(differences[order.at(-1)])}, median ${signed(median)}`;
  one("#histogram-caption").replaceChildren("Test images by log p under ", name(a), " minus log p under ", name(b), `: ${range} nats. Right of 0 the first explains the image better, left of 0 the second.`);
  const best = [
    bestImages(scores, [name(a), " explains best against ", name(b)], order.slice(-scores.shown).reverse().filter((i) => differences[i] > 0), differences),
    bestImages(scores, [name(b), " explains best against ", name(a)], order.slice(0, scores.shown).filter((i) => differences[i] < 0), differences),
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
