"""The task that encodes rows returns what the step returns, on the backend of its worker."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from emberharmony.features.kinds.categorical import FittedCategories
from emberharmony.features.kinds.numeric import FittedNumber, Scaling
from emberharmony.features.preprocessing import Preprocessing
from tasks.encode import encode_rows

FITTED = Preprocessing(
    (
        FittedNumber("x", "numeric", ("x",), scaling=Scaling(fill=2.0, mean=1.0, scale=0.5)),
        FittedCategories("s", "categorical", ("s_a", "s_b", "s_other", "s_null"), ("a", "b")),
    ),
    (),
)


def test_numbers_are_scaled_and_categories_one_hot(backend):
    rows = pa.table({"x": [1.0, None, 3.0], "s": ["b", "z", None]})
    block = encode_rows.fn(rows, {}, FITTED)
    assert (block.shape, block.dtype) == ((5, 3), np.float32)
    np.testing.assert_allclose(block, [[0, 2, 4], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert encode_rows.name == "encode"
