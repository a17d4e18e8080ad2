"""Rows into a staging table by the Storage Write API: pending streams, explicit offsets, one commit for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery.column_types import written_as
from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.failures import google_errors, is_transient, raise_explained, retried
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.sinks.bigquery.tables import OutputTable

_LOGGER = logging.getLogger(__name__)
_PERMISSION: Final = "bigquery.tables.updateData"
_ALREADY_EXISTS: Final = 6
_TRANSIENT_STATUS: Final = frozenset([1, 2, 4, 8, 10, 13, 14])
REQUEST_BYTES: Final = 3 * 2**20
"""Rows of one request; BigQuery takes some 10 MB, and servers with gRPC's own limit 4 MiB."""


def append_rows(
    clients: Clients, table: OutputTable, into: TableName, *, streams: int = 4, request_bytes: int = REQUEST_BYTES
) -> int:
    """Append all rows of a table, and make them visible at once; returns how many.

    Nothing is visible before the commit, which covers all streams: what dies earlier leaves streams that BigQuery forgets.
    """
    doing = f"Appending table {table.name!r}"
    n_streams = max(1, min(streams, len(table.parts)))
    with ThreadPoolExecutor(n_streams, thread_name_prefix="bigquery-append") as pool:
        futures = [
            pool.submit(_fill_stream, clients, table, into, table.parts[first::n_streams], request_bytes, doing)
            for first in range(n_streams)
        ]
        filled = [future.result() for future in futures]
    _commit(clients, into, [name for name, _ in filled], doing)
    return sum(n_rows for _, n_rows in filled)


def _fill_stream(
    clients: Clients, table: OutputTable, into: TableName, parts: Any, request_bytes: int, doing: str
) -> tuple[str, int]:
    types = library("google.cloud.bigquery_storage_v1.types")
    writer = clients.writer
    wanted = types.WriteStream(type_=types.WriteStream.Type.PENDING)
    stream = _unary(
        clients,
        lambda timeout: writer.create_write_stream(parent=into.path, write_stream=wanted, retry=None, timeout=timeout),
        doing,
    )
    offset = 0
    for part in parts:
        rows = table.read(part)
        _append_part(clients, stream.name, _for_arrow(rows), offset, request_bytes, doing)
        offset += rows.num_rows
    done = _unary(clients, lambda timeout: writer.finalize_write_stream(name=stream.name, retry=None, timeout=timeout), doing)
    if done.row_count != offset:
        raise TerminalError(f"{doing}: a stream took {done.row_count:,} of its {offset:,} rows; nothing was committed.")
    return stream.name, offset


def _unary(clients: Clients, call: Any, doing: str) -> Any:
    timeout = clients.retry.request_deadline_s
    return retried(lambda: call(timeout), retry=clients.retry, doing=doing, permission=_PERMISSION, sleep=clients.sleep)


def _append_part(clients: Clients, stream: str, rows: pa.Table, base: int, request_bytes: int, doing: str) -> None:
    """Send one part, from the first row that was not acknowledged, until all are."""
    batches = rows.combine_chunks().to_batches(max_chunksize=_rows_per_request(rows, request_bytes))
    starts = [base]
    for batch in batches:
        starts.append(starts[-1] + batch.num_rows)
    acknowledged, failures = 0, 0
    broken: tuple[type[BaseException], ...] = (TransientError, *google_errors())
    while acknowledged < len(batches):
        requests = _requests(stream, rows.schema, batches[acknowledged:], starts[acknowledged:])
        try:
            answers = clients.writer.append_rows(
                requests=requests,
                retry=None,
                timeout=clients.retry.request_deadline_s,
                metadata=(("x-goog-request-params", f"write_stream={stream}"),),
            )
            for answer in answers:
                _check(answer, doing)
                acknowledged += 1
                failures = 0
            if acknowledged < len(batches):
                raise TransientError(f"{doing}: a stream ended before all of its rows were acknowledged.")
        except broken as error:
            failures += 1
            if failures >= clients.retry.attempts or not is_transient(error):
                raise_explained(error, doing=doing, permission=_PERMISSION)
            _LOGGER.warning("%s: a stream broke at row %d and goes on there", doing, starts[acknowledged])
            clients.sleep(clients.retry.wait_s(failures))


def _check(answer: Any, doing: str) -> None:
    status = answer.error.code
    if status in (0, _ALREADY_EXISTS):  # the second: an earlier request did arrive, its acknowledgement did not
        return
    text = answer.error.message
    if answer.row_errors:
        text += f" (row {answer.row_errors[0].index}: {answer.row_errors[0].message})"
    if status in _TRANSIENT_STATUS:
        raise TransientError(f"{doing}: {text}")
    raise TerminalError(f"{doing} was refused: {text}. Nothing was committed.")


def _requests(stream: str, schema: pa.Schema, batches: list[pa.RecordBatch], starts: list[int]) -> Iterator[Any]:
    types = library("google.cloud.bigquery_storage_v1.types")
    for number, batch in enumerate(batches):
        data = types.AppendRowsRequest.ArrowData(
            rows=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
        )
        request = types.AppendRowsRequest(offset=starts[number], arrow_rows=data)
        if number == 0:
            request.write_stream = stream
            request.arrow_rows.writer_schema = types.ArrowSchema(serialized_schema=schema.serialize().to_pybytes())
        yield request


def _commit(clients: Clients, into: TableName, streams: list[str], doing: str) -> None:
    types = library("google.cloud.bigquery_storage_v1.types")
    request = types.BatchCommitWriteStreamsRequest(parent=into.path, write_streams=streams)
    done = _unary(
        clients,
        lambda timeout: clients.writer.batch_commit_write_streams(request=request, retry=None, timeout=timeout),
        doing,
    )
    committed = types.StorageError.StorageErrorCode.STREAM_ALREADY_COMMITTED
    errors = [error for error in done.stream_errors if error.code != committed]
    if errors:
        raise TerminalError(f"{doing}: the commit was refused: {errors[0].error_message}. None of the rows is visible.")


def _for_arrow(rows: pa.Table) -> pa.Table:
    """Return rows in the types of the Storage Write API, which takes fewer than load jobs do."""
    written = [(column, written_as(column.type)) for column in rows.schema]
    return rows.cast(pa.schema([column.with_type(of.in_streams) if of else column for column, of in written]))


def _rows_per_request(rows: pa.Table, request_bytes: int) -> int:
    return max(1, int(request_bytes / max(rows.nbytes / max(rows.num_rows, 1), 1.0)))
