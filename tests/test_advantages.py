from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cero_api.advantages import Estimator, PromptWeight, group_advantages
from cero_api.errors import ConfigurationError, InvalidOutcomeError

ESTIMATORS: tuple[Estimator, ...] = ("grpo", "dr_grpo", "rloo", "reinforce_baseline")
estimators = st.sampled_from(ESTIMATORS)
weights = st.sampled_from(("rollout", "prompt"))
Batch = tuple[NDArray[np.float64], NDArray[np.int64]]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Rewards on a grid of 1/8 (differences are exact), groups of 1 to 6, interleaved, with odd ids."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    names = draw(st.lists(st.integers(-(2**62), 2**62), min_size=len(sizes), max_size=len(sizes), unique=True))
    ids = np.repeat(np.array(names, dtype=np.int64), sizes)
    rewards = draw(st.lists(st.integers(-16, 16), min_size=len(ids), max_size=len(ids)))
    order = draw(st.permutations(range(len(ids))))
    return np.array(rewards)[order] / 8, ids[order]


def by_hand(rewards: NDArray[np.float64], ids: NDArray[np.int64], estimator: str, weight: str) -> list[float]:
    """The definitions, one group at a time, with numpy's own mean and std."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, name in enumerate(ids.tolist()):
        groups[name].append(row)
    result = [0.0] * len(rewards)
    for rows in groups.values():
        group = rewards[rows]
        for row in rows:
            others = [rewards[other] for other in rows if other != row]
            if len(rows) == 1:
                result[row] = 0.0
            elif estimator == "grpo":
                result[row] = (rewards[row] - group.mean()) / (group.std(ddof=1) + 1e-4)
            elif estimator == "rloo":
                result[row] = rewards[row] - np.mean(others)
            else:
                result[row] = rewards[row] - group.mean()
    if estimator == "reinforce_baseline":
        whole = np.array(result)
        result = list((whole - whole.mean()) / np.sqrt(max(whole.var(), 1e-8)))
    if weight == "prompt":
        for rows in groups.values():
            for row in rows:
                result[row] *= len(rewards) / (len(groups) * len(rows))
    return result


@given(batches(), estimators, weights)
def test_equals_a_plain_loop_over_groups(batch: Batch, estimator: Estimator, weight: PromptWeight) -> None:
    rewards, ids = batch
    got = group_advantages(rewards, ids, estimator=estimator, prompt_weight=weight)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, by_hand(rewards, ids, estimator, weight), rtol=1e-12, atol=1e-12)


@given(batches(), estimators, weights, st.randoms(use_true_random=False))
def test_row_order_and_group_names_do_not_matter(
    batch: Batch, estimator: Estimator, weight: PromptWeight, random: object
) -> None:
    rewards, ids = batch
    order = np.arange(len(ids))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis types it as random.Random
    renamed = np.unique(ids, return_inverse=True)[1] * 7 - 3
    straight = group_advantages(rewards, ids, estimator=estimator, prompt_weight=weight)
    shuffled = group_advantages(rewards[order], renamed[order], estimator=estimator, prompt_weight=weight)
    np.testing.assert_allclose(shuffled, straight[order], rtol=1e-12, atol=1e-12)


@given(batches(), estimators, weights)
def test_every_group_sums_to_zero(batch: Batch, estimator: Estimator, weight: PromptWeight) -> None:
    rewards, ids = batch
    advantages = group_advantages(rewards, ids, estimator=estimator, prompt_weight=weight)
    for name in np.unique(ids):
        assert abs(advantages[ids == name].sum()) < 1e-9


@given(batches(), estimators, st.sampled_from((0.25, 4.0, 1024.0)))
def test_scaling_the_rewards(batch: Batch, estimator: Estimator, factor: float) -> None:
    rewards, ids = batch
    base = group_advantages(rewards, ids, estimator=estimator, eps=0.0)
    scaled = group_advantages(rewards * factor, ids, estimator=estimator, eps=0.0)
    normalised = estimator in ("grpo", "reinforce_baseline")
    np.testing.assert_allclose(scaled, base * (1.0 if normalised else factor), rtol=1e-12, atol=1e-12)


@given(batches(), estimators, st.sampled_from((-960, -600, -300, 300, 600, 1010)))
def test_scaling_the_rewards_as_far_as_floats_go(batch: Batch, estimator: Estimator, power: int) -> None:
    """Squares of 1e200 overflow and those of 1e-200 are zero; the advantages are neither."""
    rewards, ids = batch
    base = group_advantages(rewards, ids, estimator=estimator, eps=0.0)
    scaled = group_advantages(np.ldexp(rewards, power), ids, estimator=estimator, eps=0.0)
    if estimator == "reinforce_baseline" and power < 0:
        assert np.abs(scaled).max() < 1e-80  # its floor under the deviation is absolute
    elif estimator in ("grpo", "reinforce_baseline"):
        np.testing.assert_allclose(scaled, base, rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_allclose(np.ldexp(scaled, -power), base, rtol=1e-12, atol=1e-12)


def test_advantages_at_the_end_of_the_floats() -> None:
    np.testing.assert_allclose(group_advantages([1e200, 0], [0, 0]), [0.5**0.5, -(0.5**0.5)])
    np.testing.assert_allclose(group_advantages([1.7e308, -1.7e308], [0, 0]), [0.5**0.5, -(0.5**0.5)])
    assert group_advantages([1e308, -1e308], [0, 0], estimator="dr_grpo").tolist() == [1e308, -1e308]
    with pytest.raises(InvalidOutcomeError, match="overflow rloo; scale them down"):
        group_advantages([1e308, -1e308], [0, 0], estimator="rloo")
    # A large group does not take the digits of a small one.
    mixed = group_advantages([1e200, 0, 1e-5, 0], [0, 0, 1, 1], eps=0.0)
    np.testing.assert_allclose(mixed, [0.5**0.5, -(0.5**0.5)] * 2)


@given(batches(), estimators, st.integers(-(2**40), 2**40))
def test_a_common_offset_changes_nothing(batch: Batch, estimator: Estimator, offset: int) -> None:
    rewards, ids = batch  # multiples of 1/8 stay exact beside 2**40, so equality is exact
    np.testing.assert_array_equal(
        group_advantages(rewards + offset, ids, estimator=estimator),
        group_advantages(rewards, ids, estimator=estimator),
    )


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=6),
    st.integers(1, 7),
    estimators,
    st.sampled_from((0.0, 1e-4)),
)
def test_groups_of_equal_rewards_are_exactly_zero(
    values: list[float], size: int, estimator: Estimator, eps: float
) -> None:
    ids = np.repeat(np.arange(len(values)), size)
    advantages = group_advantages(np.repeat(values, size), ids, estimator=estimator, eps=eps)
    assert not advantages.any()


def test_a_group_without_contrast_stays_zero_beside_one_with_it() -> None:
    rewards, ids = [0.1, 0.1, 0.1, 1.0, 0.0, 0.3], [1, 1, 1, 2, 2, 3]
    for estimator in ESTIMATORS:
        advantages = group_advantages(rewards, ids, estimator=estimator, prompt_weight="prompt")
        assert advantages[[0, 1, 2, 5]].tolist() == [0.0] * 4
        assert advantages[3] > 0 > advantages[4]


@given(batches(), st.sampled_from(("dr_grpo", "rloo", "grpo")))
def test_prompt_weight_makes_the_mean_over_rollouts_one_over_prompts(batch: Batch, estimator: Estimator) -> None:
    rewards, ids = batch
    gradient = np.cos(np.arange(len(ids)))  # a stand-in for the score of each rollout
    plain = group_advantages(rewards, ids, estimator=estimator) * gradient
    weighted = group_advantages(rewards, ids, estimator=estimator, prompt_weight="prompt") * gradient
    mean_over_prompts = np.mean([plain[ids == name].mean() for name in np.unique(ids)])
    assert weighted.mean() == pytest.approx(mean_over_prompts, rel=1e-9, abs=1e-9)


@given(batches())
def test_reinforce_baseline_has_unit_variance_over_the_batch(batch: Batch) -> None:
    rewards, ids = batch
    assume(any(np.ptp(rewards[ids == name]) > 0 for name in np.unique(ids)))
    assert group_advantages(rewards, ids, estimator="reinforce_baseline").var() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rewards", "ids", "message"),
    [
        ([1.0, float("nan")], [0, 0], "first at row 1"),
        ([float("-inf"), 1.0], [0, 0], "first at row 0"),
        ([1.0, 2.0], [0], "equal length"),
        ([[1.0, 2.0]], [[0, 0]], "one-dimensional"),
        ([], [], "no rewards"),
        ([1.0, 2.0], [0.0, 1.0], "must be integers"),
        ([1.0, "x"], [0, 1], "rewards must be real numbers"),
        ([1.0, 2.0], [[0], [0, 1]], "group_ids must be one flat array"),
    ],
)
def test_refuses_bad_arrays(rewards: object, ids: object, message: str) -> None:
    with pytest.raises(InvalidOutcomeError, match=message):
        group_advantages(rewards, ids)  # type: ignore[arg-type]


def test_refuses_unknown_options() -> None:
    with pytest.raises(ConfigurationError, match="unknown estimator 'gae'"):
        group_advantages([1.0], [0], estimator="gae")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown prompt_weight"):
        group_advantages([1.0], [0], prompt_weight="token")  # type: ignore[arg-type]
    for eps in (-1e-4, float("nan")):
        with pytest.raises(ConfigurationError, match="eps"):
            group_advantages([1.0], [0], eps=eps)
