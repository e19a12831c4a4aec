"""The one gate for arrays that come in: numpy's, tensors on any device, columns of tables; taken whole or refused."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.errors import CeroError, InvalidOutcomeError

# Spacing of numbers just above 1 in formats that numpy has not, or that are coarser than float32.
_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float8_e4m3": 2.0**-3, "float8_e5m2": 2.0**-2}
_FLOAT32 = 2.0**-23


def whole_number(value: object) -> int | None:
    """A number that is an integer by type, of Python's or numpy's; None for anything else.

    >>> whole_number(np.int32(3)), whole_number(True), whole_number(3.0)
    (3, None, None)
    """
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


def whole_numbers(values: ArrayLike, name: str, error: type[CeroError] = InvalidOutcomeError) -> IntArray:
    """One-dimensional int64 copy of `values`; floats are refused rather than cut, and masks rather than dropped.

    Args:
        values: integers `[N]`: anything numpy can read, or a tensor on any device.
        name: of the argument, for the message.
        error: type of the refusal.

    Raises:
        CeroError: they are not integers, of another shape, masked, or too large; of the type `error`.

    >>> whole_numbers(np.uint8([3, 5]), "ids")
    array([3, 5])
    """
    array = flat_array(values, name, error)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)  # of whatever type: numpy calls an empty list floats
    if array.dtype.kind not in "iu":
        raise error(f"{name} must be integers, not {_kind(array)}; convert them first")
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise error(f"{name} must be less than 2**63, not {array.max()}; number from 0")
    return array.astype(np.int64)


def real_numbers(values: ArrayLike, name: str, error: type[CeroError] = InvalidOutcomeError) -> FloatArray:
    """One-dimensional float64 copy of `values`, detached from any gradient; NaN and infinity pass.

    Args:
        values: real numbers or bools `[N]`: anything numpy can read, or a tensor of any precision on any device.
        name: of the argument, for the message.
        error: type of the refusal.

    Raises:
        CeroError: they are strings, dates, complex, None or masked, or of another shape; of the type `error`.

    >>> real_numbers([True, 0.5], "rewards")
    array([1. , 0.5])
    """
    array = flat_array(values, name, error)
    if array.dtype.kind == "O":
        bad = next((at for at, value in enumerate(array.tolist()) if not _is_real(value)), None)
        if bad is not None:
            said = repr(array[bad])[:40]
            raise error(f"{name} has {said} at {bad}, which is no real number; convert it, or leave it out")
    elif array.dtype.kind not in "biuf":
        raise error(f"{name} must be real numbers, not {_kind(array)}; convert them first")
    try:
        with np.errstate(over="ignore"):  # what float64 cannot hold is infinite, and is judged as that
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as reason:
        raise error(f"{name} must be real numbers ({reason}); convert them first") from None


def epsilon_of(values: ArrayLike) -> float:
    """Relative spacing of the numbers that `values` are stored as, float32's at least: how finely they can differ.

    >>> epsilon_of(np.float16([0.9])), epsilon_of([0.9]) == 2**-23
    (0.0009765625, True)
    """
    if isinstance(values, list | tuple) and values:
        values = values[0]
    name = str(getattr(values, "dtype", "")).removeprefix("torch.")
    return next((epsilon for known, epsilon in _EPSILON.items() if name.startswith(known)), _FLOAT32)


def flat_array(values: Any, name: str, error: type[CeroError]) -> NDArray[Any]:
    """As an array of one dimension and of numpy's own types, nothing masked away."""
    if isinstance(values, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(values).sum())
        if masked:
            raise error(f"{name} masks {masked} of {values.size} entries; leave those out of every array instead")
        values = np.ma.getdata(values)
    try:
        if isinstance(values, list | tuple):
            kinds = set(map(type, values))
            if type(np.ma.masked) in kinds:
                raise error(f"{name} has a masked entry; leave it out of every array instead")
            if any(hasattr(kind, "detach") for kind in kinds):
                values = [_numpy(value) if hasattr(value, "detach") else value for value in values]
        array = np.asarray(_numpy(values) if hasattr(values, "detach") else values)
    except CeroError:
        raise
    except Exception as reason:  # a foreign array may raise anything, and a CeroError is promised
        said = " ".join(str(reason).split())[:200]
        if isinstance(values, list | tuple):
            raise error(f"{name} must be one flat array of numbers ({said}); flatten it first") from None
        raise error(f"{name} cannot be read as an array ({said}); copy it to one of numpy's first") from None
    if array.dtype.kind == "V" and array.dtype.names is None:  # ml_dtypes' bfloat16 and its like
        kind = array.dtype.name
        wide = np.float32 if "float" in kind else np.int64 if "int" in kind else None
        array = array if wide is None else array.astype(wide)
    if array.ndim == 0:
        raise error(f"{name} must be a list or an array, not one {type(values).__name__}; give one entry each")
    if array.ndim != 1:
        raise error(f"{name} must be a one-dimensional array, not {_kind(array)} of shape {array.shape}; flatten it")
    return array


def _numpy(tensor: Any) -> NDArray[Any]:
    """Values of a tensor of torch's kind, which is known by its methods: torch itself is never imported."""
    tensor = tensor.detach()
    if any(name in str(tensor.dtype) for name in ("bfloat16", "float8")):  # numpy has no such numbers
        tensor = tensor.float()
    return np.asarray(tensor.numpy(force=True))  # off the device, and past torch's lazy conjugates


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real | Decimal | np.bool_)


def _kind(array: NDArray[Any]) -> str:
    """What an array holds, in words that a reader of the message knows."""
    words = {"U": "strings", "S": "bytes", "M": "dates", "m": "durations", "c": "complex numbers", "O": "objects"}
    return words.get(array.dtype.kind, str(array.dtype))
