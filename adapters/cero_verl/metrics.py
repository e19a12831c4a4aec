"""The allocator's numbers in verl's own log, beside those of the same step, in whatever backend it goes to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from verl.utils.tracking import Tracking

# Whoever has dispatched prompts since the last step's record; in a process that trains twice, not the one before.
_source: Callable[[], dict[str, float]] | None = None


def log_with_this_step(method: Callable[[], dict[str, float]]) -> None:
    """Add what this method returns to the record of the step that is under way.

    verl gives a manager no way to its log, so the one method through which all backends are served is wrapped, once
    per process.
    """
    global _source
    _source = method
    if not hasattr(Tracking.log, "__wrapped__"):
        Tracking.log = _with_allocator(Tracking.log)


def _with_allocator(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def log(self: Tracking, data: dict[str, Any], step: int, backend: Any = None) -> None:
        global _source
        # Records of validation have no step of training in them.
        if _source is not None and "training/global_step" in data:
            data, _source = {**data, **_source()}, None
        original(self, data, step, backend)

    return log
