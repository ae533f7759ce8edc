// How is the table, as it is shown, copied as LaTeX, CSV or Markdown? As our own files are written: `report/tables/render.py`.

const escapes = JSON.parse(one("#escapes").textContent);
const escaped = (text, form) => [...text.split(/\s+/).filter(Boolean).join(" ")].map((c) => escapes[form][c] ?? c).join("");

// What is shown: titles, rows in their order, and the notes of these rows.
function shownTable() {
  const columns = headings.map((heading, column) => column).filter((column) => column && !headings[column].hidden);
  const shown = all("tbody.row").filter((row) => !row.hidden).map((row) => ({
    name: nameOf(row),
    group: row.dataset.group,
    marks: all("sup a", row).map((link) => link.textContent),
    cells: columns.map((column) => row.rows[0].cells[column]),
  }));
  const marked = new Set(shown.flatMap((row) => row.marks));
  const notes = all("#legend ol li").map((item) => [item.id.replace("note-", ""), item.textContent]);
  const best = shown.some((row) => row.cells.some((cell) => cell.textContent.endsWith("†"))) ? [`† ${one("#means-mark").textContent}`] : [];
  return { columns, rows: shown, notes: notes.filter(([mark]) => marked.has(mark)), best };
}

function asLatex({ columns, rows, notes, best }) {
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const written = (cell) => cell.textContent.endsWith("†") ? `${escaped(cell.textContent.slice(0, -1), "latex")}\\rlap{$^\\dagger$}` : escaped(cell.textContent, "latex");
  const lines = rows.flatMap((row, i) => {
    const name = escaped(row.name, "latex") + (row.marks.length ? `$^{${row.marks.join(",")}}$` : "");
    const rule = i && row.group === "reference" && rows[i - 1].group !== "reference" ? ["\\midrule"] : [];
    return [...rule, line([name, ...row.cells.map(written)])];
  });
  const titles = line(["model", ...columns.map((column) => escaped(headings[column].textContent, "latex"))]);
  const table = [`\\begin{tabular}{l${"r".repeat(columns.length)}}`, "\\toprule", titles, "\\midrule", ...lines, "\\bottomrule", "\\end{tabular}"];
  const said = [...best, ...notes.map(([mark, note]) => `(${mark}) ${note}`)];
  return [...table, ...said.map((text) => `\n\\noindent{\\footnotesize ${escaped(text, "latex")}\\par}`), ""].join("\n");
}

function asMarkdown({ columns, rows, notes, best }) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const empty = columns.map(() => "");
  const lines = rows.flatMap((row, i) => {
    const name = escaped(row.name, "markdown") + (row.marks.length ? ` <sup>${row.marks.join(",")}</sup>` : "");
    const rule = row.group === "reference" && (!i || rows[i - 1].group !== "reference") ? [line(["*reference rows*", ...empty])] : [];
    return [...rule, line([name, ...row.cells.map((cell) => escaped(cell.textContent, "markdown"))])];
  });
  const titles = line(["model", ...columns.map((column) => escaped(headings[column].textContent, "markdown"))]);
  const said = [...best, ...notes.map(([mark, note]) => `(${mark}) ${note}`)];
  return [titles, `|:---|${"---:|".repeat(columns.length)}`, ...lines, "", ...said.map((text) => `- ${escaped(text, "markdown")}`), ""].join("\n");
}

// All digits; a text that a spreadsheet would compute is written after an apostrophe.
function asCsv({ columns, rows, notes }) {
  const inert = (text) => escapes.formula.includes(text[0] ?? " ") ? `'${text}` : text;
  const field = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const said = (row) => notes.filter(([mark]) => row.marks.includes(mark)).map(([, note]) => note).join("; ");
  const lines = rows.map((row) => [inert(row.name), ...row.cells.map((cell) => cell.dataset.value), inert(said(row))]);
  return [["model", ...columns.map((column) => headings[column].dataset.title), "notes"], ...lines].map((line) => `${line.map(field).join(",")}\n`).join("");
}

const forms = { latex: asLatex, csv: asCsv, markdown: asMarkdown };

// Where the clipboard is closed to the page, as under file:// in some browsers, the text is shown and selected.
async function copy(text) {
  const box = one("#copied-text");
  one("#copied").hidden = true;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    one("#copied").hidden = false;
    box.value = text;
    box.focus();
    box.select();
  }
}

function startCopying() {
  for (const button of all("[data-form]")) button.addEventListener("click", () => copy(forms[button.dataset.form](shownTable())));
  one("#copy-commands")?.addEventListener("click", () => copy(one("#commands-text").textContent));
  one("#copied-close").addEventListener("click", () => { one("#copied").hidden = true; });
}
