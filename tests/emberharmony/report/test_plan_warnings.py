"""Every warning comes where there is a reason for it, and nowhere else."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from emberharmony.report.plan_warnings import CHECKS
from flows.config.job import parse_job

N = 200
RNG = np.random.default_rng(0)
Y = RNG.normal(size=N)
X = RNG.normal(size=N)
ALL = SampleSize(rows=N)
TIMES = np.datetime64("2024-01-01", "us") + np.arange(N) * np.timedelta64(3_600_000_000, "us")
WORDS = [f"{'abcdefgh'[i % 8]}" for i in range(N)]

ODD = {
    "leaks_target": 2 * Y + 1,
    "equals_time": pa.array(TIMES),
    "part_of_time": pa.array(TIMES.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970),
    "too_wide": [1e200, 1.0] * (N // 2),
    "identifier": [f"row {i}" for i in range(N)],
    "long_text": [f"{i // 1.5} " + "words " * 10 for i in range(N)],
    "text_of_numbers": [f"{i % 17 / 4}" for i in range(N)],
    "text_of_dates": [f"2024-01-{i % 28 + 1:02}" for i in range(N)],
    "many_values": [f"name {i % 150}" for i in range(N)],
    "mostly_null": [None if i % 3 else float(i) for i in range(N)],
    "constant": [7.0] * N,
}


def warned(tmp_path, columns, *, roles=None, sample=ALL, **sections):
    pq.write_table(pa.table({"t": TIMES, "y": Y, "x": X} | columns), tmp_path / "t.parquet")
    job = {"source": {"path": str(tmp_path / "t.parquet")}, "sink": {"path": str(tmp_path / "out")}}
    job |= {"columns": {"time": "t", "target": "y"} | (roles or {}), "datetime": {"cycle": "calendar"}, "pca": {}} | sections
    return plan_report(parse_job(job), sample).figures.warnings


def test_each_has_a_case():
    assert ODD.keys() == {check.code for check in CHECKS}


@pytest.mark.parametrize("code", ODD)
def test_an_odd_column(tmp_path, code):
    name = {"part_of_time": "year"}.get(code, "odd")
    (warning, *more) = warned(tmp_path, {name: ODD[code]}, windows={"strides": []})
    assert (warning.code, warning.columns) == (code, (name,))
    assert name in warning.text
    # A year is the same in all rows of one year; a text in every row another, and long, has many values.
    assert {one.code for one in more} <= {"constant", "many_values"}


@pytest.mark.parametrize(
    "values",
    [
        X,
        Y + RNG.normal(size=N),
        WORDS,
        [f"{i % 90:05}" for i in range(N)],  # postal codes
        [f"{i % 20} pieces" for i in range(N)],
        [f"name {i % 100}" for i in range(N)],
        [None if i % 2 else 1.0 + i for i in range(N)],
        np.arange(N) * 3,
        RNG.random(N) < 0.5,
        pa.array(TIMES[::-1]),
    ],
    ids=str,
)
def test_an_ordinary_column(tmp_path, values):
    assert warned(tmp_path, {"odd": values}, windows={"strides": []}) == ()


def test_cycles_that_put_an_hour_on_another(tmp_path):
    (warning,) = warned(tmp_path, {}, sample=None, datetime={"cycle": "inclusive"})
    assert (warning.code, warning.columns) == ("cycle_inclusive", ("t",))
    hours = np.arange(24)
    assert np.allclose(np.sin(2 * np.pi * hours[23] / 23), np.sin(2 * np.pi * hours[0] / 23))
    assert not np.allclose(np.sin(2 * np.pi * hours[23] / 24), np.sin(2 * np.pi * hours[0] / 24))


@pytest.mark.parametrize(("n_entities", "is_short"), [(4, False), (10, True)])
def test_series_too_short_for_a_window(tmp_path, n_entities, is_short):
    """Of 200 rows, 10 entities have 2 each in a tenth of them, and a window needs 4."""
    ids = {"id": [f"id {i % n_entities}" for i in range(N)]}
    found = warned(tmp_path, ids, roles={"entity": "id"}, windows={"size": 4, "strides": [1]})
    assert [w.code for w in found] == ["short_series"] * is_short
    if is_short:
        assert "at most 2.0 rows in the validation split on average" in found[0].text


@pytest.mark.parametrize(("n_times", "entity", "said"), [(N, False, None), (40, False, N), (40, True, None), (4, True, N)])
def test_rows_that_share_their_time(tmp_path, n_times, entity, said):
    """Of 200 rows over 40 times, 5 have each; those of 5 entities have none in common."""
    columns = {"t": TIMES[np.arange(N) % n_times], "id": [f"id {i // 40}" for i in range(N)]}
    windows = {"size": 2, "strides": [1]}
    roles = {"entity": "id"} if entity else {"passthrough": ["id"]}
    found = [w for w in warned(tmp_path, columns, roles=roles, windows=windows) if w.code == "shared_times"]
    assert [w.text.split(" rows")[0] for w in found] in ([], [f"{said} of {N} sampled"], [f"at least {said} of {N}"])
    assert bool(found) is (said is not None)
