"""Offline pass rates: what they are worth, and what is refused."""

import re

import numpy as np
import pytest

from cero_api.beliefs import OfflineRates
from cero_api.errors import ConfigurationError


def test_a_rate_is_worth_the_strength_and_never_more_than_its_samples() -> None:
    rates = OfflineRates([0.25, 0.25, 0.25, np.nan], 4, samples=[1, 4, 10_000, 0])
    won, lost = rates.evidence(8.0, np.arange(4))
    np.testing.assert_allclose(won + lost, [8 / 9, 8 / 3, 8.0, 0.0], rtol=1e-3)
    np.testing.assert_allclose(won[:3] / (won + lost)[:3], 0.25)
    assert (won + lost <= [1, 4, 10_000, 0]).all()
    many = OfflineRates([0.25], 1).evidence(8.0, slice(None))
    assert (many[0][0], many[1][0]) == (2.0, 6.0)


def test_guesses_of_the_strength_are_answered_together() -> None:
    for samples in (None, [4, 8]):
        rates = OfflineRates([0.5, 1.0], 2, samples=samples)
        together = rates.evidence(np.array([[1.0], [2.0]]), np.arange(2))
        for k, strength in enumerate((1.0, 2.0)):
            for whole, part in zip(together, rates.evidence(strength, np.arange(2)), strict=True):
                np.testing.assert_array_equal(whole[k], part)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rates": [0.5, 0.5]}, "2 rows, the pool has 3 prompts; give one a prompt"),
        ({"rates": [0.5, np.nan, 0.1]}, "none in row 1 (1 such rows); give their samples too, 0 for"),
        ({"rates": [0.5, 37.5, 2.0]}, "37.5 in row 1 (2 such rows) and must be shares from 0 to 1; divide percentages"),
        ({"rates": [0.5, -0.1, 0.0]}, "must be shares from 0 to 1"),
        ({"rates": [0.5, 0.5, 0.5], "samples": [4, 4]}, "offline samples have 2 rows"),
        ({"rates": [0.5, 0.5, 0.5], "samples": [4, -1, 4]}, "offline samples have -1 in row 1; give the number"),
        ({"rates": [0.5, 0.5, 0.5], "strength": 0.0}, "must be positive, in rollouts; None finds it"),
        ({"rates": ["half", "all", "none"]}, "must be real numbers"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        OfflineRates(num_prompts=3, **fields)  # type: ignore[arg-type]  # on purpose
