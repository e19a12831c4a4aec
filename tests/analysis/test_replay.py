"""Replay: its rates against numpy's interpolation, its totals against the record, every allocator at one budget."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import BudgetError, ConfigurationError, available_allocators
from cero_api.adapting.defaults import VARIETY, WINDOW
from cero_api.analysis.history import SuccessHistory, read_history
from cero_api.analysis.replay import RecordedArena, Scope, replay
from cero_api.trace import TraceWriter


def arena_of(history: SuccessHistory, scope: Scope | None = None, smooth: int = 0, **options: Any) -> RecordedArena:
    sizes = dict.fromkeys(("rounds", "budget", "group_size", "batch_size")) | options
    return RecordedArena(history, scope=scope, smooth=smooth, **sizes)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> SuccessHistory:
    """A training of 40 rounds: 60 prompts, 12 in a batch, 8 rollouts each, getting easier; one is never offered."""
    path = tmp_path_factory.mktemp("run") / "trace.jsonl"
    rng = np.random.default_rng(0)
    start = rng.normal(-0.5, 2.0, 60)
    with TraceWriter(path, num_prompts=61) as trace:
        for k in range(40):
            rows = rng.permutation(60)[:12]
            p = 1 / (1 + np.exp(-(start[rows] + k / 20)))
            trace.write(k, rows, [8] * 12, rng.binomial(8, p))
    return read_history(path)


@given(
    st.dictionaries(st.integers(0, 30), st.integers(0, 8), min_size=1, max_size=6),
    st.lists(st.floats(-2, 33), min_size=1, max_size=5),
)
def test_rates_are_linear_between_visits_and_constant_outside(visits: dict[int, int], times: list[float]) -> None:
    rounds = sorted(visits)
    won = [visits[k] for k in rounds]
    history = SuccessHistory(
        keys=["other", "this"],
        offsets=np.array([0, 1, 1 + len(rounds)]),
        visit_round=np.array([7, *rounds], dtype=np.int32),
        visit_successes=np.array([4, *won], dtype=np.float32),
        visit_count=np.full(1 + len(rounds), 8, dtype=np.int32),
        round_numbers=np.empty(0, dtype=np.int64),
        candidates=np.empty(0, dtype=np.int32),
        candidate_offsets=np.zeros(1, dtype=np.int64),
        rollouts=np.empty(0, dtype=np.int64),
    )
    arena = arena_of(history)
    for time in times:
        expected = np.interp(time, rounds, np.array(won) / 8)
        np.testing.assert_allclose(arena.rates(time, np.array([1, 0])), [expected, 0.5], atol=1e-6)


def test_every_allocator_spends_what_was_recorded_round_by_round(record: SuccessHistory) -> None:
    report = replay(record, available_allocators(), seeds=[0, 1])
    assert report.settings["scope"] == "recorded"
    assert [result.allocator for result in report.results] == list(available_allocators())
    for result in report.results:
        assert result.metrics["rollouts"].values == (40 * 96.0, 40 * 96.0)
        assert 0 < result.metrics["effective_group_rate"].mean < 1
        assert 0 < result.metrics["signal_per_rollout"].mean <= 0.25
    uniform = next(result.metrics for result in report.results if result.allocator == "uniform")
    cero = next(result.metrics for result in report.results if result.allocator == "cero")
    assert cero["signal_per_rollout"].mean > uniform["signal_per_rollout"].mean


def test_the_draws_follow_the_rates(record: SuccessHistory) -> None:
    uniform = replay(record, ["uniform"], seeds=range(20)).results[0].metrics
    # Observed mixed groups against their expectation, over 480 groups and 20 seeds.
    expected = uniform["expected_effective_groups"].mean / 480
    assert uniform["effective_group_rate"].mean == pytest.approx(expected, abs=0.01)
    low, high = uniform["effective_group_rate"].low, uniform["effective_group_rate"].high
    assert low is not None
    assert high is not None
    assert low < expected < high


def test_the_same_seeds_give_the_same_numbers_whoever_else_takes_part(record: SuccessHistory) -> None:
    alone = replay(record, ["cero"], seeds=[3, 4]).results[0].metrics
    company = replay(record, ["uniform", "cero"], seeds=[3, 4]).results[1].metrics
    for name in set(alone) - {"allocator_ms"}:
        assert alone[name] == company[name]


@pytest.mark.parametrize("scope", ["batch", "pool"])
def test_other_scopes_keep_the_budget(record: SuccessHistory, scope: Scope) -> None:
    report = replay(record, available_allocators(), seeds=[0], scope=scope)
    assert report.settings["budget"] == 40 * 96
    for result in report.results:
        rollouts = result.metrics["rollouts"].mean
        assert rollouts == 40 * 96 if scope == "batch" else rollouts <= 40 * 96
        assert rollouts >= 0.9 * 40 * 96


def test_a_window_offers_more_than_fit_to_all_but_the_baseline(record: SuccessHistory) -> None:
    report = replay(record, available_allocators(), seeds=[0, 1], scope="window", group_size=8, batch_size=6)
    offers = {result.allocator: result.config.get("window") for result in report.results}
    assert offers.pop("uniform") is None
    assert offers.pop("pilot_commit") == 2  # its own, as published
    assert set(offers.values()) == {5}  # of 8, as many as 60 prompts allow for rounds of 12 groups
    given = replay(record, ["cero", "mopps"], seeds=[0], scope="window", group_size=8, batch_size=6, window=3)
    assert [result.config["window"] for result in given.results] == [3, 3] == [given.settings["window"]] * 2
    for result in report.results:
        assert result.metrics["rollouts"].values == (report.settings["budget"],) * 2
    signal = {result.allocator: result.metrics["signal_per_rollout"].mean for result in report.results}
    assert signal["cero"] > 1.1 * signal["uniform"]  # no more of the window than pays
    # In a batch of its own the baseline has what it has in a window.
    batch = replay(record, ["uniform"], seeds=[0, 1], scope="batch", group_size=8, batch_size=6, budget=40 * 96)
    assert signal["uniform"] == pytest.approx(batch.results[0].metrics["signal_per_rollout"].mean, rel=0.05)


@pytest.mark.parametrize(("batch", "factor"), [(6, WINDOW), (30, 2), (50, 1)])
def test_a_window_is_as_wide_as_the_pool_allows(record: SuccessHistory, batch: int, factor: int) -> None:
    sizes = {"rounds": 10, "budget": 80 * batch, "group_size": 8, "batch_size": batch}
    assert arena_of(record, "window", **sizes).window("cero") == {"window": factor, "variety": VARIETY}
    assert arena_of(record, "window", **sizes).window("cero", 3) == {"window": 3}


def test_a_smaller_budget_scales_every_round(record: SuccessHistory) -> None:
    arena = arena_of(record, budget=1001)
    totals = [turn.total for turn in arena.turns(0)]
    assert sum(total or 0 for total in totals) == arena.budget == 1001
    assert set(totals) == {25, 26}
    report = replay(record, ["uniform", "cero"], seeds=[0], budget=2000, rounds=20)
    assert [result.metrics["rollouts"].mean for result in report.results] == [2000.0, 2000.0]


def test_settings_overrule_the_common_ones(record: SuccessHistory) -> None:
    report = replay(record, ["uniform", "cero"], seeds=[0], cap=10, settings={"cero": {"saturation": 2.0}})
    assert report.results[1].config["saturation"] == 2.0
    assert report.results[1].config["max_rollouts_per_prompt"] == 10
    with pytest.raises(ConfigurationError, match="does not take part"):
        replay(record, ["uniform"], settings={"cero": {"saturation": 2.0}})
    with pytest.raises(ConfigurationError, match=r"cero: .*saturated: unknown"):
        replay(record, ["cero"], settings={"cero": {"saturated": 2.0}})


def test_prompts_without_a_rate_are_left_out_and_counted(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [5, 6, 7], [8, 8, 0], [2, 0, 0], [6, 0, 0])
        trace.write(3, [6], [8], [0], [0])
        trace.write(4, [5, 7], [8, 4], [4, 4])
    history = read_history(tmp_path)
    arena = arena_of(history)
    turns = list(arena.turns(0))
    assert arena.num_prompts == 2
    assert [turn.rows.tolist() for turn in turns if turn.rows is not None] == [[0, 1], [0, 1]]
    assert [turn.total for turn in turns] == [16, 12]
    report = replay(history, ["uniform"], seeds=[0])
    assert any("1 prompts never had a scored rollout" in note for note in report.notes)


def test_rates_without_rounds_are_shuffled_batches() -> None:
    history = SuccessHistory.from_rates({f"q{i}": [0.1, 0.5, 0.9] for i in range(20)})
    report = replay(history, ["uniform", "cero"], seeds=[0], batch_size=5)
    assert report.settings["scope"] == "batch"
    assert report.settings["rounds"] == 12
    assert report.results[0].metrics["rollouts"].mean == 12 * 5 * 8
    with pytest.raises(ConfigurationError, match="visits but no rounds"):
        replay(history, ["uniform"], scope="recorded")


def test_what_cannot_be_is_refused(record: SuccessHistory) -> None:
    cases: list[dict[str, Any]] = [{"rounds": 0}, {"budget": 0}, {"seeds": []}, {"smooth": -1}, {"scope": "all"}]
    for wrong in cases:
        with pytest.raises(ConfigurationError):
            replay(record, ["uniform"], **wrong)
    with pytest.raises(ConfigurationError, match="no allocator is called"):
        replay(record, ["nobody"])
    with pytest.raises(BudgetError, match="cero: "):
        replay(record, ["cero"], seeds=[0], settings={"cero": {"min_rollouts_per_prompt": 8}}, budget=1000)
    with pytest.raises(ConfigurationError, match="nothing to replay"):
        replay(SuccessHistory.from_rates({"a": [0.5]}).__class__(
            keys=["a"], offsets=np.array([0, 0]), visit_round=np.empty(0, dtype=np.int32),
            visit_successes=np.empty(0, dtype=np.float32), visit_count=np.empty(0, dtype=np.int32),
            round_numbers=np.array([0]), candidates=np.array([0], dtype=np.int32),
            candidate_offsets=np.array([0, 1]), rollouts=np.array([0]),
        ), ["uniform"])  # fmt: skip


def test_a_replay_of_the_recorded_method_is_like_the_record(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(-1.0, 2.5, 200)
    groups = []
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        for k in range(150):
            rows = rng.permutation(200)[:20]
            won = rng.binomial(8, 1 / (1 + np.exp(-(odds[rows] + k / 75))))
            trace.write(k, rows, [8] * 20, won)
            groups += ((won > 0) & (won < 8)).tolist()
    history = read_history(tmp_path)
    report, raw = replay(history, ["uniform"]), replay(history, ["uniform"], smooth=0)
    gaps = [np.mean(groups) - each.results[0].metrics["effective_group_rate"].mean for each in (report, raw)]
    assert abs(gaps[0]) < 0.04
    assert gaps[1] > 0.06  # noise upon noise: rates look surer than they are
    assert any(f"recorded groups {np.mean(groups):.1%} were mixed" in note for note in report.notes)


def test_the_report_says_what_it_cannot_tell(record: SuccessHistory) -> None:
    report = replay(record, ["uniform", "cero"], seeds=[0, 1])
    assert "cannot tell what a model would have learned" in report.notes[0]
    fields = report.to_dict()
    assert fields["baseline"] == "uniform"
    assert list(fields["differences"]) == ["cero"]
