"""Trainings side by side: numbers of curves whose answer is known, whatever the order, the scale and the grid."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cero_api import ConfigurationError
from cero_api.analysis.learning import (
    TrainingRecord,
    collapsed,
    compare_over_regimes,
    compare_regimes,
    compare_trainings,
    curves,
    log_ratios,
    rollout_ratio,
    smoothed,
)
from cero_api.analysis.learning.ratio import reached, spent
from cero_api.analysis.learning.spread import Spread, share, together
from cero_api.analysis.report.learning_table import learning_warnings

Curves = NDArray[np.float64]
ACCURACIES = st.integers(-1000, 1000).map(lambda x: x / 1000)


def even(curve: Curves) -> Curves:
    return np.broadcast_to(np.linspace(0, 1, curve.shape[1]), curve.shape)


def ratios(mine: Curves, base: Curves) -> tuple[float, float, int]:
    found = log_ratios(mine[None], base[None], even(mine[None]), even(base[None]))
    return float(np.exp(found.end[0])), float(np.exp(found.along[0])), int(found.bound[0])


# Two curves


def test_the_ratio_is_of_rollouts_to_the_same_accuracy() -> None:
    slow = np.linspace(0, 0.4, 11)
    fast = np.minimum(2 * slow, 0.6)
    assert ratios(fast, slow) == pytest.approx((0.5, 0.5, 0))
    assert ratios(slow, slow) == (1.0, 1.0, 0)
    # The other way round uniform is the fast one, and half of its rollouts suffice for what the slow one ends with.
    assert ratios(slow, fast) == pytest.approx((2.0, 2.0, 0))


def test_along_the_curve_is_a_mean_over_nine_accuracies() -> None:
    base = np.linspace(0, 0.9, 91)
    late = np.maximum(base - 0.3, 0) * 1.5  # nothing for a third of the training, then up to the same
    end, along, _ = ratios(late, base)
    targets = 0.9 * np.linspace(1 / 3, 1, 9)
    taken = 0.3 + targets / 1.5
    assert end == pytest.approx(1.0)
    assert along == pytest.approx(np.exp(np.log(taken / targets).mean()))


def test_who_does_not_get_a_third_of_the_way_has_a_bound() -> None:
    base = np.linspace(0, 0.9, 91)
    flat, falling = np.full(91, 0.0), np.linspace(0, -0.5, 91)
    for curve in (flat, falling, base / 4):
        # Uniform is a third of the way after a third of its rollouts, the other not after all of them.
        assert ratios(curve, base) == pytest.approx((3.0, 3.0, 1))
        assert ratios(base, curve) == pytest.approx((1 / 3, 1 / 3, -1))
    assert np.isnan(ratios(falling, flat)[0])


@given(st.lists(ACCURACIES, min_size=4, max_size=30), st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_exchanged_it_turns_its_sign_and_scales_do_not_matter(values: list[float], seed: int, scale: float) -> None:
    mine = np.array([values])
    base = np.random.default_rng(seed).normal(0.5, 0.3, mine.shape).cumsum(1)
    cost = np.random.default_rng(seed).uniform(1, 5, mine.shape).cumsum(1)
    there, back = log_ratios(mine, base, cost, even(base)), log_ratios(base, mine, even(base), cost)
    np.testing.assert_allclose(there.end, -back.end, atol=1e-9)
    np.testing.assert_allclose(there.along, -back.along, atol=1e-9)
    assert there.bound == -back.bound
    other = log_ratios(mine * 2 + 1, base * 2 + 1, cost * scale + 7, even(base) * scale)
    np.testing.assert_allclose(other.end, there.end, atol=1e-6)
    np.testing.assert_allclose(other.along, there.along, atol=1e-6)


@given(st.lists(ACCURACIES, min_size=2, max_size=20), ACCURACIES)
def test_reached_is_where_a_walk_along_the_curve_first_is(values: list[float], target: float) -> None:
    steps = np.linspace(0, len(values) - 1, 40 * (len(values) - 1) + 1)
    walk = np.interp(steps, np.arange(len(values)), values)
    (place,) = reached(np.array([values]), np.array([[target]]))[0]
    above = np.flatnonzero(walk >= target)
    if above.size:
        assert steps[above[0]] - 1 / 40 <= place + 1e-12 <= steps[above[0]] + 1e-12
        squares = np.arange(len(values), dtype=float)[None] ** 2
        assert spent(squares, np.array([[place]]))[0, 0] == pytest.approx(
            np.interp(place, np.arange(len(values)), squares[0])
        )
    else:
        assert np.isnan(place)


@given(st.lists(ACCURACIES, min_size=2, max_size=30))
def test_a_curve_against_itself_is_even(values: list[float]) -> None:
    curve = smoothed(values)
    assert curve.min() >= min(values) - 1e-12
    assert curve.max() <= max(values) + 1e-12
    assert rollout_ratio(curve, curve) == 1.0 or curve[-1] - curve[0] < 1e-12


# Many trainings


def trainings(
    label: str, slope: float, seeds: int = 6, points: int = 21, last: int = 1280, start: str = "", tokens: float = 0.0
) -> list[TrainingRecord]:
    """Straight lines from 0.1, each seed a little higher than the one before, shared by all labels."""
    rollouts = np.linspace(0, last, points, dtype=np.int64)
    return [
        TrainingRecord(
            label=label,
            seed=seed,
            start=start,
            rollouts=rollouts.tolist(),
            accuracy=(0.1 + seed / 100 + slope * rollouts / 1280).tolist(),
            tokens=(rollouts * tokens).astype(np.int64).tolist() if tokens else None,
            effective_group_rate=abs(slope),
            optimizer_steps=20,
            seconds=10.0,
        )
        for seed in range(seeds)
    ]


def test_twice_the_slope_takes_half_of_the_rollouts() -> None:
    results = compare_trainings(trainings("cero", 0.4) + trainings("uniform", 0.2))
    assert list(results) == ["cero", "uniform"]
    cero, uniform = results["cero"], results["uniform"]
    assert [uniform.ratio, uniform.against, uniform.pace] == [None] * 3
    found = cero.against
    assert found is not None
    assert found.rollouts is not None
    for interval in (found.rollouts.end, found.rollouts.along):
        assert interval.value == pytest.approx(0.5)  # exactly: averages stand where their rollouts' averages are
        assert interval.low == pytest.approx(interval.high)  # what both owe to the seed cancels
    assert found.tokens is None
    assert found.less.value == pytest.approx(0.2 * 0.95)  # the last three evaluations
    assert found.less.high == pytest.approx(found.less.low)
    assert (cero.trainings, cero.starts, cero.rollouts, cero.steps, cero.pace) == (6, 1, 1280, 20, 1.0)


def test_tokens_count_what_was_generated_by_then() -> None:
    results = compare_trainings(trainings("cero", 0.4, tokens=30) + trainings("uniform", 0.2, tokens=10))
    found = results["cero"].against
    assert found is not None
    assert found.tokens is not None
    assert found.tokens.end.value == pytest.approx(1.5, rel=1e-3)
    assert found.tokens.along.value == pytest.approx(1.5, rel=1e-3)
    # With the tokens that uniform has at its end, cero has a third of its rollouts.
    assert found.less_at_equal_tokens is not None
    assert found.less_at_equal_tokens.value == pytest.approx((0.4 / 3 - 0.2) * 0.95, abs=1e-3)
    some = [*trainings("cero", 0.4, tokens=30), *trainings("uniform", 0.2)]
    assert compare_trainings(some)["cero"].against.tokens is None  # type: ignore[union-attr]  # it is compared


def test_only_starts_and_seeds_that_both_have_are_compared() -> None:
    lonely = TrainingRecord(label="cero", seed=99, rollouts=[0, 1280], accuracy=[0.0, 0.0])
    elsewhere = trainings("cero", 0.0, seeds=4, start="other")
    results = compare_trainings(
        [*trainings("uniform", 0.2, seeds=4), *trainings("cero", 0.4, seeds=2), lonely, *elsewhere]
    )
    cero = results["cero"]
    assert (cero.trainings, cero.starts) == (2, 1)
    assert cero.against is not None
    assert cero.against.less.value > 0
    assert results["uniform"].trainings == 4


def test_the_mean_over_starts_does_not_care_how_many_seeds_each_has() -> None:
    runs = [*trainings("uniform", 0.2, start="a"), *trainings("uniform", 0.2, seeds=2, start="b")]
    runs += [*trainings("cero", 0.4, start="a"), *trainings("cero", 0.1, seeds=2, start="b")]
    found = compare_trainings(runs)["cero"].against
    assert found is not None
    assert found.rollouts is not None
    assert (found.pairs, found.starts) == (8, 2)
    assert found.rollouts.end.value == pytest.approx(1.0)  # a half in one start, twice as many in the other
    logs = np.log([0.5, 2.0])
    half = 12.706 * logs.std(ddof=1) / np.sqrt(2)
    assert found.rollouts.end.high == pytest.approx(np.exp(half))
    assert found.rollouts.unreached == 1
    assert found.less.value == pytest.approx((0.2 - 0.1) / 2 * 0.95)


def test_no_order_changes_a_number() -> None:
    runs = [
        run.model_copy(update={"accuracy": np.random.default_rng(i).normal(run.accuracy, 0.02).tolist()})
        for i, run in enumerate(
            run
            for start in ("a", "b", "c")
            for label, slope in (("uniform", 0.2), ("cero", 0.3), ("oracle", 0.4))
            for run in trainings(label, slope, seeds=3, start=start, tokens=10)
        )
    ]
    told = {label: json.dumps(result.numbers()) for label, result in compare_trainings(runs).items()}
    for seed in range(5):
        random.Random(seed).shuffle(runs)
        again = {label: json.dumps(result.numbers()) for label, result in compare_trainings(runs).items()}
        assert again == told


def test_only_rollouts_that_both_have_spent_are_compared() -> None:
    half = trainings("cero", 0.2, last=640)
    results = compare_trainings(trainings("uniform", 0.2) + half)
    assert results["cero"].rollouts == 640
    assert results["uniform"].rollouts == 1280
    assert "fewer rollouts, as far as its trainings and those beside them go: cero (640)." in str(
        learning_warnings(results)
    )
    assert results["cero"].ratio is not None
    assert results["cero"].ratio.value == pytest.approx(1.0)
    later = TrainingRecord(label="uniform", rollouts=[2000, 3000], accuracy=[0.1, 0.2])
    with pytest.raises(ConfigurationError, match="ends at 640 rollouts, another begins at 2000"):
        compare_trainings([*half, later])
    with pytest.raises(ConfigurationError, match="give at least one"):
        compare_trainings([])
    with pytest.raises(ConfigurationError, match="give at least one"):
        compare_regimes([])


@pytest.mark.parametrize(("points", "last"), [(11, 640), (41, 2560)])
def test_a_third_beside_two_changes_nothing_of_them(points: int, last: int) -> None:
    two = trainings("uniform", 0.2, tokens=10) + trainings("cero", 0.3, tokens=9)
    alone = {label: result.numbers() for label, result in compare_trainings(two).items()}
    third = trainings("vip", 0.25, points=points, last=last)  # evaluated elsewhere, cut short or gone on
    beside = {label: result.numbers() for label, result in compare_trainings([*two, *third]).items()}
    assert alone == {label: beside[label] for label in alone}
    regimes = [record.model_copy(update={"regime": regime}) for regime in ("a", "b") for record in [*two, *third]]
    together = compare_regimes(regimes).together["cero"]
    assert together == compare_regimes([record for record in regimes if record.label != "vip"]).together["cero"]


def test_other_evaluations_of_the_same_line_change_nothing() -> None:
    few, many = trainings("uniform", 0.2, points=11), trainings("cero", 0.2, points=41)
    np.testing.assert_allclose(curves(few)[:, 0], curves(many)[:, 0])
    assert curves(few + many).shape == (12, 41)
    found = compare_trainings(few + many)["cero"].ratio
    assert found is not None
    assert found.value == pytest.approx(1.0)


def test_one_training_has_a_number_and_no_interval() -> None:
    found = compare_trainings(trainings("cero", 0.4, seeds=1) + trainings("uniform", 0.2, seeds=1))["cero"]
    assert found.ratio is not None
    assert not found.ratio.known
    assert found.against is not None
    assert not found.against.less.known
    told = json.loads(json.dumps(found.numbers(), allow_nan=False))["against"]["rollouts"]["end"]
    assert told == {"value": pytest.approx(0.5), "low": 0.0, "high": None}


def test_what_learns_nothing_is_bounded_or_left_out() -> None:
    falling = [run.model_copy(update={"accuracy": [0.1] + [0.0] * 20}) for run in trainings("vip", 0.2)]
    found = compare_trainings(trainings("uniform", 0.2) + falling)["vip"]
    assert found.against is not None
    assert found.against.rollouts is not None
    assert (found.against.rollouts.at_least, found.against.rollouts.unreached) == (1, 1)
    assert found.against.rollouts.end.value == pytest.approx(3.0, rel=0.1)
    # Neither learns in one of two starts: the other has the ratio.
    runs = [*trainings("uniform", 0.2, start="a"), *trainings("cero", 0.4, start="a")]
    runs += [*trainings("uniform", 0.0, start="b"), *trainings("cero", 0.0, start="b")]
    found = compare_trainings(runs)["cero"]
    assert found.against is not None
    assert found.against.rollouts is not None
    assert (found.against.rollouts.starts, found.against.rollouts.unlearned) == (1, 1)
    assert found.against.rollouts.end.value == pytest.approx(0.5)
    assert not found.against.rollouts.end.known
    nothing = compare_trainings(run for run in runs if run.start == "b")["cero"]
    assert nothing.ratio is None


def test_a_training_that_ends_below_its_start_is_named() -> None:
    rng = np.random.default_rng(0)
    noisy = [
        run.model_copy(update={"accuracy": (np.array(run.accuracy) + rng.normal(0, 0.01, 21)).tolist()})
        for run in (*trainings("uniform", 0.0, seeds=40), *trainings("cero", -0.2, seeds=1))
    ]
    assert collapsed(noisy) == noisy[-1:]  # a fall of 0.19; forty flat lines fall by chance, and are not named
    found = compare_trainings(noisy)["cero"]
    assert found.collapsed == (("", 0),)
    assert found.final.value < 0  # and it is in the means


# Several regimes


def regimes(labels: dict[str, float], starts: dict[str, tuple[str, ...]]) -> list[TrainingRecord]:
    """Lines whose slopes are the label's times one of the regime and start, and whose ratios are known."""
    return [
        run.model_copy(update={"regime": regime})
        for regime, names in starts.items()
        for start in names
        for label, slope in labels.items()
        for run in trainings(label, slope, seeds=2, start=start)
    ]


