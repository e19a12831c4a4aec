"""The allocator's numbers in verl's own log, beside those of the same step, in whatever backend it goes to."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from verl.utils.tracking import Tracking

# verl gives a manager no way to its log, so the one method through which all backends are served is wrapped, once per
# process. The latest training's numbers are the ones that count; it may be gone.
_source: Callable[[], Any] = lambda: None  # noqa: E731


def log_with_steps(method: Callable[[], dict[str, float]]) -> None:
    """From now on, add what this bound method returns to every step's record."""
    global _source
    _source = weakref.WeakMethod(method)
    if not hasattr(Tracking.log, "__wrapped__"):
        Tracking.log = _with_allocator(Tracking.log)


def _with_allocator(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def log(self: Tracking, data: dict[str, Any], step: int, backend: Any = None) -> None:
        numbers = _source()
        # Records of validation have no step of training in them.
        if numbers is not None and "training/global_step" in data:
            data = {**data, **numbers()}
        original(self, data, step, backend)

    return log
