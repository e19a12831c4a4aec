"""No reward ends a training: what cannot be used is left out or clipped, counted, and named once."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch

from cero_api import make_allocator
from cero_api.errors import ConfigurationError
from cero_api.rewards import SuccessRule
from cero_openrlhf.books import Books
from cero_openrlhf.feedback import Verdicts, number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.tensor([0.5], dtype=torch.bfloat16), 0.5),
        (torch.tensor(0.25, requires_grad=True), 0.25),
        (torch.tensor([[1.0]]), 1.0),
        (np.float32(0.75), 0.75),
        ([1], 1.0),
        (True, 1.0),
        (None, math.nan),
        ("good", math.nan),
        ([], math.nan),
        (math.inf, math.inf),
    ],
)
def test_a_reward_is_read_from_whatever_holds_it(value: object, expected: float) -> None:
    assert number(value) == pytest.approx(expected, nan_ok=True)


def test_a_key_that_never_was_stops_and_one_that_is_missing_once_does_not() -> None:
    with pytest.raises(ConfigurationError, match=r"extra_logs, which has \['place'\]"):
        Verdicts("acc").of({"reward": 1.0, "extra_logs": {"place": 1.0}})
    verdicts = Verdicts("acc")
    assert verdicts.of({"reward": 1.0, "extra_logs": {"acc": 1.0}}) == 1.0
    assert math.isnan(verdicts.of({"reward": 1.0, "extra_logs": {}}))


def dealt(rule: SuccessRule, rewards: list[float]) -> dict[str, float]:
    books = Books(make_allocator("uniform", num_prompts=4, rounds=4, budget=64, rollouts_per_prompt=4), None, rule)
    books.begin()
    [(uid, count)] = books.deal([2], 4)
    assert count == len(rewards)
    for reward in rewards:
        books.reward(uid, reward, "2+2=")
    return books.metrics()


def test_a_reward_outside_of_the_range_counts_as_its_end(caplog: pytest.LogCaptureFixture) -> None:
    numbers = dealt(SuccessRule(reward_range=(0, 1)), [0.0, 1.0, 7.0, -3.0])
    assert (numbers["rewards_clipped"], numbers["rewards_missing"]) == (2, 0)
    assert numbers["round_success_rate"] == 0.5
    assert "reward 7 of prompt 2+2= is outside of --cero.reward_range=(0, 1)" in caplog.text


def test_what_is_no_reward_is_refunded(caplog: pytest.LogCaptureFixture) -> None:
    numbers = dealt(SuccessRule(), [math.nan, 1.0, math.inf, 0.0])
    assert (numbers["rewards_missing"], numbers["budget_refunded"]) == (2, 2)
    assert numbers["round_success_rate"] == 0.5
    assert "prompt 2+2= came back without a reward" in caplog.text


def test_rewards_that_stay_away_are_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    books = Books(make_allocator("uniform", num_prompts=4, rounds=60, budget=240, rollouts_per_prompt=2))
    for _ in range(60):
        books.begin()
        for uid, count in books.deal([1, 2], 2):
            for _ in range(count):
                books.reward(uid, math.nan, "2+2=")
        books.metrics()
    assert caplog.text.count("the latest 100 rollouts came back without a single usable reward") == 1


def test_a_rule_that_fits_no_reward_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    books = Books(make_allocator("uniform", num_prompts=4, rounds=8, budget=64, rollouts_per_prompt=2))
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            books.begin()
            [(uid, _)] = books.deal([1], 2)
            books.reward(uid, -0.5)
            books.reward(uid, 0.25)
            books.metrics()
    [said] = [record.message for record in caplog.records if "success_threshold" in record.message]
    assert "rewards go from -0.5 to 0.25; set --cero.success_threshold between them" in said
