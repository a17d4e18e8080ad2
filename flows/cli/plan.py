"""A plan in the console."""

from __future__ import annotations

import json

from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from flows.cli.console import print_table, print_text, show_note
from flows.config.job import ApplyJob, Job


def show_plan(job: Job | ApplyJob, *, sample: str | None = None, as_json: bool = False) -> None:
    """Plan a job and print the plan report, for people or as JSON; nothing is written.

    Parameters
    ----------
    job : Job or ApplyJob
        The job.
    sample : str, optional
        Share or number of rows to read for estimates and warnings, such as ``1%``.
    as_json : bool
        Whether to print the figures as JSON, see `emberharmony.report.plan_figures`.

    Raises
    ------
    EmberharmonyError
        If the job cannot run.
    """
    if sample and not as_json:
        show_note("Reading a sample, and running the job on it ...")
    report = plan_report(job.resolved(), SampleSize.parse(sample) if sample else None)
    if as_json:
        print_text(json.dumps(report.figures.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    print_table(report.lines)
    print_text("")
    print_table([("column", "type", "role", ""), *report.columns])
    if report.warnings:
        print_text("\nWorth a look:")
        print_table([("*", warning) for warning in report.warnings])
