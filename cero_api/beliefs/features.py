"""What is known of prompts before they are tried, as columns of numbers: checked, and brought to one scale."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.errors import ConfigurationError

MOST_COLUMNS = 64

# Standard deviations from the mean beyond which a value says no more: one prompt of a hundred times the length must
# not be extrapolated to.
_FARTHEST = 4.0


class Features:
    """Features of a pool's prompts, 4 bytes each: what has two values as it is, the rest standardised, all centred.

    Args:
        values: numbers `[M, d]` or `[M]`, one row a prompt; a class is one column of 0 and 1 for each of its values.
        num_prompts: M.

    Raises:
        ConfigurationError: another number of rows, more than 64 columns, something that is no finite number.

    >>> lengths = Features([[10.0], [20.0], [30.0]], num_prompts=3)
    >>> lengths.of(np.arange(3)).ravel().round(2)
    array([-1.22,  0.  ,  1.22])
    """

    def __init__(self, values: ArrayLike, num_prompts: int) -> None:
        table = _table(values, num_prompts)
        self.fingerprint = _fingerprint(table)
        # One row a column: what a pass over the pool reads lies side by side.
        self._columns: NDArray[np.float32] = np.empty(table.shape[::-1], dtype=np.float32)
        for column, scaled in zip(table.T, self._columns, strict=True):
            scaled[...] = _scaled(column)

    @classmethod
    def none(cls, num_prompts: int) -> Features:
        """No columns: nothing is known."""
        return cls(np.empty((num_prompts, 0)), num_prompts)

    def part(self, rows: IntArray) -> Features:
        """Those of some prompts by themselves, as the pool's: gathered once for whoever asks several times."""
        chosen = copy.copy(self)
        chosen._columns = self._columns[:, rows]
        return chosen

    @property
    def columns(self) -> int:
        """How many, d."""
        return len(self._columns)

    def of(self, rows: IntArray | slice) -> FloatArray:
        """Those of some prompts, float64 `[P, d]`."""
        return self._columns[:, rows].T.astype(np.float64)

    def scores(self, rows: IntArray | slice, coefficients: FloatArray, start: float, most: float) -> FloatArray:
        """Weighted sum of the features, and `start`; each prompt's the same whoever is asked for beside it.

        Computed in single precision, column by column: to the same last bit on every machine, which BLAS does not say.

        Args:
            rows: int64 `[P]`, or a slice of the pool.
            coefficients: float64 `[d]`.
            start: of the sum.
            most: the sum is kept from -most to most.

        Returns:
            float64 `[P]`.
        """
        columns = self._columns[:, rows]
        total = np.full(columns.shape[1], start, dtype=np.float32)
        term = np.empty_like(total)
        for column, coefficient in zip(columns, coefficients.astype(np.float32), strict=True):
            np.multiply(column, coefficient, out=term)
            total += term
        if abs(start) + _FARTHEST * float(np.abs(coefficients).sum()) >= most:  # else no sum can get there
            np.clip(total, -most, most, out=total)
        return total.astype(np.float64)


def _scaled(column: NDArray[Any]) -> FloatArray:
    values = column.astype(np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return values
    values /= 2.0 * largest  # so that no square and no sum overflows
    low, high = values.min(), values.max()
    classes = ((values == low) | (values == high)).all()
    values -= values.mean()
    # Classes not by their deviation: a rare one would be expected to differ the more from the others, the rarer it is.
    scale = float(high - low if classes else values.std())
    return np.clip(values / scale, -_FARTHEST, _FARTHEST) if scale > 0.0 else np.zeros(values.size)


def _table(values: ArrayLike, num_prompts: int) -> NDArray[Any]:
    if hasattr(values, "detach"):  # a tensor, of whichever library, on any device
        values = values.detach().cpu().float().numpy()
    table = np.asarray(values)
    if table.dtype.kind not in "biuf":
        raise ConfigurationError(
            f"features must be numbers, not {table.dtype}; make of a class one column of 0 and 1 for each of its values"
        )
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise ConfigurationError(f"features must be [prompts, columns], not of shape {table.shape}; reshape them")
    if len(table) != num_prompts:
        raise ConfigurationError(
            f"features have {len(table)} rows, the pool has {num_prompts} prompts; give one row a prompt, in the "
            "pool's order"
        )
    if table.shape[1] > MOST_COLUMNS:
        raise ConfigurationError(
            f"features have {table.shape[1]} columns, {MOST_COLUMNS} is the most; keep those that tell most, or the "
            "first principal components"
        )
    good = np.isfinite(table)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise ConfigurationError(
            f"features have {table[row, column]} in row {row}, column {column} ({int((~good).sum())} such entries); "
            "fill them in, with the column's mean if nothing better is known"
        )
    return table


def _fingerprint(table: NDArray[Any]) -> int:
    """Of the content, whatever the type it came in; for states, which must meet the same features again."""
    digest = hashlib.blake2b(repr(table.shape).encode(), digest_size=6)
    for start in range(0, len(table), 65536):
        with np.errstate(over="ignore"):
            part = table[start : start + 65536].astype(np.float32)
        digest.update(np.ascontiguousarray(part + np.float32(0.0)).astype("<f4").tobytes())  # no negative zero
    return int.from_bytes(digest.digest(), "big")
