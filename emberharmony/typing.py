"""Types of the data that packages pass to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FeatureBlock = NDArray[np.float32]  # (n_features, n_rows), C-contiguous
FeatureRows = NDArray[np.float32]  # (n_rows, n_features), C-contiguous
Arrays = Mapping[str, NDArray[Any]]  # a state's arrays by name, ready for safetensors