def test_regimes_are_compared_one_by_one_and_together() -> None:
    runs = regimes({"uniform": 0.2, "cero": 0.4}, {"easy": ("a", "b"), "hard": ("a", "b", "c")})
    runs += [run.model_copy(update={"regime": "odd"}) for run in trainings("vip", 0.2)]
    with pytest.raises(ConfigurationError, match="3 regimes, easy, hard, odd"):
        compare_trainings(runs)
    found = compare_regimes(runs)
    assert list(found.results) == ["easy", "hard", "odd"]
    cero = found.together["cero"]
    assert list(found.together) == ["cero"]  # uniform is the baseline, vip is in one regime alone
    assert (cero.pairs, cero.starts, cero.regimes, cero.of_one_start) == (10, 3, 2, 0)
    assert cero.rollouts is not None
    assert cero.rollouts.end.value == pytest.approx(0.5)
    json.dumps(found.numbers(), allow_nan=False)
    assert compare_over_regimes(found.records, "absent") is None


def test_a_start_that_is_in_all_regimes_moves_them_together() -> None:
    rng = np.random.default_rng(0)
    own, shared = rng.normal(0, 1, (3, 5)), rng.normal(0, 1, 5)
    same = [Spread.of({start: float(x) for start, x in enumerate(row + shared)}) for row in own]
    other = [
        Spread.of({(regime, start): float(x) for start, x in enumerate(row + shared)}) for regime, row in enumerate(own)
    ]
    means = (own + shared).mean(0)  # of each start, over the regimes
    joined = together(same)
    assert joined.freedom == pytest.approx(4)
    assert joined.interval().high - joined.value == pytest.approx(2.776 * means.std(ddof=1) / np.sqrt(5))
    apart = together(other)
    variances = (own + shared).var(1, ddof=1) / 5
    assert apart.value == pytest.approx(joined.value)
    assert apart.freedom == pytest.approx(variances.sum() ** 2 / (variances**2 / 4).sum())  # Welch, Satterthwaite
    assert sum(move**2 for move in apart.moves.values()) == pytest.approx(variances.sum() / 9)
    assert together([same[0], Spread(0.0, {"x": 0.0}, 0)]).freedom == 0  # a single training in one of them


