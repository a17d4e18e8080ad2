"""Suggested jobs."""

import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.suggest.roles import Guess
from emberharmony.suggest.suggestion import RoleGuesses, suggest
from emberharmony.suggest.table_sample import TableSample

NONE = Guess((), "none")


ALL = RoleGuesses(NONE, NONE, NONE)


def suggested(guesses=ALL, unreadable=(), **columns):
    rows = pa.table(columns)
    return suggest(TableSample(rows.schema, rows.num_rows, rows, dict.fromkeys(unreadable, "broken")), guesses)


def test_an_identifier_is_carried_along_unless_it_is_all_there_is():
    names = [f"row {i}" for i in range(30)]
    assert suggested(name=names, x=[1.0, 2.0] * 15).passthrough.keys() == {"name"}
    assert suggested(name=names).passthrough == {}
    assert suggested(name=names, x=[1.0] * 29 + [2.0]).passthrough == {}  # constant in training
    assert suggested(name=names, x=[1.0] * 30, row_number=[1] * 30).drop.keys() == {"row_number"}


def test_columns_that_no_job_can_read_are_dropped_from_every_job():
    job = suggested(x=[1.0, 2.0] * 15, unreadable=["u"])
    assert job.drop.keys() == job.without_rules.drop.keys() == {"u"}
    assert job.without_windows.windows.strides == ()


def test_one_row_is_too_few():
    with pytest.raises(DataError, match="1 row; a job needs 2"):
        suggested(x=[1.0])


def test_where_most_rows_have_the_first_time_the_split_is_by_rows():
    times = pa.array([1] * 29 + [2], pa.timestamp("s"))
    job = suggested(RoleGuesses(Guess(("t",), "given"), Guess(("s",), "given"), NONE), t=times, s=["a", "b"] * 15)
    assert not job.is_split_by_time
    assert job.guesses.entity.names == job.windows.strides == ()


def test_a_table_without_different_values_is_refused():
    with pytest.raises(DataError, match="No column has two different values"):
        suggested(x=[1.0] * 30, y=[None] * 30, row_number=range(30))


def test_constant_times_are_features_enough():
    job = suggested(name=[f"row {i}" for i in range(30)], t=pa.array([7] * 30, pa.timestamp("s")))
    assert job.passthrough.keys() == {"name"}
