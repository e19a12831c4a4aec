"""The fused, blocked steps against the formulas they fuse."""

import numpy as np
import pytest

from cero_api.mathematics.blocks import SIZE
from cero_api.mathematics.duals import exact_prompt_price, step_budget_price, step_prompt_prices
from cero_api.mathematics.utility import supporting_exposure


@pytest.mark.parametrize("prompts", [1, 7, SIZE, 2 * SIZE + 5])
def test_the_prompt_step_is_the_papers(prompts: int) -> None:
    rng = np.random.default_rng(prompts)
    proxy, price = rng.uniform(1e-4, 0.25, prompts), rng.random(prompts)
    price[:: max(1, prompts // 5)] = 0.0
    saturation, equal_share, rounds, cap, step = 0.7, 11.0, 50, 3, 0.1
    served = rng.choice(prompts, size=min(prompts, 4), replace=False)
    units = np.zeros(prompts)
    units[served] = rng.integers(1, cap + 1, served.size)

    steepest = saturation / equal_share  # cbar
    support = supporting_exposure(4 * saturation * proxy / equal_share, steepest * price, rounds * cap)
    expected = np.clip(price - step * (units - support / rounds) / cap, 0, 1)

    step_prompt_prices(
        price,
        4 * proxy,
        step=step,
        supply=equal_share / (saturation * rounds * cap),
        served=served,
        share=units[served] / cap,
    )
    np.testing.assert_allclose(price, expected, rtol=1e-12, atol=1e-14)


def test_an_unserved_price_rises_to_the_slope_and_stays_there() -> None:
    slope, price = np.array([0.6]), np.array([0.2])
    nobody: np.ndarray = np.empty(0, dtype=np.int64)
    for _ in range(5000):
        step_prompt_prices(price, slope, step=0.05, supply=0.05, served=nobody, share=np.empty(0))
    assert price[0] == pytest.approx(0.6, abs=1e-6)
    np.testing.assert_array_equal(exact_prompt_price(slope, 1.0, np.array([0.0])), slope)


def test_the_budgets_price_rises_with_spending_and_stays_in_range() -> None:
    at = {"step": 0.1, "mean": 128.0, "capacity": 132.0}
    assert step_budget_price(0.5, dealt=132.0, **at) > 0.5 > step_budget_price(0.5, dealt=0.0, **at)
    assert step_budget_price(0.5, dealt=128.0, **at) == 0.5
    assert step_budget_price(0.01, dealt=0.0, **at) == 0.0
    # The step is over max(mean, capacity - mean).
    assert step_budget_price(0.5, step=0.1, mean=2.0, capacity=12.0, dealt=12.0) == pytest.approx(0.6)
