"""A rule that tells no reward from another is spoken of once, after some rounds with contrast, and no other rule is."""

import re

import numpy as np
import pytest

from cero_api.adapting import Judge, RewardWatch
from cero_api.rewards import SuccessRule

GROUPS = np.array([7, 7, 8, 8])


def said(rule: SuccessRule, rewards: list[list[float]], rounds: int = 3) -> list[str]:
    watch, judge = RewardWatch(rule, "x.", rounds), Judge(rule)
    spoken = [watch.look(GROUPS, np.array(row), judge.shares(row)) for row in rewards]
    return [sentence for sentence in spoken if sentence is not None]


@pytest.mark.parametrize(
    ("threshold", "low", "high", "what"), [(None, -0.5, 0.25, "no reward"), (0.0, 1.0, 3.0, "every reward")]
)
def test_all_on_one_side(threshold: float | None, low: float, high: float, what: str) -> None:
    (sentence,) = said(SuccessRule(success_threshold=threshold), [[low, high, low, low]] * 9)
    pattern = rf"in 3 rounds {what} reached x\.success_threshold=.*rewards go from {low:g} to {high:g}; set x\.success"
    assert re.match(pattern, sentence)


def test_rounds_without_contrast_say_nothing() -> None:
    assert said(SuccessRule(), [[0.0] * 4] * 9) == []
    assert said(SuccessRule(), [[0.0, 0.0, 0.5, 0.5]] * 9) == []  # between groups, not inside of one
    assert said(SuccessRule(), [[0.0, 0.5, 0.0, 0.0]] * 2) == []


def test_one_success_and_one_failure_are_enough() -> None:
    assert said(SuccessRule(), [[0.0, 0.5, 1.0, 0.0]] + [[0.0, 0.5, 0.0, 0.0]] * 9) == []
    assert said(SuccessRule(), [[0.0, 0.5, 0.0, 0.0]] * 2 + [[1.0, 1.0, 1.0, 1.0]] + [[0.0, 0.5, 0.0, 0.0]] * 9) == []


def test_a_range_and_missing_rewards() -> None:
    assert said(SuccessRule(reward_range=(-1, 1)), [[0.0, 0.5, 0.0, 0.0]] * 9) == []
    nothing = float("nan")
    assert said(SuccessRule(), [[nothing] * 4] * 9) == []
    assert len(said(SuccessRule(), [[0.1, 0.5, nothing, nothing]] * 9)) == 1
