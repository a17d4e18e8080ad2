"""The figures of a plan: what `emberharmony plan --json` prints, with the same names in every version of this format."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from emberharmony.settings import Section

FORMAT_VERSION = 1
"""Of the JSON. A key keeps its name and meaning; a version with a new number may drop one."""


@dataclass(frozen=True)
class TableFigures(Section):
    """The table that the job reads."""

    name: str
    """The table, as messages name it."""
    rows: int
    """Rows of the table."""
    columns: int
    """Columns of the table."""
    columns_read: int
    """Columns that the job reads."""
    left_out_rows: int
    """Rows without a time, which the job leaves out."""


@dataclass(frozen=True)
class PlannedColumn(Section):
    """A column of the table, and what becomes of it."""

    name: str
    """The column."""
    type: str
    """Its Arrow type."""
    roles: tuple[str, ...]
    """Any of `entity`, `time`, `target`, `passthrough` and `feature`; or `dropped`."""
    kind: str | None
    """The kind of column that makes its features; null if it makes none."""
    reason: str
    """Why it has these roles."""
    most_features: int
    """Features that it makes, at most: rows decide how many categories there are."""


@dataclass(frozen=True)
class SplitFigures(Section):
    """How the rows are divided."""

    method: str
    """`temporal`, `sequential`, `hash`, `random`; or `none`, in a job that applies a state."""
    rows: dict[str, int]
    """Rows of each split."""
    are_exact: bool
    """Whether the numbers of rows are exact; otherwise rows of equal times or keys may move them a little."""
    begins: dict[str, str]
    """First time of validation and test, of a temporal split."""


@dataclass(frozen=True)
class StrideFigures(Section):
    """The windows of one stride."""

    stride: int
    """Rows between the starts of two windows."""
    windows: dict[str, int]
    """Windows of each split."""
    are_at_most: bool
    """Whether the numbers are upper bounds: where a series ends is known only from the rows."""
    most_components: int
    """Principal components that are kept, at most."""


@dataclass(frozen=True)
class SeriesFigures(Section):
    """The series, in a job with `columns.entity`."""

    entity: tuple[str, ...]
    """The columns that tell them apart."""
    least_entities: int | None
    """Entities in the sample; null without one."""
    most_mean_rows: float | None
    """Rows of an entity on average, at most: there may be entities that are not in the sample."""


@dataclass(frozen=True)
class OrderFigures(Section):
    """The order of the rows, and the work to bring them into it."""

    by: tuple[str, ...]
    """Columns that order them; none if they keep the table's order."""
    is_stored: bool
    """Whether the table is in this order already."""
    levels: int
    """How often the rows are partitioned first; 0 if they are not arranged."""
    pieces: int
    """Pieces of the table that are partitioned."""


@dataclass(frozen=True)
class ChunkFigures(Section):
    """The chunks that the rows are processed in."""

    number: int
    """Chunks."""
    least_rows: int
    """Rows of the smallest one."""
    most_rows: int
    """Rows of the largest one."""


@dataclass(frozen=True)
class MergeFigures(Section):
    """A stage that merges states of neighbouring chunks on the workers, so that a fit has few to read."""

    stage: str
    """The stage."""
    states: int
    """States that it merges."""
    groups: int
    """Groups that it merges them in."""
    fan_in: int
    """States of a group, at most."""


@dataclass(frozen=True)
class MemoryFigures(Section):
    """Memory of the job on this host, in bytes."""

    projected_bytes: int
    """What it takes, at most."""
    allowed_bytes: int
    """What it may take: `runtime.max_memory_gb`."""
    workers: int
    """Chunks at a time."""
    ahead: int
    """Chunks that are read or written meanwhile."""
    chunk_bytes: int
    """Of each of them."""
    fit_bytes: int
    """Of the fit."""
    reserved_bytes: int
    """What the process takes already."""


@dataclass(frozen=True)
class ByteFigures(Section):
    """Bytes that are read and written."""

    decoded: int
    """Of the columns that are read, decoded."""
    read: int
    """That are read from the table by all stages together, decoded."""
    arranged: int
    """On disk until the job ends, of rows that are arranged."""
    result: int
    """Of the result, at most."""
    kept: int
    """Of the result and the earlier ones that stay beside it."""
    charged: int
    """That reading is charged for, as BigQuery's Storage Read API charges what it sends."""


