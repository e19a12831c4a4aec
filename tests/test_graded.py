"""Graded rewards from the reward function to the report: contrast is their spread, not their sum."""

from pathlib import Path

import numpy as np
import pytest

from cero_api import CeroAllocator, CeroConfig
from cero_api.adapting import round_numbers
from cero_api.analysis.report import RunSummary
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceReader, TraceWriter
from cero_ray import Deal, Desk
from cero_ray.desk import spread

# Sums of two in four each: whole, always the same, and a little apart.
WHOLE, FLAT, NEAR = [1.0, 0.0, 1.0, 0.0], [0.5] * 4, [0.25, 0.75, 0.5, 0.5]


def test_a_round_says_how_far_its_rewards_differ() -> None:
    counts, half = np.array([4, 4, 4]), np.full(3, 2.0)
    numbers = round_numbers(counts, half, half, squares=np.array([2.0, 1.0, 1.125]))
    assert numbers["round_effective_group_rate"] == pytest.approx(2 / 3)
    assert numbers["round_signal"] == pytest.approx((1 / 3 + 0 + 0.125 / 3) / 3)
    assert round_numbers(counts, half, half)["round_effective_group_rate"] == 1.0


def test_deals_say_how_far_their_rewards_differ() -> None:
    deals = [Deal(0, row, 4, 0, dict(enumerate(shares))) for row, shares in enumerate([WHOLE, FLAT, NEAR])]
    assert spread(deals)["round_effective_group_rate"] == pytest.approx(2 / 3)


def test_a_desk_books_and_records_the_spread(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        config = CeroConfig(num_prompts=6, rounds=4, budget=64)
        desk = Desk(CeroAllocator(config), SuccessRule(reward_range=(-1, 1)), trace)
        counts = desk.deal(["a", "b", "c"], [4, 1, 3], mean=4)
        assert counts == [4, 4, 4]
        for ticket, shares in zip("abc", (WHOLE, FLAT, NEAR), strict=True):
            for session, share in enumerate(shares):
                desk.report(ticket, session, 2 * share - 1)
        desk.book()
    (record,) = TraceReader(tmp_path / "trace.jsonl")
    assert record.successes.tolist() == [2.0, 2.0, 2.0]
    assert record.squares.tolist() == [2.0, 1.0, 1.125]
    run = RunSummary.of_trace(tmp_path / "trace.jsonl")
    assert run.effective.tolist() == [2]
    assert run.signal[0] == pytest.approx(4 * (1 / 3 + 0.125 / 3))
