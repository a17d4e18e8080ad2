"""Names and values that go into GoogleSQL: validated, quoted, written as literals; nothing is pasted in as it came."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]*:)?[a-z][a-z0-9-]{1,61}[a-z0-9]")
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE_CATEGORIES = {"Pc", "Pd", "Zs"}  # connectors, dashes, spaces; letters, marks and numbers are all allowed
_COLUMN_FORBIDDEN = frozenset('!"$()*,./;?@[\\]^`{}~')
_RESERVED_PREFIXES = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_LABEL = re.compile(r"[\w-]{0,63}")


@dataclass(frozen=True, order=True)
class TableName:
    """A table's full name, validated.

    Examples
    --------
    >>> table = TableName.parse("flights.raw", project="my-project")
    >>> str(table), table.sql, table.path
    ('my-project.flights.raw', '`my-project.flights.raw`', 'projects/my-project/datasets/flights/tables/raw')
    """

    project: str
    dataset: str
    table: str

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise ValueError(f"{self.project!r} is not a Google Cloud project id.")
        if not _DATASET.fullmatch(self.dataset):
            raise ValueError(f"{self.dataset!r} is not a BigQuery dataset: letters, digits and underscores only.")
        if not _is_table_id(self.table):
            raise ValueError(f"{self.table!r} is not a BigQuery table: letters, digits, underscores, dashes and spaces.")

    @classmethod
    def parse(cls, name: str, *, project: str | None = None, dataset: str | None = None) -> TableName:
        """Read ``project.dataset.table``; a part that is left out comes from the arguments."""
        parts = name.strip().rsplit(".", 2)
        if len(parts) == 1 and dataset is not None:
            parts = [dataset, *parts]
        if len(parts) == 2 and project is not None:
            parts = [project, *parts]
        if len(parts) != 3:
            raise ValueError(f"{name!r} does not name a table: write project.dataset.table.")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def sql(self) -> str:
        """The name as it stands in a statement."""
        return f"`{self.project}.{self.dataset}.{self.table}`"

    @property
    def path(self) -> str:
        """The name as the Storage APIs write it."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"

    def sibling(self, table: str) -> TableName:
        """Return another table of the same dataset."""
        return TableName(self.project, self.dataset, table)


def _is_table_id(name: str) -> bool:
    categories = {unicodedata.category(character) for character in name}
    return 0 < len(name.encode()) <= 1024 and all(c[0] in "LMN" or c in _TABLE_CATEGORIES for c in categories)


def quote(column: str, /) -> str:
    """Return a column's name as it stands in a statement; dots reach into a struct.

    Raises
    ------
    ValueError
        If BigQuery allows no column of this name.

    Examples
    --------
    >>> quote("flight number"), quote("plane.engine")
    ('`flight number`', '`plane`.`engine`')
    """
    return ".".join(f"`{_checked_field(part)}`" for part in column.split("."))


def _checked_field(name: str) -> str:
    if not name or len(name) > 300 or _COLUMN_FORBIDDEN & set(name) or not name.isprintable():
        raise ValueError(f"{name!r} is not a BigQuery column name.")
    return name


def column_names(names: Sequence[str], /) -> list[str]:
    """Return names that BigQuery accepts for columns called `names`, in order, told apart where case alone did.

    Examples
    --------
    >>> column_names(["carrier_AA", "carrier_aa", "2nd leg", "_partition_x"])
    ['carrier_AA', 'carrier_aa_2', '_2nd_leg', 'c_partition_x']
    """
    wanted = [_plain(name) for name in names]
    taken: set[str] = set()
    free = {name.casefold() for name in wanted}
    result = []
    for name in wanted:
        candidate, number = name, 2
        while candidate.casefold() in taken or (candidate != name and candidate.casefold() in free):
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate.casefold())
        result.append(candidate)
    return result


def _plain(name: str) -> str:
    name = re.sub(r"[^0-9a-zA-Z_]", "_", name) or "_"
    if name[0].isdigit():
        name = f"_{name}"
    if name.upper().startswith(_RESERVED_PREFIXES):
        name = f"c{name}"
    return name[:290]


def timestamp_literal(ticks: int, kind: str, /) -> str:
    """Return the literal of a time: microseconds since 1970 for TIMESTAMP and DATETIME, days for DATE.

    Examples
    --------
    >>> timestamp_literal(1, "TIMESTAMP"), timestamp_literal(365, "DATE")
    ("TIMESTAMP '1970-01-01 00:00:00.000001+00:00'", "DATE '1971-01-01'")
    """
    if kind == "DATE":
        return f"DATE '{dt.date(1970, 1, 1) + dt.timedelta(days=ticks)}'"
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=ticks)  # noqa: DTZ001 - the zone is in the literal
    text = f"{moment:%Y-%m-%d %H:%M:%S.%f}" if moment.year >= 1000 else f"{moment.year:04d}{moment:-%m-%d %H:%M:%S.%f}"
    return f"TIMESTAMP '{text}+00:00'" if kind == "TIMESTAMP" else f"DATETIME '{text}'"


def checked_job_id(name: str, /) -> str:
    """Return a job's id, or say why it cannot be one."""
    if not _JOB_ID.fullmatch(name):
        raise ValueError(f"{name!r} is not a BigQuery job id: letters, digits, underscores and dashes, at most 1,024.")
    return name


def checked_labels(labels: dict[str, str], /) -> dict[str, str]:
    """Return labels as BigQuery takes them, or say which it would refuse."""
    for key, value in labels.items():
        if not key or key != key.lower() or not _LABEL.fullmatch(key) or not key[0].isalpha():
            raise ValueError(f"{key!r} is not a label's key: lower case letters, digits, _ and -, a letter first, at most 63.")
        if value != value.lower() or not _LABEL.fullmatch(value):
            raise ValueError(f"{value!r} is not the value of label {key!r}: lower case letters, digits, _ and -, at most 63.")
    return labels
