"""Rounds in two waves: the contract for every rule that takes a pilot, the choice by hand, mistakes with remedies."""

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cero_api import (
    BudgetError,
    CheckpointError,
    ConfigurationError,
    PilotAllocator,
    PilotCommitConfig,
    PilotError,
    RolloutOutcomes,
    check_allocator,
    continued,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.mathematics.utility import marginal_gain
from cero_api.testing import PROMPTS
from tests.faults.test_interrupts import interrupted, lines

RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(PROMPTS, 3))
WINDOW: dict[str, Any] = {"pilot": 2, "offer": "window", "window": 2}
WAVES: dict[str, tuple[str, dict[str, Any]]] = {
    "cero": ("cero", WINDOW),
    "cero, fixed": ("cero", WINDOW | {"pacing": "fixed"}),
    "cero, units of 2": ("cero", WINDOW | {"rollouts_per_unit": 2}),
    "cero, forgetful": ("cero", WINDOW | {"forgetting": 0.9}),
    "cero, forgetful at visits": ("cero", WINDOW | {"forgetting": 0.9, "forgetting_clock": "visit"}),
    "cero, pooled": ("cero", WINDOW | {"belief": "pooled"}),
    "cero, candidates alone": ("cero", {"pilot": 2}),
    "cero, features, tokens, some at rest": (
        "cero",
        WINDOW
        | {"belief": "features", "features": TABLE, "cost": "tokens", "hopeless": 0.1, "mastered": 0.8, "window": 3},
    ),
    "cero, a pilot of three": ("cero", WINDOW | {"pilot": 3, "pilot_share": 0.6}),
    "random_matched": ("random_matched", WINDOW),
    "vip, rloo": ("vip", WINDOW | {"estimator": "rloo", "min_rollouts_per_prompt": 2}),
    "vip, pooled": ("vip", WINDOW | {"pilot": 3, "belief": "pooled"}),
    "gvm": ("gvm", WINDOW),
    "hora": ("hora", WINDOW),
    "knapsack": ("knapsack", WINDOW),
    "coba_rl": ("coba_rl", WINDOW),
    "mopps": ("mopps", WINDOW),
    "mopps, forgetting nothing": ("mopps", WINDOW | {"forgetting": 1.0}),
    "pilot_commit": ("pilot_commit", {}),
    "pilot_commit, nobody evicted": ("pilot_commit", {"solved": None, "window": 3, "band": (0.4, 0.6)}),
}
every_rule = pytest.mark.parametrize("name", list(WAVES))
# Random rounds leave nothing to decide now and then, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def make(name: str, **size: Any) -> PilotAllocator:
    method, fields = WAVES[name]
    allocator = make_allocator(method, **size, **fields)
    assert isinstance(allocator, PilotAllocator)
    return allocator


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@every_rule
def test_it_keeps_the_contract(name: str) -> None:
    check_allocator(lambda **size: make(name, **size))


# Any order of calls

SIZE: dict[str, Any] = {"num_prompts": 24, "rounds": 40, "budget": 40 * 32, "seed": 3}


