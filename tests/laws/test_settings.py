"""Law 1 for any settings of a job: any chunks publish the same, or the job is refused in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError, PlanError
from tests.jobs import Published, assert_published_alike, run_small, small_table, write_table
from tests.laws.test_apply import apply_to, parts

ORDERS = ("sorted", "shuffled", "blocks", "ties")
N_JOBS = 48


def drawn_table(draw: np.random.Generator) -> pa.Table:
    """A table of a few series, most of which are short."""
    n_rows = int(draw.integers(60, 240))
    ids = draw.geometric(draw.choice([0.05, 0.3]), n_rows)
    return small_table(n_rows, order=draw.choice(ORDERS), seed=int(draw.integers(9))).append_column("id", pa.array(ids))


def drawn_job(draw: np.random.Generator) -> dict[str, Any]:
    """Settings that do not contradict one another; some tables have too few rows for them."""

    def one_of(*values: Any) -> Any:
        return values[draw.integers(len(values))]

    has_time, entity = draw.random() < 0.8, one_of([], [], ["id"], ["id", "color"])
    method = one_of("hash" if entity else "sequential", "temporal" if has_time else "hash")
    fractions = one_of([0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.97, 0.02, 0.01], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0])
    split = {"method": method, "fractions": fractions}
    if method == "temporal":
        split["gap"] = one_of("0s", "0s", "2h", "1d")
    if method == "hash":
        split["keys"] = entity or ["id"]
    windows = {"size": one_of(1, 2, 3, 8), "strides": one_of([], [1], [2], [1, 3], [5]), "horizon": one_of(0, 0, 1, 3)}
    if has_time:
        windows["max_gap"] = one_of(None, None, "30m", "3h")
    return {
        "columns": {
            "time": "t" if has_time else None,
            "entity": entity,
            "target": one_of("walk", "flag"),
            "drop": ["name"],
            "categorical": one_of([], ["count"]),
        },
        "split": split,
        "windows": windows,
        "pca": {"components": one_of(None, None, 1)},
        "numbers": {"scale": one_of("numeric", "all")},
        "datetime": {"epoch": one_of(False, True)},
        "categories": {"max_categories": one_of(2, 100)},
    }


def published_or_refused(source: Path, sink: Path, job: dict[str, Any], **runtime: Any) -> Published | str:
    try:
        return run_small(source, sink, runtime=runtime, **job)
    except (PlanError, DataError) as refused:
        return str(refused)


@pytest.mark.parametrize("seed", range(N_JOBS))
def test_chunks_do_not_matter(tmp_path, seed):
    draw = np.random.default_rng(seed)
    source = write_table(drawn_table(draw), tmp_path / "t.parquet", group_rows=int(draw.choice([7, 50, 1_000])))
    job, chunk_rows = drawn_job(draw), int(draw.integers(20, 60))
    whole = published_or_refused(source, tmp_path / "whole", job)
    cut = published_or_refused(source, tmp_path / "cut", job, chunk_rows=chunk_rows, workers=2)
    if isinstance(whole, str) or isinstance(cut, str):
        assert cut == whole
        return
    assert_published_alike(cut, whole, atol=1e-4, rtol=1e-4)
    for count in ("series", "shared_times", "key_changes", "clipped", "nonfinite"):
        assert cut.manifest[count] == whole.manifest[count]


def applied(state: Path, source: Path, sink: Path, settings: dict[str, Any], **runtime: Any) -> dict[str, Any]:
    """What a job publishes that applies a state: counts of its manifest, and the rows of its parts by folder."""
    manifest = apply_to(source, state, sink, settings=settings, **runtime).manifest
    found = {name: getattr(manifest, name) for name in ("rows", "series", "context", "shared_times", "clipped")}
    folders = sorted({path.parent for path in sink.rglob("part-*.parquet")})
    return found | {str(folder.relative_to(sink)): parts(folder) for folder in folders}


@pytest.mark.parametrize("seed", range(N_JOBS // 2))
def test_chunks_do_not_matter_where_a_state_is_applied(tmp_path, seed):
    """To all rows or a slice of them, and to rows with labels or without."""
    draw = np.random.default_rng(seed)
    table = write_table(small_table(400).append_column("id", pa.array(draw.integers(9, size=400))), tmp_path / "t.parquet")
    windows = {"size": int(draw.choice([1, 3, 4])), "strides": [1, 3], "horizon": int(draw.choice([0, 2]))}
    windows["max_gap"] = draw.choice([None, "6h"])
    columns = {"time": "t", "entity": ["id"] if draw.random() < 0.5 else [], "target": "walk", "drop": ["name"]}
    run_small(table, tmp_path / "run", columns=columns, windows=windows, split={"fractions": [1.0, 0.0, 0.0]})
    rows = drawn_table(draw)
    rows = rows.drop_columns("walk") if draw.random() < 0.5 else rows
    source, settings = write_table(rows, tmp_path / "new.parquet", group_rows=30), {}
    if draw.random() < 0.6:
        settings = {"slices": {"every": "day"}, "slice": f"2024-01-{draw.integers(1, 5):02}"}
        settings["windows"] = {"lookback": str(draw.choice(["2h", "1d"]))} if draw.random() < 0.6 else {}
    whole = applied(tmp_path / "run", source, tmp_path / "whole", settings)
    cut = applied(tmp_path / "run", source, tmp_path / "cut", settings, chunk_rows=int(draw.integers(9, 40)))
    assert cut.keys() == whole.keys()
    for name, of_whole in whole.items():
        if isinstance(of_whole, pa.Table):
            assert cut[name].schema == of_whole.schema, name
            assert cut[name].num_rows == of_whole.num_rows, name
            for column in of_whole.column_names:
                assert cut[name][column].combine_chunks().equals(of_whole[column].combine_chunks()), (name, column)
        else:
            assert cut[name] == of_whole, name
