"""What has changed from one fitted state to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from emberharmony.errors import DamagedError, EmberharmonyError
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.state import FittedState, read_state, staged_state
from emberharmony.pipeline.state_registry import state_before

Explained = tuple[float, ...]
"""Share of the training windows' variance that each component of a stride explains."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class VocabularyChange:
    """Categories of a column that have features in one of two states only."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class StateComparison:
    """Differences between two fitted states; pairs are of the earlier and of the later one. See `compare_states`."""

    rows: tuple[int, int]
    """Training rows."""
    features: tuple[int, int]
    """How many."""
    columns_added: tuple[str, ...]
    """Columns with features, and with none before."""
    columns_removed: tuple[str, ...]
    kinds: Mapping[str, tuple[str, str]]
    """Kinds of the columns that are of another one now."""
    categories: Mapping[str, VocabularyChange]
    """By column, where categories were added or removed."""
    medians: Mapping[str, float]
    """How far the median of each column of numbers has moved, in units of the earlier scale."""
    explained: Mapping[str, tuple[Explained, Explained]]
    """Explained variance by stride; a state without the stride has no components."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return the comparison that `to_json` has written."""
        return cls(
            rows=tuple(data["rows"]),
            features=tuple(data["features"]),
            columns_added=tuple(data["columns_added"]),
            columns_removed=tuple(data["columns_removed"]),
            kinds={name: tuple(kinds) for name, kinds in data["kinds"].items()},
            categories={
                name: VocabularyChange(tuple(change["added"]), tuple(change["removed"]))
                for name, change in data["categories"].items()
            },
            medians=dict(data["medians"]),
            explained={stride: (tuple(old), tuple(new)) for stride, (old, new) in data["explained"].items()},
        )


def compare_states(old: FittedState, new: FittedState, /) -> StateComparison:
    """Compare a fitted state with an earlier one.

    Parameters
    ----------
    old, new : FittedState
        The earlier and the later state, such as `emberharmony.open_result(sink).state`.

    Returns
    -------
    StateComparison
        Columns, categories, medians and explained variance. Medians are compared where a column is a number in both.

    Raises
    ------
    DataError
        If the components of a state cannot be read.

    Examples
    --------
    For two weekly fits::

        before, after = (open_result(f"states/{week}").state for week in ("2026-11-16", "2026-11-23"))
        compare_states(before, after).medians  # {'distance': 0.02, 'dep_delay': -0.31}
    """
    olds, news = ({column.name: column for column in state.preprocessing.columns} for state in (old, new))
    shared = [name for name in news if name in olds]
    vocabularies = {
        name: VocabularyChange(
            tuple(value for value in news[name].categories if value not in {*olds[name].categories}),
            tuple(value for value in olds[name].categories if value not in {*news[name].categories}),
        )
        for name in shared
    }
    return StateComparison(
        rows=(old.n_train_rows, new.n_train_rows),
        features=(len(old.preprocessing.feature_names), len(new.preprocessing.feature_names)),
        columns_added=tuple(name for name in news if name not in olds),
        columns_removed=tuple(name for name in olds if name not in news),
        kinds={name: (olds[name].kind, news[name].kind) for name in shared if olds[name].kind != news[name].kind},
        categories={name: change for name, change in vocabularies.items() if change.added or change.removed},
        medians=dict(_moved_medians(old, new)),
        explained=_explained(old, new),
    )


def compared_with_earlier(run: Run) -> dict[str, Any]:
    """Compare what a job has fitted with the state before it, if its sink is in a folder of states.

    Returns
    -------
    dict
        The comparison as JSON, with the address and the fingerprint of the earlier state. Nothing if there is none, it has no
        column in common, or cannot be read: then a warning says why.

    Notes
    -----
    A job that publishes rows as well is not compared: results of other tables may be beside it.
    """
    job = run.plan.spec.job
    if not job.fits or job.publishes_rows:
        return {}
    try:
        earlier = state_before(run.result.published.address)
        return {} if earlier is None else _compared(read_state(earlier.address), staged_state(run))
    except DamagedError:  # its own files are made again
        raise
    except EmberharmonyError as error:  # of another job's files: nothing of this one is wrong
        _log.warning("The state is not compared with the one before it. %s", error)
        return {}


def _compared(old: FittedState, new: FittedState) -> dict[str, Any]:
    before, after = ({column.name for column in state.preprocessing.columns} for state in (old, new))
    if before.isdisjoint(after):  # of another table
        return {}
    return {"address": old.address, "fingerprint": old.fingerprint, **compare_states(old, new).to_json()}


def _moved_medians(old: FittedState, new: FittedState) -> Iterator[tuple[str, float]]:
    before = {column.name: column.centre for column in old.preprocessing.columns}
    for column in new.preprocessing.columns:
        then, now = before.get(column.name), column.centre
        if then is not None and now is not None:
            yield column.name, (now.median - then.median) / then.scale


def _explained(old: FittedState, new: FittedState) -> dict[str, tuple[Explained, Explained]]:
    before, after = (_ratios(state) for state in (old, new))
    return {str(stride): (before.get(stride, ()), after.get(stride, ())) for stride in sorted({*before, *after})}


def _ratios(state: FittedState) -> dict[int, Explained]:
    return {stride: tuple(pca.explained_variance_ratio.tolist()) for stride, pca in state.pcas.items()}
