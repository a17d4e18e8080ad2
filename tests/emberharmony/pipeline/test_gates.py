"""Whole jobs that expect something of their rows: what is published, and what a run with other bounds makes again."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from emberharmony import open_result
from emberharmony.errors import ExpectationError, PlanError
from emberharmony.expectations.spec import ExpectedColumn, ExpectedRows, ExpectSpec
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.gates import note_expected, noted_expected
from flows.config.job import ApplyJob, FitJob, Job, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.stored import manifest_of

RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 150}


class Counting(LocalEngine):
    """Knows how many chunks it has run of each stage."""

    def map(self, stage, ref, chunks):
        self.__dict__.setdefault("ran", {})[stage.name] = len(chunks)
        return super().map(stage, ref, chunks)


@pytest.fixture(scope="module")
def table():
    return small_table(600)


@pytest.fixture(scope="module")
def state(table, tmp_path_factory):
    """A state that was fitted on the table."""
    folder = tmp_path_factory.mktemp("gates")
    source = write_table(table, folder / "table.parquet", group_rows=100)
    job = {"source": {"path": str(source)}, "sink": {"path": str(folder / "state")}, "runtime": RUNTIME}
    columns = {"time": "t", "target": "y", "drop": ["name"]}
    run_job(parse_job({**job, "columns": columns, "windows": {"size": 3, "strides": [1]}}, model=FitJob), LocalEngine())
    return folder / "state"


def applied(state, tmp_path, expect, *, sink="applied", table=None, **places):
    source = state.parent / "table.parquet"
    if table is not None:
        source = write_table(table, tmp_path / "rows.parquet", group_rows=100)
    where = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / sink), **places}}
    return parse_job({"state": str(state), **where, "expect": expect, "runtime": RUNTIME}, model=ApplyJob)


def is_published(folder):
    """Whether readers see anything: parts of a Delta table are written beside its log, and no reader knows them yet."""
    return bool([*folder.glob("manifest.json"), *folder.rglob("_delta_log"), *folder.glob("state")])


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_failed_gate_publishes_nothing_and_other_bounds_go_on_at_publishing(kind, state, tmp_path):
    expect = {"columns": {"count": {"max": 2}, "color": {"max_null_share": 0}}, "rows": {"min": 601}}
    job = applied(state, tmp_path, expect, type=kind)
    with pytest.raises(ExpectationError, match=r"2 of 3 expectations are not met") as failed:
        run_job(job, LocalEngine())
    assert re.search(r"rows\.min: 600, at least 601", str(failed.value))
    assert re.search(r"count\.max: \d+, at most 2 is expected; judged on 600 rows", str(failed.value))
    assert "color" not in str(failed.value)
    assert not is_published(tmp_path / "applied")
    engine = Counting()
    result = run_job(applied(state, tmp_path, {"columns": {"count": {"max": 200}}}, type=kind), engine)
    assert {stage for stage, n_chunks in engine.ran.items() if n_chunks} == {"publish"}
    assert [(v["expectation"], v["outcome"]) for v in result.manifest.expectations] == [("count.max", "passed")]
    assert is_published(tmp_path / "applied")


def test_a_run_that_expects_nothing_any_more_publishes(state, tmp_path):
    with pytest.raises(ExpectationError):
        run_job(applied(state, tmp_path, {"rows": {"min": 601}}), LocalEngine())
    assert run_job(applied(state, tmp_path, {}), LocalEngine()).manifest.expectations == ()


def test_an_earlier_result_stays(state, table, tmp_path):
    before = run_job(applied(state, tmp_path, {}), LocalEngine()).manifest
    worse = applied(state, tmp_path, {"rows": {"min": 600}}, table=table.slice(0, 500))
    with pytest.raises(ExpectationError):
        run_job(worse, LocalEngine(), overwrite=True)
    assert open_result(tmp_path / "applied").manifest == before


def test_bounds_do_not_change_the_fingerprint(state, tmp_path):
    first = run_job(applied(state, tmp_path, {"rows": {"min": 1}}), LocalEngine())
    again = run_job(applied(state, tmp_path, {"rows": {"min": 2}}), LocalEngine())
    assert (first.did_work, again.did_work) == (True, False)


def test_warnings_are_logged_and_recorded(state, table, tmp_path, caplog):
    colors = pa.array(["violet"] * 300 + table["color"].to_pylist()[300:])
    moved = table.set_column(table.schema.get_field_index("color"), "color", colors)
    expect = {"all": {"max_psi": 0.25, "max_new_share": 0.1, "on_failure": "warn"}}
    with caplog.at_level(logging.WARNING, logger="emberharmony"):
        result = run_job(applied(state, tmp_path, expect, table=moved), LocalEngine())
    assert "color.max_psi: " in caplog.text
    assert "color.max_new_share: 0.5, at most 0.1 is expected; judged on 600 rows" in caplog.text
    verdicts = {v["expectation"]: v for v in result.manifest.expectations}
    assert verdicts["color.max_new_share"]["outcome"] == "warned"
    assert verdicts["color.max_psi"]["found"] == result.manifest.drift["color"]["psi"]
    assert verdicts["flag.max_psi"] == {
        "expectation": "flag.max_psi",
        "outcome": "passed",
        "found": result.manifest.drift["flag"]["psi"],
        "bound": 0.25,
        "rows": 600,
        "chance": None,
        "note": "",
    }


@pytest.mark.parametrize("model", [Job, FitJob])
def test_a_job_that_fits_judges_its_training_rows(model, table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet", group_rows=100)
    job = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "runtime": RUNTIME}
    job["columns"] = {"target": "y", "drop": ["name", "t", "other"]}  # in the order of the rows
    train = table.slice(0, 480)
    share = pc.sum(pc.is_null(train["flag"])).as_py() / 480
    largest = pc.max(train["count"]).as_py()
    expect = {"columns": {"count": {"max": largest}, "flag": {"max_null_share": share}}, "rows": {"max": 600}}
    manifest = run_job(parse_job({**job, "expect": expect}, model=model), LocalEngine()).manifest
    found = {v["expectation"]: (v["outcome"], v["found"], v["rows"]) for v in manifest.expectations}
    assert found["count.max"] == ("passed", largest, 480)
    assert found["flag.max_null_share"] == ("passed", share, 480)
    job["sink"]["path"] = str(tmp_path / "fails")
    expect = {"columns": {"count": {"max": largest - 1}, "flag": {"max_null_share": share - 1e-6}}}
    with pytest.raises(ExpectationError, match="2 of 2"):
        run_job(parse_job({**job, "expect": expect}, model=model), LocalEngine())
    with pytest.raises(PlanError, match="compares rows"):
        run_job(parse_job({**job, "expect": {"all": {"max_psi": 0.2}}}, model=model), LocalEngine())


def test_a_column_that_the_fit_drops_fails_by_name(table, tmp_path):
    empty = table.set_column(2, "count", pa.nulls(600, pa.int32()).cast(pa.int32()))
    source = write_table(empty, tmp_path / "table.parquet", group_rows=100)
    job = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "runtime": RUNTIME}
    job["columns"] = {"time": "t", "target": "y", "drop": ["name"]}
    with pytest.raises(ExpectationError, match=r"count: the column makes no features: 100% of its training values"):
        run_job(parse_job({**job, "expect": {"columns": {"count": {"max_null_share": 0.1}}}}), LocalEngine())


def test_a_slice_is_compared_with_those_before_it(state, table, tmp_path):
    for day, n_rows in (("01", 999), ("20", 600), ("21", 900), ("22", 1000), ("29", 5)):
        manifest = replace(manifest_of("earlier"), rows={"apply": n_rows})
        LocalStore(tmp_path / f"applied/slice=2024-01-{day}").write_json(MANIFEST, manifest.to_json())
    job = applied(state, tmp_path, {"rows": {"of_median": [0.5, 2.0]}}).model_copy(update={"slice": "2024-01-23"})
    with pytest.raises(PlanError, match="not run slice by slice"):
        run_job(applied(state, tmp_path, {"rows": {"of_median": [0.5, 2.0]}}), LocalEngine())
    message = r"^Slice 2024-01-23: 1 of 1 .*\n  rows\.of_median: \d+, at least 47\d is expected"  # half of 949.5
    with pytest.raises(ExpectationError, match=message):
        run_job(job.resolved(), LocalEngine())


def test_what_is_expected_survives_its_note(tmp_path):
    store = LocalStore(tmp_path)
    expect = ExpectSpec(ExpectedRows(of_median=(0.5, 2.0)), columns={"größe": ExpectedColumn(max=1e300, on_failure="warn")})
    note_expected(store, expect)
    assert noted_expected(store) == expect
    note_expected(store, ExpectSpec())
    assert noted_expected(store) == ExpectSpec()
