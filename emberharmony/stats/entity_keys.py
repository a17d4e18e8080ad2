"""Keys of entities: numbers that order the rows of a job by entity, the same on every machine and in every process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony.arrow import is_text
from emberharmony.stats.hashing import mixed
from emberharmony.typing import BoolArray, IntArray

_OF_NULL = np.uint64(0x6E756C6C)
_WORD_BYTES = 8


def entity_keys(columns: Sequence[pa.ChunkedArray]) -> IntArray:
    """Return a key for the entity of every row: equal values have equal keys.

    Different entities have different keys, but for one pair in 2**63. Who needs certainty compares `value_codes`, too.

    Parameters
    ----------
    columns : sequence of pyarrow.ChunkedArray
        One or more columns of text, whole numbers, booleans, dates, times or decimals. Null is a value like others.

    Returns
    -------
    int64 array of shape (n_rows,)
        In ``[-2**62, 2**62)``, spread evenly.

    Examples
    --------
    >>> a, b, c = entity_keys([pa.chunked_array([["x", None, "x"]]), pa.chunked_array([[1, 1, 1]])])
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    hashed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        hashed = mixed(hashed ^ _hashed(column))
    return hashed.view(np.int64) >> 1


def value_codes(column: pa.ChunkedArray) -> IntArray:
    """Return small whole numbers that are equal where values are equal; null equals null.

    Examples
    --------
    >>> value_codes(pa.chunked_array([["b", None, "a", "b"]])).tolist()
    [0, -1, 1, 0]
    """
    return _encoded(column)[0]


def value_changes(column: pa.ChunkedArray) -> BoolArray:
    """Return whether each value but the first differs from the one before it; shape ``(n_values - 1,)``. Null equals null.

    Neighbours are compared as they are: finding the distinct values first takes eight times as long.

    Examples
    --------
    >>> value_changes(pa.chunked_array([["b", None], [None, "a"]])).tolist()
    [True, False, True]
    """
    if not _compares(column.type):
        return _differ(value_codes(column))
    values = column.combine_chunks()
    changed: BoolArray = pc.fill_null(pc.not_equal(values[1:], values[:-1]), False).to_numpy(zero_copy_only=False)
    if not values.null_count:
        return changed
    return changed | _differ(values.is_null().to_numpy(zero_copy_only=False))


def _differ(values: IntArray | BoolArray) -> BoolArray:
    changed: BoolArray = values[1:] != values[:-1]
    return changed


def _compares(type_: pa.DataType) -> bool:
    """Whether Arrow compares two values of a type as `value_codes` does."""
    return bool(_is_number(type_) or pt.is_string(type_) or pt.is_large_string(type_) or pt.is_boolean(type_))


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    if _is_number(column.type):
        hashed = mixed(_as_words(column))
        return np.where(column.is_null().to_numpy(), _OF_NULL, hashed) if column.null_count else hashed
    codes, values = _encoded(column)
    of_values = mixed(_as_words(values)) if _is_number(values.type) else _hashed_texts(_as_texts(values))
    return np.append(of_values, _OF_NULL)[codes]  # the code of null is -1


def _is_number(type_: pa.DataType) -> bool:
    return bool(pt.is_integer(type_) or pt.is_temporal(type_))


def _encoded(column: pa.ChunkedArray) -> tuple[IntArray, pa.Array]:
    """Codes of a column's values, -1 for null, and the distinct values."""
    if not len(column):  # Arrow cannot combine no chunks of a dictionary of times or decimals
        values = column.type.value_type if pt.is_dictionary(column.type) else column.type
        return np.empty(0, np.int64), pa.array([], values)
    is_dictionary = pt.is_dictionary(column.type)
    array = (column if is_dictionary else column.dictionary_encode()).unify_dictionaries().combine_chunks()
    if is_dictionary and (array.dictionary.null_count or len(array.dictionary.unique()) < len(array.dictionary)):
        array = array.dictionary_decode().dictionary_encode()  # a dictionary may hold null, or a value twice
    return pc.fill_null(array.indices.cast(pa.int64()), -1).to_numpy(), array.dictionary


def _as_words(column: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    if pt.is_uint64(column.type):
        words: NDArray[np.uint64] = pc.fill_null(column, 0).to_numpy()
        return words
    width = pa.int32() if column.type.bit_width == 32 and pt.is_temporal(column.type) else pa.int64()
    numbers = column.cast(width).cast(pa.int64())
    signed: IntArray = pc.fill_null(numbers, 0).to_numpy()
    return signed.view(np.uint64)


def _as_texts(values: pa.Array) -> pa.Array:
    if is_text(values.type):
        return values.cast(pa.large_string())
    if pt.is_binary(values.type) or pt.is_large_binary(values.type):
        return values.cast(pa.large_binary())
    return values.cast(pa.string()).cast(pa.large_string())


def _hashed_texts(texts: pa.Array) -> NDArray[np.uint64]:
    """Hash texts, eight bytes of all of them at a time."""
    _, offsets, data = texts.buffers()
    edges = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    starts, lengths = edges[:-1], np.diff(edges)
    n_bytes = int(edges[-1]) if len(edges) else 0
    padded = np.zeros(n_bytes + _WORD_BYTES, np.uint8)
    if n_bytes:
        padded[:n_bytes] = np.frombuffer(data, np.uint8)[:n_bytes]
    words = np.ndarray((n_bytes + 1,), np.dtype("<u8"), padded, strides=(1,))  # the word that begins at every byte
    hashed = mixed(lengths.view(np.uint64))
    for at in range(0, int(lengths.max(initial=0)), _WORD_BYTES):
        rest = lengths - at
        (some,) = np.nonzero(rest > 0)
        n_bits = np.minimum(rest[some], _WORD_BYTES).astype(np.uint64) * np.uint64(8)
        mask = np.uint64(2**64 - 1) >> (np.uint64(64) - n_bits)
        hashed[some] = mixed(hashed[some] ^ (words[starts[some] + at] & mask))
    return hashed
