"""The columns of a table whose files may differ: the type that each is read as, and where each file holds it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import OPAQUE, is_bytes, is_text
from emberharmony.features.table_types import common_type
from emberharmony.io.sources.parquet.footers import FooteredFile
from emberharmony.nested import FlatColumn, Path, clash, flat_columns, is_element, outer_names

_OPAQUE_TYPES = frozenset({"JSON", "BSON", "GEOMETRY", "GEOGRAPHY", "VARIANT"})
"""Logical types of Parquet whose values are texts or bytes, and no categories."""
_REMEDY = "Write one of the files again, leave the column out with columns.drop, or leave a file out of source.path"


@dataclass(frozen=True)
class StoredColumn:
    """Where files of one schema hold a column."""

    flat: FlatColumn
    leaves: range
    """Numbers of its column chunks; the elements of a list share theirs."""
    opaque: str | None
    """Logical type of Parquet, of texts and bytes that are no categories."""

    @cached_property
    def dotted(self) -> str:
        """The path of its column chunks, as Arrow's reader takes it."""
        return ".".join(step for step in self.flat.path if isinstance(step, str))

    @cached_property
    def is_element(self) -> bool:
        """Whether it is an element of lists, whose column chunk it shares with the others."""
        return is_element(self.flat.path)


@dataclass(frozen=True)
class FileSchema:
    """What files of one schema hold."""

    file: FooteredFile
    """The first of them."""
    wanted: Container[str] | None
    """Names of the columns that count, or of the nested columns that they come from; ``None`` for all."""

    def is_of(self, file: FooteredFile) -> bool:
        """Whether another file has the same columns."""
        same = self.file.schema is file.schema or bool(self.file.schema.equals(file.schema))
        return same and self.file.number_categories == file.number_categories

    @cached_property
    def columns(self) -> dict[str, StoredColumn]:
        """Every column by its name; of several with one name the first."""
        columns: dict[str, StoredColumn] = {}
        for column in self.every:
            columns.setdefault(column.flat.name, column)
        return columns

    @cached_property
    def every(self) -> list[StoredColumn]:
        """Every column, in the order of the file."""
        file, logical = self.file, self.file.metadata.schema
        firsts, first = dict[str, int](), 0
        for field in file.schema:
            firsts[field.name] = first
            first += n_leaves(field.type)
        found = []
        for flat in flat_columns(file.schema):
            if self.wanted is not None and not any(name in self.wanted for name in (flat.name, *outer_names(flat.path))):
                continue
            outer = str(flat.path[0])
            leaves = _leaves(file.schema.field(outer).type, flat.path[1:], firsts[outer])
            if flat.name in file.number_categories:
                flat = FlatColumn(flat.path, pa.dictionary(pa.int32(), flat.type), flat.nullable)
            opaque = None
            if is_text(flat.type) or is_bytes(flat.type):
                name = str(logical.column(leaves.start).logical_type.type)
                opaque = name if name in _OPAQUE_TYPES else None
            found.append(StoredColumn(flat, leaves, opaque))
        return found

    def instead_of(self, path: Path) -> tuple[Path, pa.DataType | None]:
        """Return what these files hold in place of a column that they lack: the nearest outer column and its type."""
        if path[0] not in self.file.schema.names:
            return (), None
        type_, depth = self.file.schema.field(str(path[0])).type, 1
        while depth < len(path) and pt.is_struct(type_) and path[depth] in type_.names:
            type_, depth = type_.field(path[depth]).type, depth + 1
        return path[:depth], type_

    @property
    def clashes(self) -> Iterator[tuple[str, str]]:
        """Every name that several columns have, and what to say of it."""
        if len(self.every) == len(self.columns):
            return
        columns: dict[str, list[Path]] = {}
        for column in self.every:
            columns.setdefault(column.flat.name, []).append(column.flat.path)
        for name, paths in columns.items():
            if len(paths) > 1:
                yield name, f"{self.file.address}: {clash(*paths)}, or leave it out with columns.drop."


