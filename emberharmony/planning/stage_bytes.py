"""Bytes that a row, a chunk and a fit take in each stage, by the sizes of the columns."""

from __future__ import annotations

from dataclasses import dataclass

from emberharmony.planning.chunks import DEFAULT_CHUNK_ROWS
from emberharmony.stats.categories import MAX_MERGED_BYTES
from emberharmony.stats.lags import MAX_PRODUCT_BYTES
from emberharmony.stats.quantiles import MAX_BUCKETS
from emberharmony.threads import BLOCKS_BYTES
from emberharmony.windows import gram_bytes

STATES_AT_ONCE_BYTES = 2**26
"""States of all strides are in memory together if each segment's take no more; larger ones are read stride by stride."""
THREADS_BYTES = 2 * BLOCKS_BYTES
"""Measured: blocks of several threads, and the memory that the allocator keeps for them."""
_DIVIDED_BYTES = 2**28  # of a solver that is used where the usual one gives up, see `stats.eigenspaces`
_BUFFERS_BYTES = 48 * 2**20  # pages being encoded or decoded, state files, the interpreter's own
_VALUE_BYTES = 16  # a value or bucket, and its count
_GROUPING = 9  # measured: bytes for counting categories, per byte merged at once


@dataclass(frozen=True)
class RowSizes:
    """Bytes of one row, and the numbers of its columns and features."""

    read_bytes: float  # all columns that are read, decoded
    carried_bytes: float  # columns that feature parts keep
    n_features: int  # at most
    in_order: bool
    n_numbers: int = 0  # columns with quantiles
    category_bytes: float = 0.0  # strings, and their counts
    in_flight_bytes: int = 0  # of a chunk while it is read, in addition to its rows
    decoding_bytes: float = 0.0  # in addition, of the column that is being decoded
    score_bytes: float = 0.0  # of the windows of every stride that begin in a row, on average


def partition_bytes(sizes: RowSizes, n_rows: int) -> int:
    """Return the bytes of partitioning `n_rows` rows: as they were read, with a time, and in the order of chunks."""
    return sizes.in_flight_bytes + int(n_rows * (3 * sizes.read_bytes + sizes.decoding_bytes + 8 * 8)) + _BUFFERS_BYTES


def row_peak_bytes(sizes: RowSizes) -> float:
    """Return the most bytes that one row takes in any stage of its chunk.

    Featurize holds the rows that were read (three times while rows out of order are filtered and sorted), the feature block,
    a copy of it if the chunk holds two splits, and a column in float64. Project holds a part, its block, the rows of windows
    that are far apart (half of all rows at most), the scores of all strides, and the carried columns of one stride's windows.
    """
    read = sizes.read_bytes * (1 if sizes.in_order else 3) + sizes.decoding_bytes
    block = 4 * sizes.n_features
    featurize = read + 2 * block
    project = sizes.carried_bytes + 1.5 * block + sizes.score_bytes
    return sizes.carried_bytes + max(featurize, project) + 8 * 8


def state_bytes(sizes: RowSizes, n_rows: int) -> int:
    """Return the bytes of the profile of `n_rows` rows; a column has at most as many values or buckets as rows."""
    return int(_VALUE_BYTES * sizes.n_numbers * min(n_rows, MAX_BUCKETS) + sizes.category_bytes * n_rows)


def profile_bytes(sizes: RowSizes, n_rows: int) -> int:
    """Return the bytes of profiling a chunk: its rows, its training rows, and states, held four times while written."""
    row = sizes.read_bytes * (2 if sizes.in_order else 3) + sizes.decoding_bytes + 8 * 8  # one column in float64, and sorted
    return int(n_rows * row) + 4 * state_bytes(sizes, n_rows) + _BUFFERS_BYTES


def merge_bytes(sizes: RowSizes, n_rows: int) -> int:
    """Return the bytes of merging the profiles of `n_rows` rows: all columns, one chunk, and the categories of one column."""
    numbers = 2 * _VALUE_BYTES * sizes.n_numbers * min(n_rows, MAX_BUCKETS)
    categories = _GROUPING * min(MAX_MERGED_BYTES, int(sizes.category_bytes * n_rows))
    return numbers + categories + int(3 * sizes.category_bytes * min(n_rows, DEFAULT_CHUNK_ROWS)) + _BUFFERS_BYTES


def fixed_chunk_bytes(sizes: RowSizes, *, window_size: int, n_strides: int) -> int:
    """Return the bytes of a chunk's stage that do not depend on its rows: products of rows, and Gram matrices."""
    if not n_strides:
        return _BUFFERS_BYTES
    gram = gram_bytes(window_size, sizes.n_features)
    products = max(MAX_PRODUCT_BYTES, 2 * gram)  # for a single stride, a period has fewer rows than two windows
    return products + n_strides * gram + _BUFFERS_BYTES


def fit_bytes(sizes: RowSizes, *, window_size: int, n_strides: int) -> int:
    """Return the bytes of fitting the PCAs, most of them those of merging the states of every stride.

    A fit takes less: the merged state of one stride, and a covariance matrix that is overwritten.
    """
    if not n_strides:
        return _BUFFERS_BYTES
    gram = gram_bytes(window_size, sizes.n_features)
    return (2 * n_strides + 2) * gram + _BUFFERS_BYTES + min(2 * gram, _DIVIDED_BYTES)


def gram_merge_bytes(sizes: RowSizes, *, window_size: int, n_strides: int, chunk_rows: int) -> int:
    """Return the bytes of merging Gram states, some of which are made of the joined rows of chunks that have none."""
    states = n_strides * gram_bytes(window_size, sizes.n_features)
    # Rows are joined until they have half the bytes of their states; the last chunk may exceed that.
    joined = states // 2 + min(states // 2, 4 * sizes.n_features * chunk_rows)
    return (
        fixed_chunk_bytes(sizes, window_size=window_size, n_strides=n_strides)
        + joined
        + min(states, STATES_AT_ONCE_BYTES)
        + THREADS_BYTES
    )
