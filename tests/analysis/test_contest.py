"""Intervals against scipy, loaders' epochs, and totals."""

from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats

from cero_api import BudgetError, ConfigurationError, available_allocators, make_allocator
from cero_api.analysis.contest import ContestReport, Estimate, Result, epochs, even_totals, suffices, t95
from cero_api.analysis.history import SuccessHistory
from cero_api.analysis.replay import Scope, replay
from cero_api.analysis.simulate import simulate


@pytest.mark.parametrize("freedom", [1, 2, 5, 30, 31, 40, 100, 1000])
def test_quantiles_are_students(freedom: int) -> None:
    assert t95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=6e-4)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    estimates = [Estimate.of(rng.normal(3.0, 2.0, 4).tolist()) for _ in range(4000)]
    covered = np.mean([e.low is not None and e.high is not None and e.low < 3.0 < e.high for e in estimates])
    assert covered == pytest.approx(0.95, abs=0.012)
    single = Estimate.of([1.0])
    assert (single.low, single.high) == (None, None)


def test_differences_are_paired() -> None:
    def result(name: str, *values: float) -> Result:
        return Result(name, {}, {"signal_per_rollout": Estimate.of(values)})

    report = ContestReport("replay", {}, (0, 1, 2), (result("b", 1, 5, 9), result("a", 2, 6, 10)), ())
    assert report.baseline == "b"
    difference = report.differences()["a"]["signal_per_rollout"]
    assert (difference.mean, difference.low, difference.high) == (1, 1, 1)


def test_an_epoch_visits_every_prompt_once() -> None:
    batches = list(epochs(num_prompts=10, batch=3, rounds=7, seed=1))
    assert all(batch.size == 3 for batch in batches)
    for epoch in (batches[:3], batches[3:6]):
        assert np.unique(np.concatenate(epoch)).size == 9
    assert list(epochs(10, 3, 7, seed=1))[6].tolist() == batches[6].tolist()


def test_totals_sum_to_the_budget() -> None:
    totals = even_totals(1001, 7)
    assert totals.sum() == 1001
    assert np.ptp(totals) <= 1


def recorded(group: int, rounds: int = 8, batch: int = 6) -> SuccessHistory:
    """A run of so many rollouts a prompt."""
    from cero_api.analysis.history.builder import Builder

    rng, builder = np.random.default_rng(group), Builder()
    for k in range(rounds):
        rows = rng.permutation(20)[:batch]
        builder.add([k] * batch, rows, [group] * batch, rng.binomial(group, rows / 20))
    return SuccessHistory(**builder.fields([f"q{i}" for i in range(20)], source="here"))