class TableColumns:
    """The columns of a table of many files.

    Parameters
    ----------
    files : sequence of FooteredFile
        The files.
    wanted : container of str, optional
        The names of the columns, or of the nested columns that they come from; by default all.
    missing_are_null : bool
        Whether columns that a file lacks are null in its rows; otherwise such columns cannot be read.

    Attributes
    ----------
    schema : pyarrow.Schema
        Every column, in the order of the first file that has it.
    unreadable : dict of str to str
        Columns whose values would not mean the same in all files, and why.
    held : frozenset of str
        Names of the columns of the files, those that are not wanted included.
    origins : dict of str to str
        Of columns whose type differs, the address of a file that has the type of `schema`, or the nearest to it.
    """

    def __init__(
        self, files: Sequence[FooteredFile], *, wanted: Container[str] | None = None, missing_are_null: bool = False
    ) -> None:
        # A file without rows has no values that could differ, whatever pandas made of its columns.
        holding = [i for i, file in enumerate(files) if file.n_rows] or list(range(len(files)))
        self._schemas, numbers = _distinct([files[i] for i in holding], wanted)
        self._schema_of = dict(zip(holding, numbers, strict=True))
        self._missing_are_null = missing_are_null
        self.held = frozenset(name for s in self._schemas for name in (*s.file.schema.names, *s.columns))
        self.origins: dict[str, str] = {}
        self.unreadable = {name: why for schema in self._schemas for name, why in schema.clashes}
        names = dict.fromkeys(name for schema in self._schemas for name in schema.columns)
        nested = {name for s in self._schemas for column in s.every for name in outer_names(column.flat.path)}
        self.schema = pa.schema([self._unified(n) for n in names if not self._is_nested_without_values(n, nested)])

    def of_file(self, file: int) -> Mapping[str, StoredColumn]:
        """Return the columns of a file with rows, by name; without those that it lacks."""
        return self._schemas[self._schema_of[file]].columns

    def _is_nested_without_values(self, name: str, nested: Container[str]) -> bool:
        """Whether a column that is nested in some files is of the type null in all others."""
        types = [s.columns[name].flat.type for s in self._schemas if name in s.columns] if name in nested else []
        return bool(types) and all(map(pt.is_null, types))

    def _unified(self, name: str) -> pa.Field:
        """Return a column with the type that holds the values of all files."""
        have = [schema for schema in self._schemas if name in schema.columns]
        first = have[0].columns[name]
        type_, origin, is_nullable = first.flat.type, have[0].file.address, len(have) < len(self._schemas)
        for schema in have:
            flat = schema.columns[name].flat
            wider = common_type(type_, flat.type)
            if wider is None:
                self._refuse(name, f"{type_} in {origin}", f"{flat.type} in {schema.file.address}")
                break
            if wider != type_:
                type_, origin = wider, schema.file.address
                self.origins[name] = origin
            is_nullable |= flat.nullable
        for schema in self._schemas if len(have) < len(self._schemas) else ():
            if name not in schema.columns:
                self._check_absence(first.flat, have[0], schema)
        field = FlatColumn(first.flat.path, type_, is_nullable).field
        return field.with_metadata((field.metadata or {}) | {OPAQUE: first.opaque}) if first.opaque else field

    def _check_absence(self, column: FlatColumn, has: FileSchema, lacks: FileSchema) -> None:
        """Note a column that some files lack, unless it is certain that it is null there."""
        steps, type_ = lacks.instead_of(column.path)
        if type_ is None:
            if not self._missing_are_null:
                remedy = f"Set `source.missing_columns: null` to take it as null there. {_REMEDY}"
                self._refuse(column.name, f"{column.type} in {has.file.address}", f"missing in {lacks.file.address}", remedy)
        # Arrow infers a struct from its values: a field that no row of a file has is not in that file.
        elif steps == column.path or not (pt.is_struct(type_) or pt.is_null(type_)):
            outer, other = "_".join(map(str, steps)), has.instead_of(steps)[1]
            part = "" if outer == column.name else f"part of {outer!r}, which is "
            self._refuse(column.name, f"{part}{other} in {has.file.address}", f"{type_} in {lacks.file.address}")

    def _refuse(self, name: str, one: str, other: str, remedy: str = _REMEDY) -> None:
        self.unreadable.setdefault(name, f"Column {name!r} is {one} and {other}. {remedy}.")


def n_leaves(type_: pa.DataType) -> int:
    """Return the number of column chunks of a column.

    Counted by the schema, not by the leaves' paths: ``b`` in a struct ``a`` has the same path as a column named ``a.b``.

    Examples
    --------
    >>> n_leaves(pa.struct({"a": pa.int8(), "b": pa.list_(pa.int8())}))
    2
    """
    children = [type_.field(i).type for i in range(type_.num_fields)]
    return sum(map(n_leaves, children)) if children else 1


def _leaves(type_: pa.DataType, steps: Path, first: int) -> range:
    """Return the column chunks of a column inside one whose first column chunk is given."""
    if not steps or not pt.is_struct(type_):
        return range(first, first + n_leaves(type_))
    place = type_.names.index(steps[0])
    before = sum(n_leaves(type_.field(i).type) for i in range(place))
    return _leaves(type_.field(place).type, steps[1:], first + before)


def _distinct(files: Sequence[FooteredFile], wanted: Container[str] | None) -> tuple[list[FileSchema], list[int]]:
    """Return the distinct schemas of files, and the number of each file's schema."""
    schemas, numbers = list[FileSchema](), list[int]()
    for file in files:
        same = (i for i, known in enumerate(schemas) if known.is_of(file))
        number = next(same, len(schemas))
        if number == len(schemas):
            schemas.append(FileSchema(file, wanted))
        numbers.append(number)
    return schemas, numbers
