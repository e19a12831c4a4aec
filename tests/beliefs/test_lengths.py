"""Expected lengths: unbiased, by features at once, by a prompt's own in the end; and whole like every state."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Features, LengthBelief, LengthState
from cero_api.changes import Changes
from cero_api.errors import CheckpointError
from cero_api.state import state_entries, with_entries
from tests.beliefs.play import same

PROMPTS, GROUP = 400, 8


def told(belief: LengthBelief, state: LengthState, rows: IntArray, tokens: FloatArray, rollouts: IntArray) -> None:
    changes = Changes()
    belief.told(state, rows, tokens, rollouts, changes)
    changes.make()


def lengths(seed: int) -> tuple[FloatArray, FloatArray]:
    """What a prompt takes on average, and a feature that says half of it."""
    rng = np.random.default_rng(seed)
    feature = rng.normal(size=PROMPTS)
    return np.exp(6.0 + 0.5 * feature + rng.normal(0, 0.3, PROMPTS)), feature


def play(belief: LengthBelief, mean: FloatArray, rounds: int, growth: float = 0.0) -> tuple[LengthState, FloatArray]:
    """Rounds over the pool; the state, and predicted over true length of each group."""
    rng, state, ratio = np.random.default_rng(1), belief.start(), []
    for k in range(rounds):
        rows = rng.permutation(PROMPTS)[:25]
        now = mean[rows] * np.exp(growth * k)
        state = belief.learned(state)
        ratio.append(belief.ask(state, rows) / now)
        state = belief.tick(state)
        tokens = np.rint(now[:, None] * rng.lognormal(-0.125, 0.5, (25, GROUP))).sum(1)
        told(belief, state, rows, tokens, np.full(25, GROUP))
    return state, np.array(ratio)


@pytest.mark.parametrize("growth", [0.0, 0.01])
def test_expectations_are_unbiased_though_lengths_are_skewed_and_grow(growth: float) -> None:
    mean, feature = lengths(0)
    for features in (None, Features(feature, PROMPTS)):
        ratio = play(LengthBelief(PROMPTS, features=features), mean, 80, growth)[1][10:]
        weighted = ratio.mean(1)
        assert abs(np.log(weighted).mean()) < 0.1


def test_features_say_it_before_the_first_visit() -> None:
    mean, feature = lengths(0)
    spread = {}
    for name, features in (
        ("none", None),
        ("noise", Features(np.sin(1e5 * mean), PROMPTS)),
        ("said", Features(feature, PROMPTS)),
    ):
        spread[name] = np.log(play(LengthBelief(PROMPTS, features=features), mean, 14)[1][4:]).std()
    assert spread["said"] < 0.7 * spread["none"]
    assert spread["noise"] < 1.05 * spread["none"]


def test_own_lengths_take_over() -> None:
    mean, _ = lengths(0)
    belief = LengthBelief(PROMPTS)
    state, _ = play(belief, mean, 300)
    assert np.log(belief.ask(state) / mean).std() < 0.5 * np.log(mean).std()


def test_a_prompt_is_expected_the_same_whoever_is_asked_for_beside_it() -> None:
    mean, feature = lengths(0)
    belief = LengthBelief(PROMPTS, features=Features(feature, PROMPTS))
    state, _ = play(belief, mean, 10)
    rows = np.random.default_rng(2).permutation(PROMPTS)[:50]
    np.testing.assert_array_equal(belief.ask(state, rows), belief.ask(state)[rows])


def test_order_and_parts_are_nothing_and_nothing_is_told_before_the_changes_are_made() -> None:
    mean, feature = lengths(0)
    belief = LengthBelief(PROMPTS, features=Features(feature, PROMPTS))
    state, _ = play(belief, mean, 10)
    rows, tokens, rollouts = np.array([5, 2, 300]), np.array([900.0, 4000, 100]), np.array([2, 8, 8])
    one, other, parts = (copy.deepcopy(state) for _ in range(3))
    changes = Changes()
    belief.told(one, rows, tokens, rollouts, changes)
    assert same(one, state)
    changes.make()
    told(belief, other, rows[::-1], tokens[::-1], rollouts[::-1])
    assert same(one, other)
    told(belief, parts, rows[:1], tokens[:1], rollouts[:1])
    told(belief, parts, rows[1:], tokens[1:], rollouts[1:])
    np.testing.assert_allclose(belief.ask(belief.learned(one)), belief.ask(belief.learned(parts)), rtol=0.02)


def test_a_state_goes_on_as_if_it_had_never_stopped() -> None:
    mean, feature = lengths(0)
    belief = LengthBelief(PROMPTS, features=Features(feature, PROMPTS))
    state, _ = play(belief, mean, 10)
    again = with_entries(belief.start(), state_entries(state))
    assert belief.fault(again) is None
    for one in (state, again):
        told(belief, one, np.array([3]), np.array([50.0]), np.array([8]))
    assert same(belief.tick(belief.learned(state)), belief.tick(belief.learned(again)))
    with pytest.raises(CheckpointError, match="NaN"):
        with_entries(belief.start(), state_entries(state) | {"residual": np.full(PROMPTS, np.nan)})
    again.rollouts[0] = -1
    assert "negative" in (belief.fault(again) or "")


def test_before_anything_is_known_all_are_equal_and_silence_is_a_token() -> None:
    belief = LengthBelief(3)
    state = belief.start()
    np.testing.assert_array_equal(belief.ask(belief.learned(state)), np.ones(3))
    told(belief, state, np.array([0, 1]), np.array([0.0, 80.0]), np.array([8, 8]))
    assert (belief.ask(belief.learned(state)) > 0).all()
