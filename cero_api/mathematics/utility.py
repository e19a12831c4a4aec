r"""The value of cumulative exposure: concave, saturating, with its Fenchel conjugate on a compact domain.

Throughout, $c = 4\lambda q/R$ is a prompt's rate of saturation: $q$ its variance proxy, $\lambda$ the saturation
scale, $R = B/M$ the equal share of the budget. Exposure $z$ lives in $[0, Z]$, its dual $\theta$ in $[0, \bar c]$
with $\bar c = \lambda/R$. Source: arXiv 2610.09679, section "Utility and its Fenchel dual".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import FloatArray


def saturation_rate(proxy: ArrayLike, saturation: float, equal_share: float) -> FloatArray:
    r"""Rate at which a prompt saturates, $c = 4\lambda q/R$.

    Args:
        proxy: variance proxy $q \in [0, 1/4]$, any shape.
        saturation: $\lambda$.
        equal_share: $R = B/M$, in the unit in which exposure is measured.

    Returns:
        float64, the shape of `proxy`, per unit of exposure.

    >>> float(saturation_rate(0.25, saturation=1.0, equal_share=8.0))
    0.125
    """
    return np.asarray(4.0 * saturation * np.asarray(proxy, dtype=np.float64) / equal_share)


def utility(rate: ArrayLike, exposure: ArrayLike) -> FloatArray:
    r"""Value of exposure, $U(z) = 1 - e^{-cz}$.

    Args:
        rate: $c$, any shape.
        exposure: $z \ge 0$, a shape that broadcasts with it.

    Returns:
        float64 in [0, 1).

    >>> round(float(utility(0.125, 8.0)), 4)
    0.6321
    """
    return np.asarray(-np.expm1(-np.asarray(rate, dtype=np.float64) * np.asarray(exposure, dtype=np.float64)))


def marginal_gain(rate: ArrayLike, exposure: ArrayLike, step: ArrayLike = 1.0) -> FloatArray:
    r"""Value of a little more, $U(z + s) - U(z) = e^{-cz}(1 - e^{-cs})$.

    Args:
        rate: $c$, any shape.
        exposure: $z$.
        step: $s$.

    Returns:
        float64, the broadcast shape.

    >>> round(float(marginal_gain(0.125, 8.0, step=8.0)), 4)
    0.2325
    """
    rate = np.asarray(rate, dtype=np.float64)
    return np.asarray(np.exp(-rate * np.asarray(exposure)) * -np.expm1(-rate * np.asarray(step)))


def supporting_exposure(rate: ArrayLike, dual: ArrayLike, limit: float) -> FloatArray:
    r"""Exposure whose slope is the dual, $z^*(\theta) = \arg\min_{0 \le s \le Z} \theta s - U(s)$.

    It is 0 where $\theta \ge c$ or $c = 0$, $Z$ where $\theta \le c e^{-cZ}$, and $\ln(c/\theta)/c$ between.

    Args:
        rate: $c \ge 0$, any shape.
        dual: $\theta \ge 0$, a shape that broadcasts with it.
        limit: $Z$.

    Returns:
        float64 in [0, Z], the broadcast shape.

    >>> round(float(supporting_exposure(0.125, 0.0625, limit=100.0)), 4)
    5.5452
    """
    rate, dual = np.broadcast_arrays(np.asarray(rate, dtype=np.float64), np.asarray(dual, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        between = np.log(rate / dual) / rate
    # One clip covers both ends: ln(c/theta)/c passes 0 at theta = c and Z at theta = c exp(-cZ).
    return np.where(rate > 0, np.clip(between, 0.0, limit), 0.0)


def conjugate(rate: ArrayLike, dual: ArrayLike, limit: float) -> FloatArray:
    r"""Concave conjugate on the compact domain, $U^*(\theta) = \min_{0 \le s \le Z} \theta s - U(s)$.

    On $[0, \bar c] \times [0, Z]$ nothing is lost: $U(z) = \min_{0 \le \theta \le \bar c} \theta z - U^*(\theta)$.

    Args:
        rate: $c \ge 0$, any shape.
        dual: $\theta \ge 0$, a shape that broadcasts with it.
        limit: $Z$.

    Returns:
        float64, at most 0, the broadcast shape.

    >>> round(float(conjugate(0.125, 0.0625, limit=100.0)), 4)
    -0.1534
    """
    exposure = supporting_exposure(rate, dual, limit)
    return np.asarray(np.asarray(dual) * exposure - utility(rate, exposure))
