"""Where a run's parts are below the tables."""

from __future__ import annotations

import pytest

from emberharmony.io.parts import feature_part, window_part
from emberharmony.io.sinks.delta.places import Places, is_own
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.local import LocalStore

RUN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (feature_part("train", 7), f"features/{RUN}/split=train/part-00007.parquet"),
        (window_part(12, "test", 0), f"windows_stride_12/{RUN}/split=test/part-00000.parquet"),
        ("features/", f"features/{RUN}/"),
        ("features", None),
        ("state/job.json", None),
        ("features.json", None),
        ("receipts/features/00000.json", None),
    ],
)
def test_parts_alone_are_below_the_tables(name, place):
    assert Places(RUN)(name) == place


def test_the_partition_is_in_the_path_where_polars_looks_for_it():
    place = Places(RUN, {"night": "2026-11-28"})(FileRecord(feature_part("train", 7), 0, "a" * 64).kept_as)
    assert place == f"features/{RUN}/night=2026-11-28/split=train/part-00007-{'a' * 16}.parquet"


def test_a_run_keeps_its_folder_and_another_run_has_another(tmp_path):
    run, other = LocalStore(tmp_path / "run"), LocalStore(tmp_path / "other")
    assert Places.of(run, {}) == Places.of(run, {})
    assert Places.of(run, {}).folder != Places.of(other, {}).folder
    assert is_own(f"{Places.of(run, {}).folder}/split=train/part-00000.parquet")
    assert not is_own("split=train/part-00000.parquet")
