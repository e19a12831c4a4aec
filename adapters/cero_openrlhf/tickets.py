"""A prompt that knows how many rollouts it was dealt, and whose rollouts are one group.

It travels to the rollout engines and comes back in every response, for executors echo the prompt that they were given.
Engines import this module, so it imports nothing.
"""

from __future__ import annotations

from typing import Any


class Ticket(str):
    """A prompt's text, and what the adapter must know when its rollouts come back.

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
