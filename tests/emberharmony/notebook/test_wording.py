"""Errors of the notebook's classes name their arguments, and no setting of a job."""

import numpy as np
import pandas as pd
import pytest

from emberharmony.errors import DamagedError, PlanError
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from emberharmony.notebook.wording import told_by

FRAME = pd.DataFrame({"a": range(30), "x": np.arange(30) / 2, "none": [None] * 30})
TIMES = FRAME.assign(t=[pd.NaT, *pd.date_range("2024-01-01", periods=29)])


@pytest.mark.parametrize(
    ("table", "arguments", "told"),
    [
        (
            FRAME,
            {"split_method": "temporal"},
            "name it in `index_col`, or choose `split_method='sequential'` \\(the first rows",
        ),
        (FRAME, {"target_column": "none"}, "Name another `target_column`"),
        (FRAME, {"entity": "x"}, "name another one in `entity`"),
        (FRAME.assign(gone=pd.Series([None] * 30, dtype="string")), {"entity": "gone"}, "Name another column in `entity`"),
        (TIMES, {"index_col": "t"}, "1 row has no time in 't'.* Leave them out, or fill them in the source"),
        (TIMES, {"index_col": "t", "entity": "a"}, "1 row has no time in 't'.* Leave them out, or fill them in the source"),
        ("nothere.parquet", {}, "nothere.parquet does not exist. Check `table_or_path`"),
    ],
)
def test_errors_of_the_extractor(table, arguments, told):
    with pytest.raises(ValueError, match=told) as caught:
        TerabyteFeatureExtractor(verbose=False).prepare_data(table, **arguments)
    assert not any(section in str(caught.value) for section in ("`columns.", "`split.", "`source."))


@pytest.mark.parametrize("method", ["row_count", "detect_column_types"])
def test_errors_of_its_other_methods(method):
    with pytest.raises(ValueError, match="Check `table_or_path`"):
        getattr(TerabyteFeatureExtractor(verbose=False), method)("nothere.parquet")


def test_errors_of_chunks_of_the_extractor():
    with pytest.raises(ValueError, match="Check `table_or_path`"):
        TerabyteFeatureExtractor(verbose=False).process_in_chunks("nothere.parquet", len)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"window_size": 40}, "needs two windows of 40 rows .*, and has 0. Lower `window_size` or the stride"),
        ({"pca_components": 500}, "Lower `pca_components`, or leave it empty"),
    ],
)
@pytest.mark.parametrize("method", ["process_large_dataset", "process_batch"])
def test_errors_of_the_processor(method, arguments, told):
    processor = TerabyteTemporalStrideProcessor(**arguments, verbose=False)
    with pytest.raises(PlanError, match=told):
        getattr(processor, method)(np.random.default_rng(0).normal(size=(30, 2)))


def test_what_is_no_such_setting_stays():
    text = "`a.b` (`c.d: 5`), `emberharmony fit`, `e.f`, `null`"
    with pytest.raises(DamagedError, match="file") as caught, told_by({"c.d": "c", "e.f": ""}):
        raise DamagedError("file: " + text, "part.parquet")
    assert str(caught.value) == "file: `a.b` (`c='5'`), `emberharmony fit`, ``, `null`"
    assert caught.value.file == "part.parquet"
