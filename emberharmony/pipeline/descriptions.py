"""What each feature and each column of a windows table is, in words: for the manifest and for tables with descriptions."""

from __future__ import annotations

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.kinds.base import FittedColumn
from emberharmony.features.kinds.registry import kind_named
from emberharmony.pipeline.run import Run


def window_descriptions(run: Run) -> dict[str, str]:
    """Return what each column of a windows table holds, by name; the scores are left out."""
    size, roles = run.plan.spec.windows.size, run.plan.roles
    order = f"in order of {roles.time}" if roles.time else "in order"
    described = {
        "first_row": f"{ROW_NUMBER} of the window's first row; the window holds the {size} rows of its split from there on, "
        f"{order}, wherever they are in the source",
        "last_row": f"{ROW_NUMBER} of the window's last row; not all rows with numbers between first_row and last_row have to "
        f"be in the window",
    }
    if roles.time:
        described |= {"start_time": "Time of the window's first row", "end_time": "Time of the window's last row"}
    if roles.target:
        horizon = run.plan.label_after
        row = f"the row that is {horizon} after the window's last one" if horizon else "the window's last row"
        described[roles.target] = f"{roles.target} of {row}"
    return described


def feature_descriptions(columns: tuple[FittedColumn, ...]) -> dict[str, str]:
    """Return what each feature is, by name."""
    found: dict[str, str] = {}
    for column in columns:
        found |= dict(zip(column.features, kind_named(column.kind).describe(column), strict=True))
    return found
