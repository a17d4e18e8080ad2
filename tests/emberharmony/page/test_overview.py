"""The overview against pandas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emberharmony.io.store.base import FileRecord
from emberharmony.page.overview import N_BINS, headlines, overview, rows_over_time, series_lengths, split_section
from tests.emberharmony.page.test_markup import Read
from tests.pages import HOSTILE, SPLITS, facts_by_hand, rows_of

FACTS = facts_by_hand()


def test_rows_over_time_are_those_of_pandas():
    frame = pd.DataFrame({"time": FACTS.rows.times, "split": np.take(SPLITS, FACTS.rows.splits)})
    edges = np.linspace(frame.time.min(), frame.time.max(), N_BINS + 1)
    expected = frame.groupby(["split", pd.cut(frame.time, edges, right=False, labels=False)]).size()
    rows = pd.DataFrame(rows_of(rows_over_time(FACTS).data))
    assert rows.rows.sum() == 400
    first = rows[rows.begin == rows.begin.min()]
    assert first.rows.tolist() == [expected["train", 0.0]]
    assert rows.groupby("split").rows.sum().to_dict() == {"train": 320, "validation": 40, "test": 40}


def test_a_sample_stands_for_all_rows_of_its_split():
    facts = replace(FACTS, manifest=replace(FACTS.manifest, rows={"train": 3200, "validation": 400, "test": 800}))
    rows = pd.DataFrame(rows_of(rows_over_time(facts).data))
    assert rows.groupby("split").rows.sum().to_dict() == {"train": 3200, "validation": 400, "test": 800}


@pytest.mark.parametrize("rows", [None, replace(FACTS.rows, times=np.full(400, np.nan))])
def test_without_times_there_is_no_such_chart(rows):
    assert rows_over_time(replace(FACTS, rows=rows)) is None


def test_headline_numbers():
    text = Read(headlines(FACTS)).text
    assert "rows400320 train, 40 validation, 40 test" in text
    assert "windows28of 3 rows, stride 1, 2" in text
    assert f"variance explained{sum(FACTS.manifest.strides['1'].explained_variance_ratio):.1%}" in text
    assert "compute time10.0 s" in text


def test_files_are_counted_by_folder_and_reasons_are_escaped():
    files = tuple(FileRecord(f"features/split={split}/part-0.parquet", 2**20, "0") for split in SPLITS)
    (part,) = overview(replace(FACTS, manifest=replace(FACTS.manifest, files=files))).parts
    text = Read(part).text
    assert "features33 MiB" in text
    assert f"{HOSTILE[0]}constant </style>" in text
    assert "b" not in Read(part).tags


def test_series_lengths_are_counted_by_powers_of_two():
    facts = replace(FACTS, lengths={"train": (3, 0, 2), "test": (1,)})
    rows = [(row["split"], row["rows"], row["series"]) for row in rows_of(series_lengths(facts).data)]
    assert rows == [("train", 1, 3), ("train", 4, 2), ("test", 1, 1)]
    assert series_lengths(FACTS) is None


def test_series_are_in_the_table_of_splits():
    series = {split: {"series": 7, "longest": 40, "shorter_than_window": 2} for split in SPLITS}
    section = split_section(replace(FACTS, manifest=replace(FACTS.manifest, series=series)))
    assert "train32080.0%10107402" in Read(section.parts[-1]).text
