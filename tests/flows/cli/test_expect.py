"""`emberharmony expect`: what it proposes can be pasted into a job, which then passes on the training rows."""

from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from tests.jobs import small_table, write_table

RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job that fits, one that applies what it has fitted, and their files."""
    folder = tmp_path_factory.mktemp("expect")
    source = {"path": str(write_table(small_table(400), folder / "table.parquet", group_rows=100))}
    fit = {"source": source, "sink": {"path": str(folder / "states/2026-11-23")}, "runtime": RUNTIME}
    fit["columns"] = {"time": "t", "target": "y", "drop": ["name"]}
    apply = {"state": str(folder / "states/latest"), "source": source, "runtime": RUNTIME}
    for name, job in {"fit": fit, "apply": {**apply, "sink": {"path": str(folder / "applied")}}}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    assert run("fit", folder / "fit.yaml", "-q").exit_code == 0
    return folder


def test_the_job_that_applies_the_one_that_fits_and_the_state_propose_the_same(folder):
    places = [folder / "apply.yaml", folder / "fit.yaml", folder / "states/latest", folder / "states/2026-11-23"]
    proposed = [run("expect", place) for place in places]
    assert [result.exit_code for result in proposed] == [0] * 4
    assert len({result.output for result in proposed}) == 1
    assert "320 training rows of" in proposed[0].output
    assert "walk" in yaml.safe_load(proposed[0].output)["expect"]["columns"]


def test_what_is_proposed_can_be_pasted(folder):
    job = (folder / "apply.yaml").read_text(encoding="utf-8") + run("expect", folder / "apply.yaml").output
    (folder / "pasted.yaml").write_text(job, encoding="utf-8")
    applied = run("apply", folder / "pasted.yaml", "-q", "--set", "expect.columns.walk.max=2000000")
    assert applied.exit_code == 0, applied.output
    assert "expect" in applied.output
    assert "not met" not in applied.output


def test_bounds_are_widened_to_slices_that_were_good(folder):
    job = yaml.safe_load((folder / "apply.yaml").read_text(encoding="utf-8"))
    job |= {"slices": {"every": "day"}, "sink": {"path": str(folder / "days")}}
    (folder / "days.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    applied = run("apply", folder / "days.yaml", "--slice", "2024-01-02..2024-01-03", "-q")
    assert applied.exit_code == 0, applied.output
    proposed = run("expect", folder / "days.yaml", "--slices", folder / "days")
    assert "and the last 2 slices of" in proposed.output
    assert yaml.safe_load(proposed.output)["expect"]["columns"]["walk"]["max_null_share"] > 0
    assert "PSI up to" not in proposed.output  # 48 rows are too few to judge it
    none = run("expect", folder / "apply.yaml", "--slices", folder / "states")
    assert "holds no slices to which a state was applied" in str(none.exception)


def test_a_place_without_a_state_is_named(folder):
    assert "nowhere is not the folder of a published result" in str(run("expect", folder / "nowhere").exception)
    missing = run("expect", folder / "fit.yaml", "--set", f"sink.path={folder / 'elsewhere'}")
    assert "elsewhere is not the folder of a published result" in str(missing.exception)
