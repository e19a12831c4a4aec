"""The one gate for arrays that come in: numpy's, tensors on any device, columns of tables; taken whole or refused."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.errors import CeroError, InvalidOutcomeError
from cero_api.interrupts import interruptible

# Spacing of numbers just above 1 in formats that numpy has not, or that are coarser than float32.
_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float8_e4m3": 2.0**-3, "float8_e5m2": 2.0**-2}
_FLOAT32 = 2.0**-23
_OWN = {int, float, bool, np.float64, np.float32, np.int64, np.int32, np.bool_}  # of which nothing foreign can come


def whole_number(value: object) -> int | None:
    """A number that is an integer by type, of Python's or numpy's; None for anything else.

    >>> whole_number(np.int32(3)), whole_number(True), whole_number(3.0)
    (3, None, None)
    """
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


@interruptible
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


@interruptible
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


@interruptible
def keys_of(values: Any, name: str, error: type[CeroError]) -> list[Any]:
    """Keys of prompts as Python's own, in their order: all text, or all whole numbers.

    Args:
        values: `[P]`: a list, an array or column of a table, a tensor on any device, or anything to go through that has
            an order of its own.
        name: of the argument, for the message.
        error: type of the refusal.

    Raises:
        CeroError: one is neither text nor a whole number, or there are both; of the type `error`.

    >>> keys_of(np.array([17, 3]), "keys", CeroError), keys_of(("a", "b"), "keys", CeroError)
    ([17, 3], ['a', 'b'])
    """
    if isinstance(values, str | bytes | bytearray | set | frozenset):
        raise error(f"{name} must be a list of keys, in order, not one {type(values).__name__}; make a list of them")
    if hasattr(values, "__array__") and not isinstance(values, np.ndarray) and not hasattr(values, "tolist"):
        values = flat_array(values, name, error)  # a table is refused, through whose columns one could go
    if isinstance(values, np.ma.MaskedArray):
        values = flat_array(values, name, error)
    try:
        keys = list(map(_plain_key, values.tolist() if getattr(values, "ndim", 0) else iter(values)))
    except Exception as reason:  # a foreign array may raise anything, and a CeroError is promised
        raise error(f"{name} must be a list of keys ({_short(reason)}); give one for each prompt") from None
    kinds = set(map(type, keys))
    if not (kinds <= {str} or kinds <= {int}):
        named = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise error(f"{name} must be all strings or all integers, not {named}; convert them")
    return keys


def _plain_key(key: Any) -> Any:
    """A text or number of NumPy's, of a tensor's or of a type of somebody's own as Python's."""
    if type(key) is str or type(key) is int:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    return key.item() if getattr(key, "ndim", None) == 0 and hasattr(key, "item") else key


@interruptible
def flat_array(values: Any, name: str, error: type[CeroError]) -> NDArray[Any]:
    """As an array of one dimension and of numpy's own types, nothing masked away."""
    if isinstance(values, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(values).sum())
        if masked:
            raise error(f"{name} masks {masked} of {values.size} entries; leave those out of every array instead")
        values = np.ma.getdata(values)
    array = values if type(values) is np.ndarray else _read(values, name, error)
    if array.dtype.kind == "V" and array.dtype.names is None:  # ml_dtypes' bfloat16 and its like
        kind = array.dtype.name
        wide = np.float32 if "float" in kind else np.int64 if "int" in kind else None
        array = array if wide is None else array.astype(wide)
    if array.ndim == 0:
        raise error(f"{name} must be a list or an array, not one {type(values).__name__}; give one entry each")
    if array.ndim != 1:
        raise error(f"{name} must be a one-dimensional array, not {_kind(array)} of shape {array.shape}; flatten it")
    return array


def _read(values: Any, name: str, error: type[CeroError]) -> NDArray[Any]:
    """A list, or somebody else's array, as one of numpy's."""
    listed = isinstance(values, list | tuple)
    kinds = set(map(type, values)) if listed else {type(values)}
    if listed and any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        raise error(f"{name} has a masked entry; leave it out of every array instead")
    # What is foreign may raise anything, and a CeroError is promised; of what is not, an interrupt stays what it is.
    own = listed and kinds <= _OWN
    refusals: tuple[type[Exception], ...] = (TypeError, ValueError, OverflowError) if own else (Exception,)
    try:
        return np.asarray(values if own else [_numpy(value) for value in values] if listed else _numpy(values))
    except refusals as reason:
        said = _short(reason)
    if listed:
        raise error(f"{name} must be one flat array of numbers ({said}); flatten it first")
    raise error(f"{name} cannot be read as an array ({said}); copy it to one of numpy's first")


def _short(reason: Exception) -> str:
    return " ".join(str(reason).split())[:200]


def _numpy(value: Any) -> Any:
    """Values of a tensor of torch's kind, known by its methods since torch is never imported; all else as it is."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach()
    if any(name in str(tensor.dtype) for name in ("bfloat16", "float8")):  # numpy has no such numbers
        tensor = tensor.float()
    return tensor.numpy(force=True)  # off the device, and past torch's lazy conjugates


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real | Decimal | np.bool_)


def _kind(array: NDArray[Any]) -> str:
    """What an array holds, in words that a reader of the message knows."""
    words = {"U": "strings", "S": "bytes", "M": "dates", "m": "durations", "c": "complex numbers", "O": "objects"}
    return words.get(array.dtype.kind, str(array.dtype))
