"""What the evidence of beliefs has in common: a column that begins with the first graded reward, and what is amiss."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.changes import Changes


class HasGraded(Protocol):
    """A state with evidence of each prompt."""

    successes: FloatArray  # [M]
    graded: FloatArray  # [M], or [0] while every reward was a whole success or failure


def add_graded(
    state: HasGraded, rows: IntArray, kept: FloatArray | float, graded: FloatArray, changes: Changes
) -> None:
    """Of what graded rewards of these prompts lacked, a share is kept, and this comes to it."""
    if state.graded.size:
        changes.put(state.graded, rows, state.graded[rows] * kept + graded)
    elif graded.any():
        begun = np.zeros(state.successes.size)
        begun[rows] = graded
        changes.set(state, "graded", begun)


def evidence_fault(successes: FloatArray, failures: FloatArray, graded: FloatArray) -> str | None:
    """What is wrong with evidence that comes from outside, or None."""
    if graded.size not in (0, successes.size):
        return "its belief has graded evidence of another number of prompts"
    if min(part.min(initial=0.0) for part in (successes, failures, graded)) < 0.0:
        return "its belief has evidence of a negative number of rollouts"
    return None