# The oracle


def test_the_share_is_the_ratio_of_logarithms() -> None:
    runs = [
        run
        for start, oracle in (("a", 0.4), ("b", 0.5), ("c", 0.45))
        for label, slope in (("uniform", 0.2), ("cero", (0.2 * oracle) ** 0.5), ("oracle", oracle))
        for run in trainings(label, slope, seeds=2, start=start, tokens=10)
    ]
    found = compare_trainings(runs)["cero"].against
    assert found is not None
    assert found.rollouts is not None
    assert found.tokens is not None
    for half in (found.rollouts.end_of_oracle, found.rollouts.along_of_oracle, found.tokens.along_of_oracle):
        assert half is not None
        assert half.value == pytest.approx(0.5, rel=1e-3)
        assert half.low == pytest.approx(0.5, rel=0.02)  # it is half of the oracle's in every start
    named = [run.model_copy(update={"label": "best"}) if run.label == "oracle" else run for run in runs]
    assert not compare_trainings(named)["cero"].against.has_oracle  # type: ignore[union-attr]  # it is compared
    for oracle in ("best", {"cero": "best"}):
        own = compare_trainings(named, oracle=oracle)
        assert own["cero"].against == found
        assert own["best"].against is not None
        assert not own["best"].against.has_oracle


def test_there_is_no_share_of_nothing() -> None:
    mine = Spread.of({1: -0.2, 2: -0.3, 3: -0.1})
    assert share(mine, Spread.of({1: 0.1, 2: 0.2, 3: 0.15})) is None  # it takes more than the baseline
    assert share(mine, Spread.of({1: -0.9, 2: 0.5, 3: -0.1})) is None  # or may
    alone = share(Spread(-0.1, {1: 0.0}, 0), Spread(-0.2, {1: 0.0}, 0))
    assert alone is not None
    assert alone.value == 0.5
    assert not alone.known
