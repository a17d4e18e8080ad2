"""The memory that a job will need, computed before it reads a row."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from emberharmony.errors import PlanError
from emberharmony.planning.chunks import DEFAULT_CHUNK_ROWS
from emberharmony.planning.stage_bytes import (
    THREADS_BYTES,
    RowSizes,
    fit_bytes,
    fixed_chunk_bytes,
    merge_bytes,
    partition_bytes,
    profile_bytes,
    row_peak_bytes,
)
from emberharmony.stats.key_counts import MAX_RANGES
from emberharmony.stats.key_runs import MAX_KEYS

MAX_CHUNKS = 20_000
"""A table that would need more chunks is cut into larger ones, if memory allows: files, receipts, task runs and the manifest
grow with the number of chunks, not of rows."""
AHEAD = 2
"""Chunks for each one that is computed which a process reads or writes meanwhile, if it waits for servers: one of each."""
INPUT_ROWS = 262_144
"""Rows that are partitioned at once, if memory allows it: fewer pieces, so fewer reads of a partition."""
_INPUT_BYTES = 128 * 2**20
_COUNT_BYTES = 72  # measured: of an entity's key and rows, while counts are merged
_KEY_BYTES = 12  # of an entity's key, and of what is kept while keys are compared
_KEPT_BYTES = 16 * 2**20  # measured: free memory that the allocator keeps for each of several workers in one process


@dataclass(frozen=True)
class Beside:
    """The job's other processes on this host."""

    n_processes: int = 0  # of workers
    worker_bytes: int = 0  # of each, before its first chunk
    server_bytes: int = 0  # of a Prefect server that the job has started
    services_bytes: int = 0  # of a cluster's processes that compute nothing
    uploads_bytes: int = 0  # of files on their way to a bucket, and of recent ones, in each process that writes

    @property
    def total_bytes(self) -> int:
        """Bytes of all of them."""
        return self.n_processes * self.worker_bytes + self.services_bytes + self.server_bytes + self._all_uploads_bytes

    @property
    def _all_uploads_bytes(self) -> int:
        return max(self.n_processes, 1) * self.uploads_bytes

    def text(self) -> str:
        """Return their bytes in words, for a message about memory."""
        said = {
            f"{self.n_processes * self.worker_bytes / 2**30:.2f} by {self.n_processes} worker processes": self.n_processes,
            f"{self.services_bytes / 2**30:.2f} by the cluster's own processes": self.services_bytes,
            f"{self.server_bytes / 2**30:.2f} by its own Prefect server": self.server_bytes,
            f"{self._all_uploads_bytes / 2**30:.2f} by files on their way to a bucket": self.uploads_bytes,
        }
        return "".join(f", {text}" for text, n in said.items() if n)


@dataclass(frozen=True)
class Counting:
    """Counting the rows of every entity while a job is planned: each thread adds up the counts of its pieces."""

    n_rows: int  # of the table
    piece_rows: int = 0  # none if a server counts
    row_bytes: float = 0.0  # of the columns that decide the order

    @property
    def thread_bytes(self) -> int:
        """Bytes of a piece and of its counts, while they are added to others, and of the keys whose rows may be adjacent."""
        piece = int(self.piece_rows * (2 * self.row_bytes + 8 * 8))
        return piece + _COUNT_BYTES * min(self.n_rows, MAX_RANGES) + _KEY_BYTES * min(self.n_rows, MAX_KEYS)