@pytest.fixture
def largest(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The largest count that each allocator deals."""
    counts: dict[str, int] = {}

    def watched(name: str, **config: Any) -> Any:
        allocator = make_allocator(name, **config)
        deal = allocator.allocate

        def allocate(rows: Any = None, total: Any = None) -> Any:
            allocation = deal(rows, total)
            counts[name] = max(counts.get(name, 0), int(allocation.counts.max(initial=0)))
            return allocation

        monkeypatch.setattr(allocator, "allocate", allocate)
        return allocator

    monkeypatch.setattr("cero_api.analysis.contest.run.make_allocator", watched)
    return counts


def all_or_a_note(report: ContestReport) -> set[str]:
    """Who took part; of everybody else a note says why not."""
    played = {result.allocator for result in report.results}
    for name in set(available_allocators()) - played:
        assert any(note.startswith(f"{name} is left out, since it cannot deal these rounds: ") for note in report.notes)
    return played


@pytest.mark.parametrize("group", [1, 2, 3, 8])
@pytest.mark.parametrize("scope", ["recorded", "batch", "pool"])
def test_a_replay_of_groups_of_any_size_keeps_its_cap_and_says_who_does_not_fit(
    group: int, scope: Any, largest: dict[str, int]
) -> None:
    report = replay(recorded(group), available_allocators(), seeds=[0], scope=scope)
    played = all_or_a_note(report)
    small = ({"vip"} if group == 1 else set()) | (
        {"pilot_commit"} if group <= 2 else set()
    )  # no smaller one is a pilot
    assert played >= set(available_allocators()) - small
    assert max(largest.values()) <= report.settings["cap"]
    twos = report.settings["group_size"] == 2 and (scope != "recorded" or group == 2)
    assert ("vip takes part with estimator='rloo'" in report.notes[0]) == (twos and "vip" in played)


@pytest.mark.parametrize("group", [1, 2, 3, 8])
@pytest.mark.parametrize("scope", ["batch", "pool"])
def test_a_simulation_of_groups_of_any_size_too(group: int, scope: Any, largest: dict[str, int]) -> None:
    report = simulate(available_allocators(), num_prompts=60, rounds=100, seeds=[0], scope=scope, group_size=group)
    assert all_or_a_note(report) >= {"uniform", "cero", "knapsack", "hora", "gvm", "random_matched"}
    assert max(largest.values()) <= report.settings["cap"]


@pytest.mark.parametrize("cap", [2, 3, 7, 8, 9, 16])
@pytest.mark.parametrize("budget", [None, 96, 200])
@pytest.mark.parametrize("scope", ["recorded", "batch", "pool"])
def test_a_cap_that_is_asked_for_is_kept_or_refused(
    cap: int, budget: int | None, scope: Any, largest: dict[str, int]
) -> None:
    """Eight rounds of six candidates and, unless the budget is smaller, eight rollouts each."""
    mean = -(-(budget or 8 * 48) // (8 * 20 if scope == "pool" else 48))

    def play() -> ContestReport:
        return replay(recorded(8), available_allocators(), seeds=[0], scope=scope, budget=budget, cap=cap)

    if cap < mean:
        with pytest.raises(ConfigurationError, match=rf"cap={cap} is less than the {mean} rollouts a prompt"):
            play()
        return
    report = play()
    assert report.settings["cap"] == cap
    assert report.settings["group_size"] == min(8, cap)
    assert max(largest.values()) <= cap


def test_rounds_without_a_choice_are_a_note_and_no_warning() -> None:
    report = replay(recorded(2), ["uniform", "cero", "knapsack"], seeds=[0, 1, 2])
    assert "Floor and cap left one way to deal every round: nothing to decide for cero, knapsack." in report.notes
    assert not any("nothing to decide" in note for note in replay(recorded(8), ["cero"], seeds=[0]).notes)


def test_a_cap_below_a_group_that_is_asked_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cap=2 is less than a group of 8; raise the cap"):
        replay(recorded(8), ["uniform"], cap=2, group_size=8, scope="pool")
    with pytest.raises(ConfigurationError, match="cap=2 is less than a group of 8; raise the cap"):
        simulate(["uniform"], cap=2)


def test_a_refusal_is_raised_where_it_is_the_callers_to_hear() -> None:
    floor = {"min_rollouts_per_prompt": 8}
    with pytest.raises(BudgetError, match="knapsack: "):  # whom the caller configured
        replay(recorded(8), ["uniform", "knapsack"], seeds=[0], budget=96, settings={"knapsack": floor})
    with pytest.raises(ConfigurationError, match="vip: "):  # nobody is left
        replay(recorded(1), ["vip"], seeds=[0])
    report = replay(recorded(1), ["vip", "uniform"], seeds=[0])
    assert report.baseline == "uniform"


@pytest.mark.parametrize("rounds", [1, 8])
def test_a_budget_without_a_group_a_round_is_refused_as_a_budget(rounds: int) -> None:
    suffices(2 * rounds, rounds)
    for scope in get_args(Scope):
        with pytest.raises(ConfigurationError, match=f"budget=1 is less than {2 * rounds} rollouts, one group of two"):
            replay(recorded(8), ["uniform"], budget=1, rounds=rounds, scope=scope)
    with pytest.raises(ConfigurationError, match="budget=1 is less than"):
        simulate(["uniform"], budget=1, rounds=rounds)
