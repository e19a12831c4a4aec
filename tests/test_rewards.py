"""One rule for what succeeds: rounding decides nothing, whichever door a reward comes through."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import CeroAllocator, CeroConfig, ConfigurationError, InvalidOutcomeError, RolloutOutcomes, TraceError
from cero_api.adapting import Judge
from cero_api.analysis.history import SuccessHistory, read_history
from cero_api.mathematics.rounding import ROUNDING, as_stored, within
from cero_api.rewards import SuccessRule
from cero_openrlhf.feedback import number
from cero_ray import Desk

thresholds = st.floats(1e-3, 1e6) | st.floats(-1e6, -1e-3) | st.sampled_from([0.9, 1.0, 0.0, 2.0, -1.0])
ranges = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_a_perfect_weighted_sum_succeeds_in_any_order(parts: list[int], random: Any) -> None:
    """Weights that sum to one, added up as floats and as float32."""
    weights = [float(Fraction(part, sum(parts))) for part in parts]
    random.shuffle(weights)
    one = np.float32(0)
    for weight in weights:
        one = np.float32(one + np.float32(weight))
    rule, share = SuccessRule(), SuccessRule(reward_range=(0, 1))
    for reward in (sum(weights), float(one)):
        assert rule.successes([reward]).tolist() == share.successes([reward]).tolist() == [1.0]


@given(thresholds)
def test_a_threshold_is_reached_in_any_precision(threshold: float) -> None:
    rule = SuccessRule(success_threshold=threshold)
    assert rule.successes([threshold, float(np.float32(threshold))]).tolist() == [1.0, 1.0]
    if abs(threshold) < 6e4:
        assert rule.successes(np.array([threshold], dtype=np.float16)).tolist() == [1.0]
    scale = max(abs(threshold), 1.0)
    assert rule.successes([threshold - 1e-3 * scale]).tolist() == [0.0]
    assert rule.successes([threshold + 1e-3 * scale]).tolist() == [1.0]


@given(st.floats(1e-3, 1e3), st.sampled_from([2**-7, 2**-10]))
def test_a_coarse_format_reaches_its_own_nearest_number_and_none_below(threshold: float, epsilon: float) -> None:
    lowest, stored = SuccessRule(success_threshold=threshold).lowest_success(epsilon), as_stored(threshold, epsilon)
    assert lowest <= stored
    assert abs(stored - threshold) <= epsilon * threshold / 2 * (1 + 1e-12)
    step = epsilon * 2.0 ** (math.frexp(stored)[1] - 1)
    assert lowest > min(stored, threshold) - max(step / 2, 2e-6)


@pytest.mark.parametrize("threshold", [5e-324, 1e-300, 1e-12, 1e-6, 0.5, 1.0])
def test_zero_reaches_no_positive_threshold(threshold: float) -> None:
    assert SuccessRule(success_threshold=threshold).successes([0.0, -1e-9, threshold]).tolist() == [0.0, 0.0, 1.0]


def test_nearly_is_not_up_to_rounding() -> None:
    assert SuccessRule().successes([0.999, 0.9999, 0.99999, 1 - 1e-7]).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert SuccessRule(success_threshold=math.inf).successes([1e308]).tolist() == [0.0]
    assert SuccessRule(success_threshold=-math.inf).successes([-1e308]).tolist() == [1.0]


@given(ranges, st.floats(0, 1))
def test_a_range_holds_its_ends_in_float32(ends: tuple[float, float], place: float) -> None:
    rule, (low, high) = SuccessRule(reward_range=ends), ends
    slack = max(np.spacing(np.float32(max(abs(low), abs(high)))) - ROUNDING * (high - low), 0)
    reward = low + place * (high - low)
    rewards = [low, high, reward]
    if not slack:  # a range that float32 resolves
        rewards = [float(np.float32(value)) for value in rewards]
    shares = rule.successes(rewards)
    np.testing.assert_allclose(shares, [0.0, 1.0, place], atol=3 * ROUNDING)
    assert shares[:2].tolist() == [0.0, 1.0]  # to the last bit, so that binary rewards stay binary
    assert ((shares >= 0) & (shares <= 1)).all()


@given(ranges, st.floats(1e-2, 10), st.booleans())
def test_what_is_clearly_outside_is_refused_or_judged(ends: tuple[float, float], by: float, above: bool) -> None:
    rule, (low, high) = SuccessRule(reward_range=ends), ends
    odd = high + by * (high - low) if above else low - by * (high - low)
    with pytest.raises(InvalidOutcomeError, match=r"leave reward_range=.*; widen the range"):
        rule.successes([low, odd])
    judged = rule.judge([low, odd, math.nan, math.inf])
    assert judged.outside.tolist() == [False, True, False, False]
    np.testing.assert_array_equal(judged.successes, [0.0, float(above), math.nan, math.nan])


def test_the_refusal_shows_the_digits_that_are_outside() -> None:
    with pytest.raises(InvalidOutcomeError, match=r"from 0 to 1\.00001 leave"):
        SuccessRule(reward_range=(0, 1)).successes([0.0, 1.00001])


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", [SuccessRule(), SuccessRule(reward_range=(-1, 1))])
def test_what_is_no_reward_is_refused_or_judged(rule: SuccessRule, odd: float) -> None:
    with pytest.raises(InvalidOutcomeError, match="leave failed rollouts out"):
        rule.successes([1.0, odd])
    judged = rule.judge([1.0, odd])
    assert judged.successes[0] == 1.0
    assert math.isnan(judged.successes[1])
    assert not judged.outside.any()


@pytest.mark.parametrize("ends", [(1, 1), (1, 0), (0, math.inf), (-math.inf, 0), (-1.7e308, 1.7e308), (math.nan, 1)])
def test_a_range_is_finite_and_not_empty(ends: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match="lowest < highest"):
        SuccessRule(reward_range=ends)


def test_within_moves_by_rounding_alone() -> None:
    assert [within(value, 0.0, 8.0) for value in (-1e-6, 8.000001, 8.1, -0.1, 3.0)] == [0.0, 8.0, 8.1, -0.1, 3.0]


JUST = [0.7 + 0.2 + 0.1, float(np.float32(0.9)) + 0.1, 0.999]  # two successes at 1.0, and a failure


def by_from_rewards(folder: Path) -> float:
    return float(RolloutOutcomes.from_rewards([0] * 3, JUST).successes[0])


def by_desk(folder: Path) -> float:
    desk = Desk(CeroAllocator(CeroConfig(num_prompts=4, rounds=4, budget=64)))
    count, _ = desk.deal(["a", "b"], [2, 3], mean=3)
    for session in range(count):
        desk.report("a", session, JUST[session])
    desk.book()
    return float(desk.allocator.state_dict()["successes"][2])


def by_verl_dump(folder: Path) -> float:
    lines = [json.dumps({"input": "q", "score": score, "step": 1}) + "\n" for score in JUST]
    (folder / "1.jsonl").write_text("".join(lines))
    return float(read_history(folder).visit_successes.sum())


def by_judge(folder: Path) -> float:
    return float(Judge(SuccessRule()).shares(JUST).sum())


def by_openrlhf(folder: Path) -> float:
    return float(Judge(SuccessRule()).shares([number(reward) for reward in JUST]).sum())


DOORS = (by_from_rewards, by_desk, by_verl_dump, by_judge, by_openrlhf)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_has_the_same_rule(door: Callable[[Path], float], tmp_path: Path) -> None:
    assert door(tmp_path) == 2.0


def test_rates_of_tables_and_lists_may_be_rounded(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("prompt,pass_rate\na,1.0000001\nb,-1e-9\n")
    assert read_history(path).rates().tolist() == [1.0, 0.0]
    path.write_text("prompt,successes,count\na,8.000001,8\n")
    assert read_history(path).rates().tolist() == [1.0]
    assert SuccessHistory.from_rates({"a": [1.0000001, [3.000001, 3]]}).rates().tolist() == [1.0, 1.0]
    for text in ("prompt,pass_rate\na,1.01\n", "prompt,successes,count\na,8.1,8\n"):
        path.write_text(text)
        with pytest.raises(TraceError):
            read_history(path)
