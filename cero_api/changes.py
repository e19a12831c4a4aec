"""What a call changes: all of it decided first, then made as a whole, wherever an interrupt comes."""

from __future__ import annotations

import collections
import contextlib
import itertools
import operator
from collections.abc import Iterator, MutableMapping
from typing import Any

from numpy.typing import NDArray


class Changes:
    """Assignments of finished values: collected while a call decides, made when everything is decided.

    A signal may come at any line, to raise or to make calls of its own. While changes are collected nothing has
    happened; once they are being made, each of them may be made again to the same effect, so whoever finds them
    unfinished makes all of them once more. That costs what the call touches, where a copy of the state would cost a
    pass over the pool. Once made they are forgotten, so that nobody makes them after somebody else's.

    >>> changes, state = Changes(), {"spent": 0}
    >>> changes.put(state, "spent", state["spent"] + 8)
    >>> state["spent"]
    0
    >>> changes.make()
    >>> changes.make()
    >>> state["spent"]
    8
    """

    def __init__(self) -> None:
        self._assignments: list[tuple[Any, ...]] = []  # a function and its arguments each

    def set(self, owner: object, name: str, value: object) -> None:
        """`owner.name = value`."""
        self._assignments.append((setattr, owner, name, value))

    def put(self, container: NDArray[Any] | MutableMapping[Any, Any], where: object, value: object) -> None:
        """`container[where] = value`, of an array or a dictionary."""
        self._assignments.append((operator.setitem, container, where, value))

    def drop(self, mapping: MutableMapping[Any, Any], key: object) -> None:
        """Take a key out of a dictionary, if it is there."""
        self._assignments.append((mapping.pop, key, None))

    def make(self) -> None:
        """Make all of them, in order; again is fine."""
        assignments = self._assignments
        # Without a line of Python between them, so that CPython runs no handler where half of them are made.
        collections.deque(itertools.starmap(operator.call, assignments), maxlen=0)
        assignments.clear()


@contextlib.contextmanager
def collected(changes: Changes | None) -> Iterator[Changes]:
    """The caller's changes to add to; where there are none, new ones that are made at the end."""
    if changes is not None:
        yield changes
        return
    own = Changes()
    yield own
    own.make()
