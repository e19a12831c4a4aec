"""Conjugacy on the compact domain, against a solver and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from cero_api.mathematics.utility import conjugate, marginal_gain, saturation_rate, supporting_exposure, utility

LIMIT = 40.0
rates = st.floats(0.0, 0.5)
duals = st.floats(0.0, 0.5)


@given(rates, duals)
def test_the_conjugate_is_the_minimum_over_exposures(rate: float, dual: float) -> None:
    grid = np.linspace(0, LIMIT, 4001)
    values = dual * grid - utility(rate, grid)
    exact = float(conjugate(rate, dual, LIMIT))
    assert exact <= values.min() + 1e-12
    solved = optimize.minimize_scalar(
        lambda z: dual * z - float(utility(rate, z)), bounds=(0, LIMIT), method="bounded", options={"xatol": 1e-10}
    )
    assert exact == pytest.approx(min(solved.fun, values[0], values[-1]), abs=1e-8)


@given(rates, duals)
def test_the_supporting_exposure_attains_it(rate: float, dual: float) -> None:
    exposure = float(supporting_exposure(rate, dual, LIMIT))
    assert 0 <= exposure <= LIMIT
    assert dual * exposure - float(utility(rate, exposure)) == pytest.approx(
        float(conjugate(rate, dual, LIMIT)), abs=1e-12
    )


def test_the_cases_of_the_conjugate_as_the_paper_writes_them() -> None:
    c, end = 0.25, 0.25 * np.exp(-0.25 * LIMIT)
    below, between, above = 0.5 * end, 0.1, 0.3
    assert conjugate(c, below, LIMIT) == pytest.approx(below * LIMIT - 1 + np.exp(-c * LIMIT))
    assert conjugate(c, between, LIMIT) == pytest.approx((between / c) * np.log(c / between) + between / c - 1)
    assert conjugate(c, above, LIMIT) == 0.0
    assert conjugate(0.0, between, LIMIT) == 0.0
    assert supporting_exposure(c, 0.0, LIMIT) == LIMIT
    assert supporting_exposure(0.0, 0.0, LIMIT) == 0.0


@given(st.floats(0.0, 1.0), st.floats(0.001, 0.25), st.floats(0.25, 4.0))
def test_biconjugacy_is_exact_on_the_compact_domain(share: float, proxy: float, saturation: float) -> None:
    equal_share = 8.0
    rate = float(saturation_rate(proxy, saturation, equal_share))
    exposure, most = share * LIMIT, saturation / equal_share
    # The minimiser is the slope at the exposure, which lies in [0, cbar]: the domain loses nothing.
    slope = rate * np.exp(-rate * exposure)
    assert 0 <= slope <= most * (1 + 1e-12)
    assert slope * exposure - conjugate(rate, slope, LIMIT) == pytest.approx(float(utility(rate, exposure)), abs=1e-12)
    grid = np.linspace(0, most, 501)
    assert (grid * exposure - conjugate(rate, grid, LIMIT)).min() >= utility(rate, exposure) - 1e-12


@given(rates, st.floats(0, LIMIT), st.floats(0, 16))
def test_the_marginal_gain_is_a_difference_of_utilities(rate: float, exposure: float, step: float) -> None:
    difference = float(utility(rate, exposure + step) - utility(rate, exposure))
    assert float(marginal_gain(rate, exposure, step)) == pytest.approx(difference, abs=1e-12)
