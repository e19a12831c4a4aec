"""A mean over seeds, with how far chance may have moved it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Two-sided 95% quantiles of Student's t, degrees of freedom 1 to 30.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds with its 95% confidence interval by Student's t; no interval from a single seed.

    >>> Estimate.of([1.0, 2.0, 3.0])
    Estimate(mean=2.0, low=-0.484, high=4.484, values=(1.0, 2.0, 3.0))
    """

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """From one value per seed."""
        array = np.asarray(values, dtype=np.float64)
        mean = float(array.mean())
        if array.size < 2:
            return cls(mean, None, None, tuple(values))
        half = t95(array.size - 1) * float(array.std(ddof=1)) / array.size**0.5
        return cls(mean, mean - half, mean + half, tuple(values))


def t95(freedom: int) -> float:
    r"""Two-sided 95% quantile of Student's t; beyond a table to 30 by its expansion around the normal's.

    $z + \frac{z^3 + z}{4\nu} + \frac{5z^5 + 16z^3 + 3z}{96\nu^2}$ with $z = 1.959964$.

    Args:
        freedom: $\nu$, at least 1.

    >>> t95(4), round(t95(100), 3)
    (2.776, 1.984)
    """
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
