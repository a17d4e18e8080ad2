"""What each feature and each column of a windows table is, in words: for the manifest and for tables with descriptions."""

from __future__ import annotations

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.kinds.datetime import PARTS
from emberharmony.features.preprocessing import FittedColumn
from emberharmony.pipeline.run import Run

_PARTS = dict(zip(PARTS, ("hour", "day of the week", "day of the month", "month"), strict=True))


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
        described[roles.target] = f"{roles.target} of the window's last row"
    return described


def feature_descriptions(columns: tuple[FittedColumn, ...]) -> dict[str, str]:
    """Return what each feature is, by name."""
    found: dict[str, str] = {}
    for column in columns:
        if column.kind == "datetime":
            kinds = [f"{function} of the {_PARTS[part]} of {column.name}" for part in PARTS for function in ("Sine", "Cosine")]
            kinds += [f"{column.name} in seconds since 1970, missing values filled in and scaled"] if column.epoch else []
            found |= dict(zip(column.features, kinds, strict=True))
        elif column.kind == "categorical":
            texts = [f"1 where {column.name} is {value!r}" for value in column.vocabulary]
            texts += [f"1 where {column.name} is any other value", f"1 where {column.name} is missing"]
            found |= dict(zip(column.features, texts, strict=False))
        else:
            found[column.features[0]] = f"{column.name} of the source, missing values filled in and scaled"
    return found
