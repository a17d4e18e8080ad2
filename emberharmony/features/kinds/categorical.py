"""Categories as one-hot features over a vocabulary that training fixed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.arrow import plain
from emberharmony.typing import FeatureBlock


@dataclass(frozen=True)
class CategorySpec:
    """How categories become one-hot features."""

    max_categories: int = 100
    """Most frequent training values of each column that get a feature; the rest share `_other`, nulls have `_null`."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}

    def __post_init__(self) -> None:
        """Refuse a negative number."""
        if self.max_categories < 1:
            raise ValueError(f"max_categories is at least 1, got {self.max_categories}.")


def feature_names(column: str, vocabulary: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a column's one-hot features, before collisions are told apart.

    Examples
    --------
    >>> feature_names("color", ("dark red", "blue"))
    ('color_dark_red', 'color_blue', 'color_other', 'color_null')
    """
    return tuple(f"{column}_{re.sub('[^0-9a-zA-Z_]', '_', value)}" for value in (*vocabulary, "other", "null"))


def deduplicated(names: list[str], taken: set[str]) -> tuple[str, ...]:
    """Names with ``_2``, ``_3``, … added to those that were there before, in the order of their appearance.

    Examples
    --------
    >>> deduplicated(["a_b", "a_b", "c"], {"c"})
    ('a_b', 'a_b_2', 'c_2')
    """
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)


def strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column as strings: what categories and hash keys are made of, also of numbers and booleans; NaN is null.

    Equal numbers have one text, whatever their type: 1.0 is ``1``, as -0.0 is ``0`` and a decimal 1.50 is ``1.5``.

    Examples
    --------
    >>> strings(pa.array([-0.0, 12345678901.0, 0.5, float("nan")])).to_pylist()
    ['0', '12345678901', '0.5', None]
    """
    if isinstance(column, pa.Array):
        return strings(pa.chunked_array([column])).combine_chunks()
    column = plain(column)
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pt.is_floating(column.type):
        return _float_texts(column)
    if pt.is_decimal(column.type):
        return _decimal_texts(column)
    if pt.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))  # a zone that this machine does not know has no texts
    return column.cast(pa.large_string())


def _float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = column.cast(pa.float32()) if pt.is_float16(column.type) else column
    column = pc.if_else(pc.is_nan(column), None, column)
    is_whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**63))
    whole = pc.if_else(is_whole, column, 0.0).cast(pa.int64())
    return pc.if_else(is_whole, whole.cast(pa.large_string()), column.cast(pa.large_string()))


def _decimal_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the zeros at the end, which a column has by its scale."""
    wide = column if pt.is_decimal256(column.type) else column.cast(pa.decimal128(column.type.precision, column.type.scale))
    encoded = wide.dictionary_encode().combine_chunks()
    texts = pa.array([_decimal_text(value) for value in encoded.dictionary.to_pylist()], pa.large_string())
    encoded = pa.DictionaryArray.from_arrays(encoded.indices, texts)
    return pa.chunked_array([encoded.dictionary_decode()])


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def codes(column: pa.Array | pa.ChunkedArray, vocabulary: tuple[str, ...]) -> NDArray[np.int32]:
    """Position of every value's feature: in the vocabulary, or ``len(vocabulary)`` for others and one more for null."""
    text = strings(column)
    found = pc.index_in(text, value_set=pa.array(vocabulary, pa.large_string()))
    position: NDArray[np.int32] = pc.fill_null(found, len(vocabulary)).to_numpy().astype(np.int32, copy=True)
    if text.null_count:
        position[pc.is_null(text).to_numpy(zero_copy_only=False)] = len(vocabulary) + 1
    return position


def one_hot(position: NDArray[np.int32], n_features: int) -> FeatureBlock:
    """A one in each row's own feature, computed on the current backend; shape ``(n_features, n_rows)``.

    Examples
    --------
    >>> one_hot(np.array([1, 0], np.int32), 3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    every = ops.arange(n_features, dtype=ops.int32)
    here = ops.asarray(position)[None, :] == every[:, None]
    return ops.astype(here, ops.float32).numpy()
