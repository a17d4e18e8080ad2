"""The slices of a sink, as lines of text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from emberharmony.features.drift import drift_verdict
from emberharmony.io.manifest import Manifest
from emberharmony.io.store.address import parent_address
from emberharmony.pipeline.published_slices import PublishedSlice
from emberharmony.report.result_report import moment_text

_HEAD = ("slice", "rows", "windows", "state", "drift", "published", "by")


def slices_rows(slices: Sequence[PublishedSlice]) -> Iterator[tuple[str, ...]]:
    """Yield a heading, and a line for each slice."""
    yield _HEAD
    for part in slices:
        found = part.manifest
        when = moment_text(found.created)
        yield part.name, f"{part.n_rows:,}", windows_text(found), _state(found), _drift(found), when, found.created_by


def slices_json(slices: Sequence[PublishedSlice]) -> list[dict[str, Any]]:
    """Return what is known of each slice."""
    return [
        {
            "slice": part.name,
            "address": part.address,
            "fingerprint": part.manifest.fingerprint,
            "rows": part.n_rows,
            "windows": part.manifest.windows_by_stride,
            "state": dict(part.manifest.applied_state),
            "drift": dict(part.manifest.drift),
            "drift_verdicts": dict(part.manifest.drift_verdicts),
            "expectations": list(part.manifest.expectations),
            "created": part.manifest.created,
            "created_by": part.manifest.created_by,
        }
        for part in slices
    ]


def slice_line(name: str, manifest: Manifest, seconds: float, *, did_work: bool) -> str:
    """Say in a line what the run of one slice has done.

    Examples
    --------
    >>> slice_line("2026-11-28", None, 0.25, did_work=False)
    '2026-11-28  unchanged  0.2 s'
    """
    if not did_work:
        return f"{name}  unchanged  {seconds:.1f} s"
    windows = windows_text(manifest)
    counts = f"{manifest.n_rows:,} rows" + (f", {windows} windows" if windows else "")
    return f"{name}  {counts}  {seconds:.1f} s"


def windows_text(manifest: Manifest) -> str:
    """Number of windows of each stride."""
    return " / ".join(f"{n_windows:,}" for n_windows in manifest.windows_by_stride.values())


def _state(manifest: Manifest) -> str:
    """Name of the state that was applied."""
    address = manifest.applied_state.get("address")
    return parent_address(address)[1] if address else "its own"


def _drift(manifest: Manifest) -> str:
    """How many columns have drifted far."""
    if not manifest.drift:
        return "-"
    verdicts = [drift_verdict(found) for found in manifest.drift.values()]
    n_far = verdicts.count("drifted far")
    if not n_far and verdicts.count("too few rows to judge") == len(verdicts):
        return "too few rows"
    return f"{n_far} of {len(verdicts)} columns" if n_far else "none"
