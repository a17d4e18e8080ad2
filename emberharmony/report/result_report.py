"""Report what is published at a place: what the result consists of, its sizes, and the versions that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from emberharmony.io.manifest import Manifest
from emberharmony.io.store.result import Result
from emberharmony.io.store.snapshot import Version
from emberharmony.messages import size_text
from emberharmony.report.summary import manifest_lines


def result_lines(result: Result, version: str | None = None) -> Iterator[tuple[str, str]]:
    """Labels and texts of a report on the published result, or on the version of that name.

    Raises
    ------
    DataError
        If nothing is published there, or there is no such version.
    """
    snapshot = result.snapshot(version)
    manifest = snapshot.manifest
    yield "result", snapshot.address
    yield "version", f"{snapshot.version}, created {moment_text(manifest.created)}"
    yield "job", f"{manifest.kind}, fingerprint {manifest.fingerprint}"
    yield from manifest_lines(manifest)
    sizes = _sizes(manifest)
    yield "size", ", ".join(f"{size_text(n_bytes)} {folder}" for folder, n_bytes in sizes.items())
    kept = [found for found in result.versions() if not found.is_current]
    yield "versions", f"{len(kept)} earlier kept, of at most {manifest.keep_versions}"
    for found in kept:
        yield "", f"{found.name}, {_described(found)}"


def result_json(result: Result, version: str | None = None) -> dict[str, Any]:
    """Return the same report as JSON."""
    snapshot = result.snapshot(version)
    manifest = snapshot.manifest
    return {
        "address": snapshot.address,
        "version": snapshot.version,
        "created": manifest.created,
        "kind": manifest.kind,
        "fingerprint": manifest.fingerprint,
        "applied_state": dict(manifest.applied_state),
        "comparison": dict(manifest.comparison),
        "drift": dict(manifest.drift),
        "drift_verdicts": dict(manifest.drift_verdicts),
        "expectations": list(manifest.expectations),
        "source_rows": manifest.source_rows,
        "rows": dict(manifest.rows),
        "features": list(manifest.features),
        "features_by_kind": dict(manifest.features_by_kind),
        "windows": {
            stride: {
                "windows": dict(counts.windows),
                "components": counts.components,
                "explained_variance": counts.explained,
                "explained_variance_ratio": list(counts.explained_variance_ratio),
            }
            for stride, counts in manifest.strides.items()
        },
        "n_bytes": _sizes(manifest),
        "keep_versions": manifest.keep_versions,
        "versions": [asdict(found) for found in result.versions()],
    }


def _sizes(manifest: Manifest) -> dict[str, int]:
    """Bytes of each folder."""
    sizes = Counter[str]()
    for file in manifest.files:
        sizes[file.name.partition("/")[0]] += file.n_bytes
    return dict(sizes)


def _described(version: Version) -> str:
    return (
        f"created {moment_text(version.created)}, fingerprint {version.fingerprint or 'unknown'}, {size_text(version.n_bytes)}"
    )


def moment_text(created: str) -> str:
    """A time as people read it.

    Examples
    --------
    >>> moment_text("2026-11-28T03:15:00+00:00")
    '2026-11-28 03:15:00 UTC'
    """
    return created.replace("T", " ").replace("+00:00", " UTC") or "unknown"
