r"""What there is to learn inside a group: it comes from rewards that differ, not from their sum.

Throughout, a rollout has a share of a success $x \in [0, 1]$, and of the $n$ rewards of a group (or of all that a
prompt has earned) three sums are known: successes $S = \sum x$, failures $F = \sum (1 - x)$, and squares
$Q = \sum x^2$. Where every reward is a whole success or failure, $Q = S$.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import BoolArray, FloatArray
from cero_api.mathematics.rounding import ROUNDING


def whole_squares(successes: ArrayLike, failures: ArrayLike) -> FloatArray:
    r"""Sum of squares where it is not known: that of whole successes and failures, $Q = S$; of one rollout, $S^2$.

    Of several graded rollouts this is more than they can have, and their contrast with it.

    Args:
        successes: $S$, float, any shape, at least 0.
        failures: $F$, the same shape.

    Returns:
        float64, the same shape.

    >>> whole_squares([3.0, 0.5, 1.5], [1.0, 0.5, 2.5])
    array([3.  , 0.25, 1.5 ])
    """
    won, lost = np.asarray(successes, dtype=np.float64), np.asarray(failures, dtype=np.float64)
    return np.where(won + lost <= 1.0 + ROUNDING, won * won, won)


def squares_fit(successes: FloatArray, failures: FloatArray, squares: FloatArray) -> BoolArray:
    r"""Whether shares from 0 to 1 can have these sums: $S^2/n \le Q \le S$, up to rounding; bool, their shape."""
    n = np.maximum(successes + failures, 1.0)
    slack = ROUNDING * n
    return np.asarray((squares <= successes + slack) & (squares + slack >= successes * (successes / n)))


def graded_fits(graded: FloatArray, successes: FloatArray, failures: FloatArray) -> bool:
    r"""Whether $S - Q$ of every prompt fits, or is an empty column: no reward was graded yet."""
    if not graded.size:
        return True
    return graded.shape == successes.shape and bool(squares_fit(successes, failures, successes - graded).all())


def squared_deviations(successes: FloatArray, failures: FloatArray, squares: FloatArray) -> FloatArray:
    r"""Sum of squared deviations from the mean, $\sum (x - \bar x)^2 = \frac{SF}{n} - (S - Q)$.

    The second term is $\sum x(1 - x)$, what graded rewards lack of the contrast of successes and failures.

    Args:
        successes: $S$, float64, any shape.
        failures: $F$, the same shape.
        squares: $Q$, the same shape.

    Returns:
        float64, at least 0, the same shape.

    >>> squared_deviations(np.array([4.0, 4.0]), np.array([4.0, 4.0]), np.array([4.0, 2.0]))  # 1 and 0, or always 1/2
    array([2., 0.])
    """
    n = np.maximum(successes + failures, ROUNDING)
    return np.maximum(successes * failures / n - (successes - squares), 0.0)


def alike_in_contrast(
    successes: FloatArray, failures: FloatArray, graded: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    r"""As many whole successes and failures with the same contrast: $S^* + F^* = n$ and $S^*F^* = SF - nG$.

    They are on the side of one half on which the rewards' mean is. Where rewards never differ all are failures, or all
    successes; where none was graded, $S$ and $F$ are what they are. For rules that look for a certain success rate.

    Args:
        successes: $S$, float64, any shape.
        failures: $F$, the same shape.
        graded: $G = S - Q = \sum x(1 - x)$, the same shape; None for rewards 0 and 1.

    Returns:
        Two arrays, float64, of the same shape.

    >>> won, lost = np.array([4.0, 4.0, 4.0, 6.0]), np.array([4.0, 4.0, 4.0, 2.0])
    >>> alike_in_contrast(won, lost, np.array([0.0, 1.125, 2.0, 1.5]))  # whole, near ½, always ½, always ¾
    (array([4., 1., 0., 8.]), array([4., 7., 8., 0.]))
    """
    if graded is None:
        return successes, failures
    n = successes + failures
    rest = np.maximum(successes * failures - n * graded, 0.0)
    half_apart = np.sqrt(0.25 * (failures - successes) ** 2 + n * graded)
    fewer = rest / np.maximum(0.5 * n + half_apart, ROUNDING)
    won = np.where(successes <= failures, fewer, n - fewer)
    whole = graded <= ROUNDING * n  # these stay to the last bit
    return np.where(whole, successes, won), np.where(whole, failures, n - won)


def has_contrast(successes: FloatArray, failures: FloatArray, squares: FloatArray) -> BoolArray:
    """Whether the rewards of a group differ by more than rounding: then, and only then, some advantage is not zero.

    >>> has_contrast(np.array([4.0, 4.0, 8.0]), np.array([4.0, 4.0, 0.0]), np.array([4.0, 2.0, 8.0]))
    array([ True, False, False])
    """
    return np.asarray(
        squared_deviations(successes, failures, squares) > ROUNDING**2 * (successes + failures), dtype=np.bool_
    )


def varying_share(successes: FloatArray, failures: FloatArray, graded: FloatArray) -> FloatArray:
    r"""What is there of the contrast that whole successes and failures would have, $1 - \frac{nG}{SF}$.

    1 where no reward was graded, 0 where rewards never differ. For rules that maximise a value, which it multiplies.

    Args:
        successes: $S$, float64, any shape; those of a prior may be among them.
        failures: $F$, the same shape.
        graded: $G = S - Q = \sum x(1 - x)$, the same shape.

    Returns:
        float64, the same shape.

    >>> varying_share(np.array([4.0, 4.0, 4.0]), np.array([4.0, 4.0, 4.0]), np.array([0.0, 1.5, 2.0]))
    array([1.  , 0.25, 0.  ])
    """
    differ = has_contrast(successes, failures, successes - graded)
    part = 1.0 - graded * (successes + failures) / np.where(differ, successes * failures, 1.0)
    return np.where(graded > 0.0, np.where(differ, part, 0.0), 1.0)


def group_variance(successes: FloatArray, failures: FloatArray, squares: FloatArray) -> FloatArray:
    r"""Unbiased variance of a group's rewards, $\frac{SF}{n(n-1)} - \frac{S-Q}{n-1}$; 0 for a group of one.

    At most $\frac{n}{4(n-1)}$: ½ for groups of two, ¼ for large ones, and ¼ at most in expectation.

    Args:
        successes: $S$, float64, any shape.
        failures: $F$, the same shape.
        squares: $Q$, the same shape.

    Returns:
        float64, the same shape.

    >>> group_variance(np.array([1.0, 1.0]), np.array([1.0, 1.0]), np.array([1.0, 0.5]))  # 1 and 0, or twice 1/2
    array([0.5, 0. ])
    """
    n = successes + failures
    graded = (successes - squares) / np.maximum(n - 1.0, 1.0)
    return np.where(n > 1.5, np.maximum(successes * failures / np.maximum(n * (n - 1.0), 1.0) - graded, 0.0), 0.0)
