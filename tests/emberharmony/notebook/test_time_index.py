"""An index of times orders the rows and becomes features."""

import numpy as np
import pytest

from emberharmony.errors import DataError
from tests.frames import NOW, datetime_names


def test_a_frame_with_an_index_of_times_is_ordered_by_it(extractor):
    frame = NOW.drop(columns="t").set_axis(NOW.t[::-1].to_numpy(), axis=0)
    prepared = extractor.prepare_data(frame)
    assert prepared.feature_names[-8:] == datetime_names("time")
    assert prepared.train.index.name is None
    assert prepared.train.index.max() < prepared.validation.index.min() < prepared.test.index.min()
    expected = extractor.prepare_data(NOW.assign(t=NOW.t[::-1].to_numpy()), index_col="t")
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(prepared, split), getattr(expected, split))
    np.testing.assert_array_equal(extractor.transform(frame, prepared.state).sort_index()[:48], prepared.train)
    named = extractor.prepare_data(frame.rename_axis("when"))
    assert (named.train.index.name, named.feature_names[-8:]) == ("when", datetime_names("when"))
    taken = extractor.prepare_data(frame.rename(columns={"x": "time"}))
    assert taken.feature_names[-8:] == datetime_names("time_index")
    assert len(extractor.transform(frame.rename(columns={"x": "time"}))) == 60
    without = extractor.prepare_data(frame.rename(columns={"k": "time"}), "time")
    assert len(extractor.transform(frame.drop(columns="k"), without.state)) == 60
    kept = extractor.prepare_data(NOW.set_index("t", drop=False))
    assert kept.train.index.max() < kept.test.index.min()


def test_an_index_of_times_stands_in_for_no_other_column(extractor):
    state = extractor.prepare_data(NOW).state
    frame = NOW.drop(columns="t").set_axis(NOW.t.to_numpy(), axis=0)
    with pytest.raises(DataError, match="lacks t"):
        extractor.transform(frame, state)
    assert len(extractor.transform(frame.rename_axis("t"), state)) == 60
