"""From a feature back to its column: formula, fitted numbers, and the rows that they were fitted on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.kinds.base import FittedColumn
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.manifest import Manifest
from emberharmony.messages import did_you_mean, listed, shortened, shown
from emberharmony.nested import path_of
from emberharmony.pipeline.state import FittedState

_MOST_VALUES = 12
_MOST_CHARS = 200


@dataclass(frozen=True)
class ExplainedFeature:
    """A feature, as its state has fitted it."""

    feature: str
    column: str
    path: str
    """Where the column lies in the source, such as ``place.lat`` or ``embedding[0]``: its name, if it is not nested."""
    type: str
    kind: str
    description: str
    formula: str
    """For people."""
    expression: str
    """In Python, of ``x``, the column as pandas reads it."""
    missing: str
    """What becomes of rows without a value."""
    parameters: Mapping[str, float | str]
    vocabulary: tuple[str, ...]
    """Values of the column with a feature of their own; none of a column that is no category."""
    training: Mapping[str, float]
    """Of the training rows: ``rows``, ``null_share``, and what else its kind counts."""
    published: Mapping[str, float]
    """The same of the rows that a state was applied to; empty in the result that fitted it."""
    fitted_on: str
    position: int
    """Among the features of a row, from 0."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield it as labels and texts."""
        yield "feature", f"{self.feature}, number {self.position} of a row's features, from 0"
        yield "is", self.description
        nested = f" ({self.path} of the source)" if self.path != self.column else ""
        yield "column", f"{self.column}{nested}, {self.type}, {self.kind}"
        yield "formula", self.formula
        is_long = len(self.expression) > _MOST_CHARS
        yield "in pandas", shortened(self.expression, _MOST_CHARS) + (" (whole with --json)" if is_long else "")
        yield "missing", self.missing
        if self.parameters:
            yield "numbers", ", ".join(f"{name} {_number(value)}" for name, value in self.parameters.items())
        if self.vocabulary:
            yield "vocabulary", f"{len(self.vocabulary):,} values: {listed(self.vocabulary, most=_MOST_VALUES)}"
        yield "fitted on", self.fitted_on
        yield "training", _figures(self.training)
        if self.published:
            yield "applied to", _figures(self.published)


def explain_feature(state: FittedState, name: str, manifest: Manifest | None = None) -> ExplainedFeature:
    """Return what a feature is.

    Parameters
    ----------
    state : FittedState
        The state that makes it.
    name : str
        The feature.
    manifest : Manifest, optional
        Of the result that the state is part of; says where the rows were.

    Raises
    ------
    PlanError
        If there is no such feature; the message says what became of a column of that name, or suggests another name.
    """
    position = 0
    for column in state.preprocessing.columns:
        if name in column.features:
            return _explained(state, column, column.features.index(name), position, manifest)
        position += len(column.features)
    raise PlanError(_why_unknown(state, name))


def features_of(state: FittedState, column: str) -> tuple[str, ...]:
    """Return the features of a column; none if it makes none or is not there."""
    return next((tuple(c.features) for c in state.preprocessing.columns if c.name == column), ())


def _explained(
    state: FittedState, column: FittedColumn, number: int, before: int, manifest: Manifest | None
) -> ExplainedFeature:
    kind, type_ = kind_named(column.kind), state.schema.field(column.name).type
    formula = kind.formulas(column, type_)[number]
    baseline = state.baselines.get(column.name)
    return ExplainedFeature(
        feature=column.features[number],
        column=column.name,
        path=_path(state.schema.field(column.name)),
        type=str(type_),
        kind=column.kind,
        description=kind.describe(column)[number],
        formula=formula.text,
        expression=formula.expression,
        missing=formula.missing,
        parameters=dict(formula.parameters),
        vocabulary=column.categories,
        training={} if baseline is None else kind.figures(baseline.counts),
        published={} if manifest is None else dict(manifest.drift.get(column.name, {})),
        fitted_on=_fitted_on(state, manifest),
        position=before + number,
    )


def _path(field: pa.Field) -> str:
    outer, *inner = path_of(field)
    return str(outer) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner)


def _fitted_on(state: FittedState, manifest: Manifest | None) -> str:
    """The training rows, and the table if the result is that of the job which fitted them."""
    spec = state.spec
    share = f", {spec.split.fractions[0]:.0%} of the rows (split {spec.split_method})"
    where = ""
    if manifest is not None and not manifest.applied_state:
        source = manifest.spec.get("source", {})
        place = source.get("path") or source.get("table") or source.get("query")
        where = f" of {place if isinstance(place, str) else listed(place or [], most=2)}" if place else ""
    return f"{state.n_train_rows:,} training rows{where}{share} (fingerprint {state.fingerprint})"


def _why_unknown(state: FittedState, name: str) -> str:
    reasons = {column.name: column.reason for column in state.preprocessing.dropped}
    if name in reasons:
        return f"Column {shown(name)} makes no feature: {reasons[name]}."
    if name in state.schema.names:
        return f"Column {shown(name)} is carried along and makes no feature."
    known: Sequence[str] = [*state.preprocessing.feature_names, *(column.name for column in state.preprocessing.columns)]
    return f"There is no feature {shown(name)}.{did_you_mean(name, known)}"


def _figures(figures: Mapping[str, float]) -> str:
    shares = {
        "null_share": "missing",
        "other_share": "of other values",
    }
    texts = [f"{figures['rows']:,.0f} rows"] if "rows" in figures else []
    texts += [f"{figures[key]:.2%} {text}" for key, text in shares.items() if key in figures]
    texts += [f"{key} {figures[key]:.6g}" for key in ("min", "max", "psi") if key in figures]
    return ", ".join(texts)


def _number(value: float | str) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else f"{value:.6g}"
