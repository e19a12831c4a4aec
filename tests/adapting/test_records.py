"""Outcomes and records of a round, whatever order prompts come in and whatever rewards are missing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cero_api import Allocation
from cero_api.adapting.records import outcomes_of, record_of

GROUPS = st.lists(st.lists(st.sampled_from([0.0, 0.25, 1.0, np.nan]), max_size=4), min_size=1, max_size=6)


@given(GROUPS, st.randoms(use_true_random=False))
def test_a_record_has_what_each_group_earned(groups: list[list[float]], random: object) -> None:
    ids = np.arange(len(groups)) * 3 + 1
    getattr(random, "shuffle")(ids)  # noqa: B009  # hypothesis has no type for it
    allocation = Allocation(2, ids, np.array([len(group) for group in groups]))
    shares = np.array([share for group in groups for share in group], dtype=np.float64)
    outcomes = outcomes_of(allocation, shares)
    assert (outcomes is None) == bool(np.isnan(shares).all())
    record = record_of(allocation, outcomes, rollouts_so_far=allocation.total, allocator_seconds=0.0)
    np.testing.assert_array_equal(record.prompt_ids, ids)
    for place, group in enumerate(groups):
        there = np.array([share for share in group if not np.isnan(share)])
        assert record.successes[place] == there.sum()
        assert record.failures[place] == there.size - there.sum()
        assert record.squares[place] == (there**2).sum()


def test_tokens_are_counted_where_they_are_told() -> None:
    allocation = Allocation(0, np.array([5, 2]), np.array([2, 1]))
    outcomes = outcomes_of(allocation, np.array([1.0, np.nan, 0.0]), np.array([7.0, 100.0, 3.0]))
    assert outcomes is not None
    assert outcomes.tokens is not None
    np.testing.assert_array_equal(outcomes.prompt_ids, [2, 5])
    np.testing.assert_array_equal(outcomes.tokens, [3.0, 7.0])
