"""Law 6 for slices: nights one by one give the windows of all rows, whatever is read from before each night.

The reference is pandas: the rows of each series sorted, and every window of them whose last row lies in the night.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from emberharmony.loader import WindowLoader
from emberharmony.pipeline.execute import run_job
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import run_small, write_table

BEGIN = pd.Timestamp("2026-11-26", tz="UTC")
NIGHTS = ("2026-11-26", "2026-11-27", "2026-11-28")
STRIDES = (1, 3)


def events(rng: np.random.Generator, lengths: list[int], hours: float = 72) -> pd.DataFrame:
    """Rows of one series after another, at times of their own within three nights; `y` numbers them."""
    parts = []
    for number, n_rows in enumerate(lengths):
        minutes = np.sort(rng.choice(int(hours * 60), n_rows, replace=False))
        parts.append(pd.DataFrame({"t": BEGIN + pd.to_timedelta(minutes, unit="min"), "id": f"sensor {number}"}))
    rows = pd.concat(parts, ignore_index=True)
    rows["t"] = rows["t"].dt.as_unit("us")
    rows["x"] = rng.normal(size=len(rows))
    rows["kind"] = rng.choice(["a", "b"], len(rows))
    rows["y"] = np.arange(len(rows)).astype(float)
    return rows


def expected_windows(
    rows: pd.DataFrame, by: list[str], size: int, stride: int, night: str, gap: str | None = None
) -> list[int]:
    """Labels of the windows that end in a night, ascending; strides count from each series' first row in it."""
    ordered = rows.sort_values([*by, "t"], kind="stable")
    series = ordered.groupby(by).ngroup() if by else pd.Series(0, ordered.index)
    if gap:
        jumps = ordered["t"].diff().gt(pd.Timedelta(gap)) & (series.diff() == 0)
        series = (jumps | series.diff().ne(0)).cumsum()
    start = pd.Timestamp(night, tz="UTC")
    found: list[int] = []
    for _, one in ordered.groupby(series):
        inside = (one["t"] >= start) & (one["t"] < start + pd.Timedelta("1D"))
        first = int(np.argmax(inside)) if inside.any() else len(one)
        labels = one["y"].to_numpy()
        for last in range(first, first + int(inside.sum())):
            begin = last - size + 1
            if begin >= 0 and (begin - first) % stride == 0:
                found.append(int(labels[last]))
    return sorted(found)


def fitted(folder: Path, rows: pd.DataFrame, **more) -> Path:
    """A state, of a job with many rows more than those that it is applied to."""
    table = write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "training.parquet", group_rows=200)
    columns = {"time": "t", "target": "y", **({"entity": "id"} if "id" in rows else {})}
    windows = {"size": 4, "strides": list(STRIDES), **more}
    run_small(table, folder / "run", columns=columns, windows=windows)
    return folder / "run"


def apply_night(source: Path, state: Path, sink: Path, night: str | None, lookback: str | None = None, **runtime):
    data = {"state": str(state), "source": {"path": str(source)}, "sink": {"path": str(sink)}}
    data["runtime"] = {"workers": 1, "backend": "numpy", "engine": "local"} | runtime
    data |= {"slice": night} if night else {}
    data |= {"windows": {"lookback": lookback}} if lookback else {}
    return run_job(parse_job(data, model=ApplyJob).resolved(), LocalEngine(1))


