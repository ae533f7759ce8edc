"""How do tables become CSV, Markdown and LaTeX?"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import pandas as pd
from genmodel_bench.report.tables.columns import (
    COST,
    DASH,
    OWN_LOG_P,
    TABLE1,
    TOTAL,
    UNCERTAINTY,
    Column,
    Key,
    name_of,
    number,
    view_title,
)
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.record import inert

MARK = "†"
"""Stands after the numbers of a column that are not told apart from its best one."""
MARKED = (
    f"{MARK} best of its column, or not told apart from it: all pairs of models with three seeds or more "
    "are compared, with what is uncertain in test images and training, at 5 % (Holm)"
)
BROKEN = "‡"
"""Stands in the heading of a score that breaks a promise."""
FLOOR = "unseen real images"
"""The line of what real images have that are in neither set: the floor of a score."""
FLOOR_SAID = f"{FLOOR}: in place of samples as many that are in no other set, the floor of a score"
DIRECTIONS = "↑ higher is better, ↓ lower is better"
LATEX_BEGINS = (
    r"\noindent{\scriptsize\setlength{\tabcolsep}{3pt}"
    r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
)
"""The first line of each of our LaTeX files."""
ALONE = (UNCERTAINTY, COST)
"""The views that are printed for one data set, and not for several side by side."""


def to_csv(table: Table) -> str:
    """Return all numbers with all their digits, the marks and the notes.

    One line per row; the columns are called 'data set: column'.
    """
    flat = table.numbers.copy()
    for dataset, title in table.numbers.columns:
        best = [(dataset, title, key) in table.marks or None for key in table.keys]
        if any(best):
            flat[dataset, f"{title} best"] = best
    flat.columns = pd.Index([inert(f"{dataset}: {column}") for dataset, column in flat.columns])
    flat["notes"] = ["; ".join(table.notes.get(key, [])) for key in flat.index]
    flat = flat.reset_index(level=[0, 1, 2])
    if table.floors:
        flat.loc["floor"] = pd.Series(
            {
                "role": "floor",
                "model": FLOOR,
                "variant": "",
                "notes": "",
                **{inert(f"{d}: {title}"): v for (d, title), v in table.floors.items()},
            }
        )
    for name in ("model", "variant", "notes"):
        flat[name] = [inert(text) for text in flat[name]]
    return str(flat.to_csv(index=False, lineterminator="\n"))


def printed_views(table: Table) -> list[str]:
    """Return the views that are printed: for several data sets, those of scores."""
    return [v for v in table.views if len(table.datasets) < 2 or v not in ALONE] or [TABLE1]


def columns_in(table: Table, view: str) -> list[Column]:
    """Return the columns of a view that hold a number, in order."""
    return [column for column in table.filled if column.view == view]


def to_markdown(table: Table) -> str:
    """Return a pipe table for each view, each with its legend, then the notes."""
    parts: list[str] = []
    for view in printed_views(table):
        columns = columns_in(table, view)
        parts += [f"## {escape_markdown(view_title(view))}"] if parts else []
        parts += [pipe_table(table, columns), escape_markdown(legend_as_text(table, columns))]
    notes = "".join(f"- {escape_markdown(note)}\n" for note in lettered(table))
    parts += ["## Notes"] * bool(table.remarks or notes)
    return "\n\n".join([*parts, *table.remarks, notes])


def legend(table: Table, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Return what the terms of some columns mean: title and clause of each."""
    return [(c.title, c.says + shared_in_words(table, c)) for c in columns if not c.error]


def shared_in_words(table: Table, column: Column) -> str:
    """Return what the scores of a column share, as the end of its clause."""
    found = {d: text for (d, title), text in table.shared.items() if title == column.title}
    if len(set(found.values())) == 1:
        return f"; {next(iter(found.values()))}"
    return "".join(f"; {text} on {dataset}" for dataset, text in found.items())


def floor_in_words(table: Table, column: Column) -> str:
    """Return what unseen real images have in a column, as the end of its clause."""
    found = [(d, table.floors[d, column.title]) for d in table.datasets if (d, column.title) in table.floors]
    said = [f"{number(value, column.decimals)} on {dataset}" for dataset, value in found]
    return f"; {FLOOR} have {', '.join(said)}" if said else ""


