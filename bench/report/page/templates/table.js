// Which rows and columns does the table show, in which order, with which details?

const rows = all("tbody.row");
const headings = all("thead th");
const tabs = all("#views [role=tab]");
const boxes = all("#chooser input");
const nameOf = (row) => one("th.name", row).dataset.value;

// A range is sorted by its lower end; names are text, whatever they begin with.
function compareValues(a, b, sign, asText) {
  if (a === "" || b === "") return (a === "") - (b === "");  // a dash comes last, whichever way
  return sign * (asText ? a.localeCompare(b, "en", { numeric: true }) : Number.parseFloat(a) - Number.parseFloat(b));
}

function sortBy(column) {
  const heading = headings[column];
  const ascending = heading.hasAttribute("aria-sort") ? heading.getAttribute("aria-sort") === "descending" : column === 0;
  for (const other of headings) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.rows[0].cells[column].dataset.value;
  const order = [...rows].sort((a, b) => compareValues(value(a), value(b), ascending ? 1 : -1, column === 0));
  for (const group of all("tbody.group")) {
    group.after(...order.filter((row) => row.dataset.group === group.dataset.group));
  }
  say(`Sorted by ${heading.textContent}, ${heading.getAttribute("aria-sort")}, within each group.`);
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
    const thumbnail = element("img", { alt: "" });
    thumbnail.src = one("img", document.getElementById(link.dataset.figure)).src;
    link.prepend(thumbnail);
  }
}

function showColumn(column, shown) {
  for (const line of [headings[0].parentElement, ...rows.map((row) => row.rows[0])]) line.cells[column].hidden = !shown;
}

// A tab shows the columns of its view, the last tab all; the boxes add and take away.
function show(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  one("#panel").setAttribute("aria-labelledby", tab.id);
  headings.forEach((heading, column) => {
    if (column) showColumn(column, tab.dataset.view === "" || heading.dataset.view === tab.dataset.view);
  });
  for (const box of boxes) box.checked = !headings[box.dataset.column].hidden;
}

function startTabs() {
  one("#panel").setAttribute("role", "tabpanel");
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs.at(to % tabs.length);
      next.focus();
      show(next);
    });
  });
  for (const box of boxes) box.addEventListener("change", () => showColumn(box.dataset.column, box.checked));
  show(tabs[0]);
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => nameOf(row).toLowerCase().includes(word));
  const shown = rows.filter((row) => !row.hidden);
  for (const group of all("tbody.group")) group.hidden = !shown.some((row) => row.dataset.group === group.dataset.group);
  say(words.length ? `${shown.length} of ${rows.length} rows.` : "");
}

function startTable() {
  for (const button of all("table button")) button.disabled = false;
  for (const button of all("thead button")) button.addEventListener("click", () => sortBy(Number(button.dataset.column)));
  for (const row of rows) {
    const button = one("th button", row);
    button.addEventListener("click", () => unfold(row, button.getAttribute("aria-expanded") !== "true"));
    unfold(row, false);
  }
  one("#filter").addEventListener("input", (event) => filter(event.target.value));
  press(one("#all-details"), (pressed) => rows.forEach((row) => unfold(row, pressed)));
  startTabs();
}
