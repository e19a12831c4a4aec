"""Advice: sizes, what scopes can decide, difficulty against sampling, signals, and verdicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, make_allocator
from cero_api._types import FloatArray
from cero_api.adapting.defaults import WINDOW
from cero_api.adapting.versions import TRAINERS
from cero_api.analysis.advice import (
    Composition,
    Regime,
    Run,
    Saved,
    Saving,
    Told,
    advise,
    choose,
    difficulty,
    published,
    run_of,
    scope_views,
    signals,
)
from cero_api.analysis.advice.choosing import CLOSE
from cero_api.analysis.advice.difficulty import effective_share
from cero_api.analysis.history import SuccessHistory, read_history
from cero_api.trace import TraceWriter

ROOT = Path(__file__).parents[2]
SIZES: dict[str, Any] = {"epochs": 2.0, "batch": 16, "group_size": 8}


def pool_of(rates: FloatArray, seed: int = 0) -> SuccessHistory:
    """Eight rollouts of each prompt."""
    rng = np.random.default_rng(seed)
    return SuccessHistory.from_rates({f"q{i}": [(int(rng.binomial(8, p)), 8)] for i, p in enumerate(rates)})


@pytest.fixture(scope="module")
def hard() -> SuccessHistory:
    return pool_of(np.random.default_rng(1).beta(0.15, 0.6, 512))


@pytest.fixture(scope="module")
def easy() -> SuccessHistory:
    return pool_of(np.random.default_rng(1).beta(4.0, 4.0, 512))


# Sizes


def test_sizes_come_from_the_record_unless_given(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        for k in range(30):
            trace.write(k, np.arange(10) + 10 * (k % 6), [4] * 10, [1] * 10)
    history = read_history(tmp_path)
    assert run_of(history) == Run(prompts=60, epochs=5.0, group_size=4, batch=10)
    assert run_of(history, epochs=1, batch=20) == Run(prompts=60, epochs=1, group_size=4, batch=20)
    rates = SuccessHistory.from_rates({f"q{i}": 0.5 for i in range(20)})
    assert run_of(rates) == Run(20, 1.0, 8, 20, assumed=("epochs", "group_size", "batch"))  # no more than there are


@given(st.integers(1, 10_000), st.floats(0.01, 50), st.integers(1, 64), st.integers(1, 500))
def test_a_run_is_what_a_loader_would_make_of_it(prompts: int, epochs: float, group_size: int, batch: int) -> None:
    batch = min(batch, prompts)
    run = Run(prompts, epochs, group_size, batch)
    assert run.rounds >= 1
    assert run.budget == run.rounds * batch * group_size
    assert run.visits <= max(epochs, batch / prompts) + 1e-9


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({}, "nothing is known of the run"),
        ({"prompts": 10, "batch": 20}, "do not fit a pool of 10"),
        ({"prompts": 10, "epochs": 0.0}, "epochs=0.0 is not above 0"),
        ({"prompts": 10, "group_size": 1}, "a group of one has no contrast"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        advise(**sizes)


# What scopes can decide


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("group_size", [2, 4, 8])
def test_a_scope_decides_what_the_metric_says(epochs: int, group_size: int) -> None:
    run = Run(prompts=256, epochs=epochs, group_size=group_size, batch=16)
    for view in scope_views(run, informed=True):
        fields = {"offer": "window", "window": WINDOW} if view.scope == "window" else {}
        if view.scope != "batch":
            fields["max_rollouts_per_prompt"] = view.cap
        allocator = make_allocator("cero", num_prompts=256, rounds=run.rounds, budget=run.budget, **fields)
        with_candidates = view.scope == "batch" and group_size > 2
        if view.scope == "batch" and not with_candidates:
            assert view.first == 0.0  # at the floor; the allocator would warn
            continue
        allocator.allocate(np.arange(16) if with_candidates else None, run.room)
        assert view.first == pytest.approx(allocator.metrics()["decidable"])


def test_in_the_first_epoch_something_must_be_known() -> None:
    views = {view.scope: view for view in scope_views(Run(640, 3, 8, 8), informed=False)}
    assert [views[scope].first for scope in ("batch", "window", "pool")] == [0.0, 1 - 1 / WINDOW, 0.0]
    assert [views[scope].later for scope in ("batch", "window", "pool")] == [0.75, 1.0, 1.0]
    narrow = {view.scope: view for view in scope_views(Run(20, 3, 8, 8), informed=False)}
    assert (narrow["window"].prompts, narrow["window"].first) == (16, 0.5)  # two for each that fits


@pytest.mark.parametrize(
    ("sizes", "limits", "said"),
    [
        ({"batch": 1}, {}, "a batch has one prompt"),
        ({"group_size": 2}, {}, "at least 2, so all counts are equal"),
        ({}, {"cap": 8}, "at most 8, so all counts are equal"),
        ({"epochs": 1.0}, {}, "every prompt is visited once"),
    ],
)
def test_where_a_batch_has_nothing_to_decide_it_says_why(
    sizes: dict[str, Any], limits: dict[str, Any], said: str
) -> None:
    given = {"prompts": 640, **SIZES, **sizes, **limits}
    advice = advise(**given, scope="batch")
    assert (advice.verdict, advice.composition, advice.lines) == ("nothing", None, {})
    assert said in " ".join(advice.reasons)
    # A window has.
    free = advise(**given)
    assert free.composition is not None
    assert free.composition.scope == "window"


def test_a_pool_that_fits_into_a_batch_leaves_nothing_to_choose() -> None:
    advice = advise(prompts=64, batch=64, epochs=1)
    assert advice.verdict == "nothing"
    assert any("all fit into a round" in reason for reason in advice.reasons)
    assert any("is visited once" in reason for reason in advice.reasons)
    again = advise(prompts=64, batch=64, epochs=4)  # with many epochs its batches can be shared out
    assert again.composition is not None
    assert again.composition.scope == "batch"


# Difficulty


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(2, 6))
def test_the_effective_share_is_that_of_all_subsets(won: list[int], n: int) -> None:
    import itertools

    shares = []
    for s in won:
        groups = list(itertools.combinations([1] * s + [0] * (6 - s), n))
        shares.append(np.mean([0 < sum(group) < n for group in groups]))
    found = effective_share(np.array(won, dtype=np.float64), np.full(len(won), 6), n)
    assert found == pytest.approx(float(np.mean(shares)))


def test_the_effective_share_is_without_bias() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 0.6, 20_000)
    truth = float(np.mean(1 - p**8 - (1 - p) ** 8))
    for samples in (8, 16, 64):
        found = effective_share(rng.binomial(samples, p).astype(np.float64), np.full(p.size, samples), 8)
        assert found == pytest.approx(truth, abs=0.01)
    assert effective_share(2e7 * p, np.full(p.size, 20_000_000), 8) == pytest.approx(truth, abs=1e-3)


def test_who_is_never_and_always_solved() -> None:
    rates: dict[str | int, Any] = {"a": [(0, 8), (0, 8)], "b": [(8, 8), (7, 8)], "c": [(8, 8)], "d": [(0, 8), (8, 8)]}
    found = difficulty(SuccessHistory.from_rates(rates), 8)
    assert (found.never, found.always, found.mixed) == (0.25, 0.25, 0.5)
    assert found.success_rate == 0.5  # at the first visit
    assert found.effective == pytest.approx(1 / 7)  # of the seven groups one was mixed
    single = SuccessHistory.from_rates({"a": [(0, 1), (1, 1)], "b": [(0, 1), (0, 1)]})  # rewards of single rollouts
    assert difficulty(single, 2).effective == pytest.approx(difficulty(single, 8).effective)


# Signals


def test_a_window_has_more_signal_the_more_is_known(hard: SuccessHistory) -> None:
    found = signals(hard, Run(512, **SIZES), ["batch", "window", "pool"])
    ratio = {(one.scope, one.known): one.ratio.mean for one in found.of}
    assert ratio["batch", "outcomes alone"] > 1.1
    assert ratio["window", "outcomes alone"] > 1.1  # no more of it than pays: variety is worth something too
    assert ratio["window", "rates of 4 samples"] > ratio["window", "outcomes alone"]
    assert ("pool", "rates of 4 samples") not in ratio
    assert found.uniform == pytest.approx(float(np.mean(hard.rates() * (1 - hard.rates()))), abs=0.01)


def test_one_visit_with_nothing_known_is_uniform(hard: SuccessHistory) -> None:
    found = signals(hard, Run(512, 1.0, 8, 16), ["batch"], seeds=[0])
    assert found.of[0].ratio.mean == pytest.approx(1.0)


def test_a_large_pool_is_sampled_at_the_same_visits() -> None:
    many = pool_of(np.random.default_rng(0).beta(0.3, 0.6, 9000))
    found = signals(many, Run(9000, 1.0, 8, 64), ["window"], seeds=[0])
    assert (found.prompts, found.rounds) == (4096, 64)
    part = many.only(np.arange(0, 9000, 60))  # of which 150 prompts were measured
    found = signals(part, Run(9000, 1.0, 8, 90), ["window"], seeds=[0])
    assert (found.prompts, found.rounds) == (150, 75)  # batches of two: as much to choose from as there will be
    assert found.of[1].ratio.mean > 1.1


def test_part_of_a_history_is_its_visits() -> None:
    history = SuccessHistory.from_rates({"a": [0.1, 0.2], "b": [0.3], "c": [0.4, 0.5]})
    part = history.only(np.array([2, 0]))
    assert part.keys == ["c", "a"]
    assert part.rates().tolist() == pytest.approx([0.4, 0.5, 0.1, 0.2])
    assert part.offsets.tolist() == [0, 2, 4]


# The verdict


def test_a_hard_pool(hard: SuccessHistory) -> None:
    advice = advise(hard, **SIZES)
    assert advice.verdict == "use"
    assert advice.composition is not None
    assert (advice.composition.scope, advice.composition.rates) == ("window", "pass_rate")
    assert any("--source" in reason for reason in advice.reasons)
    assert {one.regime.pool for one in advice.evidence} == {"hard"}
    assert all(one.saving.rollouts.ratio < 1 for one in advice.evidence)
    assert set(advice.lines) == set(TRAINERS)
    assert any("Nobody has measured them on your model" in note for note in advice.notes)
    plain = advice.to_dict()
    assert plain["verdict"] == "use"
    assert plain["run"]["rounds"] == 64
    assert plain["evidence"][0]["saving"]["rollouts"]["ratio"] < 1


def test_an_easy_pool_has_nothing_to_gain(easy: SuccessHistory) -> None:
    for epochs in (1.0, 4.0):
        advice = advise(easy, epochs=epochs, batch=16)
        assert (advice.verdict, advice.composition, advice.lines) == ("nothing", None, {})


def test_a_pool_that_is_mostly_solved_is_nowhere_measured() -> None:
    advice = advise(pool_of(np.random.default_rng(0).beta(0.8, 0.05, 512)), epochs=1, batch=16)
    assert (advice.verdict, advice.evidence) == ("try", ())
    assert "no published training had such a pool" in advice.reasons[0]


def test_without_a_record_all_pools_are_named() -> None:
    advice = advise(prompts=17_000, epochs=2, batch=128, group_size=8)
    assert advice.verdict == "try"
    assert (advice.difficulty, advice.signals) == (None, None)
    way = advice.composition
    assert way is not None
    assert (way.scope, way.tokens) == ("window", False)
    assert {one.regime.pool for one in advice.evidence} == {
        regime.pool for regime in published() if regime.of(["window-features"], way.window or WINDOW) is not None
    }


@pytest.mark.parametrize("told", [Told(), Told(rates="r"), Told(columns=("s",)), Told(rates="r", columns=("s",))])
@pytest.mark.parametrize("visits", [1.0, 2.0, 7.0])
@pytest.mark.parametrize("effective", [0.1, 0.4, 0.46, 0.6, 0.8])
def test_what_is_advised_was_measured_as_it_is_dealt_and_lost_nowhere(
    told: Told, visits: float, effective: float
) -> None:
    usual = Composition("window", rates=told.rates, source=told.source)
    found = choose(usual, visits, effective, widest=8)
    way = found.composition
    for one in found.evidence:
        assert one.saving.window == (way.window or WINDOW)
        assert one.saving.name.endswith("-tokens") == way.tokens
        assert one.saving.composition in way.names
    if not found.lost:
        assert all(saved.ratio <= 1.0 / CLOSE for one in found.evidence for saved in one.measures)
    # In a pool that has too few prompts for a wider window, none is advised.
    assert choose(usual, visits, effective, widest=1).composition.window is None


def made(pool: str, *savings: tuple[str, int, float, float]) -> Regime:
    """Of compositions: names, widths, rollouts and tokens, each 0.05 to both sides."""

    def saved(ratio: float) -> Saved:
        return Saved(ratio=ratio, low=ratio - 0.05, high=ratio + 0.05)

    return Regime(
        name=pool, pool=pool, visits=1.0, model="small", parameters=0.1, group_size=8, effective=0.5,
        savings=tuple(
            Saving(name=name, trainings=5, starts=5, window=width, rollouts=saved(rollouts), tokens=saved(tokens))
            for name, width, rollouts, tokens in savings
        ),
    )  # fmt: skip


OWN = f"window-{WINDOW}-features"


@pytest.mark.parametrize(
    ("savings", "window", "tokens"),
    [
        # The trainers' own stays where another is better within the intervals, or better in one and worse in the other.
        ([(OWN, WINDOW, 0.8, 0.6), ("window-features", 4, 0.75, 0.55)], None, False),
        ([(OWN, WINDOW, 0.8, 0.6), ("window-features-tokens", 4, 0.9, 0.4)], None, False),
        # Another is shown to be better; of several the one with the fewest tokens.
        ([(OWN, WINDOW, 0.8, 0.6), ("window-features", 4, 0.6, 0.5)], 4, False),
        ([(OWN, WINDOW, 0.8, 0.6), ("window-features", 4, 0.6, 0.4), ("window-tokens", 6, 0.7, 0.3)], 6, True),
        # The trainers' own lost, or was not tried.
        ([(OWN, WINDOW, 1.1, 1.0), ("window-features", 4, 0.99, 0.99)], 4, False),
        ([("window-features", 4, 0.99, 0.99), ("window-tokens", 4, 0.9, 0.9)], 4, True),
        # Others lost, whatever they saved beside; and one that was tried nowhere near.
        ([(OWN, WINDOW, 0.8, 0.6), ("window-tokens", 4, 1.1, 0.3)], None, False),
        ([("window-pooled", 4, 0.1, 0.1)], None, False),
    ],
)
def test_the_trainers_own_unless_the_records_speak_for_another(
    savings: list[tuple[str, int, float, float]], window: int | None, tokens: bool
) -> None:
    way = choose(Composition("window", source=True), 1.0, 0.5, 8, 8, [made("a", *savings)]).composition
    assert (way.window, way.tokens) == (window, tokens)


def test_where_the_pool_is_not_known_one_loss_is_enough() -> None:
    saved = [(OWN, WINDOW, 0.8, 0.6), ("window-features", 4, 0.5, 0.3)]
    lost = [(OWN, WINDOW, 1.0, 1.0), ("window-features", 4, 1.2, 1.2)]
    elsewhere = [(OWN, WINDOW, 0.8, 0.6)]
    usual = Composition("window", source=True)
    assert choose(usual, 1.0, None, 8, 8, [made("a", *saved)]).composition.window == 4
    assert choose(usual, 1.0, None, 8, 8, [made("a", *saved), made("b", *lost)]).composition.window is None
    assert choose(usual, 1.0, None, 8, 8, [made("a", *saved), made("b", *elsewhere)]).composition.window is None


def test_where_all_lost_uniform_stays(monkeypatch: pytest.MonkeyPatch, hard: SuccessHistory) -> None:
    table = (made("a", (OWN, WINDOW, 1.2, 1.1), ("window", 4, 1.2, 1.1)),)
    monkeypatch.setattr("cero_api.analysis.advice.choosing.published", lambda: table)
    advice = advise(hard, **SIZES, told=Told(columns=("source",)), seeds=[0])
    assert (advice.verdict, advice.lines) == ("nothing", {})
    assert "there what could be dealt by what is known lost" in advice.reasons[0]


def test_where_nothing_that_was_published_is_left_the_replay_decides(
    monkeypatch: pytest.MonkeyPatch, hard: SuccessHistory
) -> None:
    table = (made("a", ("window-tokens", 4, 1.2, 0.9)),)
    monkeypatch.setattr("cero_api.analysis.advice.choosing.published", lambda: table)
    by_rates = advise(hard, **{**SIZES, "epochs": 1.0}, told=Told(rates="r"), seeds=[0])
    assert (by_rates.verdict, by_rates.evidence) == ("try", ())
    assert by_rates.composition == Composition("window", rates="r")
    by_nothing = advise(hard, **{**SIZES, "epochs": 1.0}, told=Told(), seeds=[0])
    assert (by_nothing.verdict, by_nothing.evidence) == ("nothing", ())
    assert "gives no more signal than uniform" in by_nothing.reasons[0]


def test_knowledge_that_was_not_tried_counts_as_less() -> None:
    assert Composition("window", rates="r", source=True).names == (
        "window-both", "window-offline", "window-features", "window-lengths", "window",
    )  # fmt: skip
    assert Composition("window", tokens=True).names == ("window-lengths-tokens", "window-tokens")
    assert Composition("batch", rates="r", source=True).names == ("batch-offline", "cero-batch")
    measured = {saving.composition for regime in published() for saving in regime.savings}
    known = [Told(), Told(rates="r"), Told(columns=("s",)), Told(rates="r", columns=("s",))]
    ways = [Composition("window", told.rates, None, told.source, tokens) for told in known for tokens in (False, True)]
    assert all(measured & set(way.names) for way in ways)
