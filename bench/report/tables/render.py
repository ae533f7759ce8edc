"""How does Table 1 become CSV, Markdown and LaTeX?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from genmodel_bench.report.tables.table import COLUMNS, Key, Table
from genmodel_bench.storage.record import inert

LEGEND = (
    (
        "nats",
        "Parzen-window log-likelihood of the test images, higher is better, mean over draws and training "
        "seeds",
    ),
    (
        "total ±",
        "the root of test ±² + seed ±² / seeds; with one seed the spread over training runs is unknown, and "
        "≥ marks what is known without it (in the CSV: where seed ± is empty)",
    ),
    ("test ±", "standard error over the test n images, or folds"),
    ("draw ±", "standard deviation over sample sets drawn from one trained model"),
    ("seed ±", "standard deviation over training seeds"),
    ("N", "samples in a draw"),
    ("σ", "bandwidth chosen on validation images"),
    ("published", "Goodfellow et al. (2014), Table 1"),
    ("z", "our mean minus theirs, over the root of the summed squared errors"),
    ("NN ratio", "median distance from a sample to its nearest training image over the same for test images"),
    ("copies %", "samples equal to a training image"),
    ("epoch", "whose weights were sampled, the last unless the name says otherwise, of how many epochs"),
    (
        "valid last, valid best",
        "what validation images say of the last weights and of the best (Parzen with 1,000 samples)",
    ),
    ("minutes", "wall time of training one seed"),
    ("MiB", "peak memory of its process or device"),
)
"""The terms of the table and what each means."""
DASH = "–"
HEADLINE = ("nats", "total ±", "seeds", "N", "σ", "published", "published ±", "z", "NN ratio", "copies %")
LEDGER = (
    "test ±",
    "test n",
    "draw ±",
    "draws",
    "seed ±",
    "seeds",
    "epoch",
    "epochs",
    "valid last",
    "valid best",
    "minutes",
    "MiB",
)
"""The columns of the two tables that are printed for a data set.

