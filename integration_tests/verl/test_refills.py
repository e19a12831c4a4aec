"""Where verl replaces groups, whoever allocates: totals kept, no slot empty, and an end; no training needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cero_api import available_allocators, make_allocator
from cero_api.config import Scope
from cero_ray import Desk
from cero_verl.config import Schedule, VerlAllocatorConfig, allocator_config

# Some of these dispatches have one ticket.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

BATCH, MEAN, STEPS, PROMPTS = 4, 4, 6, 16
RATES = (0.0, 0.5, 1.0, 0.2)


class Trainer:
    """verl's replay buffer in an asynchronous mode, as far as counts go: it evicts, and asks for as many again."""

    def __init__(self, desk: Desk, chooses: bool) -> None:
        self.desk, self.chooses = desk, chooses
        self.drawn = 0
        self.waiting: list[list[float]] = []  # rewards of the groups that can be trained on
        self.rng = np.random.default_rng(0)
        self.dispatched = 0

    def generate(self, prompts: int) -> None:
        """Dispatch so many prompts, and what takes the place of those without contrast."""
        while prompts:
            tickets = [f"{self.drawn + i}" for i in range(prompts)]
            rows = [(self.drawn + i) % PROMPTS for i in range(prompts)]
            self.drawn += prompts
            if self.chooses:
                rows, counts = self.desk.deal_pool(tickets, rows, mean=MEAN)
            else:
                counts = self.desk.deal(tickets, rows, mean=MEAN)
            assert sum(counts) <= MEAN * prompts
            assert min(counts) >= 2, (
                "verl waits for ever for a prompt without rollouts, and trains on no contrast of one"
            )
            self.dispatched += sum(counts)
            groups = [
                (self.rng.random(count) < RATES[row % 4]).astype(float) for row, count in zip(rows, counts, strict=True)
            ]
            for ticket, group in zip(tickets, groups, strict=True):
                for session, reward in enumerate(group):
                    self.desk.report(ticket, session, reward)
            kept = [group.tolist() for group in groups if np.ptp(group) > 0]
            self.waiting += kept
            prompts -= len(kept)

    def step(self) -> None:
        """A batch to train on, and the next one into the queue."""
        self.generate(BATCH)
        del self.waiting[:BATCH]


@pytest.mark.parametrize("capacity", [MEAN, 2 * MEAN])
@pytest.mark.parametrize("scope", ["batch", "window", "pool"])
@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_filtered_groups_are_replaced_to_the_end(name: str, scope: Scope, capacity: int) -> None:
    """Of which half never have contrast, so that a replacement is mostly replaced in its turn."""
    schedule = Schedule(STEPS, BATCH, MEAN, capacity, BATCH, 2 * BATCH, True, PROMPTS, PROMPTS)
    settings = VerlAllocatorConfig(name=name, scope=scope, reserve=10)
    config = allocator_config(settings, {}, schedule)
    desk = Desk(make_allocator(name, config))
    trainer = Trainer(desk, settings.picks_prompts)
    trainer.generate(BATCH)  # the warm-up
    for _ in range(STEPS):
        trainer.step()
        assert len(trainer.waiting) == BATCH
    numbers: dict[str, Any] = desk.metrics()
    assert numbers["outstanding"] == 0
    assert numbers["budget_spent"] + numbers["unbudgeted"] == trainer.dispatched
    assert not math.isnan(numbers["effective_group_rate"])
