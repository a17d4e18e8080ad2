"""What windows and components need of the splits, and that they are refused as early as it is known."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet import read
from emberharmony.pipeline.spec import PipelineSpec, pinned
from emberharmony.pipeline.split_checks import check_method
from emberharmony.report.plan_report import plan_report
from emberharmony.splits import SPLITS, SplitSpec
from emberharmony.windows import WindowSpec
from flows.config.job import FitJob, Job, parse_job
from tests.jobs import run_small, small_table, with_blocks, write_table


def report(source, model=Job, **job):
    """What `emberharmony plan` says of a job, or its refusal; it may look at the time column, and at nothing else."""
    data = {"source": {"path": str(source)}, "sink": {"path": str(source.with_name("out"))}, "runtime": {"engine": "local"}}
    return dict(plan_report(parse_job({"columns": {"time": "t", "target": "y"}} | data | job, model=model)).lines)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_table(
        with_blocks(small_table(200, order="sorted"), 8), tmp_path_factory.mktemp("rows") / "t.parquet", group_rows=50
    )


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"split": {"method": "random"}}, r"split\.method: random.*split\.method: sequential.*temporal.*hash.*strides: \[\]"),
        ({"columns": {}, "split": {"gap": "P1D"}}, r"split\.gap.*this job's split is sequential.*columns\.time"),
        ({"columns": {}, "split": {"method": "temporal"}}, r"columns\.time.*split\.method: sequential"),
        ({"pca": {"components": 9999}}, r"9,999 components.*156 training windows \(stride 1\) of 5 rows.*no more than 155"),
        ({"pca": {"components": 32}}, r"32 components.*32 training windows \(stride 5\).*Lower `pca\.components`"),
        ({"columns": {"drop": ["t", "other", "color", "name", "block"]}, "pca": {"components": 25}}, r"4 features.*than 20"),
        ({"windows": {"size": 161}}, "train split has at most 160 rows of 200, fewer than one window of 161"),
        ({"windows": {"size": 70}}, r"3 splits \(train, validation, test\) share 200"),
        ({"split": {"method": "sequential"}, "windows": {"size": 21}}, "validation split has at most 20 rows of 200"),
        ({"split": {"method": "sequential", "fractions": [0.9, 0.02, 0.08]}}, "validation split has at most 4 rows of 200"),
        ({"windows": {"strides": [1, 160]}}, r"160 of 200 rows, which make one window of 5 rows at stride 160"),
    ],
    ids=str,
)
def test_refused_by_metadata(source, monkeypatch, job, words):
    monkeypatch.setattr(read, "row_batches", lambda *_: pytest.fail("a row was read"))
    for model in (Job, FitJob):
        with pytest.raises(PlanError, match=words):
            report(source, model, **job)


def test_a_source_of_files_has_no_profile_by_query(source):
    with pytest.raises(PlanError, match=r"source\.profile is not a known key"):
        parse_job({"source": {"path": str(source), "profile": "query"}, "sink": {"path": "out"}})


@pytest.mark.parametrize(
    "job",
    [
        {"split": {"method": "random"}, "windows": {"strides": []}},
        {"split": {"method": "random"}, "windows": {"size": 1}},
        {"windows": {"size": 1, "strides": [3]}},
        {"windows": {"size": 20, "strides": [1, 39]}},
        {"columns": {}, "pca": {"components": 30}},
        {"split": {"fractions": [0.9, 0.1, 0.0]}, "windows": {"size": 20}},
    ],
    ids=str,
)
def test_what_can_be_is_planned(source, job):
    assert report(source, **job)["job"].startswith("extract")


def test_rows_of_no_order_are_drawn():
    spec = PipelineSpec(BigQuerySourceSpec(table="a.b"), windows=WindowSpec(strides=()))
    assert spec.split_method == "random"
    check_method(spec)
    assert PipelineSpec(BigQuerySourceSpec(table="a.b", key="id")).split_method == "sequential"
    for method in (None, "random"):  # windows are what has to be refused, and are by their own message
        unordered = PipelineSpec(spec.source, split=SplitSpec(method=method))
        check_method(unordered)
        with pytest.raises(PlanError, match=r"have none of their own: name the column that orders them.*source\.key"):
            pinned(unordered)
    with pytest.raises(PlanError, match=r"these have none.*source\.key"):
        check_method(PipelineSpec(spec.source, split=SplitSpec(method="sequential"), windows=spec.windows))
    with pytest.raises(PlanError, match=r"split\.gap"):
        check_method(PipelineSpec(spec.source, split=SplitSpec(gap=timedelta(1)), windows=spec.windows))


def test_the_plan_names_the_rows_of_a_sequential_split(source):
    told = report(source, columns={})["split"]
    assert (
        told == "sequential: train 80%, validation 10%, test 10%; validation begins at row 160, test at row 180 of the order"
    )


@pytest.mark.parametrize("chunk_rows", [23, 1000])
def test_windows_of_keys_that_part_neighbours_are_refused(source, tmp_path, chunk_rows):
    """Keys that are no series: rows of equal keys are scattered."""
    job = {"columns": {"time": "t", "drop": ["block", "name"]}, "runtime": {"chunk_rows": chunk_rows}}
    with pytest.raises(
        PlanError, match=r"color \(`split\.keys`\) changes after [12]\.\d rows on average.*sequential.*strides"
    ):
        run_small(source, tmp_path / "color", split={"method": "hash", "keys": ["color"], "fractions": [0.5, 0.5, 0]}, **job)
    one_row = {"split": {"method": "hash", "keys": ["color"], "fractions": [0.5, 0.5, 0]}, "windows": {"size": 1}}
    assert run_small(source, tmp_path / "one", **job, **one_row).manifest["key_changes"] == 0


@pytest.mark.parametrize("chunk_rows", [23, 1000])
def test_changes_of_the_key_are_counted(source, tmp_path, chunk_rows):
    split = {"method": "hash", "keys": ["block"], "fractions": [0.5, 0.25, 0.25]}
    columns = {"time": "t", "passthrough": ["block"]}
    published = run_small(source, tmp_path / "out", columns=columns, split=split, runtime={"chunk_rows": chunk_rows})
    blocks = [np.array(published.features[name]["block"].to_pylist()) for name in SPLITS]
    assert published.manifest["key_changes"] == sum(int((of[1:] != of[:-1]).sum()) for of in blocks) > 10


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(np.repeat([0.1, -2.5, np.nan, 1e300, 0.0, 3.0, 7.5, -1e-9], 25)),
        pa.array(np.repeat(np.arange(8), 25) * 86_400_000_000, pa.timestamp("us", "UTC")),
        pa.array(np.repeat(np.arange(8), 25), pa.int32()).cast(pa.date32()),
        pa.array(np.repeat([True, False, None], [80, 60, 60])),
        pa.array(np.repeat(["a", "b", None, "c", "", "d", "e", "f"], 25)).dictionary_encode(),
    ],
    ids=lambda keys: str(keys.type),
)
def test_keys_of_every_type(tmp_path, keys):
    """Rows of equal keys stay together, also where the key is the target; NaN and null are keys as well."""
    table = small_table(200).select(["t", "walk"]).append_column("key", keys)
    source = write_table(table, tmp_path / "t.parquet", group_rows=64)
    split = {"method": "hash", "keys": ["key"], "fractions": [0.5, 0.5, 0.0]}
    job = {
        "columns": {"time": "t", "target": "key"},
        "split": split,
        "windows": {"strides": []},
        "runtime": {"chunk_rows": 33},
    }
    published = run_small(source, tmp_path / "out", **job)
    train, validation = ({*map(str, published.features[name]["key"].to_pylist())} for name in ("train", "validation"))
    assert train
    assert validation
    assert not train & validation
    assert train | validation == {*map(str, keys.to_pylist())}
