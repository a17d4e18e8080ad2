"""`python -m benchmarks --smoke`: every benchmark works, and table, JSON and plot hold its rows. No time is asserted."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.__main__ import main, run
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.workbench import SkippedError, Workbench


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBERHARMONY_BACKEND", "numpy")
        code = main(["--smoke", "--folder", str(folder / "work"), "--out", str(folder / "out")])
    return code, json.loads((folder / "out/bench.json").read_text()), folder / "out"


def test_no_benchmark_fails(smoke):
    code, told, _ = smoke
    assert told["failed"] == {}
    assert code == 0


def test_every_ratio_is_a_number(smoke):
    _, told, _ = smoke
    for row in told["rows"]:
        assert math.isfinite(row["ratio"] or math.nan), row
        assert all((row["ours"], row["beside"], row["its_cost"])), row
        assert (row["target"] is None) == (row["met"] is None), row


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("whole job the machine's floor", "≤ 1.5"),
        ("whole job polars", "≥ 20"),
        ("memory polars", "≤ 0.2"),
        ("shuffled sorted", "≤ 1.6"),
        ("series one series", "≤ 1.3"),
        ("time of every sorted", "≤ 1.1"),
        ("time of every shuffled", "≤ 1.1"),
        ("memory of files", "≤ 1.1"),
        ("memory of series", "≤ 1.1"),
        ("memory of rows, sorted", "≤ 1.1"),
        ("from the shell", "≤ 1"),
        ("datetime pandas", "≥ 35"),
        ("datetime polars", "≥ 20"),
        ("datetime duckdb", "≥ 15"),
        ("PCA 16 features in memory", "≥ 1.5"),
        ("PCA 32 features in memory", "≥ 8"),
    ],
)
def test_each_target_of_the_design_has_a_row(smoke, words, target):
    _, told, _ = smoke
    found = [row["target"] for row in told["rows"] if all(word in f"{row['what']} {row['beside']}" for word in words.split())]
    assert target in found


def test_the_machine_and_the_commit_are_named(smoke):
    _, told, _ = smoke
    assert told["machine"]["cores"] >= 1
    assert told["machine"]["versions"].keys() >= {"numpy", "pyarrow", "polars", "scikit-learn"}
    assert told["machine"]["commit"]


def test_the_plot_holds_the_rows_with_a_target(smoke):
    _, told, out = smoke
    pytest.importorskip("matplotlib")
    plot = (out / "bench.svg").read_text()
    assert plot.startswith("<?xml")
    assert all(row["what"] in plot for row in told["rows"] if row["target"])


def test_a_benchmark_that_fails_or_is_left_out_does_not_end_the_others(tmp_path, monkeypatch):
    def measure_of(name):
        def measure(_bench):
            if name == "broken":
                raise ValueError("no such column")
            if name == "skipped":
                raise SkippedError("no CUDA device")
            yield from ()

        return measure

    monkeypatch.setattr(Benchmark, "measure", lambda self, bench: measure_of(self.name)(bench))
    names = ("broken", "skipped", "works", "served")
    results = run([Benchmark(n, n, in_smoke=n != "served") for n in names], Workbench(tmp_path, smoke=True))
    assert results.failed == {"broken": "ValueError: no such column"}
    assert results.left_out == {"skipped": "no CUDA device", "served": "not part of a smoke run"}


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["no-such"])
    assert "there are kernels, ops, whole-job" in capsys.readouterr().err


def test_names_and_modules_are_unique():
    assert len({it.name for it in BENCHMARKS}) == len({it.module for it in BENCHMARKS}) == len(BENCHMARKS)