@every_rule
@settings(max_examples=25)
@given(data=st.data())
def test_any_order_of_calls_leaves_one_round_and_whole_books(name: str, data: st.DataObject) -> None:
    """A twin is never saved nor loaded; rewards come in parts, are refunded in parts, and calls in the wrong order."""
    allocator, twin, dealt = make(name, **SIZE), make(name, **SIZE), np.zeros(24, dtype=np.int64)
    window = allocator.config.offer == "window"
    rounds, out, waiting = 0, np.zeros(24, dtype=np.int64), None
    for _ in range(data.draw(st.integers(4, 25))):
        action = data.draw(st.sampled_from(["allocate", "commit", "observe", "observe", "refund", "reload"]))
        before = allocator.state_dict()
        if action == "reload":
            allocator = make(name, **SIZE)
            allocator.load_state_dict(before)
        elif action == "allocate":
            given = data.draw(st.permutations(range(24)))[:4] if not window or data.draw(st.booleans()) else None
            total = data.draw(st.sampled_from([None, 24, 30])) if given is None else 24
            if waiting is not None:
                with pytest.raises(PilotError):
                    allocator.allocate(given, total)
                assert same(allocator.state_dict(), before)
                continue
            first, again = allocator.allocate(given, total), twin.allocate(given, total)
            assert first.prompt_ids.tolist() == again.prompt_ids.tolist()
            assert first.round == rounds
            assert total is None or first.total + first.to_commit == total
            rounds, out = rounds + 1, np.zeros(24, dtype=np.int64)  # what was out of the last round stays out
            dealt[first.prompt_ids] += first.counts
            out[first.prompt_ids] = first.counts
            waiting = first if first.to_commit else None
        elif action == "commit":
            if waiting is None or out.any():
                with pytest.raises(PilotError):
                    allocator.commit()
                assert same(allocator.state_dict(), before)
                continue
            rest, again = allocator.commit(), twin.commit()
            assert rest.counts.tolist() == again.counts.tolist()
            assert rest.total <= waiting.to_commit
            dealt[rest.prompt_ids] += rest.counts
            out[rest.prompt_ids] += rest.counts
            waiting = None
        elif out.any():
            rows = np.flatnonzero(out)[: data.draw(st.integers(1, 24))]
            counts = np.minimum(out[rows], data.draw(st.integers(1, 8)))
            out[rows] -= counts
            won = np.minimum(rows % 3, counts)
            for one in (allocator, twin):
                if action == "observe":
                    one.observe(RolloutOutcomes(rows, won, counts - won, round=rounds - 1))
                else:
                    one.refund(rows, counts, round=rounds - 1)
            if action == "refund":
                dealt[rows] -= counts
        metrics = allocator.metrics()
        assert metrics["round"] == rounds
        assert metrics["to_commit"] == (0 if waiting is None else waiting.to_commit)
        assert metrics["budget_spent"] + metrics["budget_remaining"] == SIZE["budget"]
        np.testing.assert_array_equal(allocator.exposure(), dealt)
    assert same(allocator.state_dict(), twin.state_dict())


@every_rule
def test_a_file_between_the_waves_goes_on_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    straight = make(name, **SIZE)
    window = straight.config.offer == "window"

    def waves(allocator: PilotAllocator, stop: bool) -> list[list[int]]:
        dealt = []
        for k in range(6):
            first = allocator.allocate(None if window else range(k, k + 4), total=24)
            allocator.observe(outcomes(first.prompt_ids, first.counts))
            if stop:
                loaded = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
                assert isinstance(loaded, PilotAllocator)
                allocator = loaded
            rest = allocator.commit()
            dealt += [first.prompt_ids.tolist(), rest.counts.tolist()]
            allocator.observe(outcomes(rest.prompt_ids, rest.counts))
        return dealt

    assert waves(straight, stop=False) == waves(make(name, **SIZE), stop=True)


def outcomes(ids: np.ndarray, counts: np.ndarray) -> RolloutOutcomes:
    won = np.minimum(ids % 4, counts)
    return RolloutOutcomes(ids, won, counts - won)


def test_threads_share_the_rounds() -> None:
    """Whoever deals a pilot commits it; the others are told to wait, and nothing is lost."""
    allocator = make("cero", num_prompts=60, rounds=200, budget=200 * 32, seed=0)
    rounds: list[int] = []
    waits = 0

    def work() -> None:
        nonlocal waits
        while len(rounds) < 60:
            try:
                first = allocator.allocate(total=32)
            except PilotError:
                waits += 1
                continue
            rounds.append(first.round)
            allocator.observe(RolloutOutcomes(first.prompt_ids, 0 * first.counts, first.counts, round=first.round))
            rest = allocator.commit(first.round)
            allocator.observe(RolloutOutcomes(rest.prompt_ids, rest.counts, 0 * rest.counts, round=first.round))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(rounds) == list(range(len(rounds)))
    assert allocator.metrics()["budget_spent"] == 32 * len(rounds) == allocator.exposure().sum()
    assert allocator.metrics()["outstanding"] == 0


