"""A budget in tokens: kept by every method, through drifting lengths, late rewards and restarts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cero_api import (
    BaseAllocator,
    BudgetError,
    InvalidOutcomeError,
    RolloutOutcomes,
    available_allocators,
    continued,
    make_allocator,
)
from cero_api._types import IntArray

# Small rounds at the end leave nothing to decide.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

PROMPTS, ROUNDS, TOKENS = 48, 60, 400_000
# Twice the rollouts that the tokens will pay for, so that these decide.
SIZE: dict[str, Any] = {"num_prompts": PROMPTS, "rounds": ROUNDS, "budget": ROUNDS * 32, "token_budget": TOKENS}


def made(name: str, **fields: Any) -> BaseAllocator[Any, Any]:
    allocator = make_allocator(name, **SIZE, **fields)
    assert isinstance(allocator, BaseAllocator)
    return allocator


def generated(rng: np.random.Generator, rows: IntArray, counts: IntArray, round: int, drift: float) -> np.ndarray:
    """Tokens of each prompt's rollouts: ten times as many of the longest as of the shortest, and more each round."""
    mean = 100 * 10 ** (rows / (PROMPTS - 1)) * (1 + drift * round / ROUNDS)
    return rng.gamma(4 * np.maximum(counts, 1e-9), mean / 4).round() * (counts > 0)


def played(
    allocator: BaseAllocator[Any, Any],
    *,
    seed: int = 0,
    drift: float = 0.0,
    candidates: bool = False,
    late: int = 0,
    first: int = 0,
    last: int = ROUNDS,
) -> list[tuple[int, float]]:
    """Rollouts and tokens of each round; rewards come so many rounds late, all of them by the end."""
    rng, sizes, waiting = np.random.default_rng(seed), [], []
    rng.random(first)
    for k in range(first, last):
        rows = np.random.default_rng((seed, k)).choice(PROMPTS, 8, replace=False) if candidates else None
        allocation = allocator.allocate(rows)
        assert allocation.total <= 2 * SIZE["budget"] / ROUNDS
        draw = np.random.default_rng((seed, k, 1))
        tokens = generated(draw, allocation.prompt_ids, allocation.counts, k, drift)
        won = draw.binomial(allocation.counts, 0.4)
        waiting.append(
            RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round, tokens=tokens)
        )
        sizes.append((allocation.total, float(tokens.sum())))
        if len(waiting) > late:
            allocator.observe(waiting.pop(0))
    for outcomes in waiting:
        allocator.observe(outcomes)
    return sizes


@pytest.mark.parametrize("offer", ["pool", "window"])
@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_every_method_spends_it_evenly(name: str, offer: str) -> None:
    allocator = made(name, offer=offer)
    rounds = played(allocator)
    numbers = allocator.metrics()
    assert numbers["tokens"] == sum(tokens for _, tokens in rounds)
    assert numbers["tokens_remaining"] == TOKENS - numbers["tokens"]
    assert abs(numbers["tokens_remaining"]) < TOKENS / ROUNDS, "more than a round's tokens are left, or too many spent"
    assert numbers["budget_remaining"] > SIZE["budget"] / 5
    by_quarter = [sum(tokens for _, tokens in rounds[k : k + 15]) / TOKENS for k in (0, 15, 30, 45)]
    # The first round, of which no length is known, is larger than the others.
    assert by_quarter == pytest.approx([0.25] * 4, abs=0.06)


@pytest.mark.parametrize(("drift", "late"), [(2.0, 0), (-0.5, 0), (0.0, 3), (2.0, 3)])
@pytest.mark.parametrize("candidates", [False, True])
def test_drift_and_late_rewards_are_made_good(candidates: bool, drift: float, late: int) -> None:
    """Over a few rounds, as long as there are some left."""
    for seed in range(3):
        allocator = made("cero", offer="window")
        played(allocator, seed=seed, drift=drift, candidates=candidates, late=late)
        assert abs(allocator.metrics()["tokens_remaining"]) < (2 + late) * TOKENS / ROUNDS


def test_a_round_deals_what_its_share_of_the_tokens_pays_for() -> None:
    """By hand, with rollouts out; and the first round deals its share of the rollouts, no length being known."""
    allocator = make_allocator(
        "uniform", num_prompts=64, rounds=4, budget=4 * 32, token_budget=20_000, rollouts_per_prompt=4
    )
    first = allocator.allocate()
    assert first.total == 32
    half = first.prompt_ids[:4]
    sixteen = RolloutOutcomes(half, [4] * 4, [0] * 4, round=0, tokens=[1000] * 4)  # 250 a rollout
    allocator.observe(sixteen)
    assert allocator.allocate().total == (20_000 - 4000 - 16 * 250) // (3 * 250) // 4 * 4
    assert allocator.metrics()["tokens_remaining"] == 16_000


def test_it_ends_for_good() -> None:
    allocator = made("cero")
    played(allocator, last=5)
    allocation = allocator.allocate()
    out = RolloutOutcomes(
        allocation.prompt_ids, allocation.counts, 0 * allocation.counts, tokens=1e6 * allocation.counts
    )
    allocator.observe(out)
    assert allocator.metrics()["tokens_remaining"] < 0
    assert [allocator.allocate(rows).total for rows in (None, [1, 2, 3], None)] == [0, 0, 0]


@pytest.mark.parametrize("name", ["cero", "uniform"])
def test_a_resumed_training_deals_as_if_it_had_never_stopped(name: str) -> None:
    whole = played(made(name), drift=1.0)
    before = made(name)
    assert played(before, drift=1.0, last=25) == whole[:25]
    after = made(name)
    after.load_state_dict(before.state_dict())
    assert played(after, drift=1.0, first=25) == whole[25:]


def test_it_may_be_raised_where_a_training_goes_on() -> None:
    allocator = made("cero")
    played(allocator)
    config = allocator.config.model_copy(update={"rounds": 90, "budget": 90 * 32, "token_budget": 600_000})
    longer = continued(allocator, config)
    assert isinstance(longer, BaseAllocator)
    played(longer, first=ROUNDS, last=90)
    assert abs(longer.metrics()["tokens_remaining"]) < 2 * 600_000 / 90


def test_what_cannot_keep_it_is_refused() -> None:
    allocator = made("cero")
    with pytest.raises(BudgetError, match="total=16 was asked for, and token_budget=400000 decides"):
        allocator.allocate(total=16)
    allocation = allocator.allocate()
    before = allocator.metrics()
    with pytest.raises(InvalidOutcomeError, match=r"give RolloutOutcomes\(tokens="):
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, allocation.counts, 0 * allocation.counts))
    assert allocator.metrics() == before
