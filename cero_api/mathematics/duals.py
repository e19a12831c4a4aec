r"""The two kinds of Fenchel dual, normalised to [0, 1], and their projected gradient steps.

$\vartheta_i = \theta_i/\bar c$ is the price at which prompt $i$ would buy its exposure, $\nu = \mu/\bar c$ the price of
the budget. Source: arXiv 2610.09679, Algorithm 1, line 5.
"""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.mathematics.blocks import SIZE, blocks


def exact_prompt_price(slope: FloatArray, saturation: float, exposure_share: FloatArray) -> FloatArray:
    r"""Price that supports an exposure, $\vartheta = U'(z)/\bar c = 4\hat q\, e^{-cz}$: what the steps tend to.

    Args:
        slope: $U'(0)/\bar c = 4\hat q$, float64 `[P]` in (0, 1].
        saturation: $\lambda$.
        exposure_share: $z/R$, float64 `[P]`.

    Returns:
        float64 `[P]` in [0, 1].

    >>> exact_prompt_price(np.array([1.0]), 1.0, np.array([0.0]))  # unseen and most uncertain: worth the most
    array([1.])
    """
    return slope * np.exp(-saturation * slope * exposure_share)


@np.errstate(divide="ignore", over="ignore")  # a price of 0, or next to it, supports all of Z
def step_prompt_prices(
    price: FloatArray,
    slope: FloatArray,
    *,
    step: float,
    supply: float,
    served: IntArray,
    share: FloatArray,
    out: FloatArray | None = None,
) -> FloatArray:
    r"""One step of every prompt's dual.

    $\vartheta_i \leftarrow \Pi_{[0,1]}\left[\vartheta_i - \gamma\left(\tilde N_i - z_i^*(\bar c\vartheta_i)/K\right)
    /N_{\max}\right]$. With $Z = K N_{\max}$ the supporting exposure enters as the share
    $z^*/Z = \mathrm{clip}_{[0,1]}\left(\frac{R}{\lambda Z}\cdot\frac{\ln(4\hat q/\vartheta)}{4\hat q}\right)$.

    Args:
        price: $\vartheta$, float64 `[M]`.
        slope: $4\hat q$ after the round's feedback, float64 `[M]` in (0, 1].
        step: $\gamma$.
        supply: $R/(\lambda Z)$, the equal share over the most exposure there can be.
        served: rows with $\tilde N_i > 0$, int64 `[P]`.
        share: $\tilde N_i/N_{\max}$ of those, float64 `[P]`.
        out: float64 `[M]`, where the new prices go; None overwrites the old ones.

    Returns:
        The new prices.
    """
    out = price if out is None else out
    before = price[served]
    scratch = np.empty(min(SIZE, price.size))
    for rows in blocks(price.size):
        old, new = price[rows], out[rows]
        np.add(old, _rise(old, slope[rows], step, supply, scratch[: old.size]), out=new)
        np.minimum(new, 1.0, out=new)
    # Again from the old price for the few that were served: their step may go down.
    rise = _rise(before, slope[served], step, supply, np.empty(served.size))
    out[served] = np.clip(before - step * share + rise, 0.0, 1.0)
    return out


def _rise(price: FloatArray, slope: FloatArray, step: float, supply: float, out: FloatArray) -> FloatArray:
    """Write gamma z*/Z into `out`: with the caller's two, seven passes over what the cache holds."""
    np.divide(slope, price, out=out)
    np.log(out, out=out)
    np.divide(out, slope, out=out)
    out *= step * supply
    return np.clip(out, 0.0, step, out=out)


def step_budget_price(price: float, *, step: float, mean: float, dealt: float, capacity: float) -> float:
    r"""One step of the budget's dual, $\nu \leftarrow \Pi_{[0,1]}[\nu - \gamma(\bar B - \sum_i\tilde N_i)/G_B]$.

    Args:
        price: $\nu$.
        step: $\gamma$.
        mean: $\bar B = B/K$.
        dealt: $\sum_i \tilde N_i$, the virtual allocation, in the same unit.
        capacity: $C$, which gives $G_B = \max(\bar B, C - \bar B)$.

    Returns:
        The new price in [0, 1]: it rises when a round takes more than the mean.

    >>> step_budget_price(0.5, step=0.1, mean=128, dealt=132, capacity=132)
    0.503125
    """
    scale = max(mean, capacity - mean)
    return float(min(max(price - step * (mean - dealt) / scale, 0.0), 1.0))
