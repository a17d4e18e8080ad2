"""Hashes of strings that are the same on every machine and in every process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberharmony.stats.runs import Runs


def hash_strings(column: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """Hash a column of strings; null hashes as the text ``None``.

    Examples
    --------
    >>> a, b, c = hash_strings(pa.array(["x", "y", "x"]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    import pandas as pd  # late: slow to import, and most jobs hash nothing

    values = column.to_numpy(zero_copy_only=False).astype(object)
    hashed: NDArray[np.uint64] = pd.util.hash_array(values, categorize=False)
    return hashed


def hash_rows(columns: Sequence[pa.Array | pa.ChunkedArray], *, seed: int = 0) -> NDArray[np.uint64]:
    """Hash each row of several columns of strings; the order of the columns matters."""
    hashed = np.full(len(columns[0]), seed, np.uint64)
    for column in columns:
        hashed = mixed(hashed ^ hash_strings(column))
    return hashed


def runs_of(columns: Sequence[pa.ChunkedArray]) -> Runs:
    """Return the runs of neighbouring rows that agree in every column of strings; null equals null."""
    n_rows = len(columns[0])
    if not n_rows:
        return Runs()
    changes = np.zeros(n_rows - 1, bool)
    for column in columns:
        before, after = column.slice(0, n_rows - 1), column.slice(1)
        differs = pc.fill_null(pc.not_equal(before, after), False)
        one_is_null = pc.xor(before.is_null(), after.is_null())
        changes |= pc.or_(differs, one_is_null).to_numpy()
    first, last = (int(hash_rows([column.slice(row, 1) for column in columns])[0]) for row in (0, n_rows - 1))
    return Runs.of_changes(changes, first=first, last=last)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all others (the finaliser of SplitMix64; products wrap on purpose)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
