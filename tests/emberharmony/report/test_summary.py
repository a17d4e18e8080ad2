"""The summary of a run, of manifests made by hand."""

from __future__ import annotations

import dataclasses

from emberharmony.io.manifest import Manifest, WindowCounts
from emberharmony.pipeline.execute import RunResult
from emberharmony.report.summary import explained_rows, summary_lines, summary_markdown

MANIFEST = Manifest(
    fingerprint="0123",
    created="2026-11-28T10:00:00+00:00",
    versions={},
    spec={"kind": "extract", "split": {"keys": []}},
    source_rows=1000,
    null_times=3,
    left_out=0,
    rows={"train": 800, "validation": 100, "test": 97},
    features=("x", "c_a", "c_b"),
    features_by_kind={"numeric": 1, "categorical": 2},
    dropped={"raw": "binary columns are not supported", "id": "dropped by the configuration"},
    schema={},
    strides={"2": WindowCounts({"train": 400, "validation": 50, "test": 48}, 2, (0.5, 0.25))},
    backends={"numpy:cpu": 6},
    files=(),
)
RESULT = RunResult(MANIFEST, "out", ("out/features",), "local", "numpy:cpu", True, 2.0, 300 * 2**20, 400 * 2**20)


def lines(**changes):
    return list(summary_lines(dataclasses.replace(RESULT, manifest=dataclasses.replace(MANIFEST, **changes))))


def test_rows_features_windows_and_cost():
    found = dict(lines())
    assert found["rows"] == "1,000 read; 800 train, 100 validation, 97 test"
    assert found["left out"] == "3 rows without a time"
    assert found["features"] == "3: 1 numeric, 2 categorical"
    assert found["stride 2"].startswith(
        "400 train, 50 validation, 48 test windows; 2 components explain 75.0% of the training"
    )
    assert found["time"] == "2.0 s, 500 rows/s, engine local"
    assert found["memory"] == "300 MiB at most, 400 MiB planned"


def test_columns_without_features_are_named_with_the_reason_unless_the_user_dropped_them():
    texts = [text for label, text in lines() if not label]
    assert len(texts) == 1
    assert "raw" in texts[0]
    assert "binary columns are not supported" in texts[0]


def test_a_warning_if_many_rows_share_their_time():
    assert "warning" not in dict(lines(shared_times=9))
    assert dict(lines(shared_times=100))["warning"].startswith("100 of 997 rows share their time")


def test_drift_names_the_columns_that_moved_far_first():
    changes = {"calm": (0.01, 0.0), "some": (0.4, 0.0), "most": (2.5, 0.2)}
    drift = {name: {"psi": psi, "null_share_change": nulls} for name, (psi, nulls) in changes.items()}
    text = dict(lines(drift=drift))["drift"]
    assert "2 of 3 columns" in text
    assert text.index("most") < text.index("some")
    assert "PSI 2.500" in text
    assert "calm" not in text


def test_without_work_there_is_no_time():
    labels = [label for label, _ in summary_lines(dataclasses.replace(RESULT, did_work=False))]
    assert "time" not in labels
    assert "memory" not in labels


def test_explained_variance_adds_up():
    assert explained_rows(RESULT) == [
        {"stride": 2, "component": 1, "share": "0.5000", "cumulative": "0.5000"},
        {"stride": 2, "component": 2, "share": "0.2500", "cumulative": "0.7500"},
    ]
    assert "`out/features`" in summary_markdown(RESULT)
