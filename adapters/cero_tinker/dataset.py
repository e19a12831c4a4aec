"""The cookbook's dataset, whose batches are what an allocator deals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import chz
from tinker_cookbook.rl.types import EnvGroupBuilder, RLDataset, RLDatasetBuilder

from cero_api import RolloutAllocator
from cero_tinker.books import Books
from cero_tinker.counts import Resize
from cero_tinker.groups import AllocatedGroup
from cero_tinker.prompts import Prompts


class AllocatedDataset(RLDataset):
    """A user's dataset, in whose batches every prompt has as many rollouts as it was dealt.

    Every call of `get_batch` is a round. `cero_tinker.allocated` makes one.

    Args:
        prompts: of the user's dataset.
        books: of the allocator.
        resize: makes of a group builder one of another size.
    """

    def __init__(self, prompts: Prompts, books: Books, resize: Resize) -> None:
        self._prompts = prompts
        self._books = books
        self._resize = resize

    @property
    def allocator(self) -> RolloutAllocator:
        """The allocator, with `metrics()`, `exposure()` and `success_rate()`."""
        return self._books.allocator

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        """The groups of the next round, with the total of the user's batch at `index`."""
        round = self._books.deal(index)
        dealt = round.allocation.counts > 0
        rows, counts = round.allocation.prompt_ids[dealt].tolist(), round.counts.tolist()
        builders = self._prompts.builders(rows, index)
        return [
            AllocatedGroup(self._resize(builder, count), count, round, place, self._books)
            for place, (builder, count) in enumerate(zip(builders, counts, strict=True))
        ]

    def __len__(self) -> int:
        return len(self._prompts.rows)


class Prepared:
    """Datasets that are built already, which the cookbook's dump of its configuration need not look into.

    Args:
        train: with counts of the allocator's.
        test: the user's own.
        told: what the dump says of them.
    """

    def __init__(self, train: AllocatedDataset, test: Any, told: dict[str, Any]) -> None:
        self.train = train
        self.test = test
        self._told = told

    def to_dict(self) -> dict[str, Any]:
        """For the cookbook's log of its configuration."""
        return self._told

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # the cookbook copies its configuration for that log


@chz.chz
class AllocatedDatasetBuilder(RLDatasetBuilder):
    """Hands the cookbook's loop datasets that were built, and found to fit, before it began.

    Args:
        inner: the user's own builder.
        prepared: what it built, with an allocator.
    """

    inner: RLDatasetBuilder
    prepared: Prepared

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        """The user's train dataset with counts of the allocator's, and the user's test dataset."""
        return self.prepared.train, self.prepared.test
