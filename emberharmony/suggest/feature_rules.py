"""Columns that should make no features: one rule for each reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.features.columns import ROW_NUMBER, is_reserved
from emberharmony.suggest.column_names import IDENTIFIER, has_word
from emberharmony.suggest.table_sample import SampledColumn, TableSample

PROSE_CHARS: Final = 40
"""Mean length from which texts that hardly repeat are sentences, not categories."""
_MAX_ABS: Final = 1e150
"""Numbers beyond this have squares beyond float64."""
_EQUAL_SHARE: Final = 0.75
"""Share of the rows in which a column has to equal a part of the time; clocks of other time zones differ near midnight."""


@dataclass(frozen=True)
class Roles:
    """The columns that have a role already."""

    time: str | None = None
    entity: tuple[str, ...] = ()
    target: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(name for name in (self.time, *self.entity, self.target) if name)


@dataclass(frozen=True)
class Rule:
    """Why a column should be dropped, or carried along without making a feature."""

    code: str  # a name that stays, for warnings
    role: Literal["drop", "passthrough"]
    reason: str
    holds: Callable[[SampledColumn, TableSample, Roles], bool]
    is_forced: bool = False  # whether no job could read the column


def rule_for(column: SampledColumn, sample: TableSample, roles: Roles) -> Rule | None:
    """Return the first rule that holds for a column; ``None`` if it should make features."""
    return next((rule for rule in RULES if rule.holds(column, sample, roles)), None)


def _is_row_number(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    return column.name == ROW_NUMBER


def _copies_target(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    return roles.target is not None and _says_the_same(column, sample.columns.get(roles.target))


def _copies_time(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    return roles.time is not None and _says_the_same(column, sample.columns.get(roles.time))


def _is_part_of_time(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    part = _PARTS.get(column.name.lower())
    if part is None or roles.time is None or roles.time not in sample.columns or not pt.is_integer(column.type):
        return False
    try:
        numbers = part.of(sample.columns[roles.time].values.cast(pa.timestamp("s"), safe=False))
        differences = pc.drop_null(pc.subtract(column.values.cast(pa.int64()), numbers)).to_numpy()
    except pa.ArrowException:  # times outside the calendar of Arrow's kernels, numbers outside int64
        return False
    _, counts = np.unique(differences % part.cycle, return_counts=True)
    return len(differences) > 0 and bool(np.sort(counts)[-part.n_offsets :].sum() >= _EQUAL_SHARE * len(differences))


def _is_too_wide(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    if not (pt.is_floating(column.type) or pt.is_decimal(column.type)):
        return False
    numbers = np.abs(column.values.cast(column.type).cast(pa.float64()).to_numpy())
    return bool(numbers[np.isfinite(numbers)].max(initial=0.0) > _MAX_ABS)


def _is_unique_text(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    return is_text(column.type) and column.is_unique and not is_reserved(column.name)


def _is_numbered(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    if not pt.is_integer(column.type) or not column.is_unique or is_reserved(column.name):
        return False
    ends = pc.min_max(column.values).as_py()
    return has_word(column.name, IDENTIFIER) or ends["max"] - ends["min"] == column.n_rows - 1


def _is_prose(column: SampledColumn, sample: TableSample, roles: Roles) -> bool:
    hardly_repeats = column.n_distinct is not None and column.n_distinct > column.n_rows / 2
    return column.n_rows >= 20 and column.mean_chars > PROSE_CHARS and hardly_repeats


def _says_the_same(column: SampledColumn, other: SampledColumn | None) -> bool:
    """Whether each value of one column belongs to one value of the other, in numbers and times that are equal or texts."""
    if other is None or column.codes is None or other.codes is None or (other.n_distinct or 0) < 2:
        return False
    if column.n_distinct != other.n_distinct or not np.array_equal(column.codes < 0, other.codes < 0):
        return False
    try:
        return bool(pc.all(pc.equal(column.values.cast(column.type), other.values.cast(other.type))).as_py())
    except (pa.ArrowException, TypeError):
        return False


@dataclass(frozen=True)
class _Part:
    """A part of a time, and in how many ways a local clock may differ from it: an hour by summer and winter time."""

    of: Callable[[pa.ChunkedArray], pa.ChunkedArray]
    cycle: int = 1_000_000
    n_offsets: int = 1


_PARTS: Final[Mapping[str, _Part]] = {
    "year": _Part(pc.year),
    "month": _Part(pc.month),
    "day": _Part(pc.day),
    "hour": _Part(pc.hour, 24, 2),
    "minute": _Part(pc.minute, 60),
}
"""Names of columns that repeat a part of the time."""

RULES: Final = (
    Rule("reserved", "drop", "this name is reserved in results", _is_row_number, is_forced=True),
    Rule("too_wide", "drop", "holds numbers too far apart for a standard deviation", _is_too_wide),
    Rule("equals_target", "drop", "equals the target", _copies_target),
    Rule("equals_time", "drop", "equals the time", _copies_time),
    Rule("part_of_time", "drop", "a part of the time", _is_part_of_time),
    Rule("long_text", "drop", "long texts that hardly repeat", _is_prose),
    Rule("identifier", "passthrough", "an identifier: no two rows have the same", _is_unique_text),
    Rule("identifier", "passthrough", "an identifier: it numbers the rows", _is_numbered),
)
"""The rules; the first one that holds decides."""
