"""docs/nightly.md: its commands run on the real flights, and print the numbers that it shows."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from flows.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/nightly.md").read_text(encoding="utf-8")


def test_the_page(flights_file, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/flights.parquet").symlink_to(flights_file)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    steps = re.findall(r"```sh\n(.+?)\n```\n\n```text\n(.+?)\n```", PAGE, re.DOTALL)
    assert len(steps) == PAGE.count("```sh") == 4
    for command, shown in steps:
        name, *arguments = shlex.split(command)
        assert name == "emberharmony"
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        for line in shown.splitlines():
            assert re.search("^" + re.escape(line), result.output, re.MULTILINE), (command, line, result.output)
    (pattern,) = re.findall(r"`(data/\S+slice=\*\S+)`", PAGE)
    expected = [987, 1_004, 973, 958]
    assert [n for _, n in duckdb.sql(f"SELECT slice, count(*) FROM '{pattern}' GROUP BY 1 ORDER BY 1").fetchall()] == expected
    read = pl.scan_parquet(pattern, hive_partitioning=True).group_by("slice").len().sort("slice").collect()
    assert read["len"].to_list() == expected


@pytest.mark.parametrize("command", re.findall(r"`emberharmony (\w+)", PAGE))
def test_commands_in_the_text_exist(command):
    assert command in {one.name or one.callback.__name__ for one in app.registered_commands}
