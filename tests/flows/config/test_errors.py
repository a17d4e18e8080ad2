"""Messages for wrong jobs: which key, which value, and what it takes."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from flows.config.errors import MAX_LINES
from flows.config.job import ApplyJob, Job, load_job, parse_job

JOB = {"source": {"path": "t.parquet"}, "sink": {"path": "out"}}
BIGQUERY = {"type": "bigquery", "table": "a-b.c.d"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows": {"size": "5"}}, "windows.size is '5': it takes an integer; leave the quotes out."),
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
        (
            {"columns": {"target": 2013}},
            "YAML reads it as a number: where it is a name, quote it as it is written.",
        ),
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


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("columns: {target: no}", ["columns.target is False: it takes a string; YAML reads yes, no"]),
        ("columns: {entity: on}", ["columns.entity is True: it takes a string, or a list such as [a, b]; YAML reads yes, no"]),
        ("columns: {entity: [no, a]}", ["columns.entity.0 is False: it takes a string; YAML reads yes, no"]),
        ("columns: {drop: yes}", ["columns.drop is True: it takes a list, such as [a, b]; YAML reads yes, no"]),
        ("columns: {drop: [a, ~]}", ["columns.drop.1 is None: it takes a string; YAML reads null, ~ and nothing"]),
        ("columns: {drop: 5}", ["columns.drop is 5: it takes a list, such as [a, b]."]),
        (
            "columns: {entity: 0123}",
            ["columns.entity is 83: it takes a string, or a list such as [a, b]; YAML reads it as a number"],
        ),
        (
            "columns: {target: 1e5}",
            ["is 100000.0: it takes a string; YAML reads it as a number: where it is a name"],
        ),
        (
            "columns: {time: 2024-01-01}",
            ["columns.time is 2024-01-01: it takes a string; YAML reads it as a date: where"],
        ),
        (
            "columns: {time: 2024-01-01T00:00:00Z}",
            ["YAML reads it as a time: where it is a name, quote it as it is written"],
        ),
        ("columns: {kinds: {str: no}}", ["columns.kinds.str is False: it takes a string"]),
        ("columns: {entity: {str: 1}}", ["columns.entity is {'str': 1}: it takes a string, or a list such as [a, b]."]),
        ("windows: {max_gap: 1:30}", ["windows.max_gap is '1:30': it takes a length of time"]),
        ("source: {path: 1e5}", ["source.path is 100000.0: it takes a string, or a list such as [a, b]; YAML reads it as"]),
        ("source: {path: [a, 1]}", ["source.path.1 is 1: it takes a string; YAML reads it as a number"]),
        ("sink: {path: no}", ["sink.path is False: it takes a string; YAML reads yes, no"]),
    ],
)
def test_values_that_yaml_reads_as_something_else(tmp_path, yaml, said):
    sections = {"source": "source: {path: x}", "sink": "sink: {path: y}"}
    text = "\n".join(line for name, line in sections.items() if not yaml.startswith(name))
    (tmp_path / "job.yaml").write_text(f"{text}\n{yaml}\n")
    with pytest.raises(PlanError) as told:
        load_job(tmp_path / "job.yaml")
    lines = str(told.value).splitlines()
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True)), lines


def test_clocks_are_texts(tmp_path):
    (tmp_path / "job.yaml").write_text("source: {path: x}\nsink: {path: y}\ndatetime: {time_zone: +10:00}\n")
    assert load_job(tmp_path / "job.yaml").datetime.time_zone == "+10:00"
