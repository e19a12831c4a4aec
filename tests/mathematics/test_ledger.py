"""The books balance after every call, in any order."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.errors import BudgetError, CheckpointError, InvalidOutcomeError
from cero_api.mathematics.ledger import Ledger
from cero_api.mathematics.open_groups import Groups
from cero_api.state import state_entries, with_entries


def ids(*rows: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def same(one: Ledger, other: Ledger) -> bool:
    entries, others = state_entries(one), state_entries(other)
    return all(np.array_equal(entries[name], others[name]) for name in entries)


@given(st.data())
def test_spent_and_remaining_are_the_budget_in_any_order(data: st.DataObject) -> None:
    ledger, lost, round_ = Ledger(budget=200), 0, 0
    out: dict[tuple[int, int], int] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["charge", "settle", "refund"]))
        if action == "charge":
            prompts = data.draw(st.lists(st.integers(0, 9), unique=True, max_size=5))
            counts = data.draw(st.lists(st.integers(0, 8), min_size=len(prompts), max_size=len(prompts)))
            if sum(counts) > ledger.remaining:
                with pytest.raises(BudgetError):
                    ledger.charge(round_, ids(*prompts), ids(*counts))
                continue
            ledger.charge(round_, ids(*prompts), ids(*counts))
            out |= {(round_, p): n for p, n in zip(prompts, counts, strict=True) if n}
            round_ += 1
        elif out:
            group = data.draw(st.sampled_from(sorted(out)))
            count = data.draw(st.integers(1, out[group]))
            if action == "settle":
                won = data.draw(st.integers(0, count))
                ledger.settle(group[0], ids(group[1]), np.array([1.0 * won]), np.array([1.0 * count - won]))
            else:
                ledger.refund(group[0], ids(group[1]), ids(count))
                lost += count
            out[group] -= count
            if not out[group]:
                del out[group]
        assert ledger.spent + ledger.remaining == ledger.budget
        assert ledger.refunded == lost
        assert ledger.outstanding == sum(out.values())
        columns = ledger.open.columns()
        assert list(zip(columns["round"], columns["prompt"], strict=True)) == sorted(out)
        assert ledger.check() is None
        assert same(with_entries(ledger, state_entries(ledger)), ledger)


def test_a_refused_report_changes_nothing() -> None:
    ledger = Ledger(budget=20)
    ledger.charge(4, ids(7, 3), ids(4, 4))
    before = copy.deepcopy(ledger)
    one, five = np.array([1.0, 1.0]), np.array([5.0, 0.0])
    for prompts, won, lost, round_ in [
        (ids(3, 7), five, one, 4),  # 6 of 4
        (ids(3, 8), one, one, 4),  # prompt 8 has none
        (ids(3, 7), one, one, 5),  # nor has round 5
        (ids(3, 7), one, one, 3),
    ]:
        with pytest.raises(InvalidOutcomeError, match=r"report each rollout once"):
            ledger.settle(round_, prompts, won, lost)
        with pytest.raises(InvalidOutcomeError, match="refunded"):
            ledger.refund(round_, prompts, np.rint(won + lost).astype(np.int64))
        assert same(ledger, before)


def test_groups_count_when_complete_and_are_effective_when_mixed() -> None:
    ledger = Ledger(budget=100)
    ledger.charge(0, ids(1, 2, 3, 4), ids(4, 4, 4, 4))
    first = ledger.settle(0, ids(1, 2), np.array([2.0, 4.0]), np.array([0.0, 0.0]))
    assert first.first.tolist() == [True, True]
    assert (first.groups, first.effective) == (1, 0)
    second = ledger.settle(0, ids(1), np.array([0.0]), np.array([2.0]))
    assert second.first.tolist() == [False]
    assert (second.groups, second.effective) == (1, 1)
    ledger.refund(0, ids(4), ids(4))  # a group that never was
    ledger.settle(0, ids(3), np.array([1.0]), np.array([0.0]))
    ledger.refund(0, ids(3), ids(3))  # one that shrank
    assert (ledger.groups, ledger.effective_groups, ledger.outstanding) == (3, 1, 0)


def test_groups_are_effective_when_rewards_differ_across_their_parts() -> None:
    ledger = Ledger(budget=100)
    ledger.charge(0, ids(1, 2, 3, 4), ids(4, 4, 2, 1))
    half, quarter = np.array([1.0, 1.0]), np.array([0.5, 0.5])
    first = ledger.settle(0, ids(1, 2), half, half, quarter)  # twice 1/2 of four each
    assert (first.groups, first.effective) == (0, 0)
    second = ledger.settle(0, ids(1, 2), np.array([1.0, 1.2]), np.array([1.0, 0.8]), np.array([0.5, 0.72]))
    assert (second.groups, second.effective) == (2, 1)  # twice 1/2 again; twice 0.6
    ledger.settle(0, ids(3), np.array([0.3]), np.array([0.7]))  # one by one, each known by itself
    third = ledger.settle(0, ids(3), np.array([0.3]), np.array([0.7]))
    assert (third.groups, third.effective) == (1, 0)
    assert ledger.settle(0, ids(4), np.array([0.5]), np.array([0.5])).effective == 0  # a group of one


def test_signal_is_the_variance_of_a_rollouts_group() -> None:
    ledger = Ledger(budget=100)
    assert ledger.signal == 0.0
    ledger.charge(0, ids(1, 2, 3), ids(8, 2, 4))
    ledger.settle(0, ids(1, 2), np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    assert ledger.signal == 0.5  # that of the complete group alone
    ledger.settle(0, ids(1), np.array([1.0]), np.array([3.0]))  # four of eight by now
    ledger.settle(0, ids(3), np.array([2.0]), np.array([2.0]), np.array([1.0]))  # always one half
    rewards = [np.repeat([1.0, 0.0], 4), np.array([1.0, 0.0]), np.full(4, 0.5)]
    assert ledger.signal == pytest.approx(sum(own.size * own.var(ddof=1) for own in rewards) / 14)


def test_a_group_that_goes_on_counts_once() -> None:
    ledger, whole = Ledger(budget=100), Ledger(budget=100)
    ledger.charge(0, ids(1, 2, 3), ids(2, 2, 2))
    ledger.settle(0, ids(1, 2, 3), np.array([1.0, 0.0, 2.0]), np.array([1.0, 2.0, 0.0]))
    won, lost = np.array([1.0, 0.0]), np.array([1.0, 2.0])
    ledger.reopen(0, Groups(ids(1, 2), ids(6, 0), won, lost, won.copy()))
    assert ledger.check() is None
    ledger.settle(0, ids(1), np.array([2.0]), np.array([4.0]))
    whole.charge(0, ids(1, 2, 3), ids(8, 2, 2))
    whole.settle(0, ids(1, 2, 3), np.array([3.0, 0.0, 2.0]), np.array([5.0, 2.0, 0.0]))
    for books in (ledger, whole):
        assert (books.groups, books.effective_groups, books.scored) == (3, 1, 12)
    assert ledger.signal == pytest.approx(whole.signal)


def test_foreign_books_are_found_out() -> None:
    good = Ledger(budget=20)
    good.charge(0, ids(1, 2), ids(4, 4))
    assert good.check() is None
    entries = state_entries(good)
    for field, value in {
        "spent": 21,
        "refunded": -1,
        "effective_groups": 1,
        "signal_sum": 0.1,
        "scored": -1.0,
        "open_rollouts": ids(4, 0),
        "open_round": ids(0),
        "open_prompt": ids(2, 1),
        "open_successes": np.array([-1.0, 0.0]),
        "open_squares": np.array([1.0, 0.0]),
    }.items():
        try:
            assert with_entries(good, entries | {field: value}).check() is not None, field
        except CheckpointError:
            assert field.startswith("open_")
    for field, value in {"open_prompt": ids(1, 1), "open_rollouts": ids(4, 2**62), "open_round": ids(1, 0)}.items():
        with pytest.raises(CheckpointError, match="damaged or foreign"):
            with_entries(good, entries | {field: value})


def test_a_call_costs_what_its_round_holds() -> None:
    """However many groups are open, nobody passes over them: their arrays are the same objects afterwards."""
    ledger = Ledger(budget=10_000)
    for round_ in range(50):
        ledger.charge(round_, ids(*range(8)), np.full(8, 4))
    before = dict(ledger.open.rounds)
    ledger.charge(50, ids(1), ids(4))
    ledger.settle(20, ids(3), np.array([1.0]), np.array([1.0]))
    ledger.refund(30, ids(5), ids(4))
    touched = {20, 30, 50}
    assert all(ledger.open.rounds[round_] is before[round_] for round_ in before.keys() - touched)
    assert ledger.outstanding == 50 * 32 + 4 - 2 - 4
