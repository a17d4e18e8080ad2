"""On any table, the notebook's two classes and `apply` end in a correct result or in an error that says why."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from emberharmony.errors import DataError, EmberharmonyError
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine

N_ROWS = 24
HOURS = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(N_ROWS)]
LONGEST_MESSAGE = 3000

ODD_FLOATS = [0.0, -0.0, 1.5, -1e308, 1e308, 3.5e38, 1e-320, float("nan"), float("inf"), float("-inf"), 2.0**53 + 2]
ODD_TEXTS = [
    "",
    " ",
    "a",
    "A",
    "a\0b",
    "ä",
    "\N{PILE OF POO}",
    "\x1b[31m",
    "x" * 300,
    "null",
    "nan",
    "_other",
    "%s",
    "{}",
    "[b]",
    "\n",
]
ODD_DAYS = [0, 1, -1, 19_000, -719_162, -800_000, 2_932_896, 2_932_897, 2**31 - 1, -(2**31)]


def _integers(bits: int, *, signed: bool) -> list[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [low, high, 0, 1, 2, 3]


def _ticks() -> list[int]:
    return [0, 1, -1, 1_700_000_000, 2**63 - 1, -(2**63), 253_402_300_800_000_000, -62_135_596_800_000_001, 10**18]


def _arrays() -> dict[str, pa.Array]:
    """Arrays of a few odd values for every type; nulls are inserted later."""
    arrays = {f"int{bits}": pa.array(_integers(bits, signed=True), f"int{bits}") for bits in (8, 16, 32, 64)}
    arrays |= {f"uint{bits}": pa.array(_integers(bits, signed=False), f"uint{bits}") for bits in (8, 16, 32, 64)}
    arrays |= {"float64": pa.array(ODD_FLOATS), "float32": pa.array(np.array(ODD_FLOATS[:3] + ODD_FLOATS[7:], np.float32))}
    arrays["float16"] = pa.array(np.array([0, 1.5, -2, np.inf, np.nan], np.float16))
    arrays |= {"bool": pa.array([True, False]), "null": pa.nulls(3), "constant": pa.array([7.0])}
    texts = pa.array(ODD_TEXTS)
    arrays |= {name: texts.cast(type_) for name, type_ in {"string": pa.string(), "large": pa.large_string()}.items()}
    arrays["view"] = texts.cast(pa.string_view())
    arrays["codes"] = texts.dictionary_encode()
    arrays["coded numbers"] = pa.array([1, 2, 3, 1]).dictionary_encode()
    raw = pa.array([b"a", b"caf\xe9", b"\xff\xfe"])
    arrays |= {"binary": raw, "latin-1": pa.Array.from_buffers(pa.string(), 3, raw.buffers())}
    arrays["fixed binary"] = pa.array([b"abc", b"\xff\0\1"], pa.binary(3))
    arrays["binary view"] = raw.cast(pa.binary_view())
    for unit in ("s", "ms", "us", "ns"):
        in_range = [t for t in _ticks() if unit != "s" or abs(t) < 2**60]
        arrays[f"timestamp {unit}"] = pa.array(in_range, pa.int64()).cast(pa.timestamp(unit))
        arrays[f"timestamp {unit} zone"] = pa.array(in_range[:4], pa.int64()).cast(pa.timestamp(unit, "America/New_York"))
        arrays[f"duration {unit}"] = pa.array(in_range, pa.int64()).cast(pa.duration(unit))
    arrays["date32"] = pa.array(ODD_DAYS, pa.int32()).cast(pa.date32())
    arrays["date64"] = pa.array([day * 86_400_000 for day in ODD_DAYS], pa.int64()).cast(pa.date64())
    arrays["time32"] = pa.array([0, 86_399], pa.int32()).cast(pa.time32("s"))
    arrays["time64"] = pa.array([0, 86_399_999_999_999], pa.int64()).cast(pa.time64("ns"))
    arrays["decimal128"] = pa.array(
        [Decimal("1.5"), Decimal("-99999999999999999999999999999999.999999")], pa.decimal128(38, 6)
    )
    arrays["decimal256"] = pa.array([Decimal("1e50"), Decimal("-3")], pa.decimal256(76, 2))
    arrays["struct"] = pa.array([{"a": 1, "b": {"c": "x"}}, {"a": None, "b": None}])
    arrays["empty struct"] = pa.array([{}, {}], pa.struct([]))
    arrays["list"] = pa.array([[1, 2], [], None])
    arrays["list of lists"] = pa.array([[[1.0]], [[]], []])
    arrays["embedding"] = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    arrays["map"] = pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))
    arrays["uuid"] = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef"], pa.binary(16)))
    return arrays


ARRAYS = _arrays()
NAMES = [
    "x",
    "y",
    "t",
    "name with spaces",
    "a.b",
    "ä",
    "UPPER",
    "x_other",
    "x_null",
    "\x1b[1m",
    "pc_1",
    "",
]
RESERVED = ["row_number", "split", "stride"]


KINDS = tuple(sorted(ARRAYS))
NUMBERS = sorted(name for name in ARRAYS if name.startswith(("int", "uint", "float", "decimal", "bool")))


@st.composite
def columns(draw, kinds=KINDS, nulls=True):
    """A column: values of one type in random order, with some nulls."""
    name = draw(st.sampled_from(kinds))
    values = ARRAYS[name]
    pick = st.integers(0, len(values) - 1)
    picks = draw(st.lists(st.one_of(pick, st.none()) if nulls else pick, min_size=1, max_size=8))
    return name, [picks[i % len(picks)] for i in range(N_ROWS)]


@st.composite
def tables(draw, column=None, when=True):
    """A table of odd columns which usually also has well-behaved times and numbers."""
    chosen = draw(st.lists(columns() if column is None else column, min_size=1, max_size=3))
    unique = draw(st.integers(0, 19)) > 0
    names = draw(st.lists(st.sampled_from([*NAMES * 4, *RESERVED]), min_size=len(chosen), max_size=len(chosen), unique=unique))
    arrays = [
        ARRAYS[kind].take(pa.array(picks, pa.int64())) if _can_take(kind) else _taken(kind, picks) for kind, picks in chosen
    ]
    if draw(st.integers(0, 9)):
        names, arrays = [*names, "good"], [*arrays, pa.array(np.linspace(-1, 1, N_ROWS))]
        if when:
            names, arrays = [*names, "when"], [*arrays, pa.array(HOURS)]
    return pa.Table.from_arrays(arrays, names=names)


def _can_take(kind: str) -> bool:
    return kind not in ("view", "binary view", "uuid")


def _taken(kind: str, picks: list[int | None]) -> pa.Array:
    """Take rows of types that Arrow's `take` does not support through a type that it supports."""
    values = ARRAYS[kind]
    if kind == "uuid":
        return pa.ExtensionArray.from_storage(values.type, values.storage.take(pa.array(picks, pa.int64())))
    through = pa.large_string() if kind == "view" else pa.large_binary()
    return values.cast(through).take(pa.array(picks, pa.int64())).cast(values.type)


