"""From a principal component back to the features and rows of a window that decide it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.pipeline.state import FittedState

COMPONENT: Final = re.compile(r"pc_([1-9]\d*)")
"""Names of the score columns."""


@dataclass(frozen=True)
class Loading:
    """What a component takes of one feature of one row of a window."""

    feature: str
    row: int
    """Of the window, from 0."""
    lag: int
    """Rows before the window's last one."""
    loading: float
    mean: float
    """Of the training windows, which is subtracted first."""


@dataclass(frozen=True)
class ExplainedComponent:
    """A component of the windows of one stride."""

    component: str
    stride: int
    size: int
    n_windows: int
    """Training windows that it was fitted on."""
    explained_variance: float
    share: float
    """Of the variance of all training windows."""
    share_up_to: float
    """Of this component and those before it."""
    loadings: tuple[Loading, ...]
    """The largest ones, by absolute value."""
    squares: float
    """Sum of the squares of these loadings: those of all are 1."""
    formula: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield it as labels and texts."""
        yield "component", f"{self.component} of stride {self.stride}"
        yield "explains", f"{self.share:.2%} of the variance of {self.n_windows:,} training windows of {self.size} rows"
        yield "", f"{self.share_up_to:.2%} together with the components before it; variance {self.explained_variance:.6g}"
        yield "formula", self.formula
        yield "loadings", f"the {len(self.loadings):,} largest, with {self.squares:.0%} of the sum of squares"
        for one in self.loadings:
            row = "last row" if not one.lag else f"{one.lag} row{'s' if one.lag > 1 else ''} before the last"
            yield "", f"{one.loading:+.4f}  {one.feature}, {row}"


def explain_component(state: FittedState, name: str, stride: int | None = None, *, top: int = 10) -> ExplainedComponent:
    """Return what a component is.

    Parameters
    ----------
    state : FittedState
        The state that makes it.
    name : str
        Its name, such as ``pc_3``.
    stride : int, optional
        Stride of its windows; may be left out if there is one.
    top : int
        How many loadings to return.

    Raises
    ------
    PlanError
        If there is no such component, or no such stride.
    """
    pcas = state.pcas
    strides = ", ".join(map(str, sorted(pcas)))
    if not pcas:
        raise PlanError(f"There is no component {name}: the job made no windows.")
    if stride is None and len(pcas) > 1:
        raise PlanError(f"{name} is a component of each stride: name one of {strides} with --stride.")
    pca = pcas.get(next(iter(pcas)) if stride is None else stride)
    if pca is None:
        raise PlanError(f"There are no windows of stride {stride}; there are strides {strides}.")
    found = COMPONENT.fullmatch(name)
    number = int(found[1]) - 1 if found else -1
    if not 0 <= number < pca.n_components:
        raise PlanError(f"There is no component {name} of stride {pca.stride}; there are pc_1 to pc_{pca.n_components}.")
    weights, means = (of.reshape(pca.size, pca.n_features) for of in (pca.components[number], pca.mean))
    # Stable, so that loadings of one size keep the order of rows and features.
    largest = np.argsort(-np.abs(weights).ravel(), kind="stable")[:top]
    features = state.preprocessing.feature_names
    loadings = tuple(_loading(features, weights, means, *divmod(int(place), pca.n_features)) for place in largest)
    ratios = pca.explained_variance_ratio
    return ExplainedComponent(
        component=name,
        stride=pca.stride,
        size=pca.size,
        n_windows=pca.n_windows,
        explained_variance=float(pca.explained_variance[number]),
        share=float(ratios[number]),
        share_up_to=float(ratios[: number + 1].sum()),
        loadings=loadings,
        squares=float(sum(one.loading**2 for one in loadings)),
        formula=f"sum over {pca.size} rows and {pca.n_features:,} features of loading * (feature - mean)",
    )


def _loading(features: Sequence[str], weights: Any, means: Any, row: int, feature: int) -> Loading:
    at = (row, feature)
    return Loading(features[feature], row, len(weights) - 1 - row, float(weights[at]), float(means[at]))