@pytest.mark.parametrize("name", ["cero, forgetful", "cero, pooled", "knapsack", "mopps", "pilot_commit"])
@pytest.mark.parametrize("call", ["allocate", "commit"])
def test_an_interrupted_wave_happened_whole_or_not_at_all(name: str, call: str) -> None:
    def started() -> PilotAllocator:
        allocator = make(name, **SIZE)
        for _ in range(2):
            dealt = allocator.allocate(total=24)
            allocator.observe(outcomes(dealt.prompt_ids, dealt.counts))
            dealt = allocator.commit()
            allocator.observe(outcomes(dealt.prompt_ids, dealt.counts))
        if call == "commit":
            first = allocator.allocate(total=24)
            allocator.observe(outcomes(first.prompt_ids, first.counts))
        return allocator

    def wave(allocator: PilotAllocator) -> object:
        return allocator.commit() if call == "commit" else allocator.allocate(total=24)

    undisturbed = started()
    before = undisturbed.state_dict()
    wave(undisturbed)
    after = undisturbed.state_dict()
    count = sum(1 for _ in lines(lambda: wave(started())))
    for line in range(0, count + 2, 1 + count // 40):
        allocator = started()
        interrupted(lambda allocator=allocator: wave(allocator), line)  # type: ignore[misc]
        assert same(allocator.state_dict(), before) or same(allocator.state_dict(), after)


# Who gets what


def test_a_pilot_goes_to_more_prompts_than_fit_and_the_rest_to_the_largest_gain() -> None:
    allocator = make("cero", num_prompts=64, rounds=40, budget=40 * 64, seed=1)
    for k in range(4):
        first = allocator.allocate(total=64)
        assert first.counts.tolist() == [2] * 16  # eight prompts fit at full groups
        assert first.to_commit == 32
        won = np.random.default_rng(k).binomial(2, 0.5, 16)
        allocator.observe(RolloutOutcomes(first.prompt_ids, won, 2 - won))
        state, ids = allocator.state_dict(), first.prompt_ids
        a, b = 1 + state["successes"][ids], 1 + state["failures"][ids]
        rate = 4 * a * b / (a + b) / (a + b + 1) / (40 * 64 / 64)
        gain = marginal_gain(rate, state["exposure"][ids], 6)
        counts = allocator.commit().counts
        assert sorted(counts.tolist()) == [0] * 10 + [2] + [6] * 5
        assert gain[counts == 6].min() >= gain[counts == 2] - 1e-12
        assert gain[counts == 2] >= gain[counts == 0].max() - 1e-12
        allocator.observe(RolloutOutcomes(ids, counts, 0 * counts))


def test_all_candidates_get_the_pilot_and_few_of_them_more_than_a_group() -> None:
    allocator = make("cero, candidates alone", **SIZE)
    first = allocator.allocate([5, 3, 8, 1], total=40)  # a mean of 10: a cap of 20
    assert (first.prompt_ids.tolist(), first.counts.tolist()) == ([5, 3, 8, 1], [2, 2, 2, 2])
    allocator.observe(RolloutOutcomes([5, 3, 8, 1], [0, 1, 2, 0], [2, 1, 0, 2]))
    counts = allocator.commit().counts
    assert sorted(counts.tolist()) == [0, 0, 14, 18]
    assert counts[1] == 18  # one of two: the most uncertain


def test_a_prompt_that_was_never_tried_comes_last_and_in_no_group_of_one() -> None:
    allocator = make("cero, candidates alone", **SIZE)
    first = allocator.allocate([0, 1, 2, 3], total=31)
    allocator.refund([2], [2])
    allocator.observe(RolloutOutcomes([0, 1, 3], [1, 1, 1], [1, 1, 1]))
    whole = allocator.commit().counts + np.array([2, 2, 0, 2])
    assert whole.sum() == 31 - 2
    assert whole.min() != 1
    assert first.to_commit == 23


def test_the_price_decides_how_much_where_no_total_is_given() -> None:
    dear = make_allocator("cero", **SIZE, **WINDOW, initial_price=1.0)
    cheap = make_allocator("cero", **SIZE, **WINDOW, initial_price=0.0)
    assert isinstance(cheap, PilotAllocator)
    assert isinstance(dear, PilotAllocator)
    for allocator, all_of_it in ((dear, False), (cheap, True)):
        first = allocator.allocate()
        allocator.observe(RolloutOutcomes(first.prompt_ids, 0 * first.counts, first.counts))
        rest = allocator.commit()
        assert (rest.total == first.to_commit) == all_of_it
        state = allocator.state_dict()
        assert state["virtual_units"].sum() == first.total + rest.total  # the dual steps by both waves


def test_the_decidable_share_is_the_rounds() -> None:
    allocator = make("cero", num_prompts=64, rounds=40, budget=40 * 64, seed=1)
    first = allocator.allocate(total=64)
    allocator.observe(RolloutOutcomes(first.prompt_ids, [1] * 16, [1] * 16))
    allocator.commit()
    assert allocator.metrics()["decidable"] == 0.5  # the pilot's half is everybody's


def test_the_end_of_the_budget_is_dealt_in_one_wave() -> None:
    allocator = make_allocator("hora", num_prompts=24, rounds=3, budget=3 * 24 + 2, **WINDOW)
    assert isinstance(allocator, PilotAllocator)
    for total in (24, 24, 24):
        first = allocator.allocate(total=total)
        allocator.observe(outcomes(first.prompt_ids, first.counts))
        allocator.commit()
    last = allocator.allocate()
    assert (last.total, last.to_commit) == (2, 0)


# Pilot-Commit


def committed(won: list[int], total: int | None = None, **fields: Any) -> np.ndarray:
    """What follows a pilot of 8 each, of a group of 32, with so many successes."""
    options: dict[str, Any] = {"rollouts_per_prompt": 32, "pilot": 8} | fields
    allocator = make_allocator("pilot_commit", num_prompts=40, rounds=9, budget=9 * 256, **options)
    assert isinstance(allocator, PilotAllocator)
    rows = np.arange(len(won))
    allocator.allocate(rows, total=total)
    allocator.observe(RolloutOutcomes(rows, won, 8 - np.array(won)))
    return allocator.commit().counts


def test_the_band_is_committed_to_by_its_variance() -> None:
    # 0/8 is too hard, 7/8 and 8/8 are too easy; 1/8 and 6/8 are the band's ends.
    won = [0, 1, 4, 6, 7, 8]
    assert committed(won, total=48 + 24).tolist() == [0, 0, 24, 0, 0, 0]
    assert committed(won, total=48 + 48).tolist() == [0, 0, 24, 24, 0, 0]
    assert committed(won, total=48 + 72).tolist() == [0, 24, 24, 24, 0, 0]
    # Beyond the band whoever is nearest to it: 7/8 and 0/8 are as near, 8/8 is not.
    assert committed(won, total=48 + 120).tolist() == [24, 24, 24, 24, 24, 0]
    # Where no total is given, what the band does not take stays in the budget.
    assert committed([0, 0, 0, 8, 8, 8]).tolist() == [0] * 6
    assert committed([0, 0, 4, 8, 8, 8]).tolist() == [0, 0, 24, 0, 0, 0]


def test_the_solved_are_evicted_and_the_hopeless_come_again() -> None:
    allocator = make_allocator("pilot_commit", num_prompts=40, rounds=60, budget=60 * 32)
    assert isinstance(allocator, PilotAllocator)
    offered = np.zeros(40, dtype=int)
    for k in range(30):
        first = allocator.allocate(total=32)
        np.add.at(offered, first.prompt_ids, k >= 10)
        won = np.where(first.prompt_ids < 20, 2, 0)
        allocator.observe(RolloutOutcomes(first.prompt_ids, won, 2 - won))
        rest = allocator.commit()
        won = np.where(rest.prompt_ids < 20, rest.counts, 0)
        allocator.observe(RolloutOutcomes(rest.prompt_ids, won, rest.counts - won))
    assert allocator.metrics()["evicted_prompts"] == 20
    assert offered[:20].sum() == 0
    assert offered[20:].min() == 8  # twenty rounds of eight, among twenty


def test_once_all_are_evicted_all_come_again() -> None:
    allocator = make_allocator("pilot_commit", num_prompts=12, rounds=60, budget=60 * 16)
    assert isinstance(allocator, PilotAllocator)
    for _ in range(12):
        first = allocator.allocate(total=16)
        assert (first.total, first.to_commit) == (8, 8)
        allocator.observe(RolloutOutcomes(first.prompt_ids, first.counts, 0 * first.counts))
        rest = allocator.commit()
        allocator.observe(RolloutOutcomes(rest.prompt_ids, rest.counts, 0 * rest.counts))
    assert allocator.metrics()["evicted_prompts"] == 12
    assert (allocator.exposure() > 0).all()


@pytest.mark.parametrize(("preset", "group"), [("paper", 128), ("paper_64", 64)])
def test_the_published_settings(preset: str, group: int) -> None:
    config = PilotCommitConfig.preset(preset, num_prompts=4000, rounds=10, budget=10 * 192 * group)
    allocator = make_allocator("pilot_commit", config)
    first = allocator.allocate(total=192 * group)
    assert first.counts.tolist() == [group // 4] * 384  # for 128 prompts that are committed to
    assert first.to_commit == 128 * group * 3 // 4


# Mistakes


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("cero", {"pilot": 8}, "leaves nothing to commit of a full group of 8; lower it, or raise the group"),
        ("hora", {"pilot": 9}, "leaves nothing to commit of a full group of 8"),
        ("cero", {"pilot": 1}, "below min_rollouts_per_prompt=2, and is all that most prompts get; raise it"),
        ("vip", {"pilot": 2}, "below min_rollouts_per_prompt=3"),
        (
            "cero",
            WINDOW | {"pilot_share": 0.25},
            "nothing would be left to choose; raise it above 0.25",
        ),
        ("cero", WINDOW | {"window": 1}, "window=1 offers fewer; raise it to 2, or lower pilot_share"),
        ("cero", WINDOW | {"pilot_share": 1.0}, "pilot_share"),
        (
            "cero",
            WINDOW | {"rollouts_per_unit": 4, "pilot": 6, "pilot_share": 0.9},
            "pilot=6 is not a multiple of roll",
        ),
        ("cero", WINDOW | {"selection": "dual", "offer": "pool"}, "a pilot leave it out: there the gain decides"),
        ("uniform", {"pilot": 2}, "a pilot would decide nothing; leave `pilot` out, or take cero, vip"),
        ("greso", {"pilot": 2}, "a pilot would decide nothing; leave `pilot` out"),
        ("pilot_commit", {"band": (0.5, 0.1)}, "must be (least, most); swap them"),
        ("pilot_commit", {"pilot": 8}, "leaves nothing to commit"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make_allocator(name, **SIZE, **fields)


def test_calls_in_the_wrong_order_are_refused_with_a_remedy() -> None:
    allocator = make("cero", **SIZE)
    with pytest.raises(PilotError, match="no pilot waits for its rest"):
        allocator.commit()
    first = allocator.allocate(total=32)
    with pytest.raises(PilotError, match="16 rollouts of the pilot of round 0 have no rewards yet, by which"):
        allocator.commit()
    with pytest.raises(PilotError, match="16 rollouts of it wait: observe the pilot's rewards and call `commit`"):
        allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    with pytest.raises(PilotError, match="in round 1: the pilot of round 0 waits"):
        allocator.commit(round=1)
    allocator.commit(round=0)
    with pytest.raises(PilotError, match="committed once, after `allocate` has dealt its pilot"):
        allocator.commit()
    one: Any = make_allocator("cero", **SIZE)
    with pytest.raises(PilotError, match="every round is dealt in one wave; set `pilot` for two"):
        one.commit()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            {"row_ids": range(16), "total": 32},
            "a pilot for 16 candidates, 2 rollouts each, leaves nothing to commit",
        ),
        ({"total": 2}, "the smallest pilot, 2 rollouts each, leaves nothing to commit of a round of 2; ask for more"),
    ],
)
def test_a_pilot_that_leaves_nothing_to_commit_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        make("cero", **SIZE).allocate(**request_)


