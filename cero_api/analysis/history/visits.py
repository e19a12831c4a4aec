"""Success histories as flat arrays, in memory that a pool of a million prompts can have."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.history.builder import Progress
from cero_api.analysis.history.rates import from_rates
from cero_api.analysis.history.traces import from_trace
from cero_api.mathematics.blocks import blocks
from cero_api.mathematics.rounding import ROUNDING
from cero_api.prompts import Key


@dataclass(frozen=True, eq=False)
class SuccessHistory:
    """Visits of every prompt in time order, as flat arrays: 12 bytes a visit, and 4 a candidate.

    Args:
        keys: `[M]` prompts; their place is their row.
        offsets: int64 `[M + 1]`, the visits of row i are `offsets[i]:offsets[i + 1]`.
        visit_round: int32 `[V]`, time of each visit: its round, or its number where rounds were not recorded.
        visit_successes: float32 `[V]`, successes, or the rate itself where counts were not recorded.
        visit_count: int32 `[V]`, scored rollouts, all positive; 1 where counts were not recorded.
        round_numbers: int64 `[K]`, rounds in which prompts were offered, ascending; empty if not recorded.
        candidates: int32 `[L]`, rows that were offered, round after round.
        candidate_offsets: int64 `[K + 1]`, those of round k are `candidates[offsets[k]:offsets[k + 1]]`.
        rollouts: int64 `[K]`, rollouts of each round; empty if not recorded.
        notes: what a reader of results should know about the file.
        visit_graded: float32 `[V]`, sum of $x(1-x)$ over the rewards $x$ of each visit; `[0]` where none was graded, or
            nobody knows.

    >>> history = SuccessHistory.from_rates({"a": [0.0, 0.5], "b": [1.0]})
    >>> history.num_prompts, history.visits, history.rates().tolist()
    (2, 3, [0.0, 0.5, 1.0])
    """

    keys: Sequence[Key]
    offsets: IntArray
    visit_round: NDArray[np.int32]
    visit_successes: NDArray[np.float32]
    visit_count: NDArray[np.int32]
    round_numbers: IntArray
    candidates: NDArray[np.int32]
    candidate_offsets: IntArray
    rollouts: IntArray
    notes: tuple[str, ...] = ()
    visit_graded: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))

    @property
    def num_prompts(self) -> int:
        """Prompts that were ever offered, M."""
        return len(self.keys)

    @property
    def visits(self) -> int:
        """Visits with at least one scored rollout, V."""
        return int(self.visit_round.size)

    @property
    def rounds(self) -> int:
        """Rounds recorded, K; 0 if the file knows visits only."""
        return int(self.round_numbers.size)

    @property
    def rated(self) -> NDArray[np.bool_]:
        """Whether a prompt has a recorded rate, bool `[M]`."""
        return np.diff(self.offsets) > 0

    def rates(self, smooth: int = 0) -> NDArray[np.float32]:
        r"""Success rate at each visit, pooled with the visits of the same prompt around it.

        $\hat p_v = \sum_{|u - v| \le w} s_u / \sum_{|u - v| \le w} n_u$ over visits $u$ of the same prompt.

        Args:
            smooth: $w$, visits to either side; 0 is the visit's own rate.

        Returns:
            float32 `[V]`, in [0, 1].

        >>> SuccessHistory.from_rates({"a": [0.0, 0.5, 1.0]}).rates(smooth=1).tolist()
        [0.25, 0.5, 0.75]
        """
        result = np.empty(self.visits, dtype=np.float32)
        for block, won, seen in self._pooled(smooth, self.visit_successes, self.visit_count):
            result[block] = np.clip(won / seen, 0.0, 1.0)
        return result

    def varying(self, smooth: int = 0) -> NDArray[np.float32] | None:
        r"""How far the rewards of a group differ at each visit, as a share of what successes and failures do.

        Squared deviations from the mean of a visit, over those of whole successes and failures of the same sum, both
        summed over the visits around it: $\frac{\sum_u (s_u f_u/n_u - g_u)}{\sum_u s_u f_u/n_u}$.

        Args:
            smooth: as of `rates`.

        Returns:
            float32 `[V]`, from 0 (all rewards are equal) to 1 (they are 0 and 1); None where no reward was graded.
        """
        if not self.visit_graded.size:
            return None
        won, n = self.visit_successes.astype(np.float64), self.visit_count
        whole = won * np.maximum(n - won, 0.0) / n
        differ = np.maximum(whole - self.visit_graded, 0.0)
        result = np.empty(self.visits, dtype=np.float32)
        for block, some, all_of_it in self._pooled(smooth, differ, whole):
            share = np.minimum(some / np.where(all_of_it > 0.0, all_of_it, 1.0), 1.0)
            result[block] = np.where(all_of_it > 0.0, np.where(share > ROUNDING, share, 0.0), 1.0)
        return result

    def _pooled(
        self, smooth: int, one: NDArray[Any], other: NDArray[Any]
    ) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Sums of two columns over the visits of the same prompt around each, block by block."""
        for block in blocks(self.visits):
            low, high = max(block.start - smooth, 0), min(block.stop + smooth, self.visits)
            visit = np.arange(block.start, block.stop)
            prompt = np.searchsorted(self.offsets, visit, side="right") - 1
            first = np.maximum(visit - smooth, self.offsets[prompt]) - low
            after = np.minimum(visit + smooth + 1, self.offsets[prompt + 1]) - low
            sums = [np.concatenate([[0.0], np.cumsum(part[low:high], dtype=np.float64)]) for part in (one, other)]
            yield block, sums[0][after] - sums[0][first], sums[1][after] - sums[1][first]

    def offered(self, k: int) -> IntArray:
        """Rows that were offered in the k-th recorded round, int64 `[P]`."""
        return self.candidates[self.candidate_offsets[k] : self.candidate_offsets[k + 1]].astype(np.int64)

    def only(self, rows: IntArray) -> SuccessHistory:
        """The visits of these prompts alone, without the rounds in which they were offered.

        Args:
            rows: int64 `[P]`, no repeats.

        >>> SuccessHistory.from_rates({"a": [0.0, 0.5], "b": 1.0}).only(np.array([1])).rates().tolist()
        [1.0]
        """
        sizes = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        visits = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes) + np.repeat(self.offsets[:-1][rows], sizes)
        return SuccessHistory(
            keys=[self.keys[row] for row in rows.tolist()],
            offsets=offsets,
            visit_round=self.visit_round[visits],
            visit_successes=self.visit_successes[visits],
            visit_count=self.visit_count[visits],
            round_numbers=self.round_numbers[:0],
            candidates=self.candidates[:0],
            candidate_offsets=self.candidate_offsets[:1],
            rollouts=self.rollouts[:0],
            notes=self.notes,
        )

    @classmethod
    def from_rates(cls, rates: Mapping[Key, Any]) -> SuccessHistory:
        """From the rates of each prompt: one, or a list with one per visit, a rate or (successes, rollouts) each.

        Args:
            rates: by prompt; numbers, text such as "3/8" or "50%", and None for a visit without a rate.

        Raises:
            TraceError: a rate is not in [0, 1], a pair is no pair of counts, or there is not one.

        >>> SuccessHistory.from_rates({"a": 0.5, "b": [(3, 8), None]}).rates().tolist()
        [0.5, 0.375]
        """
        return cls(**from_rates(rates))

    @classmethod
    def from_trace(cls, path: str | os.PathLike[str], progress: Progress | None = None) -> SuccessHistory:
        """From a trace, see `cero_api.trace`.

        Args:
            path: of the file.
            progress: called with the share of the file that is read.

        Raises:
            TraceError: the file is no trace, or has a bad line.
        """
        return cls(**from_trace(path, progress))