The CSV holds all of them in one.
"""
SIDE_BY_SIDE = ("nats", "total ±", "seeds", "N", "σ", "published", "published ±", "z")
"""The columns of each data set where several are printed side by side."""
SECOND = "Where the uncertainty comes from, whose weights were sampled, and what it took:"


def to_csv(table: Table) -> str:
    """Return the numbers with all their digits, and the notes.

    One line per row; the columns are called 'data set: column'.
    """
    flat = table.numbers.copy()
    flat.columns = pd.Index([f"{dataset}: {column}" for dataset, column in flat.columns])
    flat["notes"] = ["; ".join(table.notes.get(key, [])) for key in flat.index]
    flat = flat.reset_index(level=[0, 1, 2])
    for name in ("model", "variant", "notes"):
        flat[name] = [inert(text) for text in flat[name]]
    return str(flat.to_csv(index=False, lineterminator="\n"))


def to_markdown(table: Table) -> str:
    """Return pipe tables, with reference rows set apart, the legend and the notes."""
    tables = f"\n\n{SECOND}\n\n".join(pipe_table(table, columns) for columns in halves(table))
    notes = "".join(f"- ({letter(i)}) {escape_markdown(note)}\n" for i, note in enumerate(table.footnotes))
    return "\n\n".join([tables, *table.remarks, legend_as_text(), notes])


def legend_as_text() -> str:
    """Return the legend as one paragraph."""
    return " ".join(f"{term}: {text}." for term, text in LEGEND)


def halves(table: Table) -> list[tuple[str, ...]]:
    """Return the columns of each table that is printed."""
    return [SIDE_BY_SIDE] if len(table.numbers.columns.unique(0)) > 1 else [HEADLINE, LEDGER]


def pipe_table(table: Table, columns: Sequence[str]) -> str:
    """Return some columns as a pipe table."""
    shown = printed(table, escape_markdown, lambda mark: f" <sup>{mark}</sup>", columns)
    width = shown.shape[1]
    i = first_reference(table)
    if i is not None:
        rule = pd.DataFrame([["*reference rows*", *[""] * (width - 1)]], columns=shown.columns)
        shown = pd.concat([shown.iloc[:i], rule, shown.iloc[i:]])
    return str(
        shown.to_markdown(index=False, colalign=("left", *["right"] * (width - 1)), disable_numparse=True)
    )


def to_latex(table: Table) -> str:
    r"""Return booktabs tabulars, the legend and the notes.

    A \midrule stands above the reference rows; booktabs and graphicx are needed. The
    tables are set small, and shrunk to the width of the line if they are still wider.
    """
    footnotes = [f"({letter(i)}) {note}" for i, note in enumerate(table.footnotes)]
    notes = [escape_latex(note) for note in (*table.remarks, legend_as_text(), *footnotes)]
    tabulars = [tabular(table, columns) for columns in halves(table)]
    return (
        "\n\n".join([*tabulars, "\n".join(rf"\noindent{{\footnotesize {note}\par}}" for note in notes)])
        + "\n"
    )


def tabular(table: Table, columns: Sequence[str]) -> str:
    """Return some columns as a LaTeX tabular."""
    shown = printed(table, escape_latex, lambda mark: f"$^{{{mark}}}$", columns).replace(DASH, LATEX[DASH])
    shown = shown.replace("≥", LATEX["≥"].replace("\\", r"\\"), regex=True)
    form = "l" + "r" * (shown.shape[1] - 1)
    lines = shown.style.hide(axis="index").to_latex(hrules=True, column_format=form).splitlines()
    i = first_reference(table)
    if i:
        lines.insert(lines.index(r"\midrule") + 1 + i, r"\midrule")
    start = (
        r"\noindent{\scriptsize\setlength{\tabcolsep}{3pt}"
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    )
    return "\n".join([start, *lines, "}}"])


def printed(
    table: Table,
    escape: Callable[[str], str],
    superscript: Callable[[str], str],
    columns: Sequence[str] = tuple(COLUMNS),
) -> pd.DataFrame:
    """Return `columns` of the table as text, after names with the letters of their notes.

    Columns that are empty throughout are left out.
    """
    several = len(table.numbers.columns.unique(0)) > 1
    names = []
    for key in table.numbers.index:
        _, model, variant, _ = key
        marks = ",".join(marks_of(table, key))
        names.append(
            escape(f"{model} ({variant})" if variant else model) + (superscript(marks) if marks else "")
        )
    shown = pd.DataFrame({"model": names})
    for dataset, column in table.numbers.columns:
        values = table.numbers[dataset, column]
        if column in columns and values.notna().any():
            title = escape(f"{dataset}: {column}" if several else column)
            shown[title] = [number(v, COLUMNS[column]) for v in values]
            if column == "total ±":
                alone = table.numbers[dataset, "seed ±"].isna()
                shown[title] = [
                    f"≥ {text}" if lower and text != DASH else text
                    for text, lower in zip(shown[title], alone, strict=True)
                ]
    return shown


def marks_of(table: Table, key: Key) -> list[str]:
    """Return the letters of a row's notes."""
    return [letter(i) for i, note in enumerate(table.footnotes) if note in table.notes.get(key, [])]


def number(value: object, decimals: int) -> str:
    """Return a number as printed, or a dash where there is none."""
    if isinstance(value, str):
        return value
    return DASH if pd.isna(value) else f"{value:.{decimals}f}"


def first_reference(table: Table) -> int | None:
    """Return the position of the first reference row, or None."""
    return next((i for i, key in enumerate(table.numbers.index) if key[0] == "reference"), None)


def letter(i: int) -> str:
    """Return the mark of note i: a to z, then aa and so on."""
    return (letter(i // 26 - 1) if i >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[i % 26]


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    marked = {char: f"\\{char}" for char in "\\`*_[]~$"} | {char: f"&#{ord(char)};" for char in "<>|&"}
    return "".join(marked.get(char, char) for char in " ".join(text.split()))


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "σ": r"$\sigma$", "→": r"$\to$", "–": "--", "≥": r"$\geq$", "²": r"$^2$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(LATEX.get(char, char) for char in " ".join(text.split()))
