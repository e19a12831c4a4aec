"""The numbers of a round are those of its groups, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.adapting import round_numbers


@given(groups=st.lists(st.lists(st.booleans(), max_size=9), min_size=1, max_size=8))
def test_against_the_groups_themselves(groups: list[list[bool]]) -> None:
    counts = np.array([len(group) for group in groups])
    won = np.array([float(sum(group)) for group in groups])
    numbers = round_numbers(counts, won, counts - won)
    dealt = [group for group in groups if group]
    assert numbers["count_zero"] == len(groups) - len(dealt)
    if not dealt:
        return
    sizes = [len(group) for group in dealt]
    assert (numbers["count_min"], numbers["count_max"]) == (min(sizes), max(sizes))
    assert numbers["count_mean"] == pytest.approx(sum(sizes) / len(sizes))
    assert numbers["round_effective_group_rate"] == pytest.approx(np.mean([len(set(group)) == 2 for group in dealt]))
    assert numbers["round_success_rate"] == pytest.approx(sum(map(sum, dealt)) / sum(sizes))
    signal = sum(len(group) * np.var(group, ddof=1) for group in dealt if len(group) > 1) / sum(sizes)
    assert numbers["round_signal"] == pytest.approx(signal)
    shares = {name: share for name, share in numbers.items() if name.startswith("count_share_")}
    assert sum(shares.values()) == pytest.approx(1)
    for name, share in shares.items():
        low, _, high = name.removeprefix("count_share_").partition("_")
        assert share == pytest.approx(np.mean([int(low) <= len(group) <= int(high or low) for group in groups]))


def test_missing_rewards_are_no_failures() -> None:
    numbers = round_numbers(np.array([4, 4]), np.array([2.0, 0.0]), np.array([0.0, 0.0]))
    assert numbers["round_success_rate"] == 1
    assert numbers["count_mean"] == 4


def test_tokens_are_those_of_scored_rollouts() -> None:
    counts, won, lost = np.array([4, 4, 0]), np.array([2.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])
    numbers = round_numbers(counts, won, lost, tokens=np.array([30.0, 0.0, 0.0]))
    assert numbers["round_tokens_per_rollout"] == 10
    assert "round_tokens_per_rollout" not in round_numbers(counts, won, lost)


def test_contrast_may_be_given() -> None:
    graded = round_numbers(np.array([2, 2]), np.array([1.0, 1.0]), np.array([1.0, 1.0]), np.array([True, False]))
    assert graded["round_effective_group_rate"] == 0.5
