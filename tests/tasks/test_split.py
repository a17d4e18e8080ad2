"""The task that splits decides by the ranks of a chunk's rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SplitSpec
from emberharmony.steps.split import row_split
from tasks.split import split_rows


@pytest.mark.parametrize(("first", "n"), [(0, 100), (70, 20), (85, 15)])
def test_the_first_rows_train(first, n):
    codes = split_rows.fn(row_split("sequential", SplitSpec("sequential"), n_rows=100), Chunk(0, first, n), pa.table({}))
    np.testing.assert_array_equal(codes, np.repeat([0, 1, 2], [80, 10, 10])[first : first + n])