def legend_as_text(table: Table, columns: Sequence[Column]) -> str:
    """Return the legend of some columns as one paragraph."""
    said = [f"{term}: {text}" for term, text in legend(table, columns)]
    said += [FLOOR_SAID] if has_floor(table, columns) else []
    said += [DIRECTIONS] if any(column.directed for column in columns) else []
    shown = {column.title for column in columns}
    said += [MARKED] if any(title in shown for _, title, _ in table.marks) else []
    said += table.agreement if OWN_LOG_P.title in shown else []
    said += [
        f"{BROKEN} {title} breaks a promise on {dataset} (`bench audit`): {text}"
        for (dataset, title), text in table.broken.items()
        if title in shown
    ]
    return " ".join(f"{text}." for text in said)


def pipe_table(table: Table, columns: Sequence[Column], digits: int | None = None) -> str:
    """Return some columns as a pipe table, with reference rows set apart."""
    shown = printed(
        table,
        columns,
        escape_markdown,
        lambda mark: f" <sup>{mark}</sup>",
        digits=digits,
        with_floor=True,
    )
    width = shown.shape[1]
    i = set_apart(table, columns)
    if i is not None:
        rule = pd.DataFrame([["*reference rows*", *[""] * (width - 1)]], columns=shown.columns)
        shown = pd.concat([shown.iloc[:i], rule, shown.iloc[i:]])
    return str(
        shown.to_markdown(index=False, colalign=("left", *["right"] * (width - 1)), disable_numparse=True)
    )


def to_latex(table: Table, view: str = TABLE1) -> str:
    r"""Return a view as one booktabs tabular, with its legend and notes under it.

    A \midrule stands above the reference rows; booktabs and graphicx are needed. The
    table is set small, and shrunk to the width of the line if it is still wider.
    """
    columns = columns_in(table, view)
    texts = (*table.remarks, legend_as_text(table, columns), *lettered(table))
    notes = [escape_latex(text) for text in texts]
    paragraphs = "\n".join(rf"\noindent{{\footnotesize {note}\par}}" for note in notes)
    return "\n".join([LATEX_BEGINS, tabular(table, columns), "}}", "", paragraphs, ""])


