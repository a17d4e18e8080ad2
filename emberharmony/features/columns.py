"""The role of each column, decided once from the schema and the job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import OPAQUE, holds_times, is_bytes, is_category, plain_type
from emberharmony.errors import PlanError
from emberharmony.features.kinds.base import DroppedColumn
from emberharmony.features.kinds.registry import kind_named, kind_of
from emberharmony.messages import did_you_mean, listed, shown
from emberharmony.nested import outer_columns
from emberharmony.settings import Section

NullTime = Literal["error", "drop"]
ROW_NUMBER = "row_number"
"""Column of every feature part: the number of the row in the source."""
SPLIT = "split"
"""Column that readers of the parts take from the folder names."""
_MAX_NAMED = 5
_UNNAMED_INDEX = re.compile("__index_level_[0-9]+__")
_OF_WINDOWS = re.compile("stride|first_row|last_row|start_time|end_time|pc_[0-9]+")


@dataclass(frozen=True)
class ColumnSpec(Section):
    """Roles that the job gives to columns; every other role follows from a column's type."""

    time: str | None = None
    """Timestamp or date that orders the rows, and makes features; without it, rows keep their order."""
    entity: str | tuple[str, ...] = ()
    """Column or columns that tell the series of the table apart (sensor, customer, stock). Windows never cross from one entity
    to another. Carried along unchanged, no feature; null is an entity like others."""
    target: str | None = None
    """Carried along unchanged, never a feature; a window has the target of its last row."""
    drop: tuple[str, ...] = ()
    """Not read at all; the name of a struct or list drops all of its columns."""
    categorical: tuple[str, ...] = ()
    """Numbers, booleans, or binary columns that hold UTF-8 text, to treat as categories."""
    passthrough: tuple[str, ...] = ()
    """Carried along unchanged, no feature; the name of a struct or list stands for all of its columns."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Kinds of single columns: `numeric`, `boolean`, `datetime`, `categorical`, or one that an installed package adds."""
    high_null_threshold: float = 0.9
    """Columns with a larger share of missing training values make no features."""
    null_time: NullTime = "error"
    """Rows without a time: refuse the job, or leave them out and count them."""

    def __post_init__(self) -> None:
        """Refuse a column with two roles, and unknown kinds."""
        if not 0.0 < self.high_null_threshold <= 1.0:
            raise ValueError(f"high_null_threshold is a share in (0, 1], got {self.high_null_threshold}.")
        if "" in (self.time, self.target, *self.entities):
            raise ValueError("The time, entity or target is an empty name; name a column, or leave the key out.")
        for kind in self.kinds.values():
            kind_named(kind)
        seen: dict[str, str] = {}
        roles = {"entity": self.entities, "drop": self.drop, "categorical": self.categorical, "passthrough": self.passthrough}
        roles |= {"time": (self.time,) if self.time else (), "target": (self.target,) if self.target else ()}
        roles |= {"kinds": tuple(name for name in self.kinds if name != self.time)}  # a time makes features, too
        for role, names in roles.items():
            for name in names:
                if name in seen:
                    where = f"twice in {role!r}" if seen[name] == role else f"both as {seen[name]!r} and as {role!r}"
                    raise ValueError(f"Column {name!r} is given {where}; a column has one role.")
                seen[name] = role

    @property
    def entities(self) -> tuple[str, ...]:
        """The columns of `entity`."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity

    @property
    def chosen_kinds(self) -> dict[str, str]:
        """Kinds that the job gives to columns, by column."""
        return dict.fromkeys(self.categorical, "categorical") | self.kinds


@dataclass(frozen=True)
class FeatureColumn:
    """A column that features are made of."""

    name: str
    kind: str


@dataclass(frozen=True)
class ColumnRoles:
    """The role of every column of one table."""

    features: tuple[FeatureColumn, ...]  # in the table's order
    time: str | None
    target: str | None
    passthrough: tuple[str, ...]
    dropped: tuple[DroppedColumn, ...]
    entity: tuple[str, ...] = ()

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns that feature rows carry along: entity, time, target, passthrough."""
        return tuple(name for name in (*self.entity, self.time, self.target, *self.passthrough) if name)

    @property
    def to_read(self) -> tuple[str, ...]:
        """Columns that the job reads."""
        return tuple(dict.fromkeys([*self.carried, *(column.name for column in self.features)]))


