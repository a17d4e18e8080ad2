"""What a folder of states holds, as rows and as JSON."""

from __future__ import annotations

import json

from emberharmony.pipeline.state_registry import read_registry
from emberharmony.report.registry_report import registry_json, registry_rows
from tests.stored import publish_by_hand, stage_by_hand

STATE = {"state/job.json": b"{}"}


def test_states_newest_first(tmp_path):
    made = {
        name: publish_by_hand(tmp_path / name, f"of {name}", contents=STATE) for name in ("2026-11-16", "2026-11-23", "other")
    }
    stage_by_hand(tmp_path / "2026-11-30", "half", contents=STATE)
    registry = read_registry(str(tmp_path))
    header, *rows = registry_rows(registry)
    assert header[:3] == ("", "state", "created")
    assert [row[:2] for row in rows] == [("latest", "2026-11-23"), ("", "2026-11-16"), ("", "other")]
    created = made["2026-11-23"].created.replace("T", " ").replace("+00:00", " UTC")
    assert rows[0][2:] == (created, "0", "1", "50.0% (stride 1)", "of 2026-11-23")
    found = json.loads(json.dumps(registry_json(registry)))
    assert (found["folder"], found["latest"], found["others"]) == (str(tmp_path), "2026-11-23", ["2026-11-30"])
    assert found["states"][1] == {
        "name": "2026-11-16",
        "address": str(tmp_path / "2026-11-16"),
        "created": made["2026-11-16"].created,
        "fingerprint": "of 2026-11-16",
        "kind": "extract",
        "train_rows": 0,
        "n_features": 1,
        "explained_variance": {"1": 0.5},
    }


def test_no_states(tmp_path):
    registry = read_registry(str(tmp_path / "none"))
    assert len(list(registry_rows(registry))) == 1
    assert registry_json(registry) == {"folder": str(tmp_path / "none"), "latest": None, "states": [], "others": []}
