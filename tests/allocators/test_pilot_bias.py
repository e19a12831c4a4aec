"""The arithmetic behind the table of what a pilot bends: advantages as they are, fresh groups by simulation."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cero_api import group_advantages

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pilot_bias.py"
if not SCRIPT.exists():  # as where the wheel is tested
    pytest.skip("the benchmarks are in the repository alone", allow_module_level=True)


@pytest.fixture(scope="module")
def bias() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pilot_bias", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("estimator", ["rloo", "grpo"])
def test_the_right_answers_side_is_that_of_the_advantages(bias: ModuleType, estimator: str) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 8):
        for won in range(n + 1):
            rewards = rng.permutation(np.arange(n) < won).astype(float)
            advantages = group_advantages(rewards, np.zeros(n, dtype=int), estimator=estimator)  # type: ignore[arg-type]  # a literal
            expected = float(advantages[rewards == 1].sum())
            got = float(bias.right_side(np.array([float(won)]), np.array([n]), estimator)[0])
            assert got == pytest.approx(expected, abs=1e-12)


def test_a_fresh_groups_expectation(bias: ModuleType) -> None:
    assert bias.fresh(0.3, 8, "rloo") == pytest.approx(8 * 0.3 * 0.7)  # unbiased: every rollout weighs one
    won = np.random.default_rng(1).binomial(8, 0.1, 200_000).astype(float)
    drawn = bias.right_side(won, np.full(won.size, 8), "grpo")
    assert bias.fresh(0.1, 8, "grpo") == pytest.approx(drawn.mean(), abs=4 * drawn.std() / won.size**0.5)


def test_a_rest_at_random_bends_nothing_and_one_by_the_rewards_does(bias: ModuleType) -> None:
    bent = {rule: bias.ratios(*bias.played(rule, 2, 8, 40), 2, "grpo") for rule in ("random_matched", "cero")}
    middle = bias.RATES.index(0.1)
    whole, more = bent["random_matched"][middle]
    assert whole == pytest.approx(1.0, abs=0.08)
    assert more == pytest.approx(1.0, abs=0.1)
    whole, more = bent["cero"][middle]
    assert 1.1 < whole < 1.4
    assert 1.3 < more < 1.7
