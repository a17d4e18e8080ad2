"""The text of a suggested job."""

import numpy as np
import pyarrow as pa
import yaml

from emberharmony.suggest.job_text import job_text
from emberharmony.suggest.roles import Guess, guess_time
from emberharmony.suggest.suggestion import RoleGuesses, suggest
from emberharmony.suggest.table_sample import TableSample


def test_odd_names_and_reasons_are_read_back_as_they_are():
    names = ["no", "a: b #c", "é\x7f\u2028", "😀", '"', "- x", "1e5"]
    hours = np.datetime64("2024-01-01T00", "us") + np.arange(40) * np.timedelta64(3_600_000_000, "us")
    rows = pa.table({"on": hours, **{name: [f"{name}{i}" for i in range(40)] for name in names}, "x": [1.0, 2.0] * 20})
    sample = TableSample(rows.schema, 40, rows)
    guesses = RoleGuesses(guess_time(sample), Guess((), "none\nat all", ("x",)), Guess(("x",), "a\x1b[2J"))
    text = job_text(sample, suggest(sample, guesses), source=["source: {path: t.parquet}"], sink="no: where")
    job = yaml.safe_load(text)
    assert job["columns"] == {"time": "on", "target": "x", "passthrough": names}
    assert job["sink"]["path"] == "no: where"
    assert text.replace("\n", "").isprintable()
    assert all(line.isprintable() for line in text.split("\n"))
    assert "  # entity: COLUMN  # none\\nat all" in text


def test_what_is_worth_a_thought_is_said():
    rows = pa.table({"many": [f"{i // 2}" for i in range(400)], "few": [None] * 300 + [1, 2] * 50, "one": [1] * 400})
    sample = TableSample(rows.schema, 900_000, rows)
    none = Guess((), "none")
    text = job_text(sample, suggest(sample, RoleGuesses(none, none, none)), source=[], sink="out")
    assert "# 900,000 rows of 3 columns; 400 of them were looked at, so check the guesses." in text
    assert "of which the most frequent get a feature each: many (200)" in text
    assert "above 90 % of the training rows a column makes no features: few (75%)" in text
    assert "Constant in the rows that were looked at; constant columns make no features: one" in text
