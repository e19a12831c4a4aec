r"""Coefficients of a regression with as much shrinkage as its data ask for: useless columns get next to none.

The data come as sufficient statistics of a (locally) linear model: information $A = \sum_i h_i z_i z_i^\top$ and pull
$b = \sum_i h_i z_i y_i$. Some coefficients have a fixed Gaussian prior; those of the features have one of mean 0, whose
precision $\alpha$ is found by the evidence of the data, first common to all and then for each.

Source: MacKay, "Bayesian interpolation" (Neural Computation 4, 1992), for evidence and effective numbers; Tipping,
"Sparse Bayesian learning and the relevance vector machine" (JMLR 1, 2001), for a precision of each.
"""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray

# Of the common precision, per feature: from "the features explain four units of log-odds, squared" to "nothing".
_GRID = np.exp(np.linspace(np.log(0.05), np.log(300.0), 14))
_WIDTH = 1.5  # of its log-normal prior around one unit for all features together
_TURNS = 3  # of the fixed point for the precisions of each
_TIE = 0.1  # pseudo-observations that hold a feature's own precision to the common one


def most_probable(information: FloatArray, pull: FloatArray, mean: FloatArray, precision: FloatArray) -> FloatArray:
    r"""Most probable coefficients, $m + (A + \Lambda)^{-1}(b - Am)$.

    Args:
        information: $A$, float64 `[D, D]`, symmetric and positive semidefinite.
        pull: $b$, float64 `[D]`.
        mean: $m$, prior means, float64 `[D]`.
        precision: diagonal of $\Lambda$, float64 `[D]`, positive.

    Returns:
        float64 `[D]`.

    >>> most_probable(np.eye(2), np.array([2.0, 2.0]), mean=np.zeros(2), precision=np.array([1.0, 3.0]))
    array([1. , 0.5])
    """
    answer: FloatArray = mean + np.linalg.solve(information + np.diag(precision), pull - information @ mean)
    return answer


def feature_precisions(
    information: FloatArray, pull: FloatArray, mean: FloatArray, precision: FloatArray
) -> FloatArray:
    r"""Prior precisions of the features' coefficients that the data make probable.

    Args:
        information: $A$, float64 `[D, D]`, symmetric and positive semidefinite.
        pull: $b$, float64 `[D]`.
        mean: prior means of the first `F` coefficients, which are no features', float64 `[F]`.
        precision: their prior precisions, float64 `[F]`.

    Returns:
        float64 `[D - F]`, for means of 0.

    >>> z = np.random.default_rng(0).normal(size=(500, 4))
    >>> y = z @ np.array([1.0, 3.0, 0.0, 0.0])  # of three features one says something
    >>> feature_precisions(z.T @ z, z.T @ y, mean=np.zeros(1), precision=np.ones(1)).round(1)
    array([0.1, 4.8, 4.8])
    """
    fixed = precision.size
    if pull.size == fixed:
        return np.empty(0)
    residual = pull - information[:, :fixed] @ mean
    cross = information[fixed:, :fixed]
    explained = np.linalg.solve(information[:fixed, :fixed] + np.diag(precision), cross.T)
    own = information[fixed:, fixed:] - cross @ explained  # what is left when the others are integrated out
    rest = residual[fixed:] - explained.T @ residual[:fixed]
    own = 0.5 * (own + own.T)
    common = _common_precision(own, rest)
    each = np.full(rest.size, common)
    for _ in range(_TURNS):
        covariance = np.linalg.inv(own + np.diag(each))
        each = (1.0 - each * np.diag(covariance) + _TIE) / ((covariance @ rest) ** 2 + _TIE / common)
    return each


def _common_precision(own: FloatArray, rest: FloatArray) -> float:
    """Posterior mean of its logarithm, over a grid."""
    size = rest.size
    roots, basis = np.linalg.eigh(own)
    roots, along = np.maximum(roots, 0.0), basis.T @ rest
    grid = _GRID[:, None]
    evidence = 0.5 * (size * np.log(_GRID) - np.log(roots + grid).sum(1) + (along**2 / (roots + grid)).sum(1))
    evidence -= 0.5 * (np.log(_GRID / size) / _WIDTH) ** 2
    weight = np.exp(evidence - evidence.max())
    return float(np.exp(weight @ np.log(_GRID) / weight.sum()))
