"""Scores of what was predicted: nobody sees ahead, histories come back, the published table is that of theirs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Expectation, make_belief
from cero_api.errors import TraceError
from cero_lab.prediction.history import History, Visit, synthetic
from cero_lab.prediction.predictors import PREDICTORS
from cero_lab.prediction.rivals import Believed, GridFilter
from cero_lab.prediction.scores import predictions, score, scores
from cero_lab.prediction.tables import REGIMES, found, pools, table

PUBLISHED = Path(__file__).parents[2] / "docs" / "evidence"


def history(rates: FloatArray, rounds: int = 60) -> History:
    """Rates that stay, every prompt in its turn, and as many successes as are expected."""
    odds = np.log(rates / (1 - rates))
    rows = [np.arange(4 * k, 4 * k + 4) % rates.size for k in range(rounds)]
    visits = tuple(Visit(row, np.full(4, 8), 8 * rates[row]) for row in rows)
    nothing = np.zeros((rates.size, 1))
    return History("still", np.stack([odds, odds]), np.array([0, rounds]), visits, nothing, np.zeros(rates.size, int))


class Spy:
    """Expects what it was told last of a prompt, and nothing before."""

    def __init__(self, prompts: int) -> None:
        self.calls: list[str] = []
        self.last = np.zeros(prompts)

    def ask(self, rows: IntArray) -> Expectation:
        self.calls.append("ask")
        return Expectation(self.last[rows], self.last[rows] * (1 - self.last[rows]))

    def told(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> None:
        self.calls.append("told")
        self.last[rows] = won / (won + lost)


def test_each_group_is_predicted_before_it_is_told() -> None:
    of, spies = history(np.linspace(0.1, 0.9, 80)), [Spy(80)]
    tried, expected, true = predictions(spies[0], of).T
    assert spies[0].calls == ["ask", "told"] * 60
    assert (expected[tried == 0] == 0).all()
    np.testing.assert_allclose(expected[tried > 0], true[tried > 0])
    found = scores(lambda h: Spy(h.num_prompts), [of, of])
    assert found.keys() == {"zeroth", "first", "later"}
    assert np.isnan(found["zeroth"].r)
    assert found["first"] == pytest.approx((1.0, 0.0, 0.0, 1.0), abs=1e-9)


def test_a_score_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 0.25, 5000)
    expected = 0.05 + 0.5 * true + rng.normal(0, 0.02, 5000)
    of = score(expected, true)
    assert of.r == pytest.approx(np.corrcoef(expected, true)[0, 1], abs=1e-9)
    assert of.rmse == pytest.approx(np.sqrt(np.mean((expected - true) ** 2)), abs=1e-9)
    assert of.bias == pytest.approx((expected - true).mean(), abs=1e-9)
    assert of.slope == pytest.approx(np.polyfit(expected, true, 1)[0], abs=1e-9)


def test_a_history_comes_back_from_its_file(tmp_path: Path) -> None:
    before = synthetic(said=0.5, seed=1, prompts=50, rounds=12)
    before.save(tmp_path / "place" / "one.npz")
    after = History.load(tmp_path / "place" / "one.npz")
    np.testing.assert_allclose(after.log_odds, before.log_odds, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(after.features, before.features, rtol=1e-6)
    np.testing.assert_array_equal(after.offline, before.offline)
    for one, other in zip(after.visits, before.visits, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(after.rates(5), before.rates(5), atol=1e-3)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    for name in ("torn.npz", "none.npz"):
        with pytest.raises(TraceError, match="make it with --make"):
            History.load(tmp_path / name)


def test_rates_between_two_looks_lie_between() -> None:
    of = History("two", np.array([[-2.0], [2.0], [4.0]]), np.array([0, 4, 8]), (), np.zeros((1, 1)), np.zeros(1, int))
    odds = [float(np.log(of.rates(k)[0] / (1 - of.rates(k)[0]))) for k in (0, 1, 4, 6, 8, 9)]
    np.testing.assert_allclose(odds, [-2, -1, 2, 3, 4, 4])


def test_synthetic_features_say_as_much_as_they_are_made_to() -> None:
    for said in (0.0, 0.5, 0.9):
        of = synthetic(said=said, seed=0, prompts=4000, rounds=1)
        assert np.corrcoef(of.features[:, 0], of.log_odds[0])[0, 1] == pytest.approx(said, abs=0.05)
        assert np.corrcoef(of.features[:, 1], of.log_odds[0])[0, 1] == pytest.approx(0.0, abs=0.05)


def test_the_grid_finds_still_rates() -> None:
    rng = np.random.default_rng(0)
    rates = rng.beta(1.0, 1.0, 40)
    grid, belief = GridFilter(40), Believed(make_belief("pooled", 40))
    for _ in range(30):
        rows = rng.permutation(40)[:20]
        won = rng.binomial(8, rates[rows]).astype(float)
        for predictor in (grid, belief):
            predictor.ask(rows)
            predictor.told(rows, won, 8 - won)
    for predictor in (grid, belief):
        assert np.abs(predictor.ask(np.arange(40)).mean - rates).max() < 0.2


def test_the_published_histories_give_the_published_table() -> None:
    text = (PUBLISHED.parent / "evidence.md").read_text(encoding="utf-8")
    names = ("`beta`: the uniform prior of the papers", "`pooled`", "`features`", "`features` and offline rates")
    makers = {name: PREDICTORS[name] for name in names}
    regimes = ("hard-one-visit", "hard-seven-visits")
    made = pools(regimes, PUBLISHED / "prediction")
    assert made.keys() == set(regimes) <= set(REGIMES)
    for regime, pool in made.items():
        assert len(pool[""]) == 5
        block = text.partition(f"<!-- begin prediction {regime} -->")[2].partition("<!-- end")[0]
        published = block.strip().splitlines()
        heading, _, *rows = table(found(pool, makers)).splitlines()
        assert heading == published[0]
        for row in rows:
            name = row.split("|")[1]
            (shown,) = [line for line in published if line.split("|")[1] == name]
            # To the last digit but for what another machine's rounding may do to it.
            np.testing.assert_allclose(numbers(row), numbers(shown), atol=0.0101)


def test_every_predictor_stands_in_every_published_table() -> None:
    text = (PUBLISHED.parent / "evidence.md").read_text(encoding="utf-8")
    for regime in (*REGIMES, "synthetic"):
        block = text.partition(f"<!-- begin prediction {regime} -->")[2].partition("<!-- end")[0]
        assert [line.split(" | ")[0].removeprefix("| ") for line in block.strip().splitlines()[2:]] == list(PREDICTORS)


def numbers(row: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", row.partition("|")[2].partition("|")[2])]
