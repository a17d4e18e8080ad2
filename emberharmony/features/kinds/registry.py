"""The kinds of columns by name: those of this library, and those from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from emberharmony.arrow import is_bytes, plain_type
from emberharmony.features.kinds.base import AnyKind, FittedColumn
from emberharmony.features.kinds.boolean import Boolean
from emberharmony.features.kinds.categorical import Categorical
from emberharmony.features.kinds.datetime import Datetime
from emberharmony.features.kinds.numeric import Numeric
from emberharmony.messages import listed, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

ENTRY_POINTS = "emberharmony.kinds"
"""Group of entry points by which an installed package adds kinds, in every process."""

_kinds: dict[str, AnyKind] = {kind.name: kind for kind in (Numeric(), Boolean(), Datetime(), Categorical())}
KINDS: Mapping[str, AnyKind] = MappingProxyType(_kinds)
"""The kinds that this process knows, by name: those of this library, and those registered from outside."""
_BY_TYPE = tuple(_kinds.values())  # without those from outside; the first kind that accepts a type takes it


def register_kind(kind: AnyKind, /) -> None:
    """Add a kind in this process only; a package for worker processes declares an entry point instead.

    Raises
    ------
    ValueError
        If another kind has its name.
    """
    if _kinds.setdefault(kind.name, kind) is not kind:
        raise ValueError(f"A kind of column named {kind.name!r} is registered already; give this one another name.")


def kind_named(name: str, /) -> AnyKind:
    """Return a registered kind, or one that an installed package declares as an entry point.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if name not in _kinds:
        _load_entry_points()
    if name not in _kinds:
        raise ValueError(
            f"{shown(name)} is not a kind of column; the kinds are {listed(list(_kinds))}. An installed package adds kinds by "
            f"entry points of the group {ENTRY_POINTS!r}."
        )
    return _kinds[name]


def unknown_kinds(names: Iterable[str], /) -> list[str]:
    """Return the names of kinds that are neither registered nor declared by an installed package.

    Examples
    --------
    >>> unknown_kinds(["numeric", "unit_interval"])
    ['unit_interval']
    """
    _load_entry_points()
    return sorted({*names} - _kinds.keys())


def kind_of(type_: pa.DataType, /) -> str | None:
    """Return the kind of this library for an Arrow type; ``None`` for types that are not supported.

    Kinds from outside take only the columns that a job gives them: to install a package must not change a job's features.
    Binary columns may hold texts, which only the job knows; they are categories if it says so.

    Examples
    --------
    >>> kind_of(pa.int8()), kind_of(pa.dictionary(pa.int8(), pa.int64())), kind_of(pa.duration("s")), kind_of(pa.binary())
    ('numeric', 'categorical', 'numeric', None)
    """
    if is_bytes(plain_type(type_)):
        return None
    return next((kind.name for kind in _BY_TYPE if kind.accepts(type_)), None)


def fitted_from_json(data: Mapping[str, Any], /) -> FittedColumn:
    """Return the fitted column that was written as JSON.

    Raises
    ------
    ValueError
        If its kind is not known, or a value is missing or of another type.
    """
    fitted: FittedColumn = _reader(data["kind"]).validate_python(data)
    return fitted


@cache
def _load_entry_points() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        register_kind(entry.load()())


@cache
def _reader(kind: str) -> TypeAdapter[FittedColumn]:
    from pydantic import TypeAdapter  # late: a library user who only computes does not need it

    return TypeAdapter(kind_named(kind).fitted)
