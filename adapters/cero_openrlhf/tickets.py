"""What travels between OpenRLHF's processes: prompts that know what they were dealt, batches that know the books.

Engines and queues import this module, so it imports nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Ticket(str):
    """A prompt's text, and what the adapter must know when its rollouts come back.

    It comes back in every response, for executors echo the prompt that they were given.

    Args:
        text: the prompt.
        uid: names one group; no two tickets of a training share it.
        row: of the prompt in the allocator's pool.
        rollouts: how many it was dealt (not `count`, which is a method of strings).
        chunk: which of the chunks under way it was dealt in; refills inherit it.

    >>> ticket = Ticket("2+3=", uid=7, row=0, rollouts=4, chunk=0)
    >>> ticket == "2+3=", ticket.rollouts
    (True, 4)
    """

    __slots__ = ("chunk", "rollouts", "row", "uid")

    uid: int
    row: int
    rollouts: int
    chunk: int

    def __new__(cls, text: str, uid: int, row: int, rollouts: int, chunk: int) -> Ticket:  # noqa: D102
        ticket = super().__new__(cls, text)
        ticket.uid, ticket.row, ticket.rollouts, ticket.chunk = uid, row, rollouts, chunk
        return ticket

    def __reduce__(self) -> tuple[Any, ...]:
        return Ticket, (str(self), self.uid, self.row, self.rollouts, self.chunk)


class Batch(list[Any]):
    """Rollouts of one training batch, and the allocator's numbers when it was generated, for whoever trains on it."""

    metrics: dict[str, float]

    def __init__(self, samples: Sequence[Any], metrics: dict[str, float]) -> None:
        super().__init__(samples)
        self.metrics = metrics
