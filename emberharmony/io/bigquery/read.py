"""Rows of one key range, through the Storage Read API: Arrow, LZ4, at one snapshot time, in parallel streams."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.failures import asked_wait_s, google_errors, is_transient, raise_explained, retried
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.settings import Section

_LOGGER = logging.getLogger(__name__)
_MAX_RESTRICTION_BYTES: Final = 1_000_000
_SESSION_PERMISSION: Final = "bigquery.readsessions.create"
_DATA_PERMISSION: Final = "bigquery.tables.getData"


_STREAM_BYTES: Final = 32 * 2**20
"""Bytes of one stream: messages in flight, copies while they are decoded, and free memory that allocators keep."""


@dataclass(frozen=True)
class ReadSpec(Section):
    """How a range is read.

    A session covers one chunk, so a few streams saturate its reader; BigQuery may grant fewer than asked for.
    """

    streams: int = 4
    """Streams of a read session."""
    sessions: int = 3
    """Read sessions for one range, at most: a session that expires is replaced by another."""
    stall_s: float = 900.0
    """Seconds that one ReadRows call lives at most: what hangs is resumed, what flows goes on."""

    def __post_init__(self) -> None:
        if not 1 <= self.streams <= 1000:
            raise ValueError(f"`streams` lies between 1 and 1,000, got {self.streams}.")
        if self.sessions < 1 or self.stall_s <= 0:
            raise ValueError(f"{self} makes no sense: at least one session, and time to read it.")

    @property
    def in_flight_bytes(self) -> int:
        """Bytes that reading a range takes besides its rows."""
        return self.streams * _STREAM_BYTES


class _SessionExpiredError(Exception):
    """The session has expired; its range is read again in another session at the same snapshot."""


def read_rows(
    clients: Clients,
    table: TableName,
    *,
    columns: Sequence[str],
    restriction: str = "",
    snapshot: dt.datetime | None = None,
    spec: ReadSpec | None = None,
    most_rows: int | None = None,
) -> pa.Table:
    """Return the rows of `table` that meet `restriction`, in no particular order.

    A broken stream is resumed at its offset. An expired session is replaced by one at the same snapshot, and its range is
    read from the start. Both are bounded; a permanent refusal fails at once.

    Parameters
    ----------
    columns : sequence of str
        Top-level columns to read; all of them if empty.
    restriction : str
        Condition in GoogleSQL that BigQuery filters by before it sends anything.
    snapshot : datetime, optional
        The moment at which the table is read; now if left out.
    most_rows : int, optional
        Read no more than so many rows, as many from each stream: the streams divide the table.

    Raises
    ------
    TransientError
        If reading still fails after all retries of the connection.
    TerminalError
        If reading is refused: no permission, no such table, a bad restriction.
    """
    spec = spec or ReadSpec()
    if len(restriction.encode()) > _MAX_RESTRICTION_BYTES:
        raise DataError(f"The condition on {table} is longer than the 1 MB that BigQuery takes.")
    doing = f"Reading {table}"
    for left in reversed(range(spec.sessions)):
        session = retried(
            lambda: _open_session(clients, table, columns, restriction, snapshot, spec),
            retry=clients.retry,
            doing=doing,
            permission=_SESSION_PERMISSION,
        )
        try:
            with _slots[-1]():
                return _read_session(clients, session, doing=doing, spec=spec, most_rows=most_rows)
        except _SessionExpiredError as error:
            if not left:
                raise_explained(error.__cause__ or error, doing=doing, permission=_DATA_PERMISSION)
            _LOGGER.warning("%s: its read session expired; its range is read again at the same snapshot", doing)
    raise AssertionError("unreachable: the last session returns or raises")


_slots: list[Callable[[], AbstractContextManager[None]]] = [nullcontext]


def use_read_slots(slot: Callable[[], AbstractContextManager[None]], /) -> None:
    """Hold a slot while a session is read, such as one of a number that many hosts share."""
    _slots[:] = [slot]


def _open_session(
    clients: Clients,
    table: TableName,
    columns: Sequence[str],
    restriction: str,
    snapshot: dt.datetime | None,
    spec: ReadSpec,
) -> Any:
    types = library("google.cloud.bigquery_storage_v1.types")
    codec = types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
    session = types.ReadSession(
        table=table.path,
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(
            selected_fields=list(columns),
            row_restriction=restriction,
            arrow_serialization_options=types.ArrowSerializationOptions(buffer_compression=codec),
        ),
    )
    if snapshot is not None:
        session.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=snapshot)
    request = types.CreateReadSessionRequest(
        parent=f"projects/{clients.project}",
        read_session=session,
        max_stream_count=spec.streams,
        preferred_min_stream_count=spec.streams,
    )
    return clients.reader.create_read_session(request=request, retry=None, timeout=clients.retry.request_deadline_s)


def _read_session(clients: Clients, session: Any, *, doing: str, spec: ReadSpec, most_rows: int | None) -> pa.Table:
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    stop, names = Event(), [stream.name for stream in session.streams]
    shares = {name: None if most_rows is None else -(-most_rows // len(names)) for name in names}

    def read(name: str) -> list[pa.RecordBatch]:
        batches = _stream_batches(clients, name, schema, doing=doing, spec=spec, stop=stop)
        return list(_first_rows(batches, shares[name]))

    batches: list[pa.RecordBatch] = []
    with ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="bigquery-read") as pool:
        parts = [pool.submit(read, name) for name in names]
        try:
            for part in parts:
                batches += part.result()
        except BaseException:
            stop.set()  # the range has failed with this stream, so the others stop
            raise
    return pa.Table.from_batches(batches, schema=schema).slice(0, most_rows)


def _first_rows(batches: Iterator[pa.RecordBatch], n_rows: int | None) -> Iterator[pa.RecordBatch]:
    """Yield batches until they have so many rows; the stream is not read further then."""
    missing = n_rows
    for batch in batches:
        yield batch.slice(0, missing)
        if missing is not None:
            missing -= min(batch.num_rows, missing)
            if not missing:
                return


def _stream_batches(
    clients: Clients, name: str, schema: pa.Schema, *, doing: str, spec: ReadSpec, stop: Event
) -> Iterator[pa.RecordBatch]:
    """Yield one stream's batches, each once, resuming at the row offset that was reached."""
    types = library("google.cloud.bigquery_storage_v1.types")
    retry, offset, failures = clients.retry, 0, 0
    while not stop.is_set():
        request = types.ReadRowsRequest(read_stream=name, offset=offset)
        try:
            for response in clients.reader.read_rows(request=request, retry=None, timeout=spec.stall_s):
                if stop.is_set():
                    return
                data = pa.py_buffer(response.arrow_record_batch.serialized_record_batch)
                batch = pa.ipc.read_record_batch(data, schema)
                offset += response.row_count
                failures = 0
                yield batch
            return
        except google_errors() as error:
            failures += 1
            if _is_expired(error):
                raise _SessionExpiredError from error
            if not is_transient(error) or failures >= retry.attempts:
                raise_explained(error, doing=doing, permission=_DATA_PERMISSION)
            _LOGGER.warning("%s: a stream broke at row %d and is resumed there (%s)", doing, offset, type(error).__name__)
            if stop.wait(max(retry.wait_s(failures), asked_wait_s(error))):
                return


def _is_expired(error: BaseException) -> bool:
    """Whether a stream failed because its session has expired.

    Only the message identifies an expired session, under more than one status. A stream that is "not found" belonged to an
    expired session; if the table itself is gone, opening the next session fails with that reason.
    """
    from google.api_core import exceptions as api

    text = str(getattr(error, "message", "")).casefold()
    return isinstance(error, api.NotFound) or ("session" in text and "expired" in text)
