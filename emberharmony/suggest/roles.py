"""Guess the time, the entity and the target of a table from a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.errors import PlanError
from emberharmony.features.columns import can_be_entity, is_reserved
from emberharmony.messages import did_you_mean, shown
from emberharmony.suggest.column_names import IDENTIFIER, SERIES, TARGET, TIME, has_word
from emberharmony.suggest.table_sample import SampledColumn, TableSample

ALONE_SHARE: Final = 0.98
"""Share of the rows that have to be the only one of their entity at their time, for columns to tell the series apart."""
_MAX_CANDIDATES: Final = 12
"""Columns that are tried in pairs as the entity."""
_MOST_ENTITIES: Final = 0.5
"""Largest number of entities, as a share of the sampled rows: more would be rows, not series."""


@dataclass(frozen=True)
class Guess:
    """A role, the columns that have it, and why.

    Parameters
    ----------
    names : tuple of str
        The columns; none if no column suits.
    reason : str
        Why these, or why none.
    others : tuple of str
        Columns that would suit, too.
    is_sure : bool
        Whether nobody has to be asked.
    """

    names: tuple[str, ...]
    reason: str
    others: tuple[str, ...] = ()
    is_sure: bool = True

    @property
    def name(self) -> str | None:
        """The only column; ``None`` if there is none."""
        return self.names[0] if self.names else None


@dataclass(frozen=True)
class Sign:
    """A sign that a column is the time, and its weight."""

    weight: int
    reason: str
    shows: Callable[[SampledColumn], bool]


TIME_SIGNS: Final = (
    Sign(8, "its values differ", lambda column: column.n_distinct is None or column.n_distinct > 1),
    Sign(4, "no value is missing", lambda column: not column.n_null),
    Sign(2, "the rows are in its order", lambda column: column.n_rows > 1 and column.is_ascending),
    Sign(1, "its name says so", lambda column: has_word(column.name, TIME)),
)
"""What speaks for a column of times; each outweighs all that follow it."""


def given(sample: TableSample, names: Sequence[str], *, role: str) -> Guess:
    """Return the columns that a user has named for a role.

    Raises
    ------
    PlanError
        If the table has no such column.
    """
    for name in names:
        if name not in sample.schema.names:
            raise PlanError(
                f"--{role} names {shown(name)}, which is not in the table.{did_you_mean(name, sample.schema.names)}"
            )
    return Guess(tuple(names), "as you named it")


def guess_time(sample: TableSample) -> Guess:
    """Return the column that orders the rows: of those that hold times, the one with the weightiest signs."""
    found = [column for column in sample.columns.values() if column.times is not None and _may_be_role(column.name)]
    found = [column for column in found if not sample.is_whole or column.n_distinct is None or column.n_distinct > 1]
    if not found:
        return Guess((), "no column holds different timestamps or dates, so the rows keep their order")
    weights = {column.name: sum(sign.weight for sign in TIME_SIGNS if sign.shows(column)) for column in found}
    first, *others = sorted(weights, key=lambda name: -weights[name])
    if len(found) == 1:
        return Guess((first,), "the only column of timestamps or dates")
    signs = [sign.reason for sign in TIME_SIGNS if sign.shows(sample.columns[first])]
    reason = f"of {len(found)} columns of times: {', '.join(signs) or 'the first one'}"
    return Guess((first,), reason, tuple(others), is_sure=weights[first] > weights[others[0]])


def guess_target(sample: TableSample, *, taken: Sequence[str]) -> Guess:
    """Return the column to predict, if one is named like it; numbers and categories that could be it are the others."""
    able = [column for column in sample.columns.values() if column.name not in taken and _can_be_target(column)]
    named = [column.name for column in able if has_word(column.name, TARGET)]
    numbers = [column.name for column in able if not is_text(column.type) and not column.is_unique]
    if named:
        others = tuple(name for name in dict.fromkeys([*named[1:], *numbers]) if name != named[0])
        return Guess((named[0],), "named like one; no feature is made of it", others, is_sure=len(named) == 1)
    return Guess((), "no column is named like one; features and windows need none", tuple(numbers), is_sure=False)


def guess_entity(sample: TableSample, time: str | None, *, taken: Sequence[str]) -> Guess:
    """Return the columns that tell the series apart: those of which, with the time, nearly every row is the only one.

    A table whose rows all have times of their own is one series, unless a column is named like a series.
    """
    if time is None or not sample.rows.num_rows:
        return Guess((), "one series; name what tells sensors, customers or the like apart, if there are many")
    able = [column for column in sample.columns.values() if column.name not in (*taken, time) and _can_tell(column)]
    able = sorted(able, key=lambda column: (not has_word(column.name, SERIES), column.n_distinct or 0))[:_MAX_CANDIDATES]
    named = tuple(column.name for column in able if has_word(column.name, SERIES))
    shared = 1 - _share_alone(sample, (time,))
    if shared <= 1 - ALONE_SHARE:
        if named:
            return Guess(named[:1], f"named like a series; {_values(sample, named[:1])}", named[1:], is_sure=len(named) == 1)
        return Guess((), "one series: nearly every row has a time of its own", tuple(column.name for column in able))
    several = f"{shared:.0%} of the sampled rows share their time with others"
    names = [column.name for column in able]
    for options in ([(name,) for name in names], list(combinations(names, 2))):
        telling = [option for option in options if _share_alone(sample, (*option, time)) >= ALONE_SHARE]
        if telling:
            first, others = telling[0], tuple(option[0] for option in telling[1:] if len(option) == 1)
            reason = f"{several}, and of one entity hardly any; {_values(sample, first)}"
            return Guess(first, reason, others, is_sure=len(telling) == 1)
    return Guess((), f"{several}, and no column or pair of columns tells them apart", tuple(names), is_sure=not names)


def _may_be_role(name: str) -> bool:
    return not is_reserved(name)


def _can_be_target(column: SampledColumn) -> bool:
    is_value = pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_boolean(column.type) or is_text(column.type)
    return is_value and _may_be_role(column.name) and column.n_null < max(1, column.n_rows) and not column.is_constant


def _can_tell(column: SampledColumn) -> bool:
    """Whether the values of a column could be entities: of numbers, only those that are named like identifiers."""
    if column.times is not None or not can_be_entity(column.values.type) or not _may_be_role(column.name):
        return False
    if not is_text(column.type) and not has_word(column.name, SERIES | IDENTIFIER):
        return False
    most = max(2.0, _MOST_ENTITIES * column.n_rows)
    return column.n_distinct is not None and 2 <= column.n_distinct <= most


def _share_alone(sample: TableSample, names: Sequence[str]) -> float:
    """Share of the rows whose combination of values no other row has."""
    groups = sample.groups(names)
    if groups is None or not len(groups):
        return 0.0
    counts = np.unique(groups, return_counts=True)[1]
    return float((counts == 1).sum() / len(groups))


def _values(sample: TableSample, names: Sequence[str]) -> str:
    groups = sample.groups(names)
    n_values = 0 if groups is None else len(np.unique(groups))
    return f"{n_values:,} values in {sample.rows.num_rows:,} rows"
