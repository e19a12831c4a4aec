"""The allocator's state in OpenRLHF's own checkpoints: it travels in the state of the prompt loader."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from cero_api.errors import CheckpointError
from cero_openrlhf.books import Books
from cero_openrlhf.early import OTHER_DATASET, keep_settings

logger = logging.getLogger(__name__)

KEY = "cero"


class LoaderWithBooks:
    """OpenRLHF's prompt loader, whose state carries the allocator's.

    Both trainers save and restore the loader's state, in DeepSpeed's checkpoint, and nothing else of the generating
    side. Stock OpenRLHF can resume such a checkpoint: its loader ignores the additional entry.

    Args:
        loader: OpenRLHF's `StatefulDataLoader`.
        books: of the allocator.
        pool: fingerprint of the train dataset, whose rows the allocator's state speaks of.
        fresh_start: whether a new allocator goes on where the state has none, or another run's.
        folder: of the checkpoints, beside which the allocator's settings are kept; None keeps none.
        dataset: what the next start will know the train dataset by; None if nobody could look at it.
    """

    def __init__(
        self,
        loader: Any,
        books: Books,
        pool: str,
        fresh_start: bool = False,
        folder: str | None = None,
        dataset: str | None = None,
    ) -> None:
        self._loader = loader
        self._books = books
        self._pool = pool
        self._fresh_start = fresh_start
        self._folder = folder
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_loader"], name)

    def state_dict(self) -> dict[str, Any]:
        """The loader's state, and the allocator's beside it."""
        self._keep()
        books = self._books.state_dict()
        # As a tensor: OpenRLHF logs what it restores, and a tensor is printed in short.
        books["allocator"] = torch.frombuffer(bytearray(books["allocator"]), dtype=torch.uint8)
        return {**self._loader.state_dict(), KEY: {**books, "pool": self._pool}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore both.

        Raises:
            CheckpointError: there is no allocator state, or it is of another dataset, allocator or configuration.
        """
        loader = {name: value for name, value in state.items() if name != KEY}
        try:
            self._restore(state.get(KEY))
        except CheckpointError as error:
            if not self._fresh_start:
                raise CheckpointError(
                    f"{error}; or pass --cero.fresh_start to go on with a new allocator, which forgets what was learned"
                ) from error
            logger.warning("a new allocator goes on with this checkpoint: %s", error)
        self._loader.load_state_dict(loader)

    def _keep(self) -> None:
        """Keep the settings, once; OpenRLHF asks for the state after every step, also where it saves none."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            keep_settings(folder, self._books.allocator, self._books.judged_by, self._dataset)
        except OSError as error:
            logger.warning("the next start cannot judge early whether it fits this one's checkpoints: %s", error)

    def _restore(self, books: Mapping[str, Any] | None) -> None:
        if books is None:
            raise CheckpointError(
                "the checkpoint has no allocator state: it was not written by cero_openrlhf; resume one that was"
            )
        lacking = {"allocator", "next", "pool", "unbudgeted"} - books.keys()
        if lacking:
            raise CheckpointError(
                f"the allocator's state is torn, it has no {min(lacking)}; load an earlier checkpoint"
            )
        if books["pool"] != self._pool:
            raise CheckpointError(f"the checkpoint was written with {OTHER_DATASET}")
        self._books.load_state_dict({**books, "allocator": bytes(books["allocator"].numpy())})
