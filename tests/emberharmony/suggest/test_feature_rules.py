"""Every rule holds for the columns it is about, and for no others."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.suggest.feature_rules import RULES, Roles, rule_for
from emberharmony.suggest.table_sample import TableSample

N = 100
HOURS = np.datetime64("2024-01-01T00", "us") + np.arange(N) * np.timedelta64(7 * 3_600_000_000, "us")
Y = np.random.default_rng(0).integers(0, 50, N)
LOCAL = HOURS + np.timedelta64(5 * 3_600_000_000, "us")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("row_number", [1, 2] * 50, "reserved"),
        ("copy", Y, "equals the target"),
        ("copy", Y.astype(float), "equals the target"),
        ("copy", Y[::-1], None),
        ("when", HOURS, "equals the time"),
        ("when", HOURS.astype("datetime64[ms]"), "equals the time"),
        ("when", LOCAL, None),
        ("x", [1e200, 1.0] * 50, "too far apart"),
        ("x", [float("inf"), 1.0] * 50, None),
        ("year", [2024] * N, "a part of the time"),
        ("Day", pa.array(HOURS).cast(pa.date32()), None),  # a date, no day
        ("hour", (LOCAL.astype("datetime64[h]").astype(int) % 24), "a part of the time"),  # of another time zone
        ("hour", Y[::-1], None),
        ("speed", (HOURS.astype("datetime64[h]").astype(int) % 24), None),
        ("words", [f"{i} " + "words " * 10 for i in range(N)], "long texts"),
        ("name", [f"row {i}" for i in range(N)], "no two rows"),
        ("name", ["a", "b"] * 50, None),
        ("n", np.arange(N) + 7, "numbers the rows"),
        ("order_id", np.arange(N) * 3, "numbers the rows"),
        ("revenue", np.arange(N) * 3, None),
        ("pc_1", [f"row {i}" for i in range(N)], None),  # cannot be carried along
    ],
)
def test_rules(name, values, reason):
    table = pa.table({"t": HOURS, "y": Y, name: values})
    sample = TableSample(table.schema, N, table)
    rule = rule_for(sample.columns[name], sample, Roles("t", (), "y"))
    assert (rule is None) == (reason is None)
    assert rule is None or reason in rule.reason


def test_every_rule_has_a_reason_of_its_own():
    assert len({rule.reason for rule in RULES}) == len(RULES)
