"""How a copy is partitioned: clustering makes ranges quick to read, and partitions make them cheap, whatever is charged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emberharmony.io.bigquery.identifiers import quote
from emberharmony.io.sources.base import KEY_BITS
from emberharmony.io.sources.bigquery.keys import Key
from emberharmony.planning.chunks import LAST_TICK

PARTITION_BYTES: Final = 2**28
_MAX_PARTITIONS: Final = 2**11
"""One job of BigQuery writes to 4,000 partitions of a table at most."""
_HOURS: Final = {"YEAR": 365 * 24, "MONTH": 28 * 24, "DAY": 24, "HOUR": 1}
"""Hours of the shortest partition of a unit, the coarsest first."""
_TICKS_OF_HOUR: Final[Mapping[str, int]] = {"TIMESTAMP": 3_600_000_000, "DATETIME": 3_600_000_000, "DATE": 3_600}


def n_partitions(n_bytes: int) -> int:
    """Return how many partitions a table of so many bytes should have, a power of two.

    Examples
    --------
    >>> n_partitions(10**6), n_partitions(2**30), n_partitions(2**50)
    (1, 4, 2048)
    """
    return min(1 << max(n_bytes // PARTITION_BYTES, 1).bit_length() - 1, _MAX_PARTITIONS)


def by_hash(column: str, n: int) -> str:
    """Return the clause that partitions a table by a hash of `KEY_BITS` bits.

    Examples
    --------
    >>> by_hash("_eh_entity", 4)
    'PARTITION BY RANGE_BUCKET(`_eh_entity`, GENERATE_ARRAY(0, 4611686018427387904, 1152921504606846976))'
    """
    return _by_range(column, 0, 2**KEY_BITS, 2**KEY_BITS // n)


def by_values(key: Key, first: int, last: int, n: int) -> str:
    """Return the clause that partitions a table by a column; empty if its values are too far apart for all units.

    Times are partitioned by the coarsest unit that makes `n` partitions, or the finest that does not make too many.

    Parameters
    ----------
    key : Key
        The column.
    first, last : int
        Its least and its greatest tick.
    n : int
        Wanted number of partitions.

    Examples
    --------
    >>> by_values(Key("day", "DATE"), 0, 364 * 86_400, 4)
    'PARTITION BY DATE_TRUNC(`day`, MONTH)'
    >>> by_values(Key("id", "INT64"), 5, 104, 4)
    'PARTITION BY RANGE_BUCKET(`id`, GENERATE_ARRAY(5, 105, 25))'
    """
    ticks = _TICKS_OF_HOUR.get(key.kind)
    if ticks is None:
        width = (last - first) // n + 1
        stop = first + n * width
        return _by_range(key.name, first, stop, width) if stop <= LAST_TICK else ""
    units = {unit: (last - first) // (hours * ticks) + 2 for unit, hours in _HOURS.items()}
    if key.kind == "DATE":
        del units["HOUR"]
    fitting = [unit for unit, count in units.items() if count <= _MAX_PARTITIONS]
    if not fitting:
        return ""
    unit = next((unit for unit in fitting if units[unit] >= n), fitting[-1])
    is_plain = (key.kind, unit) == ("DATE", "DAY")
    return f"PARTITION BY {key.sql if is_plain else f'{key.kind}_TRUNC({key.sql}, {unit})'}"


def _by_range(column: str, start: int, stop: int, width: int) -> str:
    return f"PARTITION BY RANGE_BUCKET({quote(column)}, GENERATE_ARRAY({start}, {stop}, {width}))"
