"""What a signal's handler raises inside a call, told apart from what the call ran into, whatever has become of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import FrameType
from typing import ParamSpec, TypeVar

ParametersT = ParamSpec("ParametersT")
AnswerT = TypeVar("AnswerT")


def interrupt_in(error: BaseException) -> BaseException | None:
    """The exception that a handler raised, among an error and those that it was raised from; None if none is.

    A handler, or a tracer, is the one function that gets the frame which it interrupts. One that is no Python function,
    and an exception that another thread sets, leave no such mark.

    >>> def on_alarm(number, frame):
    ...     raise TimeoutError("enough")
    >>> try:
    ...     try:
    ...         on_alarm(14, inspect.currentframe())
    ...     except OSError:
    ...         raise ValueError("the file is damaged") from None
    ... except ValueError as error:
    ...     interrupt_in(error)
    TimeoutError('enough')
    """
    for raised in _chain(error):
        trace = raised.__traceback__
        while trace is not None:
            if any(isinstance(value, FrameType) for value in _arguments(trace.tb_frame)):
                return raised
            trace = trace.tb_next
    return None


def interruptible(function: Callable[ParametersT, AnswerT]) -> Callable[ParametersT, AnswerT]:
    """A function that makes an error of its own of whatever it runs into, but lets out what a handler raised."""

    @functools.wraps(function)
    def letting_out(*args: ParametersT.args, **kwargs: ParametersT.kwargs) -> AnswerT:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            interrupt = interrupt_in(error)
            if interrupt is None or interrupt is error:
                raise
            raise interrupt from interrupt.__cause__

    return letting_out


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what was being handled when it was raised, also where it says `from None`."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        raised = waiting.pop()
        if raised is not None and id(raised) not in seen:
            seen.add(id(raised))
            yield raised
            waiting += [raised.__context__, raised.__cause__]


def _arguments(frame: FrameType) -> Iterator[object]:
    code = frame.f_code
    if not code.co_argcount and not code.co_flags & inspect.CO_VARARGS:
        return
    known = frame.f_locals
    yield from (known.get(name) for name in code.co_varnames[: code.co_argcount])
    if code.co_flags & inspect.CO_VARARGS:
        yield from known.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
