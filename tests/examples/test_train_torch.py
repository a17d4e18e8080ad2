"""The example trains: its model predicts better than the best constant."""

import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from flows.flights import demo_config
from tests.jobs import run_small

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_torch.py"


def test_the_example_trains(tenth_of_flights, tmp_path, capsys):
    job = yaml.safe_load(demo_config().read_text())
    sections = {key: job[key] for key in ("columns", "datetime", "numbers", "split")}
    sections["columns"]["drop"] = re.search(r"columns.drop=\[(.*)\]", EXAMPLE.read_text())[1].split(", ")
    settings = {"categories": {"max_categories": 20}, "windows": {"size": 5, "strides": [1]}}
    run_small(tenth_of_flights, tmp_path / "out", **sections, **settings)
    example = runpy.run_path(str(EXAMPLE))
    errors = example["train"](tmp_path / "out", n_epochs=2, batch_size=256)
    assert capsys.readouterr().out.count("minutes on average") == 2
    delays = {
        split: pd.read_parquet(tmp_path / f"out/features/split={split}")["arr_delay"] for split in ("train", "validation")
    }
    constant = np.abs(delays["validation"].iloc[4:] - delays["train"].median()).mean()
    assert errors[-1] < 0.85 * constant
