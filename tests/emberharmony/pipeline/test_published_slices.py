"""The slices of a sink."""

from __future__ import annotations

import pytest

from emberharmony.errors import DataError
from emberharmony.pipeline.published_slices import published_slices, slices_before
from tests.stored import publish_by_hand


def test_slices_come_in_the_order_of_time_and_only_complete_ones(tmp_path):
    for name in ("2026-11-28", "2026-11-26", "2026-11-27"):
        publish_by_hand(tmp_path / f"slice={name}", f"of-{name}")
    (tmp_path / "slice=2026-11-29/.staging").mkdir(parents=True)
    publish_by_hand(tmp_path / "2026-11-30", "no slice")
    found = published_slices(str(tmp_path))
    assert [part.name for part in found] == ["2026-11-26", "2026-11-27", "2026-11-28"]
    assert [part.manifest.fingerprint for part in found] == [f"of-{part.name}" for part in found]
    assert found[0].address == str(tmp_path / "slice=2026-11-26")
    assert [part.name for part in slices_before(str(tmp_path), "2026-11-28", most=14)] == ["2026-11-26", "2026-11-27"]
    assert [part.name for part in slices_before(str(tmp_path), "2026-11-28T14", most=2)] == ["2026-11-27", "2026-11-28"]
    assert slices_before(str(tmp_path), "2026-11-26", most=2) == ()


def test_a_damaged_manifest_is_named(tmp_path):
    publish_by_hand(tmp_path / "slice=2026-11-28", "a")
    (tmp_path / "slice=2026-11-28/manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"slice=2026-11-28.*damaged"):
        published_slices(str(tmp_path))
