"""How far apart two numbers may be and still be meant equal: rewards are sums of weights, and pass through float32."""

from __future__ import annotations

import math

import numpy as np

from cero_api._types import FloatArray

ROUNDING = 1e-6
"""Of the range of a reward, of a threshold, of a rollout: float32 rounds to 6e-8, and sums a few times as far."""


def within(value: float, low: float, high: float) -> float:
    """The value; the end of the interval, if it is outside of it by rounding alone.

    >>> within(1.0000001, 0.0, 1.0), within(1.5, 0.0, 1.0)
    (1.0, 1.5)
    """
    inside = min(max(value, low), high)
    return inside if abs(value - inside) <= ROUNDING * (high - low) else value


def not_negative(values: FloatArray) -> FloatArray:
    """Sums that are 0 or more; those that are less by rounding alone are 0.

    >>> not_negative(np.array([-1e-16, 0.5, -0.5]))  # 0.3 - 0.1 - 0.2, say
    array([ 0. ,  0.5, -0.5])
    """
    return np.where((values < 0) & (values >= -ROUNDING), 0.0, values)


def as_stored(value: float, epsilon: float) -> float:
    """The nearest number of a format whose numbers lie `epsilon` apart above 1.

    >>> as_stored(0.9, 2**-7)  # as bfloat16
    0.8984375
    """
    if not math.isfinite(value):
        return value
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(2 * mantissa / epsilon) * epsilon / 2, exponent)