def assign_roles(schema: pa.Schema, spec: ColumnSpec, *, also: Iterable[str] = ()) -> ColumnRoles:
    """Give every column of `schema` its role.

    Parameters
    ----------
    schema : pyarrow.Schema
        The table's schema.
    spec : ColumnSpec
        The roles that the job gives.
    also : iterable of str
        Other columns that the job names (keys of a hash split): they must exist too.

    Raises
    ------
    PlanError
        If the table lacks a column that the job names, the time column holds no times, a column's type does not suit its
        kind, a name is reserved, or no column is left to make features of.

    Examples
    --------
    >>> schema = pa.schema({"t": pa.timestamp("s"), "x": pa.int32(), "s": pa.string(), "m": pa.map_(pa.string(), pa.int8())})
    >>> roles = assign_roles(schema, ColumnSpec(time="t"))
    >>> [(column.name, column.kind) for column in roles.features]
    [('t', 'datetime'), ('x', 'numeric'), ('s', 'categorical')]
    >>> roles.dropped
    (DroppedColumn(name='m', reason='map columns are not supported'),)
    """
    chosen, nested = spec.chosen_kinds, outer_columns(schema)
    drop, passthrough = (unnested(names, schema) for names in (spec.drop, spec.passthrough))
    named = [*spec.entities, spec.time, spec.target, *drop, *chosen, *passthrough, *also]
    single = [*spec.entities, spec.time, spec.target, *chosen]
    for name in (*drop, *passthrough):
        if name in single or (name in drop and name in passthrough):
            raise PlanError(
                f"Column {name!r} is given two roles, one of them as a part of a nested column. Name its parts one by one."
            )
    for name in filter(None, named):
        if name not in schema.names and name in nested:
            inner = listed(nested[name], most=_MAX_NAMED)
            raise PlanError(f"Column {name!r} is nested, and read as the columns {inner}. Name one of these instead.")
        if name not in schema.names:
            raise PlanError(f"Column {shown(name)} is not in the table.{did_you_mean(name, schema.names)}")
    if ROW_NUMBER in schema.names and ROW_NUMBER not in drop:
        raise PlanError(
            f"The name {ROW_NUMBER!r} is reserved for the row's number in the source; rename or `drop` that column."
        )
    for name in filter(None, [*spec.entities, spec.time, spec.target, *passthrough]):
        if name == SPLIT or (name in (*spec.entities, spec.target) and _OF_WINDOWS.fullmatch(name)):
            raise PlanError(f"The name {name!r} is reserved for a column of the result; rename the table's own {name!r}.")
    for name in also:
        if kind_of_column(schema.field(name)) is None:
            raise PlanError(f"Column {name!r} is of type {schema.field(name).type}; it cannot be a key of a hash split.")
    for name in spec.entities:
        if not can_be_entity(schema.field(name).type):
            raise PlanError(
                f"The entity column {name!r} is of type {schema.field(name).type}. Texts, whole numbers, dates and booleans "
                f"can name an entity; convert the column in the source, or name another one in `columns.entity`."
            )
    if spec.time and not holds_times(schema.field(spec.time).type):
        raise PlanError(
            f"The time column {spec.time!r} is of type {schema.field(spec.time).type}; it has to be a timestamp or a date. "
            f"Convert it in the source, or leave `columns.time` empty."
        )
    features, dropped = [], []
    for column in schema:
        name, type_ = column.name, column.type
        kind = chosen.get(name) or kind_of_column(column)
        if name in drop:
            dropped.append(DroppedColumn(name, "dropped by the configuration"))
        elif name == spec.target or name in (*spec.entities, *passthrough):
            continue
        elif _UNNAMED_INDEX.fullmatch(name) and name not in (spec.time, *chosen):
            dropped.append(DroppedColumn(name, "the unnamed index of a pandas frame"))
        elif kind is None:
            dropped.append(DroppedColumn(name, _why_unsupported(column)))
        elif not kind_named(kind).accepts(type_) or (_opaque(column) and is_bytes(type_)):
            raise PlanError(f"Column {name!r} is of type {_opaque(column) or type_}; it cannot be of the kind {kind!r}.")
        else:
            features.append(FeatureColumn(name, kind))
    if not features:
        raise PlanError(
            f"No column is left to make features of: {_reasons(dropped, [*spec.entities, *passthrough, spec.target])}."
        )
    return ColumnRoles(tuple(features), spec.time, spec.target, passthrough, tuple(dropped), spec.entities)


