"""Messages for wrong jobs: which key, which value, and what it takes."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from flows.config.errors import MAX_LINES
from flows.config.job import ApplyJob, Job, parse_job

JOB = {"source": {"path": "t.parquet"}, "sink": {"path": "out"}}
BIGQUERY = {"type": "bigquery", "table": "a-b.c.d"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows": {"size": "5"}}, "windows.size is '5': it takes an integer."),
        ({"windows": {"size": True}}, "windows.size is True: it takes an integer."),
        ({"windows": {"strides": 3}}, "windows.strides is 3: it takes a list, such as [a, b]."),
        ({"windows": 5}, "windows is 5: it is a section of"),
        ({"windows": {"sizes": 5}}, "windows.sizes is not a known key. Did you mean 'size'?"),
        ({"stride": [1]}, "stride is not a known key."),
        ({"strides": [1]}, "It belongs to `windows`."),
        ({"runtime": {"windows": {}}}, "`windows` is a section of its own, at the beginning of a line."),
        ({"split": {"method": "hsh"}}, "split.method is 'hsh'; allowed:"),
        ({"split": {"method": "hsh"}}, "Did you mean 'hash'?"),
        ({"split": {"gap": "soon"}}, "it takes a length of time, such as 30s"),
        ({"split": {"fractions": [0.8, 0.2]}}, "split.fractions is [0.8, 0.2]: it takes more than 2 values."),
        ({"columns": {"target": 2013}}, "columns.target is 2013: it takes a string; quote it if it is one: '2013'."),
        ({"columns": {"target": False}}, "YAML reads yes, no, on and off as true and false"),
        ({"source": {"type": "csv", "path": "x"}}, "source.type is 'csv'; allowed: 'parquet' or 'bigquery'."),
        ({"source": {"type": "parquet"}}, "source.path is missing: a file or folder."),
        ({"source": None}, "source"),
        ({"numbers": {"scale": "some"}}, "allowed: 'numeric' or 'all'"),
    ],
)
def test_what_is_wrong(changes, said):
    with pytest.raises(PlanError) as told:
        parse_job(JOB | changes, where="job.yaml")
    assert str(told.value).startswith("job.yaml: ")
    assert said in str(told.value)


def test_what_is_missing():
    with pytest.raises(PlanError) as told:
        parse_job({})
    assert "source is missing: where the table is, such as `source: {type: parquet" in str(told.value)
    assert "sink is missing: where the result goes" in str(told.value)


def test_secrets_are_never_shown():
    for key in ("service_account_file", "impersonate_service_account"):
        with pytest.raises(PlanError) as told:
            parse_job(JOB | {"source": BIGQUERY | {"connection": {key: {"private_key": "SECRET"}}}})
        assert "SECRET" not in str(told.value)


def test_a_job_that_applies_takes_the_rest_from_its_state():
    with pytest.raises(PlanError, match=r"windows\.size is not a known key\. `apply` takes it from the fitted state"):
        parse_job(JOB | {"state": "fitted", "windows": {"size": 5}}, model=ApplyJob)


def test_many_errors_are_counted():
    wrong = {"windows": {f"key_{i}": 1 for i in range(MAX_LINES + 3)}}
    with pytest.raises(PlanError) as told:
        parse_job(JOB | wrong, model=Job)
    assert str(told.value).endswith("and 3 more errors")
    assert len(str(told.value).splitlines()) == MAX_LINES + 1
