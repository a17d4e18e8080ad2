"""A profile by query: the figures that BigQuery returns, as those of columns. A client stands for BigQuery's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emberharmony.errors import PlanError
from emberharmony.features.columns import FeatureColumn
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.sources.bigquery import profile
from emberharmony.io.sources.bigquery.profile import ProfileSpec, profile_sql, profile_table

COLUMNS = (FeatureColumn("x", "numeric"), FeatureColumn("s", "categorical"), FeatureColumn("t", "datetime"))
TYPES = {"x": "FLOAT64", "s": "STRING", "t": "TIMESTAMP"}
ROW = {
    "n_rows": 10,
    "c0_null": 1, "c0_nonfinite": 2, "c0_count": 7, "c0_mean": 2.5, "c0_variance": 4.0, "c0_min": -1.0, "c0_max": 9.0,
    "c0_quantiles": [-1, 2, 9],
    "c1_null": 3, "c1_top": [
        {"value": "b", "count": 2}, {"value": None, "count": 3}, {"value": "a", "count": 2}, {"value": "c", "count": 3},
    ],
    "c2_null": 0,
}  # fmt: skip


@pytest.fixture
def answer(monkeypatch):
    asked = []
    monkeypatch.setattr(profile, "run_query", lambda *_, **__: SimpleNamespace(total_bytes_processed=1_000))
    monkeypatch.setattr(profile, "query_row", lambda _, sql, doing: asked.append(sql) or ROW)
    return asked


def clients(**connection):
    return SimpleNamespace(connection=BigQueryConnection(project="my-project", **connection))


def test_figures_of_columns(answer):
    found = profile_table(clients(), "`t`", COLUMNS, TYPES, doing="Profiling", spec=ProfileSpec(quantiles=2, top=2))
    assert list(found) == ["x", "s", "t"]
    x = found["x"]
    assert (x.n_rows, x.n_null, x.n_nonfinite, x.quantiles) == (10, 1, 2, (-1.0, 2.0, 9.0))
    assert (x.moments.count, x.moments.mean, x.moments.variance) == (7, 2.5, 4.0)
    assert (x.moments.minimum, x.moments.maximum) == (-1.0, 9.0)
    assert found["s"].top == (("c", 3), ("a", 2))  # ties go by value, and null is none
    assert found["s"].moments.count == 0
    assert (found["t"].n_null, found["t"].top) == (0, ())


def test_the_statement_asks_for_what_each_kind_needs():
    sql = profile_sql("`t`", COLUMNS, TYPES, where="`t` < 5", first=7, spec=ProfileSpec(quantiles=10, top=3))
    assert sql.startswith("SELECT\n  COUNT(*) AS n_rows,\n  COUNTIF(`x` IS NULL) AS c7_null")
    assert "APPROX_QUANTILES" in sql.split("c7_quantiles")[0]
    assert "APPROX_TOP_COUNT(`s`, 4) AS c8_top" in sql  # one more: null counts as a value there
    assert sql.endswith("FROM `t`\nWHERE `t` < 5")


def test_wide_tables_take_several_statements(answer, monkeypatch):
    monkeypatch.setattr(profile, "_COLUMNS_PER_STATEMENT", 2)
    assert len(profile_table(clients(), "`t`", COLUMNS, TYPES, doing="Profiling")) == 3
    assert ["c0_null" in sql and "c1_null" in sql for sql in answer] == [True, False]
    assert ["c2_null" in sql for sql in answer] == [False, True]


def test_a_scan_over_the_bound_is_refused_before_it_costs(answer):
    with pytest.raises(PlanError, match=r"would scan 1,000 bytes, over the 999 of `maximum_bytes_billed`"):
        profile_table(clients(maximum_bytes_billed=999), "`t`", COLUMNS, TYPES, doing="Profiling")
    assert answer == []


@pytest.mark.parametrize("wrong", [{"quantiles": 3}, {"quantiles": 0}, {"top": 0}])
def test_settings_that_bigquery_refuses(wrong):
    with pytest.raises(ValueError, match="makes no sense"):
        ProfileSpec(**wrong)