def is_reserved(name: str) -> bool:
    """Whether the result has a column of this name, so that no entity, target or carried column can have it.

    Examples
    --------
    >>> is_reserved("pc_1"), is_reserved("split"), is_reserved("price")
    (True, True, False)
    """
    return name in (ROW_NUMBER, SPLIT) or bool(_OF_WINDOWS.fullmatch(name))


def can_be_entity(type_: pa.DataType) -> bool:
    """Whether values of a type can name the entities of a table.

    Examples
    --------
    >>> can_be_entity(pa.dictionary(pa.int8(), pa.string())), can_be_entity(pa.float64())
    (True, False)
    """
    type_ = type_.value_type if pt.is_dictionary(type_) else type_
    return bool(is_category(type_) or pt.is_date(type_) or pt.is_timestamp(type_)) and not pt.is_floating(type_)


def kind_of_column(column: pa.Field) -> str | None:
    """Return the kind of this library for a column of a source; ``None`` for columns that are not supported."""
    return None if _opaque(column) else kind_of(column.type)


def unnested(names: Iterable[str], schema: pa.Schema) -> tuple[str, ...]:
    """Return names of columns in which nested columns are replaced by the columns that they are read as.

    Examples
    --------
    >>> from emberharmony.nested import flat_columns
    >>> schema = pa.schema(column.field for column in flat_columns(pa.schema({"place": pa.struct({"lat": pa.float32()})})))
    >>> unnested(["place", "x"], schema)
    ('place_lat', 'x')
    """
    nested = outer_columns(schema)
    replaced = (inner for name in names for inner in ([name] if name in schema.names else nested.get(name, [name])))
    return tuple(dict.fromkeys(replaced))


def _reasons(dropped: list[DroppedColumn], carried: list[str | None]) -> str:
    """Return why columns make no features, grouped by reason."""
    names: dict[str, list[str]] = {}
    for column in dropped:
        names.setdefault(column.reason, []).append(column.name)
    for name in filter(None, carried):
        names.setdefault("carried along as entity, target or passthrough", []).append(name)
    texts = []
    for reason, of in names.items():
        texts.append(f"{listed(of, most=_MAX_NAMED)} ({reason})")
    rest = sum(map(len, list(names.values())[_MAX_NAMED:]))
    more = f"; and {rest:,} more column{'s' if rest > 1 else ''}" if rest else ""
    return ("; ".join(texts[:_MAX_NAMED]) + more) or "the table has none"


def _opaque(field: pa.Field) -> str | None:
    """Return what the texts or bytes of a column are, if they are no categories."""
    return (field.metadata or {}).get(OPAQUE, b"").decode() or None


def _why_unsupported(field: pa.Field) -> str:
    type_, opaque = field.type, _opaque(field)
    if opaque:
        return f"{opaque} columns are not supported"
    if is_bytes(plain_type(type_)) and not isinstance(type_, pa.BaseExtensionType):
        return "binary columns are not supported; if it holds UTF-8 texts, name it in columns.categorical"
    return f"{_family(type_)} columns are not supported"


def _family(type_: pa.DataType) -> str:
    if pt.is_struct(type_):
        return "struct"
    if pt.is_map(type_):
        return "map"
    if pt.is_nested(type_):
        return "array"
    return str(type_)
