"""A state is a dataclass of arrays and numbers; this turns one into plain entries and strictly back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.errors import CheckpointError

StateT = TypeVar("StateT")


# Marks the array field of a state whose length changes from round to round; the others are one entry a prompt.
RAGGED = {"ragged": True}


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


def with_entries(state: StateT, entries: Mapping[str, Any]) -> StateT:
    """A new state of the type and shapes of `state`, holding `entries`.

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
    values = {name: _like(name, *expected[name], entries[name]) for name in expected}
    return _rebuild(state, values)


def _leaves(state: Any, prefix: str = "") -> Iterator[tuple[str, Any, bool]]:
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value, field.metadata.get("ragged", False)


def _like(name: str, template: Any, free: bool, value: Any) -> Any:
    if isinstance(template, np.ndarray):
        if not isinstance(value, np.ndarray) or value.dtype != template.dtype or value.ndim != template.ndim:
            raise CheckpointError(f"{name} must be a {template.dtype} array; the state is damaged or foreign")
        if not free and value.shape != template.shape:
            raise CheckpointError(
                f"{name} has length {len(value)}, this pool has {len(template)} prompts; "
                "load the state that was saved with this pool"
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"{name} has NaN or infinity; the state is damaged, load an earlier one")
        return value.copy()
    # A number may come as Python's or numpy's: that is how arrays files give it back. bool is no number here.
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 else value
    if type(number) is not type(template) or not np.isfinite(number):
        raise CheckpointError(f"{name} must be a finite {type(template).__name__}, not {value!r}")
    return number


def _rebuild(state: StateT, values: Mapping[str, Any], prefix: str = "") -> StateT:
    changes = {}
    for field in dataclasses.fields(state):  # type: ignore[arg-type]  # StateT is any dataclass instance
        value = getattr(state, field.name)
        name = prefix + field.name
        changes[field.name] = _rebuild(value, values, name + ".") if dataclasses.is_dataclass(value) else values[name]
    return type(state)(**changes)
