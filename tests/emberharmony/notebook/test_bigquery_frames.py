"""bigframes DataFrames, faked by pandas: read page by page, and written back."""

from types import SimpleNamespace

import pandas as pd


def test_bigframes_come_page_by_page(extractor, table, path):
    """And their rows go back to where they came from, one load for each frame."""
    loads = []

    class DataFrame(pd.DataFrame):
        pages = 0

        @property
        def _session(self):
            return SimpleNamespace(read_parquet=lambda path, engine: loads.append(path) or DataFrame(pd.read_parquet(path)))

        def to_pandas_batches(self, page_size, allow_large_results):
            assert allow_large_results
            for begin in range(0, len(self), page_size):
                type(self).pages += 1
                yield pd.DataFrame(self.iloc[begin : begin + page_size])

        def head(self, n):
            return DataFrame(self.iloc[:n])

    DataFrame.__module__ = "bigframes.dataframe"
    frame = DataFrame(table.to_pandas())
    prepared = extractor.prepare_data(frame, "y", drop_columns=["name"], index_col="t")
    expected = extractor.prepare_data(path, "y", drop_columns=["name"], index_col="t")
    assert DataFrame.pages == 4
    assert len(loads) == 3
    for split in ("train", "validation", "test"):
        pd.testing.assert_frame_equal(getattr(prepared, split), getattr(expected, split), check_index_type=False)
    features = extractor.transform(frame, expected.state)
    pd.testing.assert_frame_equal(features, extractor.transform(table.to_pandas(), expected.state))
    DataFrame.pages = 0
    assert len(extractor.prepare_data(frame, drop_columns=["t"], limit=100).train) < 100
    assert DataFrame.pages == 1
    assert extractor.row_count(frame) == 900
    assert extractor.detect_column_types(frame).boolean == ["flag"]
