"""Slices as lines of text."""

from __future__ import annotations

from dataclasses import replace

from emberharmony.io.manifest import WindowCounts, published_manifest
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.published_slices import PublishedSlice
from emberharmony.report.slices_report import slice_line, slices_json, slices_rows
from tests.stored import publish_by_hand


def test_a_line_for_each(tmp_path):
    publish_by_hand(tmp_path, "made-by-hand")
    manifest = replace(
        published_manifest(LocalStore(tmp_path)),
        rows={"apply": 1234},
        spec={"kind": "apply"},
        strides={"1": WindowCounts({"apply": 1230}, 2, (0.5, 0.2)), "3": WindowCounts({"apply": 410}, 2, (0.5, 0.2))},
        applied_state={"address": "s3://lake/states/2026-11-23?region=x", "fingerprint": "f"},
        drift={name: {"psi": psi, "null_share_change": 0.0} for name, psi in (("a", 0.9), ("b", 0.0))},
        created="2026-11-29T02:00:00+00:00",
        created_by="etl@host",
    )
    part = PublishedSlice("2026-11-28", str(tmp_path), manifest)
    header, line = slices_rows([part])
    assert header == ("slice", "rows", "windows", "state", "drift", "published", "by")
    assert line == (
        "2026-11-28", "1,234", "1,230 / 410", "2026-11-23", "1 of 2 columns", "2026-11-29 02:00:00 UTC", "etl@host",
    )  # fmt: skip
    assert slices_json([part])[0]["windows"] == {"1": 1230, "3": 410}
    assert slice_line("2026-11-28", manifest, 2.0, did_work=True) == "2026-11-28  1,234 rows, 1,230 / 410 windows  2.0 s"
    fitted = replace(part, manifest=replace(manifest, drift={}, applied_state={}))
    assert list(slices_rows([fitted]))[1][3:5] == ("its own", "-")
    few = {"a": {"rows": 3, "training_rows": 90, "null_share_change": 0.0, "psi": 1.0, "psi_by_chance": 9.0}}
    assert list(slices_rows([replace(part, manifest=replace(manifest, drift=few))]))[1][4] == "too few rows"
