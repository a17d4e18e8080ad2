"""Fixtures of the notebook's tests."""

import pytest

from emberharmony.features import TerabyteFeatureExtractor
from tests.backends import BACKENDS, on_device
from tests.jobs import small_table, write_table


@pytest.fixture(params=BACKENDS)
def backend(request):
    return on_device(request.param)


@pytest.fixture(scope="module")
def table():
    return small_table(900)


@pytest.fixture
def path(table, tmp_path):
    return write_table(table, tmp_path / "table.parquet", group_rows=200)


@pytest.fixture
def extractor():
    return TerabyteFeatureExtractor(chunk_size=250, max_memory_gb=4, verbose=False)
