"""Names and values that go into GoogleSQL: validated, quoted, written as literals; nothing is pasted in as it came."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from emberharmony.errors import PlanError

ANY_PROJECT = "any-project"
"""Stands for the project of the credentials, where names are checked before there are any."""
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]*:)?[a-z][a-z0-9-]{1,61}[a-z0-9]")
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE_CATEGORIES = {"Pc", "Pd", "Zs"}  # connectors, dashes, spaces; letters, marks and numbers are all allowed
_COLUMN_FORBIDDEN = frozenset('!"$()*,./;?@[\\]^`{}~')
_RESERVED_PREFIXES = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_")
_LOCATION = re.compile(r"[A-Za-z]{2}|[A-Za-z]+(?:-[A-Za-z0-9]+)+")
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
        checked_project(self.project)
        checked_dataset(self.dataset)
        if not _is_table_id(self.table):
            raise PlanError(
                f"{_shown(self.table)} is not a BigQuery table: letters, digits, underscores, dashes and spaces."
                f"{_what_instead(self.table)}"
            )

    @classmethod
    def parse(cls, name: str, *, project: str | None = None) -> TableName:
        """Read ``project.dataset.table``; a project that is left out is the argument's.

        Raises
        ------
        PlanError
            If that is no name of a table.
        """
        if "`" in name:
            raise PlanError(f"{_shown(name)} is quoted as in a query: write the table's name without backticks.")
        parts = name.strip().rsplit(".", 2)
        if len(parts) == 2 and project is not None:
            parts = [project, *parts]
        if len(parts) != 3:
            raise PlanError(f"{_shown(name)} does not name a table: write project.dataset.table.")
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


@contextmanager
def of_setting(name: str) -> Iterator[None]:
    """Begin the message of a refusal with the name of the setting that it is about."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"`{name}`: {error}") from None


def checked_project(project: str, /) -> str:
    """Return a project's id.

    Raises
    ------
    PlanError
        If it is not the id of a project.
    """
    if not _PROJECT.fullmatch(project):
        raise PlanError(
            f"{_shown(project)} is not the id of a Google Cloud project: lower case letters, digits and dashes, three at "
            f"least, such as my-project-123. `gcloud projects list` prints yours."
        )
    return project


def checked_dataset(dataset: str, /) -> str:
    """Return the name of a dataset without its project.

    Raises
    ------
    PlanError
        If it is none.
    """
    if not _DATASET.fullmatch(dataset):
        legacy = " A colon is of legacy SQL: write project.dataset.table." if ":" in dataset else ""
        raise PlanError(f"{_shown(dataset)} is not a BigQuery dataset: letters, digits and underscores only.{legacy}")
    return dataset


def parse_dataset(name: str, /, *, project: str) -> tuple[str, str]:
    """Return project and dataset of ``project.dataset``, or of ``dataset`` in a project.

    Raises
    ------
    PlanError
        If that is no name of a dataset.

    Examples
    --------
    >>> parse_dataset("scratch", project="my-project"), parse_dataset("other-project.scratch", project="my-project")
    (('my-project', 'scratch'), ('other-project', 'scratch'))
    """
    before, _, dataset = name.strip().rpartition(".")
    return checked_project(before or project), checked_dataset(dataset)


def checked_location(location: str, /) -> str:
    """Return where datasets are.

    Raises
    ------
    PlanError
        If no location is written like this.
    """
    if not _LOCATION.fullmatch(location):
        raise PlanError(f"{_shown(location)} is not a location of BigQuery: write US, EU, or a region such as europe-west4.")
    return location


def _what_instead(table: str) -> str:
    if "*" in table:
        return " For many tables, give a `query`: SELECT * FROM `project.dataset.prefix_*`."
    if "$" in table:
        return " For one partition, name the table and set `where` to a condition on the column that it is partitioned by."
    if "@" in table:
        return " For an earlier moment, name the table and set `snapshot_time`."
    return ""


def _shown(text: str) -> str:
    """Text for a message; not all of one that is no name, but perhaps a key that was pasted in its place."""
    return repr(text) if len(text) <= 60 and text.isprintable() else f"What begins with {text[:8]!r}"


def _is_table_id(name: str) -> bool:
    categories = {unicodedata.category(character) for character in name}
    return 0 < len(name.encode()) <= 1024 and all(c[0] in "LMN" or c in _TABLE_CATEGORIES for c in categories)


def quote(column: str, /) -> str:
    """Return a column's name as it stands in a statement; dots reach into a struct.

    Raises
    ------
    PlanError
        If BigQuery allows no column of this name.

    Examples
    --------
    >>> quote("flight number"), quote("plane.engine")
    ('`flight number`', '`plane`.`engine`')
    """
    return ".".join(f"`{_checked_field(part)}`" for part in column.split("."))


def _checked_field(name: str) -> str:
    if not name or len(name) > 300 or _COLUMN_FORBIDDEN & set(name) or not name.isprintable():
        raise PlanError(f"{name!r} is not a BigQuery column name.")
    return name


def column_names(names: Sequence[str], /) -> list[str]:
    """Return names that BigQuery accepts for columns called `names`, in order; names that differ only in case get a suffix.

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


def as_of(time: dt.datetime, /) -> str:
    """Return what stands behind a table that is read as it was at a time.

    Examples
    --------
    >>> as_of(dt.datetime(2026, 11, 28, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    " FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-28 00:00:00.000000+00:00'"
    """
    return f" FOR SYSTEM_TIME AS OF TIMESTAMP '{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"


def checked_job_id(name: str, /) -> str:
    """Return a job's id, or say why it cannot be one."""
    if not _JOB_ID.fullmatch(name):
        raise PlanError(f"{name!r} is not a BigQuery job id: letters, digits, underscores and dashes, at most 1,024.")
    return name


def checked_labels(labels: dict[str, str], /) -> dict[str, str]:
    """Return labels as BigQuery takes them, or say which it would refuse."""
    for key, value in labels.items():
        if not key or key != key.lower() or not _LABEL.fullmatch(key) or not key[0].isalpha():
            raise PlanError(f"{key!r} is not a label's key: lower case letters, digits, _ and -, a letter first, at most 63.")
        if value != value.lower() or not _LABEL.fullmatch(value):
            raise PlanError(f"{value!r} is not the value of label {key!r}: lower case letters, digits, _ and -, at most 63.")
    return labels
