"""The spec of a job of one slice."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.slicing import in_slice
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.slices import SlicesSpec
from emberharmony.windows import WindowSpec

SLICES = SlicesSpec(history=dt.timedelta(days=3))
NIGHT = SLICES.named("2026-11-28")
HOURS = dt.timedelta(hours=30)


def spec(path="events", time="t", **settings):
    return PipelineSpec(ParquetSourceSpec(path), ColumnSpec(time=time), **settings)


def test_a_job_that_fits_reads_its_history():
    found = in_slice(spec(), SLICES, NIGHT)
    assert (found.source.rows.start, found.source.rows.stop) == (NIGHT.stop - SLICES.history, NIGHT.stop)
    assert in_slice(spec(), SlicesSpec(), NIGHT).source.rows.start == NIGHT.start


@pytest.mark.parametrize(("strides", "before"), [((1,), HOURS), ((), dt.timedelta(0))])
def test_a_job_that_applies_a_state_reads_context_for_windows(strides, before):
    job = spec("day={slice}", kind="apply", windows=WindowSpec(strides=strides, lookback=HOURS))
    found = in_slice(job, SLICES, NIGHT).source
    assert found.rows.start == NIGHT.start - before
    days = ["day=2026-11-26", "day=2026-11-27", "day=2026-11-28"]
    assert found.path == tuple(days if before else days[-1:])


def test_rows_have_to_be_told_apart():
    with pytest.raises(PlanError, match=r"columns\.time"):
        in_slice(spec(time=None), SLICES, NIGHT)
    assert in_slice(spec("day={slice}", time=None), SlicesSpec(), NIGHT).source == ParquetSourceSpec(("day=2026-11-28",))


def test_slices_have_fingerprints_of_their_own():
    one, other = (in_slice(spec(), SLICES, SLICES.named(name)) for name in ("2026-11-28", "2026-11-29"))
    assert len({job.fingerprint("table") for job in (spec(), one, other)}) == 3
    assert PipelineSpec.from_json(one.to_json()).fingerprint("table") == one.fingerprint("table")
    assert replace(one, slice=None).fingerprint("table") == spec().fingerprint("table")
