"""Tables of a notebook: the frames that become of splits, empty ones too."""

import re

import pandas as pd
import pytest

from emberharmony.errors import PlanError
from emberharmony.features import TerabyteFeatureExtractor

FRAME = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=50), "x": range(50), "y": range(50)})


@pytest.mark.parametrize("index_col", [None, "t"])
@pytest.mark.parametrize("fractions", [(1, 0, 0), (0.8, 0.2, 0), (0.8, 0, 0.2)], ids=str)
def test_a_split_that_is_not_asked_for_is_an_empty_frame(fractions, index_col):
    prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(FRAME, "y", index_col=index_col, fractions=fractions)
    frames = (prepared.train, prepared.validation, prepared.test)
    assert [len(frame) for frame in frames] == [50 * fraction for fraction in fractions]
    for frame in frames:
        pd.testing.assert_series_equal(frame.dtypes, prepared.train.dtypes)
        assert (frame.index.dtype, frame.index.name) == (prepared.train.index.dtype, index_col or "row_number")


@pytest.mark.parametrize("index_col", [None, "t"])
def test_a_split_that_gets_no_row_is_refused(index_col):
    with pytest.raises(PlanError, match=re.escape("The validation split gets 0.1 of 5 rows, which is no row")):
        TerabyteFeatureExtractor(verbose=False).prepare_data(FRAME[:5], index_col=index_col)
