"""Compositions of offer, belief, rule and cost: the contract of every allocator, and the rule of a window by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import (
    RolloutAllocator,
    RolloutOutcomes,
    check_allocator,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.errors import BudgetError, CheckpointError, ConfigurationError
from cero_api.testing import PROMPTS

RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(PROMPTS, 3))
SHARES = RNG.integers(0, 5, PROMPTS) / 4
FOURS = np.full(PROMPTS, 4)

COMPOSITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform, window": ("uniform", {"offer": "window", "window": 2}),
    "knapsack, window": ("knapsack", {"offer": "window", "window": 2}),
    "hora, window": ("hora", {"offer": "window", "window": 2}),
    "random_matched, window": ("random_matched", {"offer": "window", "window": 2}),
    "cero, pooled": ("cero", {"belief": "pooled"}),
    "cero, features": ("cero", {"belief": "features", "features": TABLE}),
    "cero, rates": ("cero", {"offline_rates": SHARES}),
    "cero, rates of a given strength": ("cero", {"offline_rates": SHARES, "offline_strength": 2.0}),
    "cero, window": ("cero", {"offer": "window", "window": 2}),
    "cero, pooled, window": ("cero", {"belief": "pooled", "offer": "window"}),
    "cero, features and rates, window, tokens": (
        "cero",
        {
            "belief": "features",
            "features": TABLE,
            "offline_rates": SHARES,
            "offline_samples": FOURS,
            "offer": "window",
            "window": 3,
            "cost": "tokens",
        },
    ),
    "vip, features": ("vip", {"belief": "features", "features": TABLE}),
    "vip, gp": ("vip", {"belief": "gp", "features": TABLE}),
    "vip, gp, window": ("vip", {"belief": "gp", "features": TABLE, "offer": "window", "window": 2}),
    "cero, gp, window": ("cero", {"belief": "gp", "features": TABLE, "offer": "window"}),
    "cero, narrowed window": ("cero", {"belief": "features", "features": TABLE, "offer": "window", "variety": 0.25}),
    "vip, narrowed window, tokens": (
        "vip",
        {"belief": "pooled", "offer": "window", "window": 3, "variety": 0.4, "cost": "tokens"},
    ),
    "gvm, narrowed window, some at rest": (
        "gvm",
        {"belief": "pooled", "offer": "window", "window": 3, "variety": 0.3, "hopeless": 0.1, "rest_rounds": 5},
    ),
    "vip, pooled, window": ("vip", {"belief": "pooled", "offer": "window", "window": 2}),
    "cero, features, window, some at rest": (
        "cero",
        {
            "belief": "features",
            "features": TABLE,
            "offer": "window",
            "hopeless": 0.1,
            "mastered": 0.8,
            "rest_rounds": 5,
            "look_again": 0.2,
        },
    ),
    "knapsack, window, some at rest": ("knapsack", {"offer": "window", "window": 2, "mastered": 0.9}),
    "cero, rates, forgetting": ("cero", {"offline_rates": SHARES, "forgetting": 0.9}),
    "gvm, pooled": ("gvm", {"belief": "pooled"}),
}
every_composition = pytest.mark.parametrize("name", list(COMPOSITIONS))


def make(name: str, **size: Any) -> RolloutAllocator:
    method, parts = COMPOSITIONS[name]
    return make_allocator(method, **size, **parts)


@every_composition
def test_it_keeps_the_contract(name: str) -> None:
    check_allocator(lambda **size: make(name, **size))


SIZE: dict[str, Any] = {"num_prompts": PROMPTS, "rounds": 24, "budget": 24 * 48, "seed": 1}


def play(allocator: RolloutAllocator, rounds: range) -> list[list[int]]:
    """Rounds whose rewards and tokens depend on the round alone; what was dealt in each."""
    dealt = []
    for k in rounds:
        allocation = allocator.allocate(total=48)
        dealt.append([*allocation.prompt_ids.tolist(), *allocation.counts.tolist()])
        rng = np.random.default_rng(k)
        won = rng.binomial(allocation.counts, np.linspace(0, 0.9, PROMPTS)[allocation.prompt_ids])
        tokens = allocation.counts * (20.0 + 5.0 * allocation.prompt_ids)
        allocator.observe(
            RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round, tokens=tokens)
        )
    return dealt


@every_composition
def test_a_file_goes_on_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    straight, stopped = make(name, **SIZE), make(name, **SIZE)
    play(straight, range(9))
    play(stopped, range(9))
    again = load_allocator(save_allocator(stopped, tmp_path / "allocator.npz"))
    assert play(straight, range(9, 20)) == play(again, range(9, 20))


@every_composition
def test_the_same_seed_deals_the_same(name: str) -> None:
    assert play(make(name, **SIZE), range(12)) == play(make(name, **SIZE), range(12))


@pytest.mark.parametrize("cost", ["rollouts", "tokens"])
def test_a_windows_groups_go_to_the_largest_gain_by_cost(cost: str) -> None:
    fields = SIZE | {"belief": "features", "features": TABLE, "offer": "window", "window": 3, "cost": cost}
    allocator: Any = make_allocator("cero", **fields)
    play(allocator, range(6))
    parts = allocator._parts.learned(allocator._state.parts)
    exposure = allocator.exposure()
    offered = allocator._parts.offered(parts, 6, allocator._state.round).rows
    variance = allocator._parts.belief.ask(parts.belief, offered).variance
    rate = 4 * variance / (SIZE["budget"] / PROMPTS)
    gain = np.exp(-rate * exposure[offered]) - np.exp(-rate * (exposure[offered] + 8))
    length = allocator._parts.lengths.ask(parts.lengths, offered) if cost == "tokens" else 1.0
    assert cost == "rollouts" or np.ptp(length) > 1
    allocation = allocator.allocate(total=48)
    best = offered[np.argsort(-gain / length)][:6]
    np.testing.assert_array_equal(allocation.prompt_ids, best)
    np.testing.assert_array_equal(allocation.counts, 8)


def test_a_window_deals_an_exact_total_and_no_single() -> None:
    for total in (2, 9, 17, 41, 48):
        allocation = make_allocator("cero", **SIZE, offer="window", window=3).allocate(total=total)
        assert allocation.total == total
        assert allocation.counts.min() >= 2
        assert allocation.counts.max() <= 8


def test_what_a_prompt_is_like_decides_before_it_is_tried() -> None:
    """Half of the pool is hopeless, and a feature says which half."""
    hopeless = np.arange(200) % 2 == 0
    shares = {}
    for belief, known in (("beta", {}), ("features", {"features": hopeless})):
        allocator = make_allocator(
            "cero", num_prompts=200, rounds=20, budget=20 * 40, offer="window", belief=belief, **known
        )
        dealt = np.zeros(200)
        for k in range(8):  # within an epoch of the window: nobody comes twice
            allocation = allocator.allocate(total=40)
            np.add.at(dealt, allocation.prompt_ids, allocation.counts)
            won = np.random.default_rng(k).binomial(
                allocation.counts, np.where(hopeless, 0.0, 0.5)[allocation.prompt_ids]
            )
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
        shares[belief] = dealt[hopeless].sum() / dealt.sum()
    assert shares["beta"] > 0.4
    assert shares["features"] < 0.2


def test_the_mastered_and_the_hopeless_rest_and_some_are_looked_at_again() -> None:
    """With a method that does not choose by itself, so that it is seen."""
    rates = np.repeat([0.0, 0.5, 1.0], 40)
    fields: dict[str, Any] = {"num_prompts": 120, "rounds": 60, "budget": 60 * 40, "offer": "window"}
    spent = {}
    for name, rest in (("all", {}), ("some", {"hopeless": 0.15, "mastered": 0.85, "rest_rounds": 1000})):
        allocator, dealt = make_allocator("uniform", **fields, **rest), np.zeros(120)
        for k in range(60):
            allocation = allocator.allocate(total=40)
            if k >= 40:
                np.add.at(dealt, allocation.prompt_ids, allocation.counts)
            won = np.random.default_rng(k).binomial(allocation.counts, rates[allocation.prompt_ids])
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
        spent[name] = dealt[rates == 0.5].sum() / dealt.sum()
        resting = allocator.metrics().get("resting_prompts", 0.0)
        assert resting == 0 if name == "all" else 40 < resting <= 85
    assert spent["all"] < 0.5
    assert 0.75 < spent["some"] < 1.0  # a twentieth of the groups looks again


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"belief": "features"}, "features=..., an array with a row for each prompt"),
        ({"features": TABLE}, "does not look at them; set belief='features'"),
        ({"belief": "features", "features": TABLE[:-1]}, "23 rows, the pool has 24 prompts; give one row a prompt"),
        ({"belief": "features", "features": TABLE * np.nan}, "nan in row 0, column 0 (72 such entries); fill them in"),
        ({"belief": "features", "features": np.zeros((PROMPTS, 65))}, "65 columns, 64 is the most"),
        ({"offline_rates": SHARES * 100}, "must be shares from 0 to 1; divide percentages by 100"),
        ({"offline_rates": [*SHARES[1:], np.nan]}, "give their samples too, 0 for the prompts without a rate"),
        ({"offline_strength": 2.0}, "none are given; give them or leave it out"),
        ({"offline_samples": FOURS}, "offline_samples go with offline_rates"),
        ({"offer": "window", "window": 9}, "the pool has 24; lower it to 4"),
        ({"selection": "dual", "belief": "pooled"}, "leave it out: there the gain decides"),
        ({"belief": "pooled", "forgetting": 0.5}, "leave forgetting at 1"),
        ({"hopeless": 0.1}, "rest where a window is offered; choose offer='window'"),
        ({"hopeless": 0.5, "mastered": 0.5, "offer": "window"}, "hopeless=0.5 must be below mastered=0.5"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make_allocator("cero", **SIZE, **fields)


def test_a_method_without_a_belief_says_so() -> None:
    with pytest.raises(ConfigurationError, match="goes by outcomes alone"):
        make_allocator("knapsack", **SIZE, belief="pooled")


def test_states_of_other_compositions_and_other_features_are_refused() -> None:
    fields = {"belief": "features", "features": TABLE}
    state = make_allocator("cero", **SIZE, **fields).state_dict()
    others: list[dict[str, Any]] = [
        {},
        {"belief": "pooled"},
        {"belief": "features", "features": TABLE[:, :2]},
        {"belief": "features", "features": TABLE**2},
        {"belief": "features", "features": TABLE, "offline_rates": SHARES},
        {"belief": "features", "features": TABLE, "offer": "window"},
        {"belief": "features", "features": TABLE, "offer": "window", "cost": "tokens"},
    ]
    for other in others:
        allocator = make_allocator("cero", **SIZE, **other)
        kept = allocator.state_dict()
        with pytest.raises(CheckpointError):
            allocator.load_state_dict(state)
        assert all(np.array_equal(kept[name], value) for name, value in allocator.state_dict().items())


def test_a_pools_round_is_dealt_by_what_is_believed_too() -> None:
    rates = np.where(np.arange(PROMPTS) < 12, 0.0, 0.5)
    allocator = make_allocator("cero", **SIZE, offline_rates=rates, offline_strength=50.0)
    dealt = allocator.allocate(total=48)
    assert (dealt.prompt_ids >= 12).all()
    with pytest.raises(BudgetError):
        allocator.allocate(total=10**6)


def test_a_window_is_narrowed_to_what_pays() -> None:
    """Prompts of equal worth: no more than fit are looked at, and nobody is passed over in an epoch."""
    allocator: Any = make_allocator("cero", **SIZE, offer="window", window=3, variety=0.25)
    first = allocator.allocate(total=48)  # nothing is known yet
    rest = [allocator.allocate(total=48).prompt_ids for _ in range(PROMPTS // first.prompt_ids.size - 1)]
    served = np.concatenate([first.prompt_ids, *rest])
    assert served.size == np.unique(served).size


def test_a_window_is_as_wide_as_it_may_be_where_few_prompts_are_worth_anything() -> None:
    """One prompt in three solved half of the time, the others never: the walk passes the others over."""
    rates = np.where(np.arange(PROMPTS) % 3 == 0, 0.5, 0.0)
    fields = {"offer": "window", "window": 3, "offline_rates": rates, "offline_strength": 20.0}
    shares = {}
    for variety in (0.25, 0.9):
        allocator: Any = make_allocator("cero", **SIZE, **fields, variety=variety)
        served = np.concatenate([allocator.allocate(total=48).prompt_ids for _ in range(4)])
        shares[variety] = float(np.mean(rates[served] > 0))
    assert shares[0.25] > 0.8 > 0.5 > shares[0.9]


@pytest.mark.parametrize(
    ("method", "fields", "remedy"),
    [
        ("cero", {}, "there is none; choose offer='window', or leave it out"),
        ("mopps", {}, "a MoppsConfig draws among them, or leave it out"),
        ("random_matched", {"offer": "window"}, "a RandomMatchedConfig draws among them"),
        ("cero", {"offer": "window", "pilot": 2}, "a pilot, which is there to find out, or leave it out"),
    ],
)
def test_a_variety_that_would_decide_nothing_is_refused(method: str, fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(remedy)):
        make_allocator(method, **SIZE, **fields, variety=0.25)


def test_a_cost_where_nothing_is_ranked_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="so it would decide nothing; choose offer='window'"):
        make_allocator("cero", **SIZE, cost="tokens")
    for method, fields in (("cero", {"offer": "window"}), ("greso", {}), ("cero", {"pilot": 2})):
        assert make_allocator(method, **SIZE, **fields, cost="tokens").config.cost == "tokens"
