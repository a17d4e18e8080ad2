"""Report what a folder of states holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emberharmony.pipeline.state_registry import RegisteredState, Registry
from emberharmony.report.result_report import moment_text

Row = tuple[str, str, str, str, str, str, str]


def registry_rows(registry: Registry) -> Iterator[Row]:
    """A header and a row of cells for each state, newest first."""
    yield "", "state", "created", "training rows", "features", "explained variance", "fingerprint"
    for state in registry.states:
        manifest, mark = state.manifest, "latest" if state == registry.latest else ""
        explained = ", ".join(f"{counts.explained:.1%} (stride {stride})" for stride, counts in manifest.strides.items())
        rows, features = f"{state.train_rows:,}", f"{len(manifest.features):,}"
        yield mark, state.name, moment_text(manifest.created), rows, features, explained, manifest.fingerprint


def registry_json(registry: Registry) -> dict[str, Any]:
    """Return the same as JSON, and the folders that hold no published state."""
    latest = registry.latest
    return {
        "folder": registry.folder,
        "latest": latest.name if latest else None,
        "states": [_state_json(state) for state in registry.states],
        "others": list(registry.others),
    }


def _state_json(state: RegisteredState) -> dict[str, Any]:
    manifest = state.manifest
    return {
        "name": state.name,
        "address": state.address,
        "created": manifest.created,
        "fingerprint": manifest.fingerprint,
        "kind": manifest.kind,
        "train_rows": state.train_rows,
        "n_features": len(manifest.features),
        "explained_variance": {stride: counts.explained for stride, counts in manifest.strides.items()},
    }
