"""Pool and window scope: the allocator picks the prompts, and the loader but sets the pace; test_async.py has more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from cero_api import RolloutOutcomes, make_allocator
from cero_api.adapting import prompt_features
from integration_tests.verl.tiny import Tiny, train


def test_a_window_serves_whole_groups_of_those_it_is_offered(tmp_path: Path) -> None:
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.scope=window",
        "rollout_allocator.cost=tokens",
        f"rollout_allocator.trace={tmp_path}/trace.jsonl",
    ]
    run = train(Tiny(tmp_path, steps=4, prompts=12, extra=flags))
    assert [sorted(counts.values()) for counts in run.counts()] == [[4, 4, 4, 4]] * 4
    # Twelve are on offer for four, of which no more are looked at than pays, and the best are served.
    alone = make_allocator(
        "cero", num_prompts=12, rounds=4, budget=64, max_rollouts_per_prompt=4, capacity=16, offer="window", window=3,
        variety=0.25, belief="features", features=known_features(tmp_path), cost="tokens",
    )  # fmt: skip
    for rows, counts in zip(run.steps, run.counts(), strict=True):
        allocation = alone.allocate(total=16)
        assert set(counts) == set(allocation.prompt_ids.tolist())
        prompts = allocation.prompt_ids
        won = np.array([sum(row.reward for row in rows if row.index == prompt) for prompt in prompts])
        tokens = np.array([sum(row.tokens for row in rows if row.index == prompt) for prompt in prompts])
        outcomes = RolloutOutcomes(prompts, won, allocation.counts - won, round=allocation.round, tokens=tokens)
        alone.observe(outcomes)


def known_features(folder: Path) -> np.ndarray:
    """Of the tiny dataset, as the adapter makes them: lengths and one source."""
    table = pq.read_table(folder / "train.parquet").to_pylist()
    return prompt_features([row["prompt"] for row in table], {"data_source": [row["data_source"] for row in table]})


def test_prices_may_leave_room_in_a_batch(tmp_path: Path) -> None:
    """Paced by its own prices, a round may admit fewer prompts of the pool; the slots left over generate nothing."""
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.scope=pool",
        "rollout_allocator.constant_total=false",
        # Less than the training could generate, so that the price must hold some of it back.
        "rollout_allocator.budget=36",
        "rollout_allocator.initial_price=0.9",
    ]
    run = train(Tiny(tmp_path, steps=3, prompts=12, extra=flags))
    sizes = [len(rows) for rows in run.steps]
    assert sum(sizes) == 36
    assert min(sizes) < 16
    assert all(len(rows) + padding == 16 for rows, padding in zip(run.steps, run.padding, strict=True))
    alone = make_allocator(
        "cero", num_prompts=12, rounds=3, budget=36, max_rollouts_per_prompt=4, capacity=16, initial_price=0.9
    )
    for rows, counts in zip(run.steps, run.counts(), strict=True):
        allocation = alone.allocate()
        while not allocation.total:  # a round in which nothing was worth its price is passed over
            allocation = alone.allocate()
        prompts = allocation.prompt_ids
        assert counts == dict(zip(prompts.tolist(), allocation.counts.tolist(), strict=True))
        won = np.array([sum(row.reward for row in rows if row.index == prompt) for prompt in prompts])
        alone.observe(RolloutOutcomes(prompts, won, allocation.counts - won, round=allocation.round))
    # Other prompts than the loader's, which are each of twelve once an epoch.
    assert len({row.index for rows in run.steps for row in rows}) < 12
