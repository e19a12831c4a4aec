"""Features: one scale, one order of arithmetic, and refusals that say what to do."""

import re

import numpy as np
import pytest

from cero_api.beliefs import Features, make_belief
from cero_api.errors import ConfigurationError

RNG = np.random.default_rng(0)


def test_columns_come_to_one_scale() -> None:
    lengths, rare, constant = RNG.lognormal(5, 1, 4000), np.arange(4000) % 100 == 0, np.full(4000, 7.0)
    values = Features(np.column_stack([lengths, rare, constant]), 4000).of(slice(None))
    assert values[:, 0].mean() == pytest.approx(0, abs=0.05)
    assert values[:, 0].std() == pytest.approx(1, abs=0.2)
    assert np.abs(values).max() <= 4.0
    assert values[rare, 1].mean() - values[~rare, 1].mean() == pytest.approx(1)  # as far apart as common classes
    assert values[:, 1].mean() == pytest.approx(0, abs=1e-6)
    assert not values[:, 2].any()


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e300])
def test_the_unit_is_nothing(scale: float) -> None:
    values = RNG.normal(3, 1, 200)
    one, other = (Features(v, 200).of(slice(None)) for v in (values, values * scale))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_scores_do_not_depend_on_who_is_asked_for_beside() -> None:
    features = Features(RNG.normal(size=(1000, 16)), 1000)
    coefficients = RNG.normal(size=16)
    whole = features.scores(slice(None), coefficients, 0.3, 20.0)
    for rows in (RNG.permutation(1000), np.array([17]), np.array([999, 0, 5])):
        np.testing.assert_array_equal(features.scores(rows, coefficients, 0.3, 20.0), whole[rows])
    np.testing.assert_allclose(whole, 0.3 + features.of(slice(None)) @ coefficients, atol=1e-5)
    assert np.abs(features.scores(slice(None), 100 * coefficients, 0.0, 20.0)).max() == 20.0


def test_a_fingerprint_is_of_the_content_alone() -> None:
    values = RNG.integers(0, 9, (50, 3))
    same = [
        Features(v, 50).fingerprint for v in (values, values.astype(float), values.tolist(), np.asfortranarray(values))
    ]
    assert len(set(same)) == 1
    changed = values.copy()
    changed[49, 2] += 1
    assert Features(changed, 50).fingerprint != same[0]
    assert Features(np.zeros((50, 2)), 50).fingerprint == Features(-np.zeros((50, 2)), 50).fingerprint


class Tensor:
    """Of torch's kind."""

    def detach(self) -> "Tensor":
        return self

    cpu = float = detach

    def numpy(self) -> np.ndarray:
        return np.arange(6, dtype=np.float32).reshape(3, 2)


def test_tensors_are_taken() -> None:
    assert Features(Tensor(), 3).fingerprint == Features(Tensor().numpy(), 3).fingerprint  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((5, 2)), "5 rows, the pool has 4 prompts; give one row a prompt"),
        (np.zeros((4, 65)), "65 columns, 64 is the most; keep those"),
        ([[1.0], [np.nan], [3.0], [np.inf]], "nan in row 1, column 0 (2 such entries); fill them in"),
        (["math", "code", "math", "code"], "make of a class one column of 0 and 1"),
        (np.zeros((4, 2, 2)), "must be [prompts, columns]"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(values: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Features(values, 4)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "feature"}, "no belief is called 'feature'; there are beta, pooled, features, gp"),
        ({"kind": "features"}, "needs features, one row a prompt; give them, or configure belief='pooled'"),
        ({"kind": "pooled", "features": Features([1, 2, 3], 3)}, "configure belief='features', or leave them out"),
        ({"kind": "pooled", "forgetting": 0.5}, "leave forgetting at 1"),
    ],
)
def test_a_belief_that_cannot_be_is_refused_with_a_remedy(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make_belief(num_prompts=3, **fields)  # type: ignore[arg-type]  # on purpose