@dataclass(frozen=True)
class CopyFigures(Section):
    """The copy of a table that BigQuery makes for the job, and what the query scans: of one not made, as a dry run says."""

    name: str
    """The copy."""
    scanned_bytes: int
    """That the query which makes it is charged for."""
    stored_bytes: int
    """That it takes until it expires."""
    is_made: bool
    """Whether it is there."""
    expires: str | None
    """When it is removed."""
    scan_usd: float | None
    """US dollars for the bytes that are scanned, at `source.usd_per_tib`; null without a price."""


@dataclass(frozen=True)
class SampledFigures(Section):
    """What a sample says of a column."""

    distinct: int | None
    """Distinct values in the sample; null for types that cannot be compared."""
    null_share: float
    """Share of the sampled rows without a value."""


@dataclass(frozen=True)
class TrialFigures(Section):
    """The job, run on the sampled rows on this machine, and what follows for all rows. These are estimates."""

    rows: int
    """Rows that it was run on."""
    backend: str
    """What computed it."""
    seconds: float
    """Of the whole job."""
    seconds_by_stage: dict[str, float]
    """Of each stage, with so many chunks at a time as are planned."""
    result_bytes: int
    """Of the result."""
    features: int
    """Features of the sampled rows."""
    without: str
    """What the sample could not be run with, such as its entities; empty if it was run as it is."""


@dataclass(frozen=True)
class SampleFigures(Section):
    """Rows of the table that were read, for estimates and warnings."""

    rows: int
    """Sampled rows."""
    is_whole: bool
    """Whether they are all rows of the table."""
    read_seconds: float
    """What reading them took."""
    read_bytes: int
    """Their size, decoded."""
    is_charged: bool
    """Whether these bytes are charged for, as those that BigQuery's Storage Read API sends."""
    entities: int | None
    """Entities among them, in a job with `columns.entity`."""
    columns: dict[str, SampledFigures]
    """What they say of each column that the job reads."""
    trial: TrialFigures | None
    """The job, run on them; null if it cannot be run on so few rows."""
    problem: str
    """Why there is no trial; empty if there is one."""


@dataclass(frozen=True)
class PlanWarning(Section):
    """Something that is worth a look before the job is run."""

    code: str
    """A name that stays, such as `constant`."""
    text: str
    """What it is, and what to do."""
    columns: tuple[str, ...] = ()
    """The columns that it is about."""


@dataclass(frozen=True)
class PlanFigures(Section):
    """A plan in figures."""

    kind: str
    """`extract`, `fit` or `apply`."""
    fingerprint: str
    """Of all that decides the result."""
    slice: str | None
    """The slice that is planned."""
    sink: str
    """Where the result goes."""
    target: str
    """What is there, and what the job does about it."""
    table: TableFigures
    """The table."""
    columns: tuple[PlannedColumn, ...]
    """Its columns."""
    order: OrderFigures
    """The order of the rows."""
    split: SplitFigures
    """The splits."""
    series: SeriesFigures | None
    """The series; null in a job of one series."""
    window_size: int
    """Rows of a window."""
    windows: tuple[StrideFigures, ...]
    """The windows; none in a job without."""
    chunks: ChunkFigures
    """The chunks."""
    memory: MemoryFigures
    """The memory."""
    bytes: ByteFigures
    """Bytes to read and to write."""
    copy: CopyFigures | None
    """The copy that BigQuery makes; null if it makes none."""
    merges: tuple[MergeFigures, ...] = ()
    """Stages that merge states before a fit; none if there are few states, or small ones."""
    warnings: tuple[PlanWarning, ...] = ()
    """What is worth a look."""
    sample: SampleFigures | None = None
    """What the sampled rows say; null without `--sample`."""
    version: int = field(default=FORMAT_VERSION)
    """Of this format."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data, without NaN."""
        return asdict(self)


def plan_schema() -> dict[str, Any]:
    """Return the JSON schema of the figures.

    Examples
    --------
    >>> plan_schema()["properties"]["chunks"]["description"]
    'The chunks.'
    """
    from pydantic import TypeAdapter  # late: slow to import, and no plan needs it

    schema: dict[str, Any] = TypeAdapter(PlanFigures).json_schema(mode="serialization")
    return schema
