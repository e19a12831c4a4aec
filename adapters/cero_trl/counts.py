"""Counts into generation: which dataset rows a generation batch holds, and how many rollouts of each.

The rollouts of a prompt are neighbours, and prompts keep the order of the allocation. A group is one entry of
the allocation, never "equal text": two dataset rows with the same prompt stay apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cero_api import Allocation
from cero_api.errors import BudgetError, CeroError, PromptError


def candidates(rows: Sequence[int], group_size: int) -> NDArray[np.int64]:
    """The prompts of a loader's batch, in order: every run of `group_size` equal rows is one prompt.

    A row that a sampler hands out twice in one batch is one candidate, hence one (larger) group: it is the
    same prompt, and the allocator keeps one belief about it.

    Args:
        rows: dataset rows of the whole generation batch, over all ranks, in order.
        group_size: TRL's `num_generations`.

    Returns:
        int64 `[P]`, without repeats.

    Raises:
        PromptError: the rows are not runs of equal rows: a custom sampler broke TRL's layout.

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


def check_filled(allocation: Allocation, total: int, num_prompts: int) -> None:
    """Refuse an allocation that does not fill the generation batch exactly.

    Args:
        allocation: the allocator's answer; prompt ids are dataset rows.
        total: rollouts the trainer must generate, in all waves and on all ranks together.
        num_prompts: length of the dataset.

    Raises:
        BudgetError: fewer or more rollouts than `total`.
        PromptError: a prompt that is not in the dataset, or listed twice.
    """
    ids, counts = allocation.prompt_ids, allocation.counts
    dealt = allocation.total + allocation.to_commit
    if counts.min(initial=0) < 0 or dealt != total:
        raise BudgetError(
            f"round {allocation.round}: the allocator gave {dealt} rollouts, the trainer "
            f"generates {total} in every round; give the allocator budget and "
            "caps for that, or train fewer steps"
        )
    if ids.min(initial=0) < 0 or ids.max(initial=0) >= num_prompts or np.unique(ids).size != ids.size:
        raise PromptError(
            f"round {allocation.round}: the allocator must name rows of the train dataset (0 to "
            f"{num_prompts - 1}), each once; build it with num_prompts={num_prompts}"
        )


def check_agreed(allocation: Allocation, accelerator: Any) -> None:
    """Refuse a round that the ranks' copies of the allocator have dealt differently.

    Each rank runs its own copy on the same evidence, so nothing is broadcast. A copy that has drifted would train on
    mislabelled groups without a word.

    Args:
        allocation: this rank's.
        accelerator: that TRL's trainer has.

    Raises:
        CeroError: two ranks were dealt differently.
    """
    if accelerator.num_processes > 1:
        mine = torch.tensor([checksum(allocation)], device=accelerator.device)
        if accelerator.gather(mine).unique().numel() > 1:
            raise CeroError(
                f"round {allocation.round}: the ranks' allocators disagree; give every rank an equal one, with the "
                "same configuration and seed, that draws on no global random state"
            )


def group_sizes(allocation: Allocation) -> NDArray[np.int64]:
    """Sizes of the groups that are generated, int64: the counts without the zeros."""
    return allocation.counts[allocation.counts > 0]


def share_of_rank(allocation: Allocation, rank: int, world_size: int) -> list[int]:
    """Dataset rows of one rank's rollouts: an equal contiguous slice, as TRL slices its own batches.

    >>> share_of_rank(Allocation(0, np.array([8, 5]), np.array([3, 1])), rank=1, world_size=2)
    [8, 5]
    """
    per_rank = allocation.total // world_size
    rows: list[int] = allocation.prompt_ids_per_rollout.tolist()
    return rows[rank * per_rank : (rank + 1) * per_rank]


def checksum(allocation: Allocation) -> int:
    """A number that two ranks share only if (but for chance) they were dealt the same."""
    return zlib.crc32(allocation.prompt_ids.tobytes() + allocation.counts.tobytes())
