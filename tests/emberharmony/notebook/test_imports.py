"""Importing the notebook's classes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_importing_the_features_stays_light():
    code = (
        "import sys, emberharmony.features as f"
        "; assert not {'pandas', 'sklearn', 'torch', 'prefect', 'pyarrow'} & set(sys.modules)"
        "; assert 'TerabyteTemporalStrideProcessor' in dir(f)"
        "; from emberharmony.features import TerabyteTemporalStrideProcessor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import emberharmony.features

    with pytest.raises(AttributeError, match="nothing_here"):
        _ = emberharmony.features.nothing_here


def test_folders_of_the_users_own_are_not_imported(tmp_path):
    for name in ("flows", "tasks", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the folder of the user was imported')")
    code = """
import numpy as np, pandas as pd
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(pd.DataFrame({"x": np.arange(60.0)}))
scores = TerabyteTemporalStrideProcessor(2, (1,), 1, verbose=False).process_batch(prepared.train)
assert scores[1].shape == (47, 1)
"""
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
