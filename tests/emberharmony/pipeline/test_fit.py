"""The fit merges what the chunks have left, and reads the categories of each chunk once, however many columns there are."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.pipeline import fit
from emberharmony.pipeline.state import read_state
from emberharmony.stats.categories import top_categories
from flows.config.job import FitJob, parse_job
from flows.run import run
from tests.emberharmony.pipeline.conftest import counted
from tests.jobs import write_table

N_ROWS, N_COLUMNS, N_CHUNKS = 400, 12, 5


@pytest.fixture
def table():
    """Columns of 3, 6, 9, ... frequent values, in rows of no order."""
    rng = np.random.default_rng(5)
    values = {f"c{i}": rng.geometric(0.9 / (3 * i + 3), N_ROWS) for i in range(N_COLUMNS)}
    return pa.table({name: pa.array([f"{name} {value:02}" for value in column]) for name, column in values.items()})


@pytest.fixture
def opened(monkeypatch):
    """How often each file of arrays is opened."""
    return counted(monkeypatch, "read_arrays")


def fitted(table, folder):
    """The state that is fitted on the first 80 % of the rows."""
    data = {
        "source": {"path": str(write_table(table, folder / "table.parquet", group_rows=40))},
        "sink": {"path": str(folder / "state")},
        "categories": {"max_categories": 5},
        "windows": {"strides": []},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": N_ROWS // N_CHUNKS},
    }
    run(parse_job(data, model=FitJob))
    baseline = json.loads((folder / "state" / "state" / "baseline.json").read_text())
    return read_state(folder / "state").preprocessing, baseline


def expected(column):
    """The five most frequent training values, ties in the order of their texts, and how often they and all others occur."""
    counts = Counter(column.to_pylist()[: N_ROWS * 8 // 10])
    vocabulary = sorted(sorted(counts, key=lambda value: (-counts[value], value))[:5])
    known = [counts[value] for value in vocabulary]
    return tuple(vocabulary), [*known, counts.total() - sum(known)]


@pytest.mark.parametrize("max_bytes", [None, 500])
def test_vocabularies_and_baselines_are_those_of_the_training_rows(table, tmp_path, monkeypatch, max_bytes):
    """Also if the columns do not fit in memory together."""
    if max_bytes:
        monkeypatch.setattr(fit, "top_categories", partial(top_categories, max_bytes=max_bytes))
    preprocessing, baselines = fitted(table, tmp_path)
    assert len(preprocessing.columns) == N_COLUMNS
    for column in preprocessing.columns:
        bins = baselines[column.name]["bins"]
        assert (column.vocabulary, bins) == expected(table[column.name])


def test_the_categories_of_a_chunk_are_read_once(table, tmp_path, opened):
    fitted(table, tmp_path)
    categories = [n for name, n in opened.items() if name.startswith("categories/")]
    assert categories == [1] * N_CHUNKS
