"""Footers, packed and unpacked, against those in the files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.parquet.kept_footers import DecodedFooters, PackedFooter
from tests.jobs import small_table


def footer_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    stored = sink.getvalue().to_pybytes()
    return stored[-8 - int.from_bytes(stored[-8:-4], "little") :]


@pytest.mark.parametrize("n_columns", [1, 20, 2_000])
def test_a_packed_footer_is_what_it_was(n_columns):
    """Also if it is longer than what the packing compares it with."""
    first, second = (footer_of(pa.table({f"column {i}": [value * i] for i in range(n_columns)})) for value in (1, 2.5))
    alone, beside = PackedFooter.of(second), PackedFooter.of(second, like=first)
    assert alone.unpacked() == beside.unpacked() == second
    assert beside.decoded.equals(pq.read_metadata(pa.BufferReader(second)))


def test_footers_of_one_table_take_a_quarter():
    first, second = footer_of(small_table(20, seed=1)), footer_of(small_table(20, seed=2))
    assert first != second
    assert len(PackedFooter.of(second, like=first).content) < len(second) / 4


def test_decoded_footers_are_kept_within_a_limit():
    stored = [footer_of(pa.table({f"x{i}": [1.5]})) for i in range(8)]
    footers = [PackedFooter.of(footer, like=stored[0]) for footer in stored]
    kept = DecodedFooters(most_bytes=sum(map(len, stored[:3])) + 50)
    for footer, content in [*zip(footers, stored, strict=True), *zip(footers[::-1], stored[::-1], strict=True)]:
        assert kept.get(footer).equals(pq.read_metadata(pa.BufferReader(content)))
        assert kept.get(footer) is kept.get(footer)
    assert 1 < len(kept._kept) <= 4
    assert len(DecodedFooters(most_bytes=0).get(footers[0]).schema) == 1
