"""Say in lines of text which state was applied, and what has changed from one fitted state to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from emberharmony.io.store.address import without_query
from emberharmony.messages import count_of, listed
from emberharmony.pipeline.state_comparison import Explained, StateComparison, VocabularyChange

MOVED: Final = 0.1
"""A median that has moved by less of the earlier scale is not named."""
MAX_COLUMNS: Final = 5
"""Number of columns that one line names, or that have a line of their own; `emberharmony compare --json` lists all."""
MAX_CATEGORIES: Final = 5


def state_text(state: Mapping[str, str]) -> str:
    """Name a state by where it is and by its fingerprint.

    Examples
    --------
    >>> state_text({"address": "s3://lake/states/2026-11-23?region=eu-west-1", "fingerprint": "0123"})
    's3://lake/states/2026-11-23, fingerprint 0123'
    """
    return f"{without_query(state['address'])}, fingerprint {state['fingerprint']}"


def comparison_lines(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and texts of a comparison in a manifest; none of an empty one."""
    if comparison:
        yield "compared", f"with {state_text(comparison)}:"
        yield from (("", text) for text in change_texts(StateComparison.from_json(comparison)))


def change_texts(changes: StateComparison, *, most: int = MAX_COLUMNS) -> Iterator[str]:
    """Texts of what has changed, at most `most` columns of each sort of change."""
    yield f"{_pair(*changes.rows)} training rows, {_pair(*changes.features)} features"
    if changes.columns_added:
        yield f"columns added: {listed(changes.columns_added)}"
    if changes.columns_removed:
        yield f"columns removed: {listed(changes.columns_removed)}"
    for name, (old, new) in changes.kinds.items():
        yield f"{name} was {old} and is {new}"
    yield from _categories(changes.categories, most)
    if changes.medians:
        yield _medians(changes.medians, most)
    for stride, (before, after) in changes.explained.items():
        yield f"stride {stride}: {_explained(before, after)}"


def _pair(old: int, new: int) -> str:
    return f"{old:,} -> {new:,}"


def _categories(changes: Mapping[str, VocabularyChange], most: int) -> Iterator[str]:
    """The columns with the most changes first."""
    names = sorted(changes, key=lambda name: -len(changes[name].added) - len(changes[name].removed))
    for name in names[:most]:
        parts = {"added": changes[name].added, "removed": changes[name].removed}
        texts = (f"{len(values):,} {what} ({listed(values, most=MAX_CATEGORIES)})" for what, values in parts.items() if values)
        yield f"categories of {name}: {', '.join(texts)}"
    if len(names) > most:
        yield f"categories of {len(names) - most:,} more columns"


def _medians(moved: Mapping[str, float], most: int) -> str:
    """The medians that have moved furthest first."""
    far = sorted((name for name, shift in moved.items() if abs(shift) >= MOVED), key=lambda name: -abs(moved[name]))
    if not far:
        return f"no median of {len(moved):,} columns has moved by {MOVED:g} of the earlier scale or more"
    shifts = listed((f"{name} {moved[name]:+.2f}" for name in far), most=most)
    return f"medians moved, in units of the earlier scale: {shifts}"


def _explained(before: Explained, after: Explained) -> str:
    if len(before) == len(after):
        return f"{sum(before):.1%} -> {sum(after):.1%} of the training windows' variance, {count_of(len(after), 'component')}"
    texts = (
        f"{sum(ratios):.1%} by {count_of(len(ratios), 'component')}" if ratios else "no windows" for ratios in (before, after)
    )
    return f"{' -> '.join(texts)}"