@st.composite
def jobs(draw):
    """A table, and a job with arbitrary roles for its columns."""
    table = draw(tables())
    names = st.sampled_from(list(dict.fromkeys(table.column_names)))
    roles = {"time": draw(st.one_of(st.just("when"), names))} if draw(st.booleans()) and "when" in table.column_names else {}
    if draw(st.integers(0, 3)) == 0:
        roles["target"] = draw(names)
    if draw(st.integers(0, 3)) == 0:
        roles[draw(st.sampled_from(["categorical", "passthrough", "drop"]))] = [draw(names)]
    if "time" in roles:
        roles["null_time"] = draw(st.sampled_from(["error", "drop", "drop"]))
    job = {
        "columns": roles,
        "windows": draw(st.sampled_from([{"strides": []}, {"size": 1, "strides": [1]}, {"size": 2, "strides": [1, 2]}])),
    }
    if draw(st.booleans()):
        job["numbers"] = {"scale": "all"}
        job["datetime"] = {"epoch": draw(st.booleans()), "time_zone": draw(st.sampled_from(["UTC", "America/New_York"]))}
    return table, job


def refused(error: EmberharmonyError) -> None:
    assert 20 < len(str(error)) < LONGEST_MESSAGE, "an error says what happened, and not everything"
    assert "Traceback" not in str(error)


def write(table: pa.Table, path: Path) -> bool:
    """Write the table; returns whether Parquet can hold it."""
    try:
        pq.write_table(table, path)
    except (pa.ArrowException, OverflowError):
        return False
    return True


