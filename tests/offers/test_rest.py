"""Mastered and hopeless prompts: who rests, for how long, and that nobody does for good."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from cero_api._types import FloatArray, IntArray
from cero_api.changes import Changes
from cero_api.errors import ConfigurationError
from cero_api.offers import Parted, Rest, RestState
from cero_api.state import state_entries, with_entries

ROWS = np.arange(8)
MEAN = np.array([0.001, 0.3, 0.999, 0.5, 0.0, 0.7, 1.0, 0.2])
TRIED = np.full(8, 16)


def rest(**fields: Any) -> Rest:
    return Rest(8, **({"hopeless": 0.01, "mastered": 0.99, "rounds": 10, "share": 0.0} | fields))


def part(
    of: Rest, state: RestState, round: int, *, mean: FloatArray = MEAN, exposure: IntArray = TRIED, groups: int = 2
) -> Parted:
    changes = Changes()
    parted = of.parted(state, ROWS, mean, exposure, round, groups, changes)
    changes.make()
    return parted


def test_the_out_of_bounds_rest_for_their_rounds_and_no_longer() -> None:
    of = rest()
    state = of.start()
    extreme = (MEAN < 0.01) | (MEAN > 0.99)
    for round in range(5, 15):
        np.testing.assert_array_equal(part(of, state, round).awake, ~extreme)
        assert of.metrics(state, round) == {"resting_prompts": 4.0}
    assert part(of, state, 15).awake.all()
    assert part(of, state, 16).awake.all()  # not tried since: nobody rests twice for one look


def test_nobody_rests_again_before_it_has_been_tried_again() -> None:
    of = rest()
    state = of.start()
    part(of, state, 0)
    tried_again = TRIED + 8 * (ROWS == 4)
    parted = part(of, state, 10, exposure=tried_again)
    np.testing.assert_array_equal(np.flatnonzero(~parted.awake), [4])


def test_the_untried_are_given_a_chance() -> None:
    of = rest()
    assert part(of, of.start(), 0, exposure=0 * TRIED).awake.all()


def test_as_many_stay_awake_as_the_round_has_groups() -> None:
    of = rest()
    state = of.start()
    part(of, state, 0, mean=np.where(ROWS < 3, 0.0, 0.5))
    parted = part(of, state, 3, mean=np.zeros(8), groups=6)
    assert parted.awake.sum() == 6
    assert parted.awake[:3].all()  # who has rested longest wakes first


def test_a_share_of_the_groups_looks_again_at_those_that_rest_longest() -> None:
    of = rest(share=0.25, rounds=1000)
    state = of.start()
    part(of, state, 0, mean=np.where(ROWS == 6, 1.0, 0.5))
    part(of, state, 1, mean=np.where(ROWS == 0, 0.0, 0.5))
    looks = 0
    for round in range(2, 42):
        parted = part(of, state, round, mean=np.full(8, 0.5), groups=2)
        assert not (parted.again & parted.awake).any()
        looks += int(parted.again.sum())
        assert not parted.again.any() or parted.again[6]
    assert looks == 0.25 * 2 * 40


def test_nobody_rests_where_no_bound_is_given() -> None:
    of = Rest(8)
    assert part(of, of.start(), 0, mean=np.where(ROWS % 2, 0.0, 1.0)).awake.all()


def test_its_state_is_whole() -> None:
    of = rest()
    state = of.start()
    changes = Changes()
    of.parted(state, ROWS, MEAN, TRIED, 3, 2, changes)
    assert not state.until.any()
    changes.make()
    again = with_entries(of.start(), state_entries(state))
    np.testing.assert_array_equal(again.until, state.until)
    assert of.fault(again) is None
    again.until[0] = -1
    assert of.fault(again) is not None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hopeless": 0.9, "mastered": 0.1}, "the first below the second; None lets no prompt rest"),
        ({"mastered": 97}, "must be shares of successes"),
        ({"rounds": 0}, "give 1 round or more"),
        ({"share": 1.0}, "a share of at least 0 and below 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        rest(**fields)
