"""Explain what a name stands for in a result: a feature, a column or a component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emberharmony.io.manifest import read_manifest
from emberharmony.io.store.opening import open_store
from emberharmony.pipeline.state import read_state
from emberharmony.report.explained_component import COMPONENT, explain_component
from emberharmony.report.explained_feature import ExplainedFeature, explain_feature, features_of


class Explanation(Protocol):
    """What is said of a feature, a column, a component or a window."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data, without NaN."""
        ...

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield it as labels and texts."""
        ...


@dataclass(frozen=True)
class ExplainedColumn:
    """A column and its features."""

    features: tuple[ExplainedFeature, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"column": self.features[0].column, "features": [feature.to_json() for feature in self.features]}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield what the features have in common, and the formula of each."""
        shared = ("column", "missing", "vocabulary", "fitted on", "training", "applied to")
        yield from ((label, text) for label, text in self.features[0].lines() if label in shared)
        yield "features", f"{len(self.features):,}"
        for feature in self.features:
            yield "", f"{feature.feature}: {feature.formula}"


def explain_named(result: str | Path, name: str, *, stride: int | None = None, top: int = 10) -> Explanation:
    """Return what a name stands for in a result, or in a fitted state alone.

    Parameters
    ----------
    result : str or Path
        Path or address of a result, or of its state.
    name : str
        A feature, a column that makes features, or a component such as ``pc_3``.
    stride : int, optional
        Stride of the component's windows.
    top : int
        Loadings of a component to return.

    Raises
    ------
    DataError
        If nothing is published there.
    PlanError
        If nothing has that name; the message suggests a similar one.
    """
    state, manifest = read_state(result), read_manifest(open_store(result))
    if name in state.preprocessing.feature_names:
        return explain_feature(state, name, manifest)
    if COMPONENT.fullmatch(name):
        return explain_component(state, name, stride, top=top)
    made = features_of(state, name)
    if made:
        return ExplainedColumn(tuple(explain_feature(state, feature, manifest) for feature in made))
    return explain_feature(state, name, manifest)  # which says why there is none