@dataclass(frozen=True)
class MemoryPlan:
    """Projected peak of a job's processes on this host."""

    chunk_rows: int
    reserved_bytes: int  # in use before the job starts
    chunk_bytes: int  # one chunk's largest stage
    fixed_bytes: int  # merges and fits
    n_workers: int
    allowed_bytes: int
    may_be_fewer: bool = False  # workers, where memory is scarce
    n_ahead: int = 0  # chunks that are read or written while others are computed
    apart: bool = False  # whether chunks run in other processes, which keep their memory while this one merges and fits

    @property
    def projected_bytes(self) -> int:
        """Peak of all processes together."""
        chunks = (self.n_workers + self.n_ahead) * self.chunk_bytes
        return self.reserved_bytes + (chunks + self.fixed_bytes if self.apart else max(chunks, self.fixed_bytes))

    @property
    def spare_bytes(self) -> int:
        """Allowed bytes of a chunk beyond those planned for it."""
        return (self.allowed_bytes - self.projected_bytes) // (self.n_workers + self.n_ahead)

    @property
    def most_workers(self) -> int:
        """Number of chunks that fit into memory at a time, on a host of any number of cores."""
        return (self.allowed_bytes - self.reserved_bytes - self.apart * self.fixed_bytes) // self.chunk_bytes

    def with_chunk(self, n_rows: int, sizes: RowSizes) -> MemoryPlan:
        """Return the plan with memory for a chunk of `n_rows`, which may be larger than planned if its rows share one time.

        Raises
        ------
        PlanError
            If the larger chunk does not fit.
        """
        if n_rows <= self.chunk_rows:
            return self
        more = int((n_rows - self.chunk_rows) * row_peak_bytes(sizes))
        profiled = sizes.in_flight_bytes + profile_bytes(sizes, n_rows)
        plan = self._with_chunk_bytes(max(self.chunk_bytes + more, profiled))
        if plan.projected_bytes > self.allowed_bytes:
            raise PlanError(
                f"{n_rows:,} rows have the same time or key, so no chunk can divide them; together they need "
                f"{plan.projected_bytes / 2**30:.2f} GiB, over the {self.allowed_bytes / 2**30:.2f} GiB allowed by "
                f"runtime.max_memory_gb. Raise it, {_fewer(self.n_workers)}order the rows by a finer "
                f"time, or, in BigQuery, begin source.order_by with a column of whole numbers or times that differs between "
                f"them and is never null."
            )
        return plan

    def with_merging(self, n_bytes: int) -> MemoryPlan:
        """Return the plan with memory for workers that merge states.

        Raises
        ------
        PlanError
            If so many workers do not fit.
        """
        plan = self._with_chunk_bytes(max(self.chunk_bytes, n_bytes))
        if plan.projected_bytes > plan.allowed_bytes:
            raise PlanError(
                f"Merging the states of chunks needs {n_bytes / 2**30:.2f} GiB in each of {plan.n_workers} workers, together "
                f"{plan.projected_bytes / 2**30:.2f} GiB, over the {plan.allowed_bytes / 2**30:.2f} GiB allowed by "
                f"runtime.max_memory_gb. Raise it, {_fewer(plan.n_workers)}or lower windows.size."
            )
        return plan

    def _with_chunk_bytes(self, n_bytes: int) -> MemoryPlan:
        plan = replace(self, chunk_bytes=n_bytes)
        if self.may_be_fewer:
            plan = replace(plan, n_workers=max(1, min(plan.n_workers, plan.most_workers)))
        return plan

    def with_counting(self, counting: Counting, *, n_threads: int) -> tuple[MemoryPlan, int]:
        """Return the plan with memory to count the rows of every entity, and the threads that fit: `n_threads` at most.

        Raises
        ------
        PlanError
            If one thread does not fit.
        """
        beside = self.reserved_bytes + self.apart * self.n_workers * self.chunk_bytes
        fitting = (self.allowed_bytes - beside) // counting.thread_bytes
        n_bytes = max(1, min(n_threads, fitting)) * counting.thread_bytes
        if fitting < 1:
            raise PlanError(
                f"Counting the rows of every entity needs {n_bytes / 2**30:.2f} GiB, {beside / 2**30:.2f} are in use beside "
                f"it: over the {self.allowed_bytes / 2**30:.2f} GiB allowed by runtime.max_memory_gb. Raise it."
            )
        return replace(self, fixed_bytes=max(self.fixed_bytes, n_bytes)), min(n_threads, fitting)

    def with_ahead(self, most: int, n_items: int) -> MemoryPlan:
        """Return the plan with chunks that are read or written while others are computed: `most`, or fewer.

        Parameters
        ----------
        most : int
            Wanted chunks.
        n_items : int
            Items of the stage that has the most of them.
        """
        kept = _KEPT_BYTES if self.n_workers == 1 or self.apart else 0
        plan = replace(self, chunk_bytes=self.chunk_bytes + kept)
        n_processes = self.n_workers if self.apart else 1
        n_ahead = chunks_ahead(self.n_workers, plan.most_workers, most, n_processes=n_processes)
        n_ahead = min(n_ahead, n_items - self.n_workers)
        return replace(plan, n_ahead=n_ahead) if n_ahead > 0 else self

    def with_inputs(self, n_rows: int, sizes: RowSizes) -> MemoryPlan:
        """Return the plan with memory to partition pieces of `n_rows` rows."""
        return replace(self, chunk_bytes=max(self.chunk_bytes, partition_bytes(sizes, n_rows))) if n_rows else self


