"""What was told since the last round: one entry a prompt and round, however it came."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.beliefs import Results
from cero_api.beliefs.visits import Visits

Told = list[tuple[int, int, int]]  # round, prompt, successes out of two


def told(visits: Visits, round: int, rows: list[int], won: list[float], lost: list[float]) -> Visits:
    ids = np.array(rows, dtype=np.int64)
    good, bad = np.array(won, dtype=float), np.array(lost, dtype=float)
    results = Results(round, ids, good, bad, 0 * good, good >= 0)
    before = ids.astype(np.float64)
    return visits.with_results(results, ids % 3, before + 10.0, before + 20.0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 2)), max_size=30))
def test_parts_add_up_by_prompt_and_round(parts: Told) -> None:
    visits = Visits()
    sums: dict[tuple[int, int], float] = {}
    for round, row, won in parts:
        visits = told(visits, round, [row], [won], [2 - won])
        sums[round, row] = sums.get((round, row), 0.0) + won
    ordered = visits.in_order()
    assert list(zip(ordered.round.tolist(), ordered.row.tolist(), strict=True)) == sorted(sums)
    assert ordered.won.tolist() == [sums[key] for key in sorted(sums)]
    counts = ordered.won + ordered.lost
    assert counts.sum() == 2 * len(parts)
    # What had been known before is that of the first part.
    np.testing.assert_array_equal(ordered.successes, 10.0 + ordered.row)
    assert ordered.fault(num_prompts=7, now=5) is None


@given(st.permutations(list(range(6))), st.integers(1, 5))
def test_together_in_parts_and_in_any_order_they_are_the_same(order: list[int], cut: int) -> None:
    won = [float(row % 3) for row in order]
    lost = [1.0] * 6
    together = told(Visits(), 2, order, won, lost).in_order()
    parts = told(told(Visits(), 2, order[:cut], won[:cut], lost[:cut]), 2, order[cut:], won[cut:], lost[cut:])
    for field in dataclasses.fields(Visits):
        np.testing.assert_array_equal(getattr(parts.in_order(), field.name), getattr(together, field.name))


def test_they_are_replaced_and_never_changed() -> None:
    before = told(Visits(), 0, [3, 1], [1.0, 2.0], [1.0, 0.0])
    kept = dataclasses.replace(before, won=before.won.copy())
    after = told(before, 0, [1], [5.0], [0.0])
    np.testing.assert_array_equal(before.won, kept.won)
    assert after.won.tolist() == [1.0, 7.0]


def test_places_tell_rounds_apart() -> None:
    visits = told(told(Visits(), 1, [4, 2], [0, 0], [1, 1]), 3, [2, 9], [0, 0], [1, 1])
    assert visits.places(1, np.array([2, 9, 4, 0])).tolist() == [1, -1, 0, -1]
    assert visits.places(3, np.array([2, 9, 4])).tolist() == [2, 3, -1]
    assert visits.places(7, np.array([2])).tolist() == [-1]
    part = visits.part(np.array([2, 0]))
    assert part.row.tolist() == [2, 4]
    assert part.round.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("won", [1.0], "different length"),
        ("row", [0, 7], "a prompt or of a round that there was not"),
        ("round", [0, 4], "a prompt or of a round that there was not"),
        ("lost", [0.0, -1.0], "negative"),
    ],
)
def test_a_damaged_one_says_what_is_wrong(column: str, values: list[float], said: str) -> None:
    visits = told(Visits(), 0, [0, 1], [1.0, 1.0], [0.0, 0.0])
    assert visits.fault(7, 4) is None
    damaged = dataclasses.replace(visits, **{column: np.array(values)})
    assert said in (damaged.fault(7, 4) or "")
