"""A synthetic training whose every round is kept: what the explaining figures draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api import RolloutOutcomes, make_allocator

PROMPTS, ROUNDS, BUDGET = 1000, 200, 32_000
BATCH, BATCH_TOTAL = 20, 160


@dataclass(frozen=True)
class Training:
    """What happened, by round.

    Args:
        rate: float64 `[M]`, success rate of each prompt, which stays as it is.
        counts: int64 `[K, M]`, rollouts of each prompt in each round.
        budget_price: float64 `[K]`, after each round; NaN for an allocator without one.
        prompt_price: float64 `[K, M]`, the same.
    """

    rate: NDArray[np.float64]
    counts: NDArray[np.int64]
    budget_price: NDArray[np.float64]
    prompt_price: NDArray[np.float64]


def train(name: str = "cero", *, batches: bool = False, seed: int = 0, **fields: Any) -> Training:
    """Deal every round of a budget of 32 rollouts a prompt, most prompts being far too hard or too easy.

    Args:
        name: of an allocator.
        batches: offer shuffled batches and ask for an exact total, as a trainer's loader does; else the whole pool.
        seed: of rates, rewards and loader.
        fields: of the allocator's configuration.
    """
    rng = np.random.default_rng(seed)
    rate = rng.beta(0.3, 0.6, PROMPTS)
    allocator = make_allocator(name, num_prompts=PROMPTS, rounds=ROUNDS, budget=BUDGET, **fields)
    counts = np.zeros((ROUNDS, PROMPTS), dtype=np.int64)
    budget_price, prompt_price = np.full(ROUNDS, np.nan), np.full((ROUNDS, PROMPTS), np.nan)
    loader = [rng.permutation(PROMPTS) for _ in range(-(-ROUNDS * BATCH // PROMPTS))]
    order = np.concatenate(loader)
    for k in range(ROUNDS):
        rows = order[k * BATCH : (k + 1) * BATCH]
        allocation = allocator.allocate(rows, BATCH_TOTAL) if batches else allocator.allocate()
        counts[k, allocation.prompt_ids] = allocation.counts
        won = rng.binomial(allocation.counts, rate[allocation.prompt_ids])
        outcomes = RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round)
        allocator.observe(outcomes)
        state = allocator.state_dict()
        budget_price[k] = state.get("budget_price", np.nan)
        prompt_price[k] = state.get("prompt_price", np.nan)
    return Training(rate, counts, budget_price, prompt_price)
