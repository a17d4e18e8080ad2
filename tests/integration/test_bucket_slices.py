"""Slices of a table in a bucket, published in the bucket: each equals that of the same table on a disk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony import open_result
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import open_files
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.published_slices import published_slices
from emberharmony.report.explained import explain_named
from emberharmony.report.explained_window import explain_window
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.laws.test_slices import NIGHTS, events, fitted

pytestmark = pytest.mark.xdist_group("stores")


def apply_night(source, state, sink, night):
    data = {"state": state, "source": {"path": source}, "sink": {"path": sink}, "slice": night}
    data |= {"windows": {"lookback": "1d"}, "runtime": {"workers": 1, "backend": "numpy", "engine": "local"}}
    return run_job(parse_job(data, model=ApplyJob).resolved(), LocalEngine(1))


def explained(result):
    """What a feature is made of, and where the rows of the last window are."""
    windows = open_result(result).manifest.strides["1"].windows["apply"]
    rows = explain_window(result, stride=1, number=windows - 1, split="apply").rows
    files = [(row.row_number, row.time, row.file.rpartition("/")[2], row.row_in_file) for row in rows]
    return explain_named(result, "t_sin_hour").to_json(), explain_named(result, "pc_1", stride=1).to_json(), files


def test_nights_in_a_bucket(s3, tmp_path):
    rng = np.random.default_rng(5)
    state = fitted(tmp_path, events(rng, [300, 200]))
    rows = events(rng, [60, 50])
    source, sink = child_address(s3, "events"), child_address(s3, "nights")
    (tmp_path / "events").mkdir()
    for night, part in rows.groupby(rows["t"].dt.strftime("%Y-%m-%d")):
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), tmp_path / f"events/{night}.parquet")
        open_files(source).put(f"{night}.parquet", (tmp_path / f"events/{night}.parquet").read_bytes())
    for night in NIGHTS:
        apply_night(source, str(state), sink, night)
        apply_night(str(tmp_path / "events"), str(state), str(tmp_path / "nights"), night)
    found = published_slices(sink)
    assert [part.name for part in found] == list(NIGHTS)
    for part in found:
        there = open_result(part.address)
        here = open_result(tmp_path / f"nights/slice={part.name}")
        assert there.features().to_arrow().equals(here.features().to_arrow())
        assert there.windows(stride=1).to_arrow().equals(here.windows(stride=1).to_arrow())
        assert explained(part.address) == explained(str(tmp_path / f"nights/slice={part.name}"))
    assert not apply_night(source, str(state), sink, NIGHTS[1]).did_work
    open_files(source).put(f"{NIGHTS[2]}.parquet", (tmp_path / f"events/{NIGHTS[1]}.parquet").read_bytes())
    assert apply_night(source, str(state), sink, NIGHTS[2]).manifest.rows == {"apply": 0}, "its file was replaced"
    assert [part.manifest.fingerprint for part in published_slices(sink)][:2] == [p.manifest.fingerprint for p in found][:2]