def test_the_whole_pool_is_no_choice_for_a_pilot() -> None:
    with pytest.raises(BudgetError, match="set offer='window', or pass row_ids"):
        make("cero, candidates alone", **SIZE).allocate()


def test_a_floor_is_the_candidates() -> None:
    allocator = make_allocator("cero", **SIZE, pilot=1, offer="window")
    with pytest.raises(
        BudgetError, match="min_rollouts_per_prompt=2 at least, and pilot=1 is all that most of them get"
    ):
        allocator.allocate(range(4), total=24)
    assert allocator.allocate(total=24).counts.tolist() == [1] * 12


def test_damaged_pilots_are_refused() -> None:
    allocator = make("cero", **SIZE)
    first = allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    good = allocator.state_dict()
    ids = good["parts.pilot.prompts"]
    for change in (
        {"parts.pilot.round": 3},
        {"parts.pilot.round": -1},
        {"parts.pilot.exact": 2},
        {"parts.pilot.left": -1},
        {"parts.pilot.left": 10**6},
        {"parts.pilot.cap": 1},
        {"parts.pilot.prompts": ids[:-1]},
        {"parts.pilot.prompts": np.where(ids == ids[0], ids[1], ids)},
        {"parts.pilot.prompts": ids + 24},
        {"parts.pilot.successes": good["parts.pilot.successes"] - 1},
        {"parts.pilot.squares": good["parts.pilot.squares"] + 1},
    ):
        with pytest.raises(CheckpointError):
            allocator.load_state_dict(good | change)
        assert same(allocator.state_dict(), good)
    with pytest.raises(CheckpointError, match=r"parts\.pilot"):
        make_allocator("cero", **SIZE, offer="window", window=2).load_state_dict(good)


def test_a_training_goes_on_between_the_waves_with_another_length() -> None:
    allocator = make("cero", **SIZE)
    first = allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    config = allocator.config
    longer = continued(allocator, config.model_copy(update={"rounds": 80, "budget": 80 * 32}))
    assert isinstance(longer, PilotAllocator)
    assert longer.commit().total == 16
    with pytest.raises(CheckpointError, match="the rest of round 0 is 16 rollouts, and 4 remain"):
        continued(allocator, config.model_copy(update={"rounds": 1, "budget": 20}))
