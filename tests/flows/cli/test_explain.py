"""`emberharmony explain`: what it prints, for people and as JSON."""

import json

import pytest
from typer.testing import CliRunner

from emberharmony.errors import PlanError
from flows.cli.app import app
from tests.jobs import run_small, small_table, write_table


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    source = write_table(small_table(120), folder / "t.parquet")
    run_small(source, folder / "out", columns={"time": "t", "drop": ["name"]}, windows={"size": 2, "strides": [1, 2]})
    return folder / "out"


def explained(sink, *arguments):
    result = CliRunner().invoke(app, ["explain", str(sink), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_same_as_text_and_as_json(sink):
    text, data = explained(sink, "walk"), json.loads(explained(sink, "walk", "--json"))
    assert f"formula    {data['formula']}\n" in text
    text, data = (explained(sink, "pc_2", "--stride", "2", "--top", "3", *more) for more in ([], ["--json"]))
    loadings = [float(line.split()[0]) for line in text.splitlines()[-3:]]
    assert loadings == pytest.approx([one["loading"] for one in json.loads(data)["loadings"]], abs=1e-4)
    where = ["--window", "3", "--stride", "2", "--split", "train"]
    text, data = explained(sink, *where), json.loads(explained(sink, *where, "--json"))
    assert all(f"row {row['row_number']:,}, {row['time']}: row {row['row_in_file']:,} of " in text for row in data["rows"])


@pytest.mark.parametrize("arguments", [[], ["walk", "--window", "3"]])
def test_one_thing_is_explained(sink, arguments):
    with pytest.raises(PlanError, match="Name a feature or component to explain, or a window with --window and --stride"):
        explained(sink, *arguments)
