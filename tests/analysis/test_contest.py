"""Intervals against scipy, loaders' epochs, and totals."""

import numpy as np
import pytest
from scipy import stats

from cero_api.analysis.contest import ContestReport, Estimate, Result, epochs, even_totals, t95


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