def assert_whole(folder: Path, outcome, table: pa.Table) -> None:
    """Check that every row appears once, and that every feature and score is finite."""
    manifest = outcome.manifest
    parts = [pq.ParquetFile(part).read() for part in sorted(folder.glob("features/*/*.parquet"))]
    numbers = np.concatenate([part["row_number"].to_numpy() for part in parts]) if parts else np.empty(0)
    assert len(set(numbers.tolist())) == len(numbers) == sum(manifest.rows.values())
    assert len(numbers) + manifest.null_times + manifest.left_out == table.num_rows
    for part in parts:
        for name in manifest.features:
            assert np.isfinite(part[name].to_numpy()).all(), name
    for part in folder.glob("windows/*/*/*.parquet"):
        windows = pq.ParquetFile(part).read()
        for name in windows.column_names:
            if name.startswith("pc_"):
                assert np.isfinite(windows[name].to_numpy()).all(), name


@pytest.fixture(scope="module")
def folder():
    """A folder in memory if the system has one, because examples are many and small."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


RUNTIME = {"engine": "local", "workers": 1, "backend": "numpy"}


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=jobs())
def test_plan_run_and_apply(folder, case):
    table, job = case
    shutil.rmtree(folder / "out", ignore_errors=True)
    shutil.rmtree(folder / "applied", ignore_errors=True)
    if not write(table, folder / "table.parquet"):
        return
    places = {"source": {"path": str(folder / "table.parquet")}, "runtime": RUNTIME}
    try:
        parsed = parse_job(places | {"sink": {"path": str(folder / "out")}} | job)
        plan_report(parsed)
        outcome = run_job(parsed, LocalEngine(1))
    except EmberharmonyError as error:
        refused(error)
        assert not (folder / "out/manifest.json").exists()
        return
    assert_whole(folder / "out", outcome, table)
    applied = places | {"state": str(folder / "out"), "sink": {"path": str(folder / "applied")}}
    try:
        again = run_job(parse_job(applied, model=ApplyJob), LocalEngine(1))
    except EmberharmonyError as error:
        refused(error)
        return
    assert_whole(folder / "applied", again, table)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=tables(), index=st.booleans(), as_frame=st.booleans())
def test_the_notebook(case, index, as_frame):
    table = case
    extractor = TerabyteFeatureExtractor(verbose=False, max_memory_gb=4, preferred_backend="numpy")
    try:
        frame = table.to_pandas() if as_frame else table
    except (pa.ArrowException, ValueError, OverflowError, UnicodeDecodeError):
        return  # pandas cannot hold it
    try:
        prepared = extractor.prepare_data(frame, index_col=table.column_names[0] if index else None)
        again = extractor.transform(frame, prepared.state)
    except EmberharmonyError as error:
        refused(error)
        return
    names = list(prepared.feature_names)
    assert list(again.columns) == names
    for part in (prepared.train, prepared.validation, prepared.test, again):
        assert np.isfinite(part[names].to_numpy()).all()


numbers = columns(kinds=tuple(NUMBERS), nulls=False)
matrices = st.one_of(tables(), *[tables(column=numbers, when=False)] * 4)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=matrices, as_frame=st.booleans(), swapped=st.booleans())
def test_the_stride_processor(table, as_frame, swapped):
    processor = TerabyteTemporalStrideProcessor(window_size=2, stride_perspectives=(1,), pca_components=1, verbose=False)
    batches = [table, table.select(table.column_names[::-1]) if swapped and _is_unique(table) else table]
    try:
        batches = [batch.to_pandas() for batch in batches] if as_frame else batches
    except (pa.ArrowException, ValueError, OverflowError, UnicodeDecodeError):
        return
    try:
        scores = processor.process_large_dataset(batches)[1]
    except EmberharmonyError as error:
        refused(error)
        return
    assert scores.shape == (2 * N_ROWS - 1, 1)
    assert np.isfinite(scores).all()
    again = processor.process_batch(batches[0])[1]
    values = [np.asarray(column, np.float64) for column in table.to_pydict().values()]
    rounding = 1e-6 * max(float(np.abs(column).max()) for column in values)
    for same in (again, scores[N_ROWS:]):
        np.testing.assert_allclose(np.float64(same), np.float64(scores[: N_ROWS - 1]), rtol=1e-5, atol=rounding)


def _is_unique(table):
    return len(set(table.column_names)) == len(table.column_names)


def test_the_families_are_there():
    """The odd values are as odd as they are said to be."""
    assert len(ARRAYS) > 45
    with pytest.raises(UnicodeDecodeError):
        ARRAYS["latin-1"].to_pylist()
    assert ARRAYS["date32"].cast(pa.int32()).to_pylist()[-1] == -(2**31)
    assert dt.date.max.toordinal() - dt.date(1970, 1, 1).toordinal() < 2_932_897
    assert issubclass(DataError, EmberharmonyError)
