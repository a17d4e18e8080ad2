"""Impute, scale and one-hot encode the rows."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from prefect import task

from emberharmony.features.preprocessing import Preprocessing
from emberharmony.steps.featurize import encode
from emberharmony.typing import FeatureBlock
from tasks.options import step


@task(**step("encode"))
def encode_rows(rows: pa.Table, times: Mapping[str, FeatureBlock], fitted: Preprocessing) -> FeatureBlock:
    """Impute, scale and one-hot encode the rows."""
    return encode(rows, times, fitted)
