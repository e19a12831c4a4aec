"""Contrast from three sums, against the rewards themselves."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import RolloutOutcomes, group_advantages
from cero_api.mathematics.contrast import (
    alike_in_contrast,
    group_variance,
    has_contrast,
    squared_deviations,
    squares_fit,
    varying_share,
    whole_squares,
)

Sums = tuple[np.ndarray, np.ndarray, np.ndarray]
shares = st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), min_size=1, max_size=12)


def sums(*groups: Sequence[float]) -> Sums:
    won = np.array([sum(group) for group in groups])
    return won, np.array([len(group) for group in groups]) - won, np.array([np.square(group).sum() for group in groups])


@given(st.lists(shares, min_size=1, max_size=5))
def test_the_sums_tell_what_the_rewards_do(groups: list[list[float]]) -> None:
    won, lost, squares = sums(*groups)
    assert squares_fit(won, lost, squares).all()
    np.testing.assert_allclose(
        squared_deviations(won, lost, squares), [np.var(group) * len(group) for group in groups], atol=1e-12
    )
    np.testing.assert_allclose(
        group_variance(won, lost, squares),
        [float(np.var(group, ddof=1)) if len(group) > 1 else 0.0 for group in groups],
        atol=1e-12,
    )
    assert has_contrast(won, lost, squares).tolist() == [len(set(group)) > 1 for group in groups]


@given(st.lists(shares, min_size=1, max_size=5), st.sampled_from(["grpo", "dr_grpo", "rloo"]))
def test_a_group_is_effective_if_and_only_if_some_advantage_of_it_is_not_zero(
    groups: list[list[float]], estimator: str
) -> None:
    ids = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    rewards = np.concatenate([np.array(group) for group in groups])
    advantages = group_advantages(rewards, ids, estimator=estimator)  # type: ignore[arg-type]  # one of its literals
    outcomes = RolloutOutcomes.from_rewards(ids, rewards, reward_range=(0, 1))
    assert outcomes.mixed.tolist() == [bool(advantages[ids == group].any()) for group in outcomes.prompt_ids]


@given(st.floats(0, 1), st.integers(1, 64), st.integers(1, 64))
def test_equal_rewards_have_no_contrast_in_any_number_of_parts(share: float, one: int, other: int) -> None:
    """0.1 three times is 0.30000000000000004: rounding is no contrast."""
    parts = [RolloutOutcomes.from_rewards([0] * n, [share] * n, reward_range=(0, 1)) for n in (one, other)]
    won, lost, squares = (
        np.sum([getattr(part, name) for part in parts], axis=0) for name in ("successes", "failures", "squares")
    )
    assert not has_contrast(won, lost, squares).any()


@given(st.integers(1, 10**6), st.data())
def test_binary_rewards_keep_every_bit(size: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, size))
    won, lost = np.array([float(wins)]), np.array([float(size - wins)])
    squares = whole_squares(won, lost)
    assert squares[0] == won[0]
    assert has_contrast(won, lost, squares)[0] == (0 < wins < size)
    assert squared_deviations(won, lost, squares)[0] == won[0] * lost[0] / size
    assert group_variance(won, lost, squares)[0] == won[0] * lost[0] / max(size * (size - 1), 1)


@given(shares)
def test_no_rewards_have_more_squares_than_whole_ones(group: list[float]) -> None:
    won, lost, squares = sums(group)
    assert squares[0] <= whole_squares(won, lost)[0] + 1e-12
    if len(group) == 1:
        assert squares[0] == whole_squares(won, lost)[0]
    assert not squares_fit(won, lost, won + 0.01).any()
    assert not squares_fit(won, lost, won**2 / len(group) - 0.01).any()


@pytest.mark.parametrize("size", [2, 4, 8, 1000])
def test_the_variance_is_at_most_n_over_4_n_minus_1(size: int) -> None:
    won = np.arange(size + 1.0)
    assert group_variance(won, size - won, won).max() == pytest.approx(size / (4 * (size - 1)))


def test_no_rewards_at_all_have_no_contrast() -> None:
    none = np.zeros(1)
    assert squared_deviations(none, none, none).tolist() == group_variance(none, none, none).tolist() == [0.0]
    assert not has_contrast(none, none, none).any()
    assert squares_fit(none, none, none).all()


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 1e-9, 1 / 3]), min_size=1, max_size=20))
def test_rewards_alike_in_contrast_are_whole_and_vary_as_much(shares: list[float]) -> None:
    rewards = np.array(shares)
    won, lost, squares = (np.array([total]) for total in (rewards.sum(), (1 - rewards).sum(), (rewards**2).sum()))
    graded = np.maximum(won - squares, 0.0)
    alike, other = alike_in_contrast(won, lost, graded)
    assert min(alike[0], other[0]) >= 0
    assert alike + other == pytest.approx(won + lost)
    spread = squared_deviations(won, lost, squares)
    assert squared_deviations(alike, other, alike) == pytest.approx(spread, abs=1e-6)
    assert (alike > other) <= (won > lost)
    share = varying_share(won, lost, graded)
    assert 0 <= share[0] <= 1
    assert share * won * lost / (won + lost) == pytest.approx(spread, abs=1e-9)
    if not (rewards % 1).any():
        assert [float(alike[0]), float(other[0]), float(share[0])] == [float(won[0]), float(lost[0]), 1.0]


def test_where_rewards_never_differ_all_are_failures_or_all_successes() -> None:
    for share in (0.1, 0.5, 0.7, 0.999):
        for n in (1.0, 8.0, 1e6):
            sums = np.array([share * n]), np.array([(1 - share) * n]), np.array([share * (1 - share) * n])
            alike, other = alike_in_contrast(*sums)
            assert [float(alike[0]), float(other[0])] == pytest.approx([n, 0] if share > 0.5 else [0, n], abs=1e-6)
