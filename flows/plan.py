"""The dry run as a Prefect flow: what a job would do, shown in the UI."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from emberharmony.report.plan_report import PlanReport, plan_report
from flows.config.job import ApplyJob, Job
from flows.prefect.names import ResultName, flow_run_title


@flow(name="plan", flow_run_name=flow_run_title, persist_result=False)
def plan(job: Job | ApplyJob) -> PlanReport:
    """Plan a job, and say what it would do; nothing is written.

    Parameters
    ----------
    job : Job or ApplyJob
        The job, as for `extract`, `fit` or `apply`.
    """
    report = plan_report(job.resolved())
    key = ResultName.of(job).artifact_key("plan")
    create_markdown_artifact(report.markdown(), key=key, description="What the job would do")
    return report
