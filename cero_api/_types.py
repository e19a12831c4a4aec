"""Names for the arrays that cross this library's functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
RankArray = NDArray[np.int32] | NDArray[np.int64]
