"""A number that is found by how well each of its values predicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.beliefs.grid import GridNumber

NUMBER = GridNumber(0.25, 32.0, 8, typical=2.0, width=1.0)


def test_it_is_the_geometric_mean_over_the_posterior() -> None:
    evidence = np.random.default_rng(0).normal(size=8)
    logs = np.log(NUMBER.values)
    posterior = np.exp(evidence - 0.5 * (logs - np.log(2.0)) ** 2)
    assert NUMBER.value(evidence) == pytest.approx(np.exp(posterior @ logs / posterior.sum()))


@given(st.lists(st.floats(-1e5, 1e5), min_size=8, max_size=8), st.floats(-1e6, 1e6))
def test_it_stays_within_its_values_and_only_differences_count(evidence: list[float], shift: float) -> None:
    found = NUMBER.value(np.array(evidence))
    assert 0.25 * (1 - 1e-9) <= found <= 32.0 * (1 + 1e-9)
    assert NUMBER.value(np.array(evidence) + shift) == pytest.approx(found, rel=1e-5)


def test_evidence_for_a_value_leads_to_it() -> None:
    found = []
    for strength in (0.0, 1.0, 4.0, 1000.0):
        evidence = NUMBER.start()
        evidence[6] = strength
        found.append(NUMBER.value(evidence))
    assert found == sorted(found)
    assert found[-1] == pytest.approx(NUMBER.values[6])


def test_values_of_equal_ratio_from_end_to_end() -> None:
    ratios = NUMBER.values[1:] / NUMBER.values[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    np.testing.assert_allclose(NUMBER.values[[0, -1]], [0.25, 32.0])


def test_a_known_number_stays_what_it_is() -> None:
    fixed = GridNumber.fixed(3.5)
    assert fixed.value(fixed.start()) == pytest.approx(3.5)
    assert fixed.value(np.array([-50.0])) == pytest.approx(3.5)
