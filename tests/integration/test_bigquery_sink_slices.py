"""Nights that are published one by one to the same tables in BigQuery."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.published_slices import published_slices
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.integration.bigquery_tables import expected, make_run, make_table
from tests.laws.test_slices import NIGHTS, events, fitted, parts_of

pytestmark = pytest.mark.xdist_group("bigquery-sink")


def of_night(folder, spec, number, x=0.0, days=1):
    """The table, and the settings, of a slice; all slices have rows of the same times here."""
    table = make_table(folder / f"{number}-{x}-{days}", days=days, x=x)
    return dataclasses.replace(table, slice=NIGHTS[number]), dataclasses.replace(spec, slice=NIGHTS[number])


def publish(folder, spec, number, run, x=0.0, days=1, nonce=""):
    table, spec = of_night(folder, spec, number, x, days)
    with spec.connection.open() as clients:
        Publication(spec, clients).publish([table], make_run(table, run), nonce=nonce)
    return sorted((*row, NIGHTS[number]) for row in expected(table))


def test_a_slice_replaces_its_own_rows(spec, tmp_path, published):
    first = publish(tmp_path, spec, 0, "f0")
    second = publish(tmp_path, spec, 1, "f1")
    assert published.rows() == sorted([*first, *second])
    corrected = publish(tmp_path, spec, 1, "f2", x=7)
    assert published.rows() == sorted([*first, *corrected])
    publish(tmp_path, spec, 0, "f3", days=0)
    assert published.rows() == corrected, "a slice without rows replaces those that were there"
    assert publish(tmp_path, spec, 1, "f2", x=7) == published.rows(), "again, as after a kill: nothing is published twice"
    with spec.connection.open() as clients:
        there = clients.jobs.get_table(f"{spec.dataset}.features")
    assert [field.name for field in there.schema][-3:] == ["split", "run_id", "slice"]
    assert there.clustering_fields == ["slice", "split"]
    assert published.tables() == ["features", "runs"]


@pytest.mark.parametrize("step", ["_stage", "_publish", "_tell"])
def test_killed_while_a_slice_is_replaced(spec, tmp_path, published, step, monkeypatch):
    first, old = publish(tmp_path, spec, 0, "f0"), publish(tmp_path, spec, 1, "f1")
    real = getattr(Publication, step)

    def dies(self, *arguments):
        real(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publication, step, dies)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, spec, 1, "f2", x=7)
    seen = published.rows()
    new = publish(tmp_path, spec, 1, "f2", x=7)
    assert seen == sorted([*first, *(old if step == "_stage" else new)])
    assert published.rows() == sorted([*first, *new])
    assert len(published.rows("runs")) == 3


def test_a_table_of_a_job_that_was_no_slice_is_refused(spec, table, tmp_path):
    with spec.connection.open() as clients:
        Publication(spec, clients).publish([table], make_run(table))
    with pytest.raises(DataError, match="differ in the columns slice"):
        publish(tmp_path, spec, 0, "f1")


def test_nights_equal_those_of_files(connection, dataset, tmp_path):
    """Workers write the files to load; those that are uploaded are tested above."""
    nights = NIGHTS[1:]
    rows = events(np.random.default_rng(6), [60, 40])
    state = fitted(tmp_path, events(np.random.default_rng(1), [300, 200]))
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "events.parquet")
    tables = {"type": "bigquery", "dataset": dataset, "connection": dataclasses.asdict(connection)}
    tables |= {"staging": "gs://staging/nights"}

    def apply(name, night, **sink):
        data = {"state": str(state), "source": {"path": str(tmp_path / "events.parquet")}, "slice": night}
        data |= {"sink": {"path": str(tmp_path / name)} | sink, "windows": {"lookback": "P1D"}}
        data |= {"runtime": {"workers": 1, "backend": "numpy", "engine": "local"}}
        return run_job(parse_job(data, model=ApplyJob).resolved(), LocalEngine(1))

    for night in [*nights, "2027-01-01"]:  # which has no rows
        assert apply("files", night).did_work
        assert apply("tables", night, **tables).did_work
    assert not apply("tables", nights[0], **tables).did_work
    assert [part.name for part in published_slices(str(tmp_path / "tables"))] == [*nights, "2027-01-01"]
    with connection.open() as clients:
        for table, below in {"features": "features", "windows_stride_3": "windows/stride=3"}.items():
            found = (
                clients.jobs.query_and_wait(f"SELECT * FROM `{dataset}.{table}`")
                .to_arrow(create_bqstorage_client=False)
                .to_pandas()
            )
            assert set(found["slice"]) == {*nights}
            for night in nights:
                here = parts_of(tmp_path / f"files/slice={night}" / below / "split=apply").sort_values("y", ignore_index=True)
                there = found[found["slice"] == night].sort_values("y", ignore_index=True)
                assert len(here) == len(there) > 0
                numbers = [name for name in here if here[name].dtype.kind in "fi" and name in there]
                np.testing.assert_allclose(there[numbers].to_numpy(float), here[numbers].to_numpy(float), rtol=1e-6)
        lines = clients.jobs.query_and_wait(f"SELECT slice, `rows` FROM `{dataset}.runs` ORDER BY slice")
        counts = {row["slice"]: json.loads(row["rows"])["apply"] for row in lines}
    assert list(counts) == [*nights, "2027-01-01"]
    assert sum(counts.values()) == (rows["t"].dt.strftime("%Y-%m-%d") >= nights[0]).sum()