def chunks_ahead(n_workers: int, fitting: int, most: int, *, n_processes: int = 1) -> int:
    """Return how many chunks are read or written while `n_workers` are computed, where `fitting` fit into memory.

    They take half of the memory that would be left: texts may take more than was planned. Several processes have the same
    number of them each, since a process keeps the memory of the most chunks that it ever had at a time.

    Examples
    --------
    >>> [chunks_ahead(2, fitting, 4) for fitting in (2, 3, 4, 9, 10, 100)]
    [0, 0, 1, 3, 4, 4]
    >>> [chunks_ahead(2, fitting, 4, n_processes=2) for fitting in (2, 3, 4, 9, 10, 100)]
    [0, 0, 0, 2, 4, 4]
    """
    n_ahead = max(0, min(most, (fitting - n_workers) // 2))
    return n_ahead - n_ahead % n_processes


def input_rows(sizes: RowSizes, memory: MemoryPlan) -> int:
    """Return the rows of a table that are partitioned at once: more than a chunk has, if they fit.

    A run that was killed is resumed only in the same pieces, so there are two choices and nothing in between: what is in use
    before a job starts differs a little from one run to the next.
    """
    many = max(memory.chunk_rows, min(INPUT_ROWS, int(_INPUT_BYTES / max(sizes.read_bytes, 1.0))))
    return many if partition_bytes(sizes, many) <= memory.chunk_bytes + memory.spare_bytes else memory.chunk_rows


@dataclass(frozen=True)
class MemoryRequest:
    """What a job wants, and what it may use, apart from the sizes of its rows."""

    n_rows: int
    """Rows of the table."""
    chunk_rows: int | None
    """Requested rows of a chunk; ``None`` leaves them to the plan."""
    window_size: int
    n_strides: int
    n_workers: int
    """Chunks at a time, at most."""
    reserved_bytes: int
    """In use before the job starts."""
    allowed_bytes: int
    """Bound on all of the job's processes on this host."""
    may_be_fewer: bool = False
    """Whether to lower `n_workers` until half of each worker's memory is left for rows."""
    n_threads: int = 1
    """Compute threads that the workers share."""
    is_fitted: bool = False
    """Whether a state is applied, whose windows and features cannot be made fewer."""
    beside: Beside = field(default_factory=Beside)
    """The job's other processes, whose memory counts too."""


def plan_memory(sizes: RowSizes, request: MemoryRequest) -> MemoryPlan:
    """Choose the chunk size, or check the requested one.

    Raises
    ------
    PlanError
        If one chunk per worker, or the fit, does not fit into the allowed bytes.
    """
    memory = memory_or_refusal(sizes, request)
    if isinstance(memory, str):
        raise PlanError(memory)
    return memory


def memory_or_refusal(sizes: RowSizes, request: MemoryRequest) -> MemoryPlan | str:
    """Return the plan of memory, or why the job does not fit, and what to do about it."""
    n_rows, chunk_rows, n_workers = request.n_rows, request.chunk_rows, request.n_workers
    window_size, n_strides, beside, allowed_bytes = (
        request.window_size,
        request.n_strides,
        request.beside,
        request.allowed_bytes,
    )
    fixed = fixed_chunk_bytes(sizes, window_size=window_size, n_strides=n_strides)
    fit = max(fit_bytes(sizes, window_size=window_size, n_strides=n_strides), merge_bytes(sizes, n_rows))
    reserved_bytes = request.reserved_bytes + beside.total_bytes
    apart = beside.n_processes > 0
    free = allowed_bytes - reserved_bytes
    for_chunks = free - fit if apart else free

    def chunk_bytes(n_rows: int) -> int:
        blocks = THREADS_BYTES if n_strides and request.n_threads > n_workers else 0
        kept = _KEPT_BYTES if n_workers > 1 and not apart else 0
        stage = max(fixed + blocks + int(n_rows * row_peak_bytes(sizes)), profile_bytes(sizes, n_rows))
        return sizes.in_flight_bytes + stage + kept

    def with_memory(most: int) -> int:
        each = 2 * chunk_bytes(0) if chunk_rows is None else chunk_bytes(min(chunk_rows, n_rows))
        return max(1, min(most, for_chunks // each))

    if request.may_be_fewer:
        n_workers = with_memory(n_workers)
        n_workers = with_memory(n_workers)  # again: fewer workers have several threads each, which take memory
    fitting = bisect_right(range(1, n_rows + 1), for_chunks / n_workers, key=chunk_bytes)  # rows of the largest chunk
    smallest = min(n_rows, 16 * window_size)
    if fit > free or fitting < smallest:
        chunks = n_workers * chunk_bytes(smallest)
        needed = reserved_bytes + (chunks + fit if apart else max(fit, chunks))
        return (
            f"This job needs at least {needed / 2**30:.2f} GiB ({reserved_bytes / 2**30:.2f} of them in use before it "
            f"starts{beside.text()}), over the {allowed_bytes / 2**30:.2f} GiB allowed by runtime.max_memory_gb. Raise it, "
            f"{_fewer(max(n_workers, beside.n_processes))}{_smaller(sizes, window_size, is_fitted=request.is_fitted)}."
        )
    wanted = max(DEFAULT_CHUNK_ROWS, -(-n_rows // MAX_CHUNKS))
    rows = min(chunk_rows or min(wanted, fitting), n_rows)
    if rows > fitting:
        chunk_gib = chunk_bytes(rows) / 2**30
        return (
            f"A chunk of {rows:,} rows needs {chunk_gib:.2f} GiB, over the {for_chunks / n_workers / 2**30:.2f} GiB that "
            f"runtime.max_memory_gb leaves to each of {n_workers} workers. Lower runtime.chunk_rows to {fitting:,}, or raise "
            f"runtime.max_memory_gb."
        )
    return MemoryPlan(
        rows, reserved_bytes, chunk_bytes(rows), fit, n_workers, allowed_bytes, request.may_be_fewer, apart=apart
    )


def _smaller(sizes: RowSizes, window_size: int, *, is_fitted: bool) -> str:
    if is_fitted:
        return f"or fit a state of smaller windows ({window_size:,} rows now) or fewer features ({sizes.n_features:,} now)"
    return (
        f"lower windows.size (now {window_size:,}), or make fewer features (up to {sizes.n_features:,} now; see "
        f"categories.max_categories and columns.drop)"
    )


def _fewer(n_workers: int) -> str:
    return f"lower runtime.workers (now {n_workers}), " if n_workers > 1 else ""
