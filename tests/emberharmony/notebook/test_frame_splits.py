"""Frames divided as the pipeline divides tables."""

import numpy as np
import pandas as pd
import pytest

from emberharmony.errors import DataError


def test_split_data(extractor):
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h")[::-1], "x": range(100)})
    split = extractor._split_data(frame, "t")
    assert [len(part) for part in split] == [80, 10, 10]
    assert split.train["t"].max() < split.validation["t"].min() <= split.validation["t"].max() < split.test["t"].min()
    assert split.train["t"].is_monotonic_increasing
    indexed = extractor._split_data(frame.set_index("t"), "t")
    np.testing.assert_array_equal(indexed.test["x"], split.test["x"])
    in_order = extractor._split_data(frame)
    assert [list(part["x"]) for part in in_order] == [[*range(80)], [*range(80, 90)], [*range(90, 100)]]
    prepared = extractor.prepare_data(frame)
    for part, same in zip(in_order, (prepared.train, prepared.validation, prepared.test), strict=True):
        np.testing.assert_array_equal(part.index, same.index)
    assert len(extractor._split_data(frame.iloc[:0], "t").train) == 0
    with pytest.raises(DataError, match="1 row has no time"):
        extractor._split_data(pd.DataFrame({"t": [pd.NaT, pd.Timestamp(0)]}), "t")
    with pytest.raises(DataError, match="neither a column nor an index 'u'"):
        extractor._split_data(frame, "u")
