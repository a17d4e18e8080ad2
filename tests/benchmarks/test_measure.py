"""Costs of sides in turns, and of processes."""

from __future__ import annotations

import math
import sys

import pytest

from benchmarks.measure import Cost, FailedError, median_of, print_ratios, run_process, timed, turn_about


def test_sides_take_turns_and_the_first_round_does_not_count():
    calls = []
    costs = turn_about({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(it) for name, it in costs.items()} == {"a": 2, "b": 2}


def test_costs_add_up():
    total = Cost(1.0, 2.0, 30.0) + Cost(4.0, 8.0, 50.0)
    assert (total.seconds, total.cpu_seconds) == (5.0, 10.0)
    assert math.isnan(total.peak_mb)


def test_medians_are_taken_of_each_number():
    assert median_of([Cost(1.0, 9.0, 5.0), Cost(3.0, 7.0, 6.0), Cost(2.0, 8.0, 4.0)]) == Cost(2.0, 8.0, 5.0)


def test_the_result_comes_with_the_cost():
    cost, result = timed(lambda: sum(range(10)))
    assert result == 45
    assert cost.seconds >= 0 <= cost.cpu_seconds


def test_ratios_are_to_our_median(capsys):
    print_ratios("title", {"we": [Cost(1.0, 1.0), Cost(3.0, 1.0), Cost(2.0, 1.0)], "they": [Cost(5.0, 4.0)]}, ours="we")
    out = capsys.readouterr().out
    assert "2.000 s  (1.000 to 3.000)" in out
    assert "2.5 x ours" in out


def test_a_process_reports_time_and_memory_and_its_error(tmp_path):
    cost = run_process([sys.executable, "-S", "-c", "x = bytearray(50_000_000); print(len(x))"], log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "50000000\n"
    assert 50 < cost.peak_mb < 150
    assert cost.cpu_seconds > 0
    with pytest.raises(FailedError, match=r"ended with 3:\nbroken"):
        run_process([sys.executable, "-S", "-c", "print('broken'); raise SystemExit(3)"], log=tmp_path / "log")
