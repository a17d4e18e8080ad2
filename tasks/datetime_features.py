"""Make the cyclical features of every datetime column."""

from __future__ import annotations

import pyarrow as pa
from prefect import task

from emberharmony.features.preprocessing import Preprocessing
from emberharmony.steps.featurize import datetime_features
from emberharmony.typing import FeatureBlock
from tasks.options import step


@task(**step("datetime-features"))
def add_datetime_features(rows: pa.Table, fitted: Preprocessing) -> dict[str, FeatureBlock]:
    """Make the cyclical features of every datetime column."""
    return datetime_features(rows, fitted)
