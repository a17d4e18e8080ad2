"""A suggested job, decided from a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from emberharmony.errors import DataError
from emberharmony.features.columns import kind_of_column
from emberharmony.splits import SplitSpec
from emberharmony.suggest.feature_rules import Roles, Rule, rule_for
from emberharmony.suggest.roles import Guess
from emberharmony.suggest.table_sample import TableSample
from emberharmony.suggest.window_choice import WindowChoice, choose_windows, series_lengths

MIN_ROWS: Final = 2
_NO_ENTITY = Guess((), "none: nearly all rows have the same time, so that no series is long enough")
_NO_WINDOWS = WindowChoice(5, (), "no windows: the table would not take them")


@dataclass(frozen=True)
class RoleGuesses:
    """Time, entity and target."""

    time: Guess
    entity: Guess
    target: Guess

    @property
    def roles(self) -> Roles:
        """The columns."""
        return Roles(self.time.name, self.entity.names, self.target.name)


@dataclass(frozen=True)
class Suggestion:
    """What a job file is written from."""

    guesses: RoleGuesses
    windows: WindowChoice
    drops_null_times: bool
    drop: Mapping[str, str] = field(default_factory=dict)  # columns and why
    passthrough: Mapping[str, str] = field(default_factory=dict)
    forced: tuple[str, ...] = ()  # dropped columns that no job could read
    is_split_by_time: bool = True  # if there is a time

    @property
    def without_windows(self) -> Suggestion:
        """The same job without windows."""
        return replace(self, windows=_NO_WINDOWS)

    @property
    def without_rules(self) -> Suggestion:
        """The same job with all columns that a job can read."""
        return replace(self, drop={name: why for name, why in self.drop.items() if name in self.forced}, passthrough={})


def suggest(sample: TableSample, guesses: RoleGuesses) -> Suggestion:
    """Return the job that suits a table whose time, entity and target are known.

    Parameters
    ----------
    sample : TableSample
        Rows of the table.
    guesses : RoleGuesses
        Its time, entity and target.

    Raises
    ------
    DataError
        If the table has a single row, or nothing to make features of.
    """
    roles = guesses.roles
    lengths = series_lengths(sample, roles)
    is_split = lengths.splits[0] > 0
    if not is_split and sample.n_rows < MIN_ROWS:
        raise DataError(f"The table has {sample.n_rows:,} row; a job needs {MIN_ROWS} at least, to train and to test.")
    if not is_split:
        guesses = replace(guesses, entity=_NO_ENTITY)
        roles = guesses.roles
    others = [column for name, column in sample.columns.items() if name not in roles.names]
    found: dict[str, Rule] = {column.name: rule for column in others if (rule := rule_for(column, sample, roles))}
    unreadable = dict.fromkeys(sample.unreadable, "cannot be read: its files or fields contradict each other")
    reserved = {name: rule.reason for name, rule in found.items() if rule.is_forced}
    if roles.time is None and not _has_features(sample, {*roles.names, *unreadable, *reserved}):
        raise DataError("No column has two different values in the rows that train: there is nothing to make features of.")
    if roles.time is None and not _has_features(sample, {*found, *roles.names, *unreadable}):
        found = {name: rule for name, rule in found.items() if rule.is_forced}  # then an identifier is better than no feature
    time = sample.columns.get(roles.time) if roles.time else None
    return Suggestion(
        guesses,
        choose_windows(lengths) if is_split else _NO_WINDOWS,
        drops_null_times=time is not None and time.n_null > 0,
        drop=unreadable | reserved | {name: rule.reason for name, rule in found.items() if rule.role == "drop"},
        passthrough={name: rule.reason for name, rule in found.items() if rule.role == "passthrough"},
        forced=(*unreadable, *reserved),
        is_split_by_time=is_split or roles.time is None,
    )


def _has_features(sample: TableSample, taken: set[str]) -> bool:
    """Whether another column makes features of the rows that train, the first ones of a table without a time.

    Times always do; other columns, if they have two different values.
    """
    n_train = SplitSpec().ranks(sample.rows.num_rows)[0]
    for name, column in sample.columns.items():
        if name not in taken and kind_of_column(sample.schema.field(name)) is not None:
            codes = None if column.codes is None else column.codes[:n_train]
            least = 1 if column.times is not None else 2
            if codes is None or len(np.unique(codes[codes >= 0])) >= least:
                return True
    return not sample.is_whole
