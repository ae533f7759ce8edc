"""How does one small page lead to the reports of all data sets?

It shows the first view of each table, needs no script, and like the reports it loads
nothing and trusts no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from genmodel_bench.report.page.page import GROUPS, lettered, rendered, rows_of, templates
from genmodel_bench.report.tables.columns import Column
from genmodel_bench.report.tables.render import columns_in
from genmodel_bench.report.tables.table import Table


def index(tables: Mapping[str, Table]) -> str:
    """Return the page as HTML.

    tables: of one data set each, by the name of the folder that its report lies in.
    """
    return rendered(
        "index.html.j2",
        templates(["base.css"]),
        "",
        groups=GROUPS,
        sets=[
            {
                "name": table.datasets[0],
                "address": f"{quote(folder)}/report.html",
                "columns": first_view(table),
                "rows": rows_of(table.datasets[0], table, [], []),
                "remarks": table.remarks,
                "notes": lettered(table.datasets[0], table),
            }
            for folder, table in tables.items()
            if table.datasets
        ],
    )


def first_view(table: Table) -> list[Column]:
    """Return the columns of the first view that is there."""
    return columns_in(table, table.views[0]) if table.views else []
