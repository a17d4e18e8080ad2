"""Publishing: everything is in staging until the manifest, written last, says that it is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from emberharmony.errors import DamagedError, DataError, TerminalError, TransientError
from emberharmony.io.manifest import MANIFEST, Manifest, read_manifest
from emberharmony.io.store.address import child_address
from emberharmony.pipeline.gates import judged
from emberharmony.pipeline.manifest_of import manifest_of
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.run_page import with_report
from emberharmony.pipeline.totals import totals_of
from emberharmony.threads import compute_threads

_log = logging.getLogger(__name__)


def is_committed(run: Run) -> bool:
    """Whether publishing has begun: then no other stage is left to do."""
    return run.store.exists(MANIFEST)


def publish(run: Run, chunk_stages: Sequence[str]) -> Manifest:
    """Write the manifest of the whole run into its store, which decides that it is published, and commit it.

    Killed in the middle and called again, it continues where it stopped. A late worker does not disturb it.

    Raises
    ------
    DamagedError
        If a staged file is not what its record says; nothing was published, and what is damaged has to be made again.
    ExpectationError
        If the rows are not what the job expects; nothing was published, and what was made is kept.
    DataError, TerminalError
        If the sink holds files that no run wrote, or cannot be written; nothing was published.
    """
    result = run.result
    if not is_committed(run):
        result.check_replaceable()
        totals = totals_of(run, chunk_stages)
        manifest = with_report(run, judged(run, manifest_of(run, totals)), totals)
        run.store.write_json(MANIFEST, manifest.to_json(), once=True)
    manifest = _committed_manifest(run)
    try:
        result.check_staged(run.store, manifest)
        run.sink.publish(run.store, manifest, state=child_address(result.address, "state"))
    except DamagedError:
        run.store.delete(MANIFEST)
        run.receipts.drop_damaged(n_threads=compute_threads())
        raise
    result.commit(run.store, manifest)
    try:
        result.tidy()
    except (TransientError, TerminalError) as error:  # what is published is published
        _log.warning("The result is published, but what was staged for it could not be removed. %s", error)
    return manifest


def _committed_manifest(run: Run) -> Manifest:
    try:
        manifest = read_manifest(run.store)
    except DataError as error:
        run.store.delete(MANIFEST)
        raise DamagedError(f"{run.store.address_of(MANIFEST)} was damaged; it is written again.") from error
    if manifest is None:
        raise DamagedError(f"{run.store.address_of(MANIFEST)} was removed by another process while this one published.")
    return manifest
