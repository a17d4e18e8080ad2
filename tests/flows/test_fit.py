"""Fit as it is called: refused without rows, and the same as a flow."""

from __future__ import annotations

import pytest

from emberharmony.errors import DataError
from emberharmony.pipeline.execute import run_job
from flows.config.job import ApplyJob, FitJob, Job, parse_job
from flows.engines.local import LocalEngine
from tests.flows.applied import RUNTIME, fields
from tests.jobs import write_table
from tests.laws.test_apply import JOB, apply_to, parts


@pytest.mark.parametrize("model", [Job, FitJob])
def test_nothing_is_fitted_on_no_rows(table, tmp_path, model):
    source = write_table(table.slice(0, 0), tmp_path / "day.parquet")
    data = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "runtime": RUNTIME}
    with pytest.raises(DataError, match=r"day\.parquet has no rows"):
        run_job(parse_job(data | {"columns": {"time": "t"}}, model=model), LocalEngine())


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_server")
def test_the_flows_publish_what_the_plain_loop_does(state, table, tmp_path):
    from flows.apply import apply
    from flows.fit import fit
    from flows.plan import plan

    source = write_table(table, tmp_path / "t.parquet", group_rows=200)
    threads = {"engine": "threads", "workers": 2}
    job = JOB | {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "fit")}, "runtime": RUNTIME | threads}
    report = plan(parse_job(job))
    assert dict(report.lines)["job"].startswith("extract, ")
    fitted = fit(parse_job(job, model=FitJob))
    applied = apply(parse_job(fields(tmp_path / "fit", source, tmp_path / "applied", **threads), model=ApplyJob))
    assert fitted.manifest.kind == "fit"
    assert applied.engine == "threads"
    apply_to(source, state, tmp_path / "once")
    for folder in ("features/split=apply", "windows/stride=1/split=apply", "windows/stride=3/split=apply"):
        assert parts(tmp_path / "applied" / folder).equals(parts(tmp_path / "once" / folder))
