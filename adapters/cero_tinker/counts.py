"""Counts into generation: a user's group builder, with as many environments as its prompt was dealt."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import chz

from cero_api.errors import ConfigurationError

Resize = Callable[[Any, int], Any]

FIELDS = ("num_envs", "group_size")
"""How group builders call the number of their environments, in the cookbook and its recipes."""


def size_field(builder: Any) -> str:
    """The name of a builder's field that says how many environments it makes.

    Raises:
        ConfigurationError: it has none of the names that the cookbook uses.
    """
    for name in FIELDS:
        if isinstance(getattr(builder, name, None), int):
            return name
    raise ConfigurationError(
        f"a {type(builder).__name__} has no {' or '.join(FIELDS)} that says how many environments it makes; give it "
        "one, or pass resize=, a function of a builder and a count, and group_size="
    )


def resized(builder: Any, count: int) -> Any:
    """A builder of the same prompt that makes `count` environments; the given one is unchanged.

    Args:
        builder: a dataclass, a chz class or a plain class with a field of `FIELDS`.
        count: 1 or more.
    """
    name = size_field(builder)
    if chz.is_chz(builder):
        return chz.replace(builder, **{name: count})
    if dataclasses.is_dataclass(builder) and not isinstance(builder, type):
        return dataclasses.replace(builder, **{name: count})
    other = copy.copy(builder)
    setattr(other, name, count)
    return other
