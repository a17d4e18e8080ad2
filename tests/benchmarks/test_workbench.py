"""Targets, ratios, and tables that are made once."""

from __future__ import annotations

import math

import pytest

from benchmarks.measure import Cost
from benchmarks.workbench import Target, Workbench, times_as_fast, times_the_cost, times_the_memory

OURS, OTHER = Cost(2.0, 3.0, 100.0), Cost(8.0, 6.0, 400.0)


def test_ratios_say_which_side_is_divided_by_which():
    cost, speed = times_the_cost("w", OURS, "p", OTHER), times_as_fast("w", OURS, "p", OTHER)
    assert (cost.ratio, cost.cpu_ratio) == (0.25, 0.5)
    assert (speed.ratio, speed.cpu_ratio) == (4.0, 2.0)
    memory = times_the_memory("w", OURS, "p", OTHER)
    assert memory.ratio == 0.25
    assert math.isnan(memory.cpu_ratio)
    assert (memory.ours, memory.other) == ("100 MB", "400 MB")


@pytest.mark.parametrize(
    ("target", "ratio", "met", "reached"),
    [
        (Target(at_most=1.5), 1.5, True, 1.0),
        (Target(at_most=1.5), 3.0, False, 0.5),
        (Target(at_least=20), 20.0, True, 1.0),
        (Target(at_least=20), 5.0, False, 0.25),
    ],
)
def test_a_target_is_met_at_its_bound(target, ratio, met, reached):
    assert target.is_met(ratio) is met
    assert target.reached(ratio) == reached


def test_a_row_without_a_target_is_neither_met_nor_missed():
    assert times_the_cost("w", OURS, "p", OTHER).is_met is None


def test_a_table_is_made_once_and_never_half(tmp_path):
    bench, made = Workbench(tmp_path / "new"), []

    def make(path):
        made.append(path)
        path.write_text("rows")
        if len(made) == 1:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        bench.made("t.parquet", make)
    assert not (tmp_path / "new/t.parquet").exists()
    for _ in range(2):
        assert bench.made("t.parquet", make).read_text() == "rows"
    assert len(made) == 2


def test_sizes_of_a_smoke_run(tmp_path):
    full, smoke = Workbench(tmp_path), Workbench(tmp_path, smoke=True)
    assert (full.pick(10, 1), smoke.pick(10, 1)) == (10, 1)
    assert (full.rounds, smoke.rounds) == (3, 1)
