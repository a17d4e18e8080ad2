"""A name stands for a feature, a column or a component, of a result or of a state alone."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.report.explained import ExplainedColumn, explain_named
from emberharmony.report.explained_component import ExplainedComponent
from emberharmony.report.explained_feature import ExplainedFeature
from flows.config.job import ApplyJob, parse_job
from flows.run import run
from tests.jobs import run_small, small_table, write_table


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    columns = {"time": "t", "target": "y", "drop": ["name"]}
    source = write_table(small_table(200), folder / "t.parquet")
    run_small(source, folder / "out", columns=columns, windows={"size": 2, "strides": [1]})
    return folder


def test_names(result):
    sink = result / "out"
    assert isinstance(explain_named(sink, "walk"), ExplainedFeature)
    assert isinstance(explain_named(sink, "pc_1"), ExplainedComponent)
    color = explain_named(sink, "color")
    assert isinstance(color, ExplainedColumn)
    assert [feature.feature for feature in color.features] == [
        "color_",
        "color_blue",
        "color_dark_red",
        "color_dark_red_2",
        "color_red",
        "color_other",
        "color_null",
    ]
    assert ("", "color_dark_red_2: 1 where color is 'dark-red', else 0") in [*color.lines()]
    for told in (color, explain_named(sink, "walk"), explain_named(sink, "pc_1")):
        assert json.loads(json.dumps(told.to_json(), allow_nan=False))
    with pytest.raises(PlanError, match=r"There is no feature 'wlak'\. Did you mean 'walk'"):
        explain_named(sink, "wlak")
    with pytest.raises(DataError, match="is not the folder of a published result"):
        explain_named(result / "nowhere", "walk")


def test_a_state_alone(result, tmp_path):
    shutil.copytree(result / "out/state", tmp_path / "state")
    of_result, alone = (explain_named(place, "walk").to_json() for place in (result / "out", tmp_path / "state"))
    assert {key for key in alone if alone[key] != of_result[key]} == {"fitted_on"}  # whose source it does not know
    assert explain_named(tmp_path / "state", "pc_1").to_json() == explain_named(result / "out", "pc_1").to_json()


def test_rows_that_a_state_was_applied_to(result, tmp_path):
    source = write_table(small_table(100, seed=3), tmp_path / "new.parquet")
    job = {"source": {"path": str(source)}, "state": str(result / "out"), "sink": {"path": str(tmp_path / "applied")}}
    run(parse_job(job | {"runtime": {"engine": "local"}}, model=ApplyJob))
    told = explain_named(tmp_path / "applied", "walk")
    assert told.published["rows"] == 100
    assert told.published["null_share"] == pytest.approx(small_table(100, seed=3)["walk"].null_count / 100)
    assert told.training == explain_named(result / "out", "walk").training
    assert "applied to" in dict(told.lines())


def test_a_nested_column_is_named_as_it_lies_in_the_source(tmp_path):
    rows = {"place": [{"lat": i / 7} for i in range(40)], "vec": pa.FixedSizeListArray.from_arrays(np.arange(80.0) % 9, 2)}
    source = write_table(pa.table(rows), tmp_path / "t.parquet")
    run_small(source, tmp_path / "out", columns={}, windows={"strides": []})
    told = {name: explain_named(tmp_path / "out", name) for name in ("place_lat", "vec_1")}
    assert {name: one.path for name, one in told.items()} == {"place_lat": "place.lat", "vec_1": "vec[1]"}
    assert dict(told["vec_1"].lines())["column"] == "vec_1 (vec[1] of the source), double, numeric"
