"""Every feature of the flights is what its explanation says, on the raw table, as pandas reads and computes it."""

import numpy as np
import pandas as pd
import pytest
import yaml

from emberharmony.errors import PlanError
from emberharmony.pipeline.state import read_state
from emberharmony.published.published_result import open_result
from emberharmony.report.explained_feature import explain_feature
from flows.config.job import parse_job
from flows.flights import demo_config
from flows.run import run
from tests.jobs import SPLITS


@pytest.fixture(scope="module")
def flights(tenth_of_flights, tmp_path_factory):
    """The demo's job of a tenth of the flights."""
    data = yaml.safe_load(demo_config().read_text())
    sink = tmp_path_factory.mktemp("explained") / "out"
    places = {"source": {"path": str(tenth_of_flights)}, "sink": {"path": str(sink)}}
    run(parse_job(data | places | {"runtime": {"engine": "local"}, "windows": {"strides": []}}))
    return tenth_of_flights, sink


def test_every_feature_of_the_flights(flights):
    source, sink = flights
    raw, result = pd.read_parquet(source), open_result(sink)
    published = pd.concat([result.features(split).to_pandas() for split in SPLITS]).set_index("row_number").sort_index()
    state, names = result.state, result.manifest.features
    assert len(published) == len(raw)
    assert len(names) > 200
    for position, name in enumerate(names):
        told = explain_feature(state, name, result.manifest)
        assert told.position == position
        expected = eval(told.expression, {"np": np, "pd": pd, "x": raw[told.column]})
        np.testing.assert_allclose(published[name], np.asarray(expected, float), atol=1e-5, err_msg=name)


def test_the_fitted_numbers_are_those_of_the_training_rows(flights):
    source, sink = flights
    raw, result = pd.read_parquet(source), open_result(sink)
    train = raw.iloc[result.features("train").to_pandas()["row_number"]]
    told = explain_feature(result.state, "built", result.manifest)
    filled = train["built"].fillna(train["built"].median())
    assert told.parameters == pytest.approx(
        {"median": train["built"].median(), "mean": filled.mean(), "deviation": filled.std(ddof=0)}
    )
    assert told.training["rows"] == len(train)
    assert told.training["null_share"] == pytest.approx(train["built"].isna().mean())
    assert told.fitted_on.startswith(f"{len(train):,} training rows of {source}")
    other = explain_feature(result.state, "tailnum_other", result.manifest)
    top = train["tailnum"].value_counts().iloc[:100]
    assert {*other.vocabulary} >= {*top[top > top.min()].index}
    known = train["tailnum"].isin(other.vocabulary) | train["tailnum"].isna()
    assert other.training["other_share"] == pytest.approx(1 - known.mean())
    assert dict(told.lines())["formula"].startswith("(built - ")
    assert "whole with --json" in dict(other.lines())["in pandas"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("distanse", r"There is no feature 'distanse'\. Did you mean 'distance'\?"),
        ("year", r"Column 'year' makes no feature: constant in training \(2013\)\."),
        ("dep_delay", r"Column 'dep_delay' makes no feature: dropped by the configuration\."),
        ("arr_delay", r"Column 'arr_delay' is carried along and makes no feature\."),
    ],
)
def test_what_is_no_feature(flights, name, words):
    with pytest.raises(PlanError, match=words):
        explain_feature(read_state(flights[1]), name)
