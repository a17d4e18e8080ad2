"""Windows of frames of many series, against pandas and scikit-learn."""

import datetime as dt
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.decomposition import PCA

from emberharmony.errors import DataError, PlanError
from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.frames import rows_of

LENGTHS = {"north": 40, "south": 3, None: 57, "west": 5, "ost": 4, "east": 91}
NAMES = ["a", "b", "c"]


def many_series():
    site = [name for name, n in LENGTHS.items() for _ in range(n)]
    frame = pd.DataFrame(rows_of(200), columns=NAMES)
    frame.insert(1, "site", pd.array(site, "string"))
    frame["day"] = [dt.date(2024, 1, 1 + (i % 2)) for i, n in enumerate(LENGTHS.values()) for _ in range(n)]
    return frame


def windows_by_pandas(frame, size, stride):
    """Entity, first row and values of every window."""
    keys, windows = [], []
    for site, rows in frame.groupby("site", dropna=False, sort=False):
        if len(rows) < size:
            continue
        view = np.lib.stride_tricks.sliding_window_view(rows[NAMES].to_numpy(), size, axis=0)[::stride]
        windows.append(view.transpose(0, 2, 1).reshape(len(view), -1))
        keys += [(None if pd.isna(site) else site, first) for first in range(0, len(rows) - size + 1, stride)]
    return keys, np.concatenate(windows)


def keys_of(processor, stride):
    sites = [None if pd.isna(site) else site for site in processor.entities["site"]]
    return [(sites[series], first) for series, first in processor.window_keys[stride].tolist()]


def new(**arguments):
    return TerabyteTemporalStrideProcessor(5, (1, 3), 3, batch_size=16, verbose=False, **arguments)


@pytest.mark.parametrize("sizes", [(200,), (40, 3, 157), (7,) * 28 + (4,), (1, 199)], ids=str)
@pytest.mark.parametrize("make", [lambda x: x, pl.from_pandas, lambda x: pa.Table.from_pandas(x, preserve_index=False)])
def test_equals_sklearn_on_windows_of_each_series(backend, make, sizes):
    frame = many_series()
    ends = np.cumsum([0, *sizes])
    processor = new(preferred_backend=backend)
    scores = processor.process_large_dataset((make(frame[a:b]) for a, b in itertools.pairwise(ends)), entity=["site", "day"])
    assert list(processor.entities.columns) == ["site", "day"]
    assert [None if pd.isna(site) else site for site in processor.entities["site"]] == list(LENGTHS)
    for stride in (1, 3):
        keys, windows = windows_by_pandas(frame, 5, stride)
        assert keys_of(processor, stride) == keys
        assert processor.window_keys[stride].dtype == np.int64
        reference = PCA(3, svd_solver="full").fit(windows)
        signs = np.sign((reference.components_ * processor.pca_models[stride].components_).sum(axis=1))
        np.testing.assert_allclose(scores[stride], reference.transform(windows) * signs, atol=2e-4)
    again = processor.process_batch(make(frame), entity=["site", "day"])
    assert keys_of(processor, 1) == windows_by_pandas(frame, 5, 1)[0]
    np.testing.assert_allclose(again[1], scores[1], atol=1e-5)


@pytest.mark.parametrize("cut", [30, 40, 41, 43, 100, 150])
def test_a_later_call_continues_the_last_entity(tmp_path, cut):
    frame, entity = many_series(), ["site", "day"]
    processor = new()
    before = processor.process_large_dataset([frame[:cut]], entity=entity)
    found = keys_of(processor, 1)
    processor.save(tmp_path / "strides")
    loaded = TerabyteTemporalStrideProcessor.load(tmp_path / "strides", verbose=False)
    rest = [frame[cut : cut + 2], frame[cut + 2 :]]
    after = processor.process_large_dataset(rest, entity=entity)
    keys, windows = windows_by_pandas(frame, 5, 1)
    assert found + keys_of(processor, 1) == keys
    expected = processor.pca_models[1].transform(windows)
    np.testing.assert_allclose(np.concatenate([before[1], after[1]]), expected, atol=1e-4)
    np.testing.assert_array_equal(loaded.process_large_dataset(rest, entity=entity)[1], after[1])
    np.testing.assert_allclose(processor.state_buffer, frame[NAMES].to_numpy()[-4:], atol=1e-6)
    pd.testing.assert_frame_equal(loaded.entities, processor.entities)


def test_without_state_every_batch_begins_series():
    frame = many_series().drop(columns="day")
    processor = new()
    processor.process_large_dataset([frame[:20], frame[20:110]], maintain_state=False, entity="site")
    assert [None if pd.isna(site) else site for site in processor.entities["site"]] == [
        "north",
        "north",
        "south",
        None,
        "west",
        "ost",
        "east",
    ]
    assert processor.state_buffer is None
    processor.process_large_dataset([frame[NAMES]])
    assert processor.entities is None
    assert not processor.window_keys


@pytest.mark.parametrize("cut", [None, 45, 60])
def test_an_entity_that_comes_back_is_refused(cut):
    frame = many_series().drop(columns="day")
    again = pd.concat([frame[:100], frame[:10]])
    batches = [again] if cut is None else [again[:cut], again[cut:]]
    with pytest.raises(
        DataError, match=r"the entity site 'north' comes back after another one\. Sort the rows by site and time"
    ):
        new().process_large_dataset(batches, entity="site")


def test_wrong_entities_are_named():
    frame = many_series().drop(columns="day")
    for batch, entity, message in [
        (frame[NAMES].to_numpy(), "site", r"Batch 0 is a ndarray, whose columns have no names, so site \(`entity`\)"),
        (frame, "place", r"Batch 0 does not have place \(`entity`\)\. It has: a, site, b, c"),
        (frame, "a", "Batch 0 has the entity column 'a' of type double"),
        (frame[["site"]], "site", "Batch 0 has no columns"),
    ]:
        with pytest.raises(DataError, match=message):
            new().process_large_dataset([batch], entity=entity)
        with pytest.raises(DataError, match=message):
            new().process_batch(batch, entity=entity)
    with pytest.raises(TypeError, match="entity is a sequence of columns"):
        new().process_batch(frame, entity=3)
    with pytest.raises(DataError, match="Batch 1 has entities of another type than the batches before it"):
        new().process_large_dataset([frame[:50], frame[50:].assign(site=pd.array([1] * 150))], entity="site")
    processor = new()
    processor.process_large_dataset([frame], entity="site")
    with pytest.raises(PlanError, match=r"The open series is that of an entity \(site\), and this call's has no entity"):
        processor.process_large_dataset([frame[NAMES]])


def test_a_column_of_nulls_is_one_series():
    frame = many_series()[NAMES].assign(site=None)
    processor = new()
    scores = processor.process_large_dataset([frame[:90], frame[90:]], entity="site")
    assert (scores[1].shape, len(processor.entities)) == ((196, 3), 1)
