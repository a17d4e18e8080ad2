"""Run a job slice by slice, and list the slices of a sink, in the console."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import suppress

from emberharmony.errors import DataError, PlanError
from emberharmony.io.manifest import MANIFEST, read_manifest
from emberharmony.io.store.address import without_query
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.execute import is_published
from emberharmony.pipeline.published_slices import published_slices
from emberharmony.report.slices_report import slice_line, slices_json, slices_rows
from flows.config.job import AnyJob


def run_slices(job: AnyJob, slices: str | None, since: str | None, *, overwrite: bool, verify: bool, quiet: bool) -> None:
    """Run a job: as a whole, for one slice, or for several ones in order.

    Of a range, those are run that are not published. `since` begins one that ends with the slice of this moment; of it, those
    are run as well whose rows have changed.

    Raises
    ------
    PlanError
        If both `slices` and `since` are given, or they name no slices.
    """
    from flows.cli.console import print_text, run_and_show, run_with_progress

    spec = job.slicing
    if slices is not None and since is not None:
        raise PlanError("Give one of --slice and --since: --since names the first slice; the last is that of this moment.")
    if since is None and (slices is None or ".." not in slices):
        one = job if slices is None else job.with_slice(slices)
        run_and_show(one, overwrite=overwrite, quiet=quiet, verify=verify)
        return
    last = spec.holding(_now()).name
    named = spec.named_in(f"{since}..{last}" if since else slices or "")
    jobs = {part.name: job.with_slice(part.name) for part in named}
    is_done = is_current if since else is_there
    wanted = {name: one for name, one in jobs.items() if overwrite or not is_done(one)}
    if len(wanted) < len(jobs):
        unchanged = " and unchanged" if since else ""
        print_text(f"{len(jobs) - len(wanted):,} of {len(jobs):,} slices are published already{unchanged}.")
    for name, one in wanted.items():
        began = time.perf_counter()
        result = run_with_progress(one, overwrite=overwrite, quiet=True, verify=verify)
        print_text(slice_line(name, result.manifest, time.perf_counter() - began, did_work=result.did_work))


def show_slices(sink: str, *, as_json: bool) -> None:
    """Print the slices that are published at a sink, for people or as JSON."""
    from flows.cli.console import print_aligned, print_json, print_text

    found = published_slices(sink)
    if as_json:
        print_json(slices_json(found))
    elif found:
        print_aligned(list(slices_rows(found)))
    else:
        print_text(f"No slices are published at {without_query(sink)}. Run one: emberharmony apply CONFIG --slice 2026-11-28")


def is_there(job: AnyJob) -> bool:
    """Whether the slice of a job is published, of whatever rows."""
    return result_at(job.resolved().sink.path).published.exists(MANIFEST)


def is_current(job: AnyJob) -> bool:
    """Whether the slice of a job is published, and its rows are still those that it was made of.

    A newer state in a folder of states is no reason to make earlier slices again: they are compared with the state that they
    have applied.
    """
    whole = job.resolved()
    with suppress(DataError):  # the manifest is damaged, or the state is gone: it is made again
        manifest = read_manifest(result_at(whole.sink.path).published)
        applied = None if manifest is None else manifest.applied_state.get("address")
        return manifest is not None and is_published(whole.with_state(applied) if applied else whole)
    return False


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
