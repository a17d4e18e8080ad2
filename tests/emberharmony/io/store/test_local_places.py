"""Source, sink, state and other results keep out of each other's way."""

import shutil
from pathlib import Path

import pytest

from emberharmony.errors import PlanError
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder with a table and a result."""
    folder = tmp_path_factory.mktemp("places")
    write_table(small_table(200), folder / "table.parquet")
    run_job(parse_job(job(folder / "table.parquet", folder / "result")), LocalEngine(1))
    return folder


@pytest.fixture
def folder(published, tmp_path) -> Path:
    return shutil.copytree(published, tmp_path / "copy")


def job(source, sink, **more):
    places = {"source": {"path": str(source)}, "sink": {"path": str(sink)}, "runtime": RUNTIME} | more
    return places if "state" in more else places | {"columns": {"time": "t"}, "windows": {"size": 2}}


def assert_refused(given, folder, match, model=None):
    """By `plan` and by `run`, whatever is to be overwritten; nothing changes on the disk."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    parsed = parse_job(given, **({"model": model} if model else {}))
    with pytest.raises(PlanError, match=match):
        plan_report(parsed)
    for overwrite in (False, True):
        with pytest.raises(PlanError, match=match):
            run_job(parsed, LocalEngine(1), overwrite=overwrite)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("place", ["result/features/mine.parquet", "result/mine.parquet", "result/.staging/mine/t.parquet"])
def test_a_source_inside_the_sink(folder, place):
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "table.parquet", folder / place)
    assert_refused(job(folder / place, folder / "result"), folder, r"lies inside sink\.path")


def test_a_source_that_is_the_sinks_own_features(folder):
    assert_refused(job(folder / "result/features", folder / "result"), folder, r"lies inside sink\.path")


def test_a_source_linked_from_inside_the_sink(folder):
    (folder / "linked.parquet").symlink_to(folder / "result/mine.parquet")
    shutil.copy(folder / "table.parquet", folder / "result/mine.parquet")
    assert_refused(job(folder / "linked.parquet", folder / "result"), folder, r"lies inside sink\.path")


@pytest.mark.parametrize("source", ["", "**/*.parquet", "*/*/*/*.parquet"], ids=["folder", "any depth", "just that depth"])
def test_a_sink_inside_the_source(folder, source):
    shutil.rmtree(folder / "result")
    deep = folder / "a/b/c"
    deep.mkdir(parents=True)
    shutil.copy(folder / "table.parquet", deep / "table.parquet")
    assert_refused(job(folder / source, folder / "new"), folder, "the next run would read this one's result")


def test_a_sink_beside_the_files_of_a_pattern(folder):
    run_job(parse_job(job(folder / "*.parquet", folder / "new")), LocalEngine(1))
    assert (folder / "new/manifest.json").exists()


@pytest.mark.parametrize(
    "place", ["features", "features/new", "windows/stride=1/new", "state", ".staging/new", ".versions/new"]
)
def test_a_sink_inside_another_result(folder, place):
    assert_refused(job(folder / "table.parquet", folder / "result" / place), folder, "belongs to the result in")


@pytest.mark.parametrize("sink", ["result", "result/state", "result/state/new", "."])
@pytest.mark.parametrize("state", ["result", "result/state"])
def test_a_sink_that_is_or_holds_or_lies_in_the_applied_state(folder, sink, state):
    given = job(folder / "table.parquet", folder / sink, state=str(folder / state))
    assert_refused(given, folder, "the result would replace what fitted it|lies inside sink.path|belongs to", ApplyJob)


@pytest.mark.parametrize("key", ["source", "sink"])
def test_addresses_are_refused_where_the_job_is_read(folder, key, monkeypatch):
    monkeypatch.chdir(folder)
    given = job("table.parquet", "new")
    given[key] = {"path": "ftp://host/x"}
    with pytest.raises(PlanError, match=rf"{key}(\.path)?: 'ftp://host/x' is an address of another store"):
        parse_job(given)
    with pytest.raises(PlanError, match="state: 'ftp://host/s' is an address"):
        parse_job(job("table.parquet", "new", state="ftp://host/s"), model=ApplyJob)
    assert not (folder / "ftp:").exists()


def test_the_notebook_refuses_addresses_too():
    from emberharmony.features import TerabyteFeatureExtractor

    with pytest.raises(PlanError, match="is an address of another store"):
        TerabyteFeatureExtractor(verbose=False).prepare_data("ftp://host/table.parquet")
