"""A state is a dataclass of arrays and numbers; this turns one into plain entries and strictly back.

A field may also be a dataclass itself, or hold columns of one length that it keeps in its own way (`Columnar`). Fields
marked `DERIVED` follow from the others and are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import flat_array
from cero_api.errors import CheckpointError

StateT = TypeVar("StateT")


# Marks the array field of a state whose length changes from round to round; the others are one entry a prompt.
RAGGED = {"ragged": True}

# Marks a field that follows from the others; whoever makes a state fills it in.
DERIVED = {"derived": True}


@runtime_checkable
class Columnar(Protocol):
    """A field of a state whose entries are columns of any one length, `field_column` each."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns, as copies."""
        ...

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Self:
        """What `columns` gave; ValueError says what is wrong with others."""
        ...


def no_integers() -> IntArray:
    """An empty int64 array, to start a ragged field from."""
    return np.empty(0, dtype=np.int64)


def no_floats() -> FloatArray:
    """An empty float64 array, to start a ragged field from."""
    return np.empty(0, dtype=np.float64)


def state_entries(state: Any, prefix: str = "") -> dict[str, Any]:
    """Every field under its name, nested ones as `outer.inner`; arrays are copied.

    >>> from cero_api.mathematics.ledger import Ledger
    >>> state_entries(Ledger(budget=8))["spent"]
    0
    """
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value, _ in _leaves(state, prefix)}


def with_entries(state: StateT, entries: Mapping[str, Any], copy: bool = True) -> StateT:
    """A new state of the type and shapes of `state`, holding `entries`; the very arrays where nothing is copied.

    Raises:
        CheckpointError: an entry is missing, unknown, not finite, or of another type or shape.
    """
    expected = {name: (value, free) for name, value, free in _leaves(state)}
    if expected.keys() != entries.keys():
        missing, unknown = expected.keys() - entries.keys(), entries.keys() - expected.keys()
        raise CheckpointError(
            f"this is not a state of this allocator: missing {sorted(missing)}, unknown {sorted(unknown)}; "
            "load it into the kind of allocator that saved it"
        )
    values = {name: _like(name, *expected[name], entries[name], copy) for name in expected}
    return _rebuild(state, values)


def _leaves(state: Any, prefix: str = "") -> Iterator[tuple[str, Any, bool]]:
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{field.name}.")
        elif isinstance(value, Columnar):
            for name, column in value.columns().items():
                yield f"{prefix}{field.name}_{name}", column, True
        elif not field.metadata.get("derived", False):
            yield prefix + field.name, value, field.metadata.get("ragged", False)


def _like(name: str, template: Any, free: bool, value: Any, copy: bool) -> Any:
    if isinstance(template, np.ndarray):
        array = _array_like(name, template, value)
        array = array.copy() if copy else array
        if not free and array.shape != template.shape:
            raise CheckpointError(
                f"{name} has length {len(array)}, this pool has {len(template)} prompts; "
                "load the state that was saved with this pool"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} has NaN or infinity; the state is damaged, load an earlier one")
        return array
    number = plain(value)
    if type(number) is not type(template) or not np.isfinite(number):  # bool is no number here
        raise CheckpointError(f"{name} must be a finite {type(template).__name__}, not {value!r}")
    return number


def plain(value: Any) -> Any:
    """A number as Python's own: NumPy's and tensors of no dimension are what files give back for one.

    >>> plain(np.array(3)), plain(None)
    (3, None)
    """
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def plain_array(value: Any) -> NDArray[Any] | None:
    """The value as an array if it is one, or what JSON (a list) or torch.save (a tensor) makes of one; else None.

    >>> plain_array([2, 3]), plain_array("23")
    (array([2, 3]), None)
    """
    try:
        if np.ndim(value) > 1 and not hasattr(value, "detach"):  # a table: row by row, and put together again
            return np.stack([flat_array(row, "an entry", CheckpointError) for row in value])
        if getattr(value, "ndim", 1) > 1:
            return np.asarray(value.detach().cpu())
        return flat_array(value, "an entry", CheckpointError)
    except (CheckpointError, AttributeError, RuntimeError, TypeError, ValueError):  # as NumPy or a tensor refuses
        return None


def _array_like(name: str, template: NDArray[Any], value: Any) -> NDArray[Any]:
    array = plain_array(value)
    if isinstance(value, (list, tuple)) and not value:
        array = np.empty_like(template, shape=0)  # a list says no type, and needs none here
    if array is None or array.dtype != template.dtype or array.ndim != template.ndim:
        raise CheckpointError(f"{name} must be a {template.dtype} array; the state is damaged or foreign")
    return array


def _rebuild(state: StateT, values: Mapping[str, Any], prefix: str = "") -> StateT:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(state):  # type: ignore[arg-type]  # StateT is any dataclass instance
        value = getattr(state, field.name)
        name = prefix + field.name
        if dataclasses.is_dataclass(value):
            changes[field.name] = _rebuild(value, values, name + ".")
        elif isinstance(value, Columnar):
            changes[field.name] = _from_columns(value, {key: values[f"{name}_{key}"] for key in value.columns()})
        elif not field.metadata.get("derived", False):
            changes[field.name] = values[name]
    return type(state)(**changes)


def _from_columns(template: Columnar, columns: Mapping[str, NDArray[Any]]) -> Columnar:
    try:
        return template.from_columns(columns)
    except ValueError as error:
        raise CheckpointError(f"this state is damaged or foreign: {error}; load an earlier one") from None
