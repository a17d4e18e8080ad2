"""Compare two published results: their settings, data, features, fitted states and drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emberharmony.io.manifest import Manifest
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.messages import listed, shown
from emberharmony.pipeline.state import FittedState, holds_state, published_state
from emberharmony.pipeline.state_comparison import StateComparison, compare_states
from emberharmony.report.result_report import moment_text
from emberharmony.report.state_changes import change_texts

MAX_LINES: Final = 20
"""Number of columns that the text names of each sort of difference; the JSON has all."""

Pair = tuple[Any, Any]
Drift = Mapping[str, float]


@dataclass(frozen=True)
class ResultComparison:
    """Differences between two published results; every pair is of the first and of the second one."""

    results: tuple[Mapping[str, str], Mapping[str, str]]
    """Address, version, kind, fingerprint and time of both."""
    settings: Mapping[str, Pair]
    """Settings that differ, by their keys; ``None`` where one is not set."""
    data: Mapping[str, Pair]
    """Counts of rows and windows that differ."""
    features_added: tuple[str, ...]
    features_removed: tuple[str, ...]
    state: StateComparison | None
    """``None`` if the fitted states are the same, or one of the results has none."""
    same_state: bool
    drift: Mapping[str, tuple[Drift, Drift]]
    """Of columns that were measured in both, see `emberharmony.features.drift`."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it."""
        return {
            "results": [dict(result) for result in self.results],
            "settings": {key: list(pair) for key, pair in self.settings.items()},
            "data": {key: list(pair) for key, pair in self.data.items()},
            "features_added": list(self.features_added),
            "features_removed": list(self.features_removed),
            "same_state": self.same_state,
            "state": self.state.to_json() if self.state else None,
            "drift": {name: [dict(found) for found in pair] for name, pair in self.drift.items()},
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """Labels and texts of the comparison."""
        for label, result in zip("AB", self.results, strict=True):
            of = f"{result['kind']}, fingerprint {result['fingerprint']}, created {moment_text(result['created'])}"
            yield label, f"{result['address']}: {of}"
        yield from _labelled("settings", [_changed(key, pair) for key, pair in self.settings.items()])
        yield from _labelled("data", [_changed(key, pair) for key, pair in self.data.items()])
        changes = {"added": self.features_added, "removed": self.features_removed}
        yield from _labelled("features", [f"{what}: {listed(names)}" for what, names in changes.items() if names])
        if self.state:
            yield from _labelled("state", list(change_texts(self.state, most=MAX_LINES)))
        else:
            yield "state", "the same" if self.same_state else "not compared: one of the results has none"
        if self.drift:
            yield from _labelled("drift", [_drifted(name, *self.drift[name]) for name in self._by_drift()])

    def _by_drift(self) -> list[str]:
        """Columns, those whose stability index differs most first."""

        def change(name: str) -> float:
            before, after = self.drift[name]
            return -abs(after.get("psi", 0.0) - before.get("psi", 0.0))

        return sorted(self.drift, key=change)


def compare_results(a: Snapshot, b: Snapshot) -> ResultComparison:
    """Compare two published results.

    Parameters
    ----------
    a, b : Snapshot
        The earlier and the later one, such as ``emberharmony.open_result(sink).snapshot``.

    Raises
    ------
    DataError
        If a file of a state is missing or damaged.
    """
    one, other = a.manifest, b.manifest
    old, new = _state_of(a), _state_of(b)
    both = None if old is None or new is None else (old, new)
    same = both is not None and both[0].digest == both[1].digest
    return ResultComparison(
        results=(_described(a), _described(b)),
        settings=_differences(_settings(one), _settings(other)),
        data=_differences(_counts(one), _counts(other)),
        features_added=_only(other.features, one.features),
        features_removed=_only(one.features, other.features),
        state=None if both is None or same else compare_states(*both),
        same_state=same,
        drift={name: (one.drift[name], found) for name, found in other.drift.items() if name in one.drift},
    )


def _described(snapshot: Snapshot) -> dict[str, str]:
    manifest = snapshot.manifest
    found = {"address": snapshot.address, "version": snapshot.version, "kind": manifest.kind}
    return {**found, "fingerprint": manifest.fingerprint, "created": manifest.created}


def _state_of(snapshot: Snapshot) -> FittedState | None:
    return published_state(snapshot) if holds_state(snapshot.manifest) else None


def _settings(manifest: Manifest) -> dict[str, Any]:
    versions = {f"versions.{library}": version for library, version in manifest.versions.items()}
    return {**dict(_flat(manifest.spec)), **versions}


def _flat(section: Mapping[str, Any], below: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of a section and those below it.

    Examples
    --------
    >>> dict(_flat({"windows": {"size": 3, "strides": [1]}, "kind": "fit"}))
    {'windows.size': 3, 'windows.strides': [1], 'kind': 'fit'}
    """
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{below}{key}.")
        else:
            yield f"{below}{key}", value


def _counts(manifest: Manifest) -> dict[str, Any]:
    rows = {f"rows of {split}": n for split, n in manifest.rows.items()}
    windows = {
        f"windows of {split}, stride {stride}": n
        for stride, counts in manifest.strides.items()
        for split, n in counts.windows.items()
    }
    left_out = {"rows without a time": manifest.null_times, "rows between splits": manifest.left_out}
    return {"rows read": manifest.source_rows, **left_out, **rows, "features": len(manifest.features), **windows}


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Pair]:
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _only(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = {*others}
    return tuple(name for name in names if name not in known)


def _labelled(label: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Lines of a sort of differences; only the first has the label."""
    if not texts:
        yield label, "the same"
    for number, text in enumerate(texts[:MAX_LINES]):
        yield "" if number else label, text
    if len(texts) > MAX_LINES:
        yield "", f"and {len(texts) - MAX_LINES:,} more, which --json lists"


def _changed(key: str, pair: Pair) -> str:
    before, after = (f"{value:,}" if type(value) is int else "none" if value is None else shown(value) for value in pair)
    return f"{key}: {before} -> {after}"


def _drifted(name: str, before: Drift, after: Drift) -> str:
    texts = {"psi": "PSI", "null_share": "nulls"}
    moved = (f"{text} {before[key]:.3f} -> {after[key]:.3f}" for key, text in texts.items() if key in before and key in after)
    return f"{name}: {', '.join(moved)}"
