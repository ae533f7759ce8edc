// How do two rows differ? What was found is looked up; how it spreads over the test images is drawn.

function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const written = (value, digits = 3) => String(Number(value.toPrecision(digits))).replace("-", "−");
const signed = (value) => (value > 0 ? "+" : "") + written(value);
const name = (row) => element("bdi", {}, row.name);

// The pairs stand in the order (0, 1), (0, 2) …, (1, 2) …; what was found was computed when the page was made.
function pairOf(scores, i, j) {
  const [low, high] = i < j ? [i, j] : [j, i];
  return scores.pairs[low * scores.rows.length - (low * (low + 1)) / 2 + high - low - 1];
}

function tile(scores, index, label) {
  const { width, height, columns } = scores;
  const canvas = element("canvas", { role: "img", "aria-label": label, width, height });
  const place = scores.images.indexOf(index);
  const source = [(place % columns) * width, Math.floor(place / columns) * height, width, height];
  canvas.getContext("2d").drawImage(one("#sprite"), ...source, 0, 0, width, height);
  return canvas;
}

function bestImages(scores, above, below, indices, differences) {
  const items = indices.map((i) => {
    const label = `test image ${i}: ${signed(differences[i])} ${scores.unit}`;
    return element("li", {}, tile(scores, i, label), element("span", { "aria-hidden": "true" }, signed(differences[i])));
  });
  const title = element("h3", {}, "Where ", name(above), " is above ", name(below), " by most");
  return element("section", {}, title, element("ol", { class: "tiles" }, ...items));
}

function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Bars of equal width, one edge at zero, so that no bar mixes images under which the one and the other row is higher.
function histogram(differences, unit) {
  const [low, high] = [Math.min(0, ...differences), Math.max(0, ...differences)];
  const step = (high - low) / 40 || 1;
  const first = Math.floor(low / step);
  const counts = new Array(Math.max(1, Math.ceil(high / step) - first + 1)).fill(0);
  for (const d of differences) counts[Math.floor(d / step) - first] += 1;
  const [width, height, head, foot] = [560, 140, 26, 52];
  const bar = width / counts.length;
  const tallest = Math.max(...counts);
  const bars = counts.map((count, i) => drawing("rect", {
    class: first + i < 0 ? "below" : "above", x: i * bar + 0.5, width: Math.max(bar - 1, 0.5),
    y: head + height - (height * count) / tallest, height: (height * count) / tallest,
  }));
  const zero = -first * bar;
  const text = (x, y, anchor, content) => drawing("text", { x, y, "text-anchor": anchor }, content);
  const labels = [
    text(0, 16, "start", `test images in a bar, ${tallest} at most`),
    text(0, head + height + 19, "start", written(first * step)),
    text(width, head + height + 19, "end", written((first + counts.length) * step)),
    text(width / 2, head + height + 43, "middle", `difference of a test image, ${unit}`.replace(/, $/, "")),
  ];
  if (zero > 70 && zero < width - 70) labels.push(text(zero, head + height + 19, "middle", "0"));
  return drawing("svg", { viewBox: `0 0 ${width} ${head + height + foot}`, role: "img", "aria-labelledby": "histogram-caption" },
    ...bars, drawing("line", { x1: zero, x2: zero, y1: head, y2: head + height }), drawing("line", { class: "axis", x1: 0, x2: width, y1: head + height, y2: head + height }), ...labels);
}

function showImages(scores, a, b) {
  const lacking = [a, b].filter((row) => !row.values);
  one("#lacking").hidden = lacking.length === 0;
  one("#compared").hidden = lacking.length > 0;
  if (lacking.length) {
    const which = lacking.flatMap((row, i) => [i ? " and of " : " of ", name(row)]);
    one("#lacking").replaceChildren("How single test images differ is not shown: their values", ...which,
      " are not at hand. They lie with the artefacts of the run, and beside its records as long as they are small.");
    return;
  }
  a.decoded ??= decoded(a.values);
  b.decoded ??= decoded(b.values);
  const differences = [...a.decoded].map((value, k) => value - b.decoded[k]);
  const order = [...differences.keys()].sort((k, l) => differences[k] - differences[l]);  // stable, as where the images were chosen
  one("#histogram").replaceChildren(histogram(differences, scores.unit));
  const median = differences[order[Math.floor(order.length / 2)]];
  const range = `from ${signed(differences[order[0]])} to ${signed(differences[order.at(-1)])}, median ${signed(median)} ${scores.unit}`.trim();
  one("#histogram-caption").replaceChildren(`Test images by ${scores.title} under `, name(a), " minus that under ", name(b), `: ${range}.`);
  one("#best").replaceChildren(...(scores.shown ? [
    bestImages(scores, a, b, order.slice(-scores.shown).reverse().filter((k) => differences[k] > 0), differences),
    bestImages(scores, b, a, order.slice(0, scores.shown).filter((k) => differences[k] < 0), differences),
  ] : []));
}

function compare(scores) {
  const [i, j] = [one("#first"), one("#second")].map((select) => Number(select.value));
  const [a, b] = [scores.rows[i], scores.rows[j]];
  const output = one("#verdict");
  one("#compared").hidden = one("#lacking").hidden = true;
  one("#link").setAttribute("href", addressOf(a, b));
  if (i === j) {
    output.replaceChildren("Choose two different rows.");
    return;
  }
  const pair = pairOf(scores, i, j);
  output.replaceChildren(pair.sentence);
  Object.assign(output.dataset, { value: i < j ? pair.value : -pair.value, error: pair.stderr });
  showImages(scores, a, b);
}

// The rows of a comparison stand in the address after #compare=, by their names.
const addressOf = (...pair) => `#compare=${pair.map((row) => encodeURIComponent(row.name)).join(",")}`;

function namesIn(address) {
  const names = /^#compare=([^,]*),([^,]*)$/.exec(address)?.slice(1);
  try {
    return names?.map(decodeURIComponent);
  } catch {  // a % that begins no character
    return names;
  }
}

function restore(scores) {
  const names = namesIn(location.hash);
  if (!names) return;
  const places = names.map((wanted) => scores.rows.findIndex((row) => row.name === wanted));
  if (places.includes(-1)) {
    one("#verdict").replaceChildren("The address names a row that is not here: ", element("bdi", {}, names[places.indexOf(-1)]), ".");
  } else {
    [one("#first").value, one("#second").value] = places;
    compare(scores);
  }
  one("#comparison").scrollIntoView();
}

async function startComparison() {
  if (!one("#scores")) return;
  const scores = JSON.parse(one("#scores").textContent);
  for (const [select, chosen] of [[one("#first"), 0], [one("#second"), 1]]) {
    for (const group of new Set(scores.rows.map((row) => row.group))) {
      const options = scores.rows.map((row, i) => [row, i]).filter(([row]) => row.group === group);
      select.append(element("optgroup", { label: group }, ...options.map(([row, i]) => element("option", { value: i }, row.name))));
    }
    select.value = chosen;
    select.addEventListener("change", () => {
      compare(scores);
      history.replaceState(null, "", one("#link").href);
    });
  }
  if (scores.shown) await one("#sprite").decode();
  compare(scores);
  restore(scores);
  addEventListener("hashchange", () => restore(scores));
}
