"""Wrong arguments are refused by name."""

import re

import numpy as np
import pandas as pd
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from tests.frames import NOW, rows_of


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limit": 1.5}, TypeError, "limit is a whole number"),
        ({"limit": True}, TypeError, "limit is a whole number"),
        ({"high_null_threshold": 2}, ValueError, "high_null_threshold is more than 0 and at most 1"),
        ({"high_null_threshold": float("nan")}, ValueError, "high_null_threshold"),
        ({"high_null_threshold": "0.5"}, TypeError, "high_null_threshold"),
        ({"index_col": "tt"}, PlanError, "index_col: Column 'tt' is not in the table"),
        ({"index_col": 3}, TypeError, "index_col is the name of a column"),
        ({"target_column": "yy"}, PlanError, "target_column: Column 'yy'"),
        ({"target_column": "t", "index_col": "t"}, PlanError, "'t' is given both in target_column and in index_col"),
        ({"drop_columns": ["x", "x"]}, PlanError, "'x' is given twice in drop_columns"),
        ({"drop_columns": ["z"]}, PlanError, "drop_columns: Column 'z'"),
        ({"force_categorical_columns": [1]}, TypeError, "each of force_categorical_columns"),
        ({"force_categorical_columns": None}, TypeError, "force_categorical_columns is a sequence"),
        ({"time_zone": "Mars"}, ValueError, "Mars"),
        ({"time_zone": None}, TypeError, "time_zone is a text"),
        ({"fractions": (0.5, 0.5)}, ValueError, "fractions are those of train, validation and test"),
        ({"fractions": 0.8}, TypeError, "fractions are three numbers"),
        ({"fractions": (0.9, 0.9, 0.9)}, ValueError, "up to 1"),
        ({"split_method": "halves"}, ValueError, "split_method is one of"),
        ({"split_method": "hash"}, PlanError, "name their columns in `entity`"),
        ({"split_method": "sequential", "entity": "k"}, PlanError, "Use 'temporal' (all series at the same times) or 'hash'"),
        ({"entity": 3}, TypeError, "entity is a sequence of columns"),
        ({"entity": ""}, PlanError, "each of entity is an empty text"),
        ({"entity": "sensor"}, PlanError, "entity: Column 'sensor' is not in the table"),
        ({"entity": ["k", "k"]}, PlanError, "'k' is given twice in entity"),
        ({"entity": "k", "target_column": "k"}, PlanError, "'k' is given both in target_column and in entity"),
        ({"entity": "k", "drop_columns": ["k"]}, PlanError, "'k' is given both in entity and in drop_columns"),
        ({"entity": "x"}, PlanError, "The entity column 'x' is of type double. Texts, whole numbers, dates"),
        ({"max_categories": 0}, ValueError, "max_categories is at least 1"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(extractor, arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        extractor.prepare_data(NOW, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"chunk_size": "x"}, TypeError),
        ({"chunk_size": 1.5}, TypeError),
        ({"max_memory_gb": float("nan")}, ValueError),
        ({"max_memory_gb": "4"}, TypeError),
        ({"verbose": "no"}, TypeError),
    ],
    ids=str,
)
def test_wrong_settings_are_named(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        TerabyteFeatureExtractor(**arguments)


def test_bad_arguments():
    with pytest.raises(DataError, match=r"Batch 0 is not numeric in column a: .*str"):
        TerabyteTemporalStrideProcessor().process_batch(pd.DataFrame({"a": ["x"] * 20}))
    with pytest.raises(PlanError, match="needs two"):
        TerabyteTemporalStrideProcessor().process_batch(rows_of(5))
    with pytest.raises(ValueError, match="batch_size"):
        TerabyteTemporalStrideProcessor(batch_size=0)
    with pytest.raises(ValueError, match="Strides are"):
        TerabyteTemporalStrideProcessor(stride_perspectives=(0,))
    for wrong in ({"stride_perspectives": [1.0]}, {"stride_perspectives": [True]}, {"stride_perspectives": "13"}):
        with pytest.raises(TypeError, match=r"stride_perspectives is|each of stride_perspectives"):
            TerabyteTemporalStrideProcessor(**wrong)
    for name in ("window_size", "pca_components", "batch_size"):
        for wrong in (1.5, True, "5"):
            with pytest.raises(TypeError, match=f"{name} is a whole number"):
                TerabyteTemporalStrideProcessor(**{name: wrong})
    assert TerabyteTemporalStrideProcessor(stride_perspectives=np.array([1, 3])).stride_perspectives == (1, 3)