def parts_of(folder: Path) -> pd.DataFrame:
    parts = [pq.ParquetFile(path).read(use_threads=False) for path in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables(parts).to_pandas()


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """States of jobs of one series, of many, and of many with gaps."""
    folder = tmp_path_factory.mktemp("states")
    rng = np.random.default_rng(1)
    many = events(rng, [300, 200, 150])
    made = {}
    for name, rows, more in (
        ("one", many.drop(columns="id"), {}),
        ("many", many, {}),
        ("gaps", many, {"max_gap": "PT3H"}),
    ):
        (folder / name).mkdir()
        made[name] = fitted(folder / name, rows, **more)
    return made


def check_nights(rows, states, kind, folder, lookback, chunk_rows, nights=NIGHTS):
    """Apply the nights one by one, and compare them with all rows at once and with the windows of pandas."""
    source = folder / "events"
    whole = apply_night(source, states[kind], folder / "whole", None)
    features = parts_of(folder / "whole/features/split=apply").set_index("y")
    names = list(whole.manifest.features)
    pcas = load_file(states[kind] / "state/pca.safetensors")
    by, gap = ([] if kind == "one" else ["id"]), ("3h" if kind == "gaps" else None)
    for night in nights:
        outcome = apply_night(source, states[kind], folder / "nights", night, lookback, chunk_rows=chunk_rows)
        sink = folder / f"nights/slice={night}"
        start = pd.Timestamp(night, tz="UTC")
        wanted = rows[(rows["t"] >= start) & (rows["t"] < start + pd.Timedelta("1D"))]
        got = parts_of(sink / "features/split=apply").set_index("y")
        assert sorted(got.index) == sorted(wanted["y"])
        assert outcome.manifest.rows == {"apply": len(wanted)}
        np.testing.assert_array_equal(got[names].to_numpy(), features.loc[got.index, names].to_numpy())
        read = rows if lookback else wanted
        for stride in STRIDES:
            windows = parts_of(sink / f"windows/stride={stride}/split=apply")
            assert sorted(windows["y"].astype(int)) == expected_windows(read, by, 4, stride, night, gap)
            assert outcome.manifest.strides[str(stride)].windows == {"apply": len(windows)}
            if len(windows):
                ordered = rows.sort_values([*by, "t"], kind="stable")["y"].to_numpy()
                place = pd.Series(np.arange(len(ordered)), ordered)[windows["y"]].to_numpy()
                block = features.loc[ordered, names].to_numpy(np.float64)
                built = np.stack([block[p - 3 : p + 1].ravel() for p in place])
                scores = (built - pcas[f"{stride}/mean"]) @ pcas[f"{stride}/components"].T
                found = windows.filter(like="pc_").to_numpy()
                np.testing.assert_allclose(found, scores, atol=1e-5)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["one", "many", "gaps"]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    lookback=st.sampled_from([None, "P3D", "P5D"]),
    chunk_rows=st.sampled_from([None, 7, 20]),
    shuffled=st.booleans(),
    n_files=st.integers(1, 4),
)
def test_nights_one_by_one(states, tmp_path_factory, seed, kind, lengths, lookback, chunk_rows, shuffled, n_files):
    rng = np.random.default_rng(seed)
    rows = events(rng, lengths)
    if kind == "one":
        rows = rows.drop(columns="id").drop_duplicates("t")
    folder = tmp_path_factory.mktemp("nights")
    (folder / "events").mkdir()
    stored = rows.sample(frac=1, random_state=seed) if shuffled else rows.sort_values("t", kind="stable")
    for number, place in enumerate(np.array_split(np.arange(len(stored)), n_files)):
        if len(place):
            table = pa.Table.from_pandas(stored.iloc[place], preserve_index=False)
            pq.write_table(table, folder / f"events/{number}.parquet", row_group_size=20)
    check_nights(rows, states, kind, folder, lookback, chunk_rows)


@pytest.mark.parametrize("lookback", ["PT4H", "PT6H", "P1D"])
def test_the_size_of_the_lookback_does_not_matter_where_it_covers_a_window(states, tmp_path, lookback):
    """Rows every half hour: three of them before midnight are a window's."""
    n = 3 * 48
    rows = pd.DataFrame({"t": (BEGIN + pd.to_timedelta(np.arange(n) * 30, unit="min")).as_unit("us")})
    rows = rows.assign(id="only", x=np.sin(np.arange(n)), kind="a", y=np.arange(n) * 1.0)
    (tmp_path / "events").mkdir()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "events/all.parquet")
    check_nights(rows, states, "many", tmp_path, lookback, None)
    last = apply_night(tmp_path / "events", states["many"], tmp_path / "nights", NIGHTS[-1], lookback)
    assert not last.did_work, "published already"
    assert last.manifest.slice == NIGHTS[-1]
    per_hour = 2
    assert last.manifest.context == {"rows": per_hour * pd.Timedelta(lookback) // pd.Timedelta("1h"), "short": 0}


def test_series_with_too_few_rows_before_the_night_are_counted(states, tmp_path):
    """Of three series, one begins in the night, one has two rows before it within the lookback, and one has all three."""
    night = pd.Timestamp(NIGHTS[1], tz="UTC")
    rows = []
    for name, before in (("new", 0), ("few", 2), ("full", 3)):
        times = [night + pd.Timedelta(minutes=30 * step) for step in range(-before, 5)]
        rows.append(pd.DataFrame({"t": times, "id": name, "x": 1.0, "kind": "a"}))
    rows = pd.concat(rows, ignore_index=True)
    rows = rows.assign(y=np.arange(len(rows)) * 1.0, t=rows["t"].dt.as_unit("us"))
    (tmp_path / "events").mkdir()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "events/all.parquet")
    outcome = apply_night(tmp_path / "events", states["many"], tmp_path / "nights", NIGHTS[1], "PT6H")
    assert outcome.manifest.context == {"rows": 5, "short": 2}
    check_nights(rows, states, "many", tmp_path, "PT6H", 4, nights=NIGHTS[1:])


