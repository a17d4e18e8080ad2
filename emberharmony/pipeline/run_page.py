"""The page that shows a run: made when the run publishes, and part of its result; or made later, from what is published."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Final

import numpy as np

from emberharmony.errors import EmberharmonyError, MissingLibraryError
from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.page.document import page
from emberharmony.page.facts import Facts, StageWork
from emberharmony.page.scripts import has_scripts, scripts
from emberharmony.pipeline.fitted import FIT, FIT_PCA
from emberharmony.pipeline.peak_memory import peak_bytes
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.samples import sampled_rows, sampled_windows
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.state import holds_state, published_state
from emberharmony.pipeline.totals import Totals

REPORT: Final = "report/report.html"
"""Name of the page among the files of a result."""
SWITCH: Final = "EMBERHARMONY_REPORT"
"""Environment variable that turns reports off for all jobs of a process, with the value ``off``."""

_log = logging.getLogger(__name__)


def writes_report(sink: SinkSpec) -> bool:
    """Whether a run writes its page: unless the job or the environment says otherwise, or what draws it is not installed."""
    return sink.report and os.environ.get(SWITCH) != "off" and has_scripts()


def with_report(run: Run, manifest: Manifest, totals: Totals) -> Manifest:
    """Write the page of a run into its store, and return the manifest that names it, too.

    A run whose page cannot be made is published without one.

    Raises
    ------
    DamagedError
        If a file that it reads is missing or was changed.
    """
    if not run.sink.report:
        return manifest
    try:
        content = page(facts_of(run, manifest, totals), scripts())
    except MissingLibraryError as missing:
        _log.warning("The run writes no report. %s", missing)
        return manifest
    except EmberharmonyError:
        raise
    except Exception:  # noqa: BLE001 - whatever is wrong with the page, the result is not worth less
        _log.warning("The report could not be made; the result is published without it.", exc_info=True)
        return manifest
    record = run.store.keep(REPORT, content.encode())
    run.store.make_durable([record])
    return replace(manifest, files=(*manifest.files, record))


def facts_of(run: Run, manifest: Manifest, totals: Totals) -> Facts:
    """Return what the page of a run says, from the totals of its receipts, its samples and what it has fitted."""
    has_windows = bool(run.plan.spec.windows.strides)
    return Facts(
        manifest,
        source=str(run.plan.spec.source),
        place=without_query(run.result.address),
        columns=run.fitted.preprocessing.columns,
        baselines=run.fitted.baselines,
        applied={} if run.plan.spec.job.fits or not run.plan.n_rows else run.fitted.applied_counts,
        pcas=run.fitted.pcas if has_windows else {},
        rows=sampled_rows(run.store, totals.samples["featurize"]),
        windows=sampled_windows(run.store, totals.samples["project"]),
        lengths={split: span.by_length for split, span in run.fitted.series.items()},
        work=tuple(work_of(totals, stage) for stage in stages_in_order(run, totals)),
        planned_bytes=run.plan.facts["projected_bytes"],
        peak_bytes=peak_bytes(),
    )


def published_facts(snapshot: Snapshot) -> Facts:
    """Return what the page of a published result can say: it keeps neither samples nor the times of its stages."""
    manifest, place = snapshot.manifest, without_query(snapshot.address)
    source = str(PipelineSpec.from_json(dict(manifest.spec)).source)
    if not holds_state(manifest):
        return Facts(manifest, source, place)
    state = published_state(snapshot)
    pcas = state.pcas if manifest.strides else {}
    return Facts(manifest, source, place, state.preprocessing.columns, state.baselines, pcas=pcas)


def published_page(snapshot: Snapshot) -> bytes:
    """Return the page of a published result: the one that its run wrote, or else one of what is published.

    Raises
    ------
    MissingLibraryError
        If its run wrote none, and what draws one is not installed.
    DataError
        If a file is missing or damaged.
    """
    record = find_report(snapshot.manifest)
    if record is not None:
        return snapshot.get(record)
    return page(published_facts(snapshot), scripts()).encode()


def find_report(manifest: Manifest) -> FileRecord | None:
    """Return the record of a result's page; ``None`` if its run wrote none."""
    return next((file for file in manifest.files if file.name == REPORT), None)


def report_output(path: str, manifest: Manifest) -> str | None:
    """Return where the page of a published result is, as a person reads it; ``None`` if its run wrote none."""
    record = find_report(manifest)
    return None if record is None else without_query(child_address(path, manifest.file_name(record)))


def stages_in_order(run: Run, totals: Totals) -> list[str]:
    """Return the stages of chunks and, where a run fits, the fits between them."""
    names = [*totals.chunk_stages]
    for fit, before in ((FIT, run.plan.profile_tree.top), (FIT_PCA, run.plan.gram_tree.top)):
        if before in names and run.plan.spec.job.fits:
            names.insert(names.index(before) + 1, fit)
    return names


def work_of(totals: Totals, stage: str) -> StageWork:
    """Return what a stage took."""
    done = totals.work[stage]
    return StageWork(
        stage.replace("-pca", " PCA"),
        np.array(done.chunks, np.int64),
        np.array(done.rows, np.int64),
        np.array(done.seconds, np.float64),
        tuple(done.workers),
        np.array(done.memory, np.int64),
    )