def tabular(table: Table, columns: Sequence[Column], digits: int | None = None) -> str:
    """Return some columns as a LaTeX tabular; several data sets have a heading each."""
    shown = printed(
        table,
        columns,
        escape_latex,
        lambda mark: f"$^{{{mark}}}$",
        digits=digits,
        latex=True,
        with_floor=True,
    )
    titles = list(shown.columns)[1:]
    lines = [rf"\begin{{tabular}}{{l{'r' * len(titles)}}}", r"\toprule"]
    if len(table.datasets) > 1:
        groups, at, rules = [], 2, []
        for dataset in table.datasets:
            name = escape_latex(dataset)
            width = sum(bool(table.numbers[dataset, c.title].notna().any()) for c in columns)
            if width:
                groups.append(rf"\multicolumn{{{width}}}{{c}}{{{name}}}")
                rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
                own = slice(at - 2, at - 2 + width)
                titles[own] = [title.removeprefix(f"{name}: ") for title in titles[own]]
                at += width
        lines += [" & ".join(["", *groups]) + r" \\", "".join(rules)]
    lines += [" & ".join(["model", *titles]) + r" \\", r"\midrule"]
    first = set_apart(table, columns)
    for i, row in enumerate(shown.itertuples(index=False)):
        lines += [r"\midrule"] * bool(i and i == first)
        # behind the \\ of the line above, [ and * would be an argument of it
        start = "{}" if row[0].startswith(("[", "*")) else ""
        lines.append(start + " & ".join(row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def printed(
    table: Table,
    columns: Sequence[Column],
    escape: Callable[[str], str],
    superscript: Callable[[str], str],
    *,
    digits: int | None = None,
    latex: bool = False,
    with_floor: bool = False,
) -> pd.DataFrame:
    """Return columns of the table as text, after names with the letters of their notes.

    Columns that are empty throughout are left out. `digits` replaces the decimals of the
    columns that have any.

    with_floor: a last line has what unseen real images have, where that is known.
    """
    with_floor = with_floor and has_floor(table, columns)
    several = len(table.datasets) > 1
    names = []
    for key in table.numbers.index:
        marks = ",".join(marks_of(table, key))
        names.append(escape(name_of(key)) + (superscript(marks) if marks else ""))
    names += [FLOOR] * with_floor
    shown = {"model": names}
    for dataset in table.datasets:
        for column in columns:
            values = table.numbers[dataset, column.title]
            if not values.notna().any():
                continue
            broken = BROKEN if (dataset, column.title) in table.broken else ""
            title = " ".join(part for part in (column.title, column.arrow, broken) if part)
            decimals = column.decimals if digits is None or not column.decimals else digits
            texts = [escape(number(value, decimals)) for value in values]
            if column == TOTAL:
                alone = table.numbers[dataset, "seed ±"].isna()
                texts = [
                    f"{escape('≥')} {text}" if lower and text != escape(DASH) else text
                    for text, lower in zip(texts, alone, strict=True)
                ]
            mark = r"\rlap{$^\dagger$}" if latex else MARK
            texts = [
                text + mark if (dataset, column.title, key) in table.marks else text
                for text, key in zip(texts, table.numbers.index, strict=True)
            ]
            if with_floor:
                texts.append(escape(number(table.floors.get((dataset, column.title)), decimals)))
            shown[f"{escape(dataset)}: {escape(title)}" if several else escape(title)] = texts
    return pd.DataFrame(shown)


def has_floor(table: Table, columns: Sequence[Column]) -> bool:
    """Return whether it is known what unseen real images have in one of the columns."""
    shown = {column.title for column in columns}
    return any(title in shown for _, title in table.floors)


def lettered(table: Table) -> list[str]:
    """Return the notes of a table, each after its letter."""
    return [f"({letter(i)}) {note}" for i, note in enumerate(table.footnotes)]


def marks_of(table: Table, key: Key) -> list[str]:
    """Return the letters of a row's notes."""
    return [letter(i) for i, note in enumerate(table.footnotes) if note in table.notes.get(key, [])]


def set_apart(table: Table, columns: Sequence[Column]) -> int | None:
    """Return the position of the first line that is of no model, or None."""
    first = first_reference(table)
    return len(table.keys) if first is None and has_floor(table, columns) else first


def first_reference(table: Table) -> int | None:
    """Return the position from which on all rows are reference rows, or None."""
    roles = [key[0] for key in table.numbers.index]
    first = roles.index("reference") if "reference" in roles else len(roles)
    return first if first < len(roles) and set(roles[first:]) == {"reference"} else None


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
    "−": "$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$^\dagger$", "’": "'", "½": r"$\frac{1}{2}$",
    "×": r"$\times$", "‡": r"$^\ddagger$", "ρ": r"$\rho$", "τ": r"$\tau$", "₀": "$_0$", "₁": "$_1$",
    "≤": r"$\leq$", "≈": r"$\approx$",
}  # fmt: skip


ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
"""Combining accents that pdflatex sets on a letter with its default fonts."""
LETTERS = "ßæøœłıÆØŒŁ£§¶©®‘“”…—"
"""Further signs that it knows."""


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX prints as it is, whichever of its engines.

    A sign that pdflatex does not know, as of Chinese or an emoji, would end it with an
    error: its number stands instead, \texttt{U+732B}.
    """
    return "".join(map(latex_sign, unicodedata.normalize("NFC", " ".join(text.split()))))


def latex_sign(sign: str) -> str:
    """Return one sign for LaTeX."""
    accents = unicodedata.normalize("NFD", sign)[1:]
    known = sign.isascii() or sign in LETTERS
    accented = sign < "\u0180" and len(accents) == 1 and accents in ACCENTS
    return LATEX.get(sign) or (sign if known or accented else rf"\texttt{{U+{ord(sign):04X}}}")