def test_other_slices_keep_their_bytes(states, tmp_path):
    """A night that is run again, with corrected rows, is replaced; the others are not touched, and not made again."""
    rows = events(np.random.default_rng(3), [40, 40])
    (tmp_path / "events").mkdir()
    for night, part in rows.groupby(rows["t"].dt.strftime("%Y-%m-%d")):
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), tmp_path / f"events/{night}.parquet")
    nights = [apply_night(tmp_path / "events", states["many"], tmp_path / "nights", night) for night in NIGHTS]
    assert all(night.did_work for night in nights)

    def contents():
        files = (path for path in (tmp_path / "nights").rglob("*") if path.is_file() and ".versions" not in path.parts)
        return {str(path.relative_to(tmp_path)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = contents()
    corrected = pq.read_table(tmp_path / f"events/{NIGHTS[1]}.parquet").to_pandas().assign(x=7.0)
    pq.write_table(pa.Table.from_pandas(corrected, preserve_index=False), tmp_path / f"events/{NIGHTS[1]}.parquet")
    apply_night(tmp_path / "events", states["many"], tmp_path / "nights", NIGHTS[1])
    after = contents()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed
    assert all(f"slice={NIGHTS[1]}" in name for name in changed)
    for night in (NIGHTS[0], NIGHTS[2]):
        assert not apply_night(tmp_path / "events", states["many"], tmp_path / "nights", night).did_work
    assert dt.date.fromisoformat(nights[0].manifest.slice)


@pytest.mark.parametrize("chunk_rows", [None, 9])
def test_the_label_of_a_window_may_not_be_there_yet(tmp_path, chunk_rows):
    """A state with a horizon: the last windows of a night are scored, and have no label."""
    rng = np.random.default_rng(4)
    rows = events(rng, [60, 60])
    state = fitted(tmp_path, events(rng, [300, 200]), horizon=2)
    (tmp_path / "events").mkdir()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "events/all.parquet")
    apply_night(tmp_path / "events", state, tmp_path / "nights", NIGHTS[1], "P2D", chunk_rows=chunk_rows)
    windows = parts_of(tmp_path / f"nights/slice={NIGHTS[1]}/windows/stride=1/split=apply")
    last = rows.set_index(["id", "t"]).loc[list(zip(windows["id"], windows["end_time"], strict=True)), "y"].astype(int)
    assert sorted(last) == expected_windows(rows, ["id"], 4, 1, NIGHTS[1])
    series = rows[rows["t"] < pd.Timestamp(NIGHTS[2], tz="UTC")].sort_values(["id", "t"]).groupby("id")["y"].shift(-2)
    ahead = series.reindex(rows.index)[last.to_numpy()].to_numpy()
    np.testing.assert_array_equal(windows["y"].to_numpy(float), ahead)
    assert np.isnan(ahead).sum() == 2 * 2
    in_slice = windows[(windows["start_time"] >= pd.Timestamp(NIGHTS[1], tz="UTC")) & windows["y"].notna()]
    raw = [keys for *_, keys in WindowLoader(tmp_path / f"nights/slice={NIGHTS[1]}", split="apply", stride=1)]
    assert pa.concat_tables(raw)["last_row"].to_pylist() == in_slice["last_row"].to_list()
