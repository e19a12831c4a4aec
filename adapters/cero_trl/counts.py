"""Counts into generation: which dataset rows the generation batch holds, and how many rollouts of each."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cero_api import Allocation
from cero_api.errors import BudgetError, PromptError


@dataclass(frozen=True)
class Deal:
    """One generation batch, as dealt: the rollouts of a prompt are neighbours, prompts keep the given order.

    A group is one entry of `prompt_ids`, never "equal text": two dataset rows with the same prompt stay apart.
    """

    round: int
    prompt_ids: NDArray[np.int64]  # [P] dataset rows, no repeats
    counts: NDArray[np.int64]  # [P] rollouts of each, 0 allowed

    @property
    def rows(self) -> NDArray[np.int64]:
        """Dataset row of every rollout, int64 `[N]`."""
        return np.repeat(self.prompt_ids, self.counts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Sizes of the groups that exist, in the order of `rows`: the counts without the zeros."""
        return self.counts[self.counts > 0]

    @property
    def checksum(self) -> int:
        """Equal on two ranks exactly when (but for chance) they dealt the same."""
        return zlib.crc32(self.prompt_ids.tobytes() + self.counts.tobytes())

    def share(self, rank: int, world_size: int) -> list[int]:
        """Dataset rows of this rank's rollouts: an equal contiguous slice, as TRL slices its own batches."""
        per_rank = len(self.rows) // world_size
        return [int(row) for row in self.rows[rank * per_rank : (rank + 1) * per_rank]]


def candidates(rows: Sequence[int], group_size: int) -> NDArray[np.int64]:
    """The prompts of a loader's batch, in order: every run of `group_size` equal rows is one prompt.

    A row that the sampler handed out twice in one batch is one candidate, hence one (larger) group: it is the same
    prompt, and the allocator keeps one belief about it.

    Args:
        rows: dataset rows of the whole generation batch, over all ranks, in order.
        group_size: TRL's `num_generations`.

    Returns:
        int64 `[P]`, without repeats.

    Raises:
        PromptError: the rows are not runs of equal rows, so a custom sampler or loader broke TRL's layout.

    >>> candidates([4, 4, 0, 0, 7, 7], 2)
    array([4, 0, 7])
    """
    runs = np.asarray(rows, dtype=np.int64)
    if runs.size % group_size or (runs.reshape(-1, group_size) != runs[::group_size, None]).any():
        raise PromptError(
            f"the generation batch is not made of runs of num_generations={group_size} equal dataset rows; "
            "use TRL's own sampler and batch sizes, or scope='pool', which ignores the loader's prompts"
        )
    return np.array(list(dict.fromkeys(runs[::group_size].tolist())), dtype=np.int64)


def deal(allocation: Allocation, total: int, num_prompts: int) -> Deal:
    """Check that an allocation fills the generation batch exactly.

    Args:
        allocation: the allocator's answer; prompt ids are dataset rows.
        total: rollouts the trainer must generate, on all ranks together.
        num_prompts: length of the dataset.

    Raises:
        BudgetError: fewer or more rollouts than `total`.
        PromptError: a prompt that is not in the dataset, or listed twice.
    """
    dealt = Deal(
        round=int(allocation.round),
        prompt_ids=np.asarray(allocation.prompt_ids, dtype=np.int64),
        counts=np.asarray(allocation.counts, dtype=np.int64),
    )
    if dealt.counts.min(initial=0) < 0 or int(dealt.counts.sum()) != total:
        raise BudgetError(
            f"round {dealt.round}: the allocator gave {int(dealt.counts.sum())} rollouts, the trainer generates "
            f"exactly {total} a round; give the allocator budget (and caps) for every round, or train fewer steps"
        )
    if dealt.prompt_ids.min(initial=0) < 0 or dealt.prompt_ids.max(initial=0) >= num_prompts:
        raise PromptError(f"the allocator chose rows outside the train dataset of {num_prompts} rows")
    if np.unique(dealt.prompt_ids).size != dealt.prompt_ids.size:
        raise PromptError("the allocator listed a prompt twice in one round")
    return dealt
