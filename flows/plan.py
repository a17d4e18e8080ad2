"""The dry run as a Prefect flow: what a job would do, shown in the UI."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from emberharmony.report.plan_report import PlanReport, plan_report
from flows.config.job import ApplyJob, Job
from flows.config.parameters import READERS, current_job, title_of
from flows.prefect.names import ResultName


@flow(name="plan", flow_run_name=title_of(READERS["plan"]), retries=0, persist_result=False)
def plan(
    job: Job | ApplyJob | None = None,
    config: str | None = None,
    overrides: list[str] | None = None,
    slice: str | None = None,
) -> PlanReport:
    """Plan a job, and say what it would do; nothing is written.

    Parameters
    ----------
    job : Job or ApplyJob
        The whole job, as for `extract`, `fit` or `apply`.
    config, overrides, slice
        As for these flows.
    """
    found: Job | ApplyJob = current_job(READERS["plan"], job, config, overrides, slice)
    report = plan_report(found.resolved())
    key = ResultName.of(found).artifact_key("plan")
    create_markdown_artifact(report.markdown(), key=key, description="What the job would do")
    return report
