"""Gates: what a job expects of its rows is judged when they are made, before anything of them is published."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from emberharmony.expectations.checks import Figures, check_expected, error_of, judge
from emberharmony.expectations.spec import ExpectSpec
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.manifest import Manifest
from emberharmony.io.store.address import parent_address
from emberharmony.io.store.base import Store
from emberharmony.messages import listed
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.published_slices import slices_before
from emberharmony.pipeline.run import Run

NOTE: Final = "expect.json"
"""File, in a staged run, of what is expected: not in its plan, because a run that fails is resumed with other bounds."""
EARLIER: Final = 14
"""Slices before this one whose rows are counted, at most."""

_log = logging.getLogger(__name__)


def check_gates(expect: ExpectSpec, plan: Plan) -> None:
    """Refuse bounds that a planned job has no number for.

    Raises
    ------
    PlanError
        If it has some; the message names the column and the key.
    """
    kinds = {column.name: column.kind for column in plan.roles.features}
    check_expected(expect, kinds, fits=plan.spec.job.fits, has_slice=plan.spec.slice is not None)


def note_expected(run: Store, expect: ExpectSpec | None) -> None:
    """Write what is expected into a staged run, in place of what an earlier attempt expected."""
    if expect is not None and expect.has_bounds:
        run.write_json(NOTE, _adapter().dump_python(expect, mode="json"))
    elif run.exists(NOTE):
        run.delete(NOTE)


def noted_expected(run: Store) -> ExpectSpec:
    """Return what `note_expected` wrote into a staged run; nothing is expected where it wrote nothing."""
    noted = run.find_json(NOTE)
    expect: ExpectSpec = ExpectSpec() if noted is None else _adapter().validate_python(noted)
    return expect


def judged(run: Run, manifest: Manifest) -> Manifest:
    """Return the manifest with a verdict on each expectation.

    Parameters
    ----------
    run : Run
        A run whose other stages are done.
    manifest : Manifest
        What it is about to publish.

    Raises
    ------
    ExpectationError
        If one is not met that is not a mere warning; the message lists all of them.
    """
    expect = noted_expected(run.store)
    if not expect.has_bounds:
        return manifest
    verdicts = judge(
        expect,
        n_rows=manifest.n_rows,
        figures=_training_figures(run) if run.plan.spec.job.fits else manifest.drift,
        without_features=manifest.dropped,
        earlier_rows=_earlier_rows(run) if expect.rows.of_median else (),
    )
    error = error_of(verdicts, part=manifest.slice)
    if error is not None:
        raise error
    warned = [verdict.text for verdict in verdicts if verdict.outcome == "warned"]
    if warned:
        of_slice = f"Slice {manifest.slice}: " if manifest.slice else ""
        _log.warning("%sExpectations that are not met:\n  %s", of_slice, listed(warned, by="\n  "))
    _log.info("Expectations: %s.", dict(Counter(verdict.outcome for verdict in verdicts)))
    return replace(manifest, expectations=tuple(verdict.to_json() for verdict in verdicts))


def _training_figures(run: Run) -> Mapping[str, Figures]:
    baselines = run.fitted.baselines
    columns = run.fitted.preprocessing.columns
    return {column.name: kind_named(column.kind).figures(baselines[column.name].counts) for column in columns}


def _earlier_rows(run: Run) -> list[int]:
    assert run.plan.spec.slice is not None  # as `check_gates` has seen to
    sink, _ = parent_address(run.result.published.address)
    return [part.manifest.n_rows for part in slices_before(sink, run.plan.spec.slice.name, most=EARLIER)]


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter  # late: a job that expects nothing does not need it

    return TypeAdapter(ExpectSpec)
