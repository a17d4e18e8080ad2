"""A folder of results that the pages' commands and the pictures begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.flights import prepare_weather
from tests.documents import ROOT, ours


@pytest.fixture(scope="session")
def newcomer(flights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks to a command as the project's does, with every thirtieth flight."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "data").mkdir()
    table = pq.read_table(flights_file)
    pq.write_table(table.take(pa.array(range(0, len(table), 30))), folder / "data/flights.parquet", row_group_size=5_000)
    prepare_weather(folder / "data/weather.parquet")
    for name in ("configs", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        ours("emberharmony run configs/flights.yaml")  # what `make demo` makes, which most pages begin with
    return folder
