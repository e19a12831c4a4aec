"""Calls that are done as a whole: beside other threads, through an interrupt at any line, in copies, after a fork."""

from __future__ import annotations

import copy
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from cero_api.changes import Changes
from cero_api.errors import CeroError

StateT = TypeVar("StateT")
ParametersT = ParamSpec("ParametersT")
AnswerT = TypeVar("AnswerT")
SelfT = TypeVar("SelfT", bound="Whole[Any]")


def atomic(
    method: Callable[Concatenate[SelfT, ParametersT], AnswerT],
) -> Callable[Concatenate[SelfT, ParametersT], AnswerT]:
    """A method that runs as a whole, whatever other threads call meanwhile."""

    @functools.wraps(method)
    def locked(self: SelfT, /, *args: ParametersT.args, **kwargs: ParametersT.kwargs) -> AnswerT:
        with self._lock:
            self._finish()
            return method(self, *args, **kwargs)

    return locked


def changing(
    method: Callable[Concatenate[SelfT, ParametersT], AnswerT],
) -> Callable[Concatenate[SelfT, ParametersT], AnswerT]:
    """An atomic method whose `_changes` are made when it returns; whatever it raises, it has changed nothing."""

    @functools.wraps(method)
    def locked(self: SelfT, /, *args: ParametersT.args, **kwargs: ParametersT.kwargs) -> AnswerT:
        with self._lock:
            self._finish()
            changes = self._changes = Changes()
            try:
                answer = method(self, *args, **kwargs)
            except Exception as error:
                if self._changes is not changes:  # it saw a part of the state from before, and another from after
                    raise _interrupted(method) from error
                raise
            # In one line, so that no handler comes between what is asked and what follows. Then it has happened.
            decided = self._decided = changes if self._changes is changes else self._decided
            if decided is not changes:
                raise _interrupted(method)
            self._finish()
            return answer

    return locked


def _interrupted(method: Callable[..., object]) -> CeroError:
    return CeroError(
        f"{method.__name__} was interrupted by a call that changed the same allocator, from a signal handler or a "
        "method of its own, and is not done; make the calls one after the other"
    )


class Whole(Generic[StateT]):
    """What changes is `_state`, and it changes only by `_changes`, which are made at the end of a `changing` call."""

    _state: StateT

    def __init__(self) -> None:
        self._spare: dict[str, NDArray[Any]] = {}
        self._changes = Changes()  # what the present call is going to change
        self._decided: Changes | None = None  # what is being made, or was when an interrupt came
        self._lock = threading.RLock()
        _ALIVE[id(self)] = self

    @atomic
    def __getstate__(self) -> dict[str, Any]:
        own = ("_spare", "_changes", "_decided", "_lock")  # which a copy has for itself
        return {name: part for name, part in vars(self).items() if name not in own} | {
            "_state": copy.deepcopy(self._state)  # here, where nobody else can change it
        }

    def __setstate__(self, parts: dict[str, Any]) -> None:
        Whole.__init__(self)
        vars(self).update(parts)

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # two with one state would overwrite each other

    def _finish(self) -> None:
        """Make what is decided; again, if an interrupt came while it was made."""
        decided = self._decided
        if decided is not None:
            decided.make()
            if self._decided is decided:  # and not what a signal's handler has decided meanwhile
                self._decided = None

    def _rewritten(self, field: str) -> NDArray[Any]:
        """An array for a field of the state that this call writes anew from end to end, of undefined content.

        The old one is kept for the next time: a pass over the pool that writes beside it costs what one in place does.
        """
        old: NDArray[Any] = getattr(self._state, field)
        new = self._spare.pop(field, None)
        if new is None:
            new = np.empty_like(old)
        self._changes.set(self._state, field, new)
        self._changes.put(self._spare, field, old)
        return new


_ALIVE: weakref.WeakValueDictionary[int, Whole[Any]] = weakref.WeakValueDictionary()


def _renew_locks() -> None:
    """In a forked child, which has none of the threads that may have held them."""
    for one in list(_ALIVE.values()):
        one._lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_renew_locks)
