"""The notebook runs, and its numbers are those of the table."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import PCA

NOTEBOOK = Path(__file__).parents[2] / "examples" / "flights_notebook.py"


def test_the_notebook_runs(flights_file, tmp_path, monkeypatch, capsys):
    """Every third flight: two chunks of the extractor, and four batches of training rows."""
    flights = pq.read_table(flights_file)
    some = flights.take(pa.array(range(0, len(flights), 3)))
    pq.write_table(some, tmp_path / "flights.parquet", row_group_size=50_000)
    monkeypatch.setattr("flows.flights.N_FLIGHTS", len(some))
    monkeypatch.setenv("EMBERHARMONY_DATA", str(tmp_path))
    names = runpy.run_path(str(NOTEBOOK))
    table = pd.read_parquet(tmp_path / "flights.parquet")
    assert names["n_flights"] == len(table) == 112_259
    assert sum(names["late"]) == (table["arr_delay"] > 15).sum()

    prepared, scores = names["prepared"], names["scores"]
    assert len(prepared.train) + len(prepared.validation) + len(prepared.test) == len(table)
    times = table["time_hour"].sort_values(kind="stable")
    boundary = times.iloc[int(0.8 * len(times))]
    assert len(prepared.train) == (times < boundary).sum()
    distance = table.loc[times.index[: len(prepared.train)], "distance"].astype(float)
    np.testing.assert_allclose(prepared.train["distance"], (distance - distance.mean()) / distance.std(ddof=0), atol=1e-4)

    rows = prepared.train[list(prepared.feature_names)].to_numpy(np.float64)
    windows = np.concatenate([rows[i : len(rows) - 4 + i : 5][: len(scores[5])] for i in range(5)], axis=1)
    reference = PCA(8, svd_solver="covariance_eigh").fit(windows)
    np.testing.assert_allclose(
        names["processor"].get_explained_variance(5), reference.explained_variance_ratio_.sum(), atol=1e-5
    )
    assert len(scores[5]) == len(windows)
    np.testing.assert_allclose(np.abs(scores[5][:, 0]), np.abs(reference.transform(windows)[:, 0]), atol=1e-3)
    assert len(scores[1]) == len(rows) - 4
    assert names["test_scores"][1].shape == (len(prepared.test) - 4, 8)
    assert len(names["features"]) == 100
    assert "stride 3:" in capsys.readouterr().out
