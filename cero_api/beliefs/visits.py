"""What was told since the last round: each prompt's results beside what had been known of it before."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.beliefs.base import Results
from cero_api.state import RAGGED, no_floats, no_integers


@dataclass
class Visits:
    """Prompts and the rounds that they were tried in, one entry each; never changed, only replaced."""

    row: IntArray = field(default_factory=no_integers, metadata=RAGGED)  # [V]
    round: IntArray = field(default_factory=no_integers, metadata=RAGGED)
    seen: IntArray = field(default_factory=no_integers, metadata=RAGGED)  # round of the evidence before
    successes: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # that evidence
    failures: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    won: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # what the visit earned, as far as it is known
    lost: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    graded: FloatArray = field(default_factory=no_floats, metadata=RAGGED)

    @property
    def size(self) -> int:
        """How many, V."""
        return self.row.size

    def places(self, round: int, rows: IntArray) -> IntArray:
        """Where these prompts' visits of a round are, -1 for those of which nothing is known yet, int64 `[P]`."""
        here = np.flatnonzero(self.round == round)
        here = here[np.argsort(self.row[here])]
        at = np.searchsorted(self.row[here], rows)
        places = np.full(rows.size, -1)
        inside = at < here.size
        inside[inside] = self.row[here[at[inside]]] == rows[inside]
        places[inside] = here[at[inside]]
        return places

    def with_results(self, results: Results, seen: IntArray, successes: FloatArray, failures: FloatArray) -> Self:
        """These and what came in; what had been known before counts for the new ones only."""
        places = self.places(results.round, results.rows)
        known, new = places >= 0, places < 0
        won, lost, graded = self.won.copy(), self.lost.copy(), self.graded.copy()
        for earned, more in ((won, results.successes), (lost, results.failures), (graded, results.graded)):
            earned[places[known]] += more[known]
        round = np.full(results.rows.size, results.round)
        added = (results.rows, round, seen, successes, failures, results.successes, results.failures, results.graded)
        held = (self.row, self.round, self.seen, self.successes, self.failures, won, lost, graded)
        return type(self)(*(np.concatenate([old, more[new]]) for old, more in zip(held, added, strict=True)))

    def part(self, chosen: IntArray | BoolArray) -> Self:
        """Some of them, in this order."""
        return type(self)(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def in_order(self) -> Self:
        """By round, then by prompt: however they came."""
        return self.part(np.lexsort((self.row, self.round)))

    def fault(self, num_prompts: int, now: int) -> str | None:
        """What is wrong with them, or None."""
        columns = [getattr(self, each.name) for each in fields(self)]
        if any(column.shape != self.row.shape for column in columns):
            return "the visits that its belief has still to learn from have columns of different length"
        if not (((self.row >= 0) & (self.row < num_prompts)).all() and ((self.round >= 0) & (self.round < now)).all()):
            return "its belief has visits of a prompt or of a round that there was not"
        if any(column.min(initial=0) < 0 for column in columns):
            return "its belief has visits with a negative number"
        return None
