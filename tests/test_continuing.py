"""A training that is given another length: what is known and spent goes on, what is left is planned anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    AllocatorConfig,
    BudgetError,
    CheckpointError,
    ConfigurationError,
    RolloutAllocator,
    RolloutOutcomes,
    continued,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.continuing import differences

# Some of these rounds are as small as a floor allows, or have one candidate.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

POOL, ROUNDS, BUDGET = 24, 30, 960
SIZE: dict[str, Any] = {"num_prompts": POOL, "rounds": ROUNDS, "budget": BUDGET, "seed": 5}
TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform", {"rollouts_per_prompt": 4}),
    "knapsack": ("knapsack", {}),
    "hora": ("hora", {}),
    "vip": ("vip", {}),
    "gvm": ("gvm", {}),
    "coba_rl": ("coba_rl", {}),
    "mopps": ("mopps", {}),
    "greso": ("greso", {}),
    "random_matched": ("random_matched", {}),
    "cero": ("cero", {}),
    "cero, units of 4": ("cero", {"rollouts_per_unit": 4}),
    "cero, marginal": ("cero", {"selection": "marginal"}),
    "cero, dual": ("cero", {"selection": "dual"}),
    "cero, fixed": ("cero", {"pacing": "fixed"}),
    "cero, forgetful": ("cero", {"forgetting": 0.9}),
}
every_allocator = pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
Case = tuple[str, dict[str, Any]]


def make(case: Case, **changes: Any) -> RolloutAllocator:
    name, fields = case
    return make_allocator(name, **{**SIZE, **fields, **changes})


def play(allocator: RolloutAllocator, rounds: range) -> list[list[list[int]]]:
    """Pool, batch and exact rounds in turn; half of the rewards of every third round never come."""
    dealt = []
    for k in rounds:
        rows = np.random.default_rng(k).permutation(POOL)[:6]
        total = 24 if k % 3 == 2 and allocator.metrics()["budget_remaining"] >= 24 else None
        try:
            allocation = allocator.allocate(None if k % 3 == 0 else rows, total)
        except BudgetError:  # a small budget for many rounds has a small capacity
            continue
        ids, counts = allocation.prompt_ids, allocation.counts
        dealt.append([ids.tolist(), counts.tolist()])
        seen = counts // 2 if k % 3 == 1 else counts
        won = np.random.default_rng(k).binomial(seen, np.linspace(0, 1, POOL)[ids])
        allocator.observe(RolloutOutcomes(ids, won, seen - won, round=allocation.round))
    return dealt


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@every_allocator
def test_with_the_same_configuration_it_is_a_copy(case: Case) -> None:
    saved = make(case)
    play(saved, range(7))
    state = saved.state_dict()
    copy = continued(saved, saved.config)
    assert equal(copy.state_dict(), state)
    assert play(copy, range(7, 20)) == play(continued(saved, saved.config), range(7, 20))
    assert equal(saved.state_dict(), state)


@every_allocator
def test_before_the_first_round_it_is_a_new_allocator(case: Case) -> None:
    longer = {"rounds": 2 * ROUNDS, "budget": 3 * BUDGET}
    fresh = make(case, **longer)
    late = continued(make(case), fresh.config)
    assert equal(late.state_dict(), fresh.state_dict())
    assert play(late, range(40)) == play(fresh, range(40))


@every_allocator
@given(done=st.integers(0, ROUNDS), more_rounds=st.integers(0, 60), more=st.integers(0, 400))
def test_what_is_known_and_spent_goes_on(case: Case, done: int, more_rounds: int, more: int) -> None:
    saved = make(case)
    play(saved, range(done))
    length = {"rounds": ROUNDS + more_rounds, "budget": BUDGET + 4 * min(more, 4 * more_rounds)}
    config = type(saved.config)(**saved.config.model_dump() | length)
    longer = continued(saved, config)
    assert (longer.exposure() == saved.exposure()).all()
    assert (longer.success_rate() == saved.success_rate()).all()
    before, after = saved.metrics(), longer.metrics()
    for name in ("round", "budget_spent", "budget_refunded", "outstanding", "effective_group_rate"):
        assert after[name] == before[name], name
    assert after["budget_spent"] + after["budget_remaining"] == length["budget"] == after["budget"]
    again = make(case, **length)
    again.load_state_dict(longer.state_dict())
    assert play(again, range(done, done + 5)) == play(longer, range(done, done + 5))
    assert equal(again.state_dict(), longer.state_dict())


@pytest.mark.parametrize("case", [TABLE["uniform"], TABLE["cero, fixed"], TABLE["cero, units of 4"], TABLE["hora"]])
@pytest.mark.parametrize("done", [0, 1, 13, ROUNDS])
def test_what_is_left_is_spread_over_the_rounds_that_are_left(case: Case, done: int) -> None:
    fields = {"pacing": "fixed"} if case[0] == "cero" else {}
    saved = make((case[0], case[1] | fields))
    spent = sum(saved.allocate().total for _ in range(done))
    rounds, budget = 2 * ROUNDS, 2 * BUDGET + 480
    longer = continued(saved, type(saved.config)(**saved.config.model_dump() | {"rounds": rounds, "budget": budget}))
    totals = [longer.allocate().total for _ in range(rounds - done)]
    assert sum(totals) == budget - spent
    assert max(totals) - min(totals) <= getattr(saved.config, "rollouts_per_unit", 1)
    assert longer.allocate().total == 0


def test_ceros_price_steers_at_what_is_left() -> None:
    """A run that spent all of its budget, given as much again for half the rounds: twice the mean, and it is spent."""
    saved = make(TABLE["cero"], pacing="fixed")
    for k in range(ROUNDS):
        allocation = saved.allocate()
        won = np.random.default_rng(k).binomial(allocation.counts, 0.5)
        saved.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    assert saved.metrics()["budget_remaining"] == 0
    fields = saved.config.model_dump() | {"rounds": 45, "budget": 2 * BUDGET, "pacing": "adaptive"}
    longer = continued(saved, type(saved.config)(**fields))
    totals = []
    for _ in range(15):
        allocation = longer.allocate()
        totals.append(allocation.total)
        won = np.random.default_rng(allocation.round).binomial(allocation.counts, 0.5)
        longer.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    assert sum(totals) >= 0.9 * BUDGET


def test_prices_set_by_exposure_follow_the_new_reference() -> None:
    saved = make(TABLE["cero, marginal"])
    play(saved, range(12))
    config = make(TABLE["cero, marginal"], budget=2 * BUDGET, rounds=2 * ROUNDS).config
    state = continued(saved, config).state_dict()
    a, b = 1 + state["successes"], 1 + state["failures"]
    slope = 4 * a * b / ((a + b) * (a + b + 1))
    share = state["exposure"] / (2 * BUDGET / POOL)
    np.testing.assert_allclose(state["prompt_price"], slope * np.exp(-slope * share))


def test_a_given_schedule_goes_on_with_its_new_rounds() -> None:
    saved = make(TABLE["cero"], rounds=3, budget=96, pacing=(32, 16, 32))
    assert [saved.allocate().total for _ in range(2)] == [32, 16]
    fields = saved.config.model_dump() | {"rounds": 5, "budget": 160, "pacing": (8, 8, 32, 40, 24)}
    longer = continued(saved, type(saved.config)(**fields))
    assert [longer.allocate().total for _ in range(4)] == [32, 40, 24, 0]


def test_an_extended_training_survives_its_own_checkpoint(tmp_path: Any) -> None:
    saved = make(TABLE["uniform"])
    play(saved, range(7))
    longer = continued(saved, saved.config.model_copy(update={"rounds": 50, "budget": 1601}))
    play(longer, range(7, 11))
    loaded = load_allocator(save_allocator(longer, tmp_path / "allocator.npz"))
    assert loaded.config == longer.config
    assert play(loaded, range(11, 30)) == play(longer, range(11, 30))


def test_only_the_length_may_change() -> None:
    saved = make(TABLE["cero"])
    other = make(TABLE["cero"], rounds=40, seed=6, saturation=2.0)
    with pytest.raises(CheckpointError, match=r"has seed=5 \(now 6\), saturation=1.0 \(now 2.0\); ") as refused:
        continued(saved, other.config)
    assert "rounds=30" not in str(refused.value)
    assert "of which only budget, capacity, pacing, rounds, token_budget may change" in str(refused.value)
    with pytest.raises(CheckpointError, match=r"a CeroConfig \(now a UniformConfig\)"):
        continued(saved, make(TABLE["uniform"]).config)


def test_a_length_that_is_over_already_is_refused() -> None:
    saved = make(TABLE["uniform"])
    play(saved, range(10))
    for changes in ({"rounds": 9}, {"budget": 100}):
        with pytest.raises(CheckpointError, match=r"10 rounds are dealt and .* give at least these"):
            continued(saved, saved.config.model_copy(update=changes))


def test_a_length_that_cannot_be_is_refused_as_ever() -> None:
    saved = make(TABLE["uniform"])
    with pytest.raises(ConfigurationError, match="cannot be spent"):
        continued(saved, saved.config.model_copy(update={"budget": 10**6}))


def test_anothers_allocator_goes_on_as_it_was_and_no_further() -> None:
    class Plain:
        """No `BaseAllocator`; as small as the protocol allows for this test."""

        def __init__(self, config: AllocatorConfig) -> None:
            self.config, self.seen = config, 0

        def state_dict(self) -> dict[str, Any]:
            return {"seen": self.seen}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.seen = state["seen"]

    saved: Any = Plain(AllocatorConfig(num_prompts=4, rounds=3, budget=9))
    saved.seen = 7
    assert continued(saved, saved.config).seen == 7  # type: ignore[attr-defined]  # it is a Plain
    with pytest.raises(CheckpointError, match=r"rounds=3 \(now 4\), and a Plain cannot change its length"):
        continued(saved, AllocatorConfig(num_prompts=4, rounds=4, budget=9))


def test_differences_may_speak_of_some_fields_alone() -> None:
    one, other = make(TABLE["uniform"]).config, make(TABLE["uniform"], rounds=31, seed=6).config
    assert differences(one, other) == "rounds=30 (now 31), seed=5 (now 6)"
    assert differences(one, other, ["seed"]) == "seed=5 (now 6)"
    assert differences(one, one) == ""
