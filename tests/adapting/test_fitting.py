"""The allocator for a training: made by its schedule, refused where it does not last, and its idleness said."""

import warnings
from typing import Any

import pytest

from cero_api import make_allocator
from cero_api.adapting import RoundShape, warn_of_idleness
from cero_api.adapting.fitting import fitted_allocator, usual_scope
from cero_api.adapting.known import Known
from cero_api.config import Scope
from cero_api.errors import BudgetError, ConfigurationError

SHAPE = RoundShape(num_prompts=12, rounds=6, budget=96, group_size=4, largest=16)
SIZE: dict[str, Any] = {"num_prompts": 12, "rounds": 6, "budget": 96}


@pytest.mark.parametrize("name", ["cero", "uniform", "vip", "hora"])
def test_a_name_becomes_an_allocator_that_lasts(name: str) -> None:
    config = fitted_allocator(name, None, SHAPE).config
    assert (config.num_prompts, config.rounds, config.budget) == (12, 6, 96)


def test_one_of_ones_own_is_taken_as_it_is_and_nothing_is_dealt() -> None:
    allocator = make_allocator("cero", **SIZE)
    assert fitted_allocator(allocator, None, SHAPE) is allocator
    assert allocator.exposure().sum() == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"num_prompts": 11}, "num_prompts=12"), ({"rounds": 5}, "rounds=6"), ({"budget": 95}, "budget=96")],
)
def test_what_does_not_last_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        fitted_allocator(make_allocator("uniform", **{**SIZE, **changes}), None, SHAPE)


def test_settings_beside_an_allocator_are_refused() -> None:
    allocator = make_allocator("uniform", **SIZE)
    with pytest.raises(ConfigurationError, match="allocator_config goes with"):
        fitted_allocator(allocator, {}, SHAPE)
    with pytest.raises(ConfigurationError, match="features"):
        fitted_allocator(allocator, None, SHAPE, Known(offline_rates=[0.5] * 12, given=True))


def test_a_round_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(BudgetError):
        fitted_allocator("cero", {"max_rollouts_per_prompt": 3}, SHAPE)


@pytest.mark.parametrize(("rounds", "warned"), [(3, True), (6, False)])
def test_idleness_is_said_once(rounds: int, warned: bool) -> None:
    shape = RoundShape(num_prompts=12, rounds=rounds, budget=16 * rounds, group_size=4, largest=16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_idleness(fitted_allocator("cero", None, shape), shape)
    assert bool(caught) == warned
    assert all('scope="window"' in str(warning.message) for warning in caught)


@pytest.mark.parametrize("scope", ["batch", "window", "pool"])
def test_the_users_scope_wins(scope: Scope) -> None:
    assert usual_scope("cero", scope) == usual_scope(make_allocator("cero", **SIZE), scope) == scope


def test_an_allocator_made_for_a_window_has_one() -> None:
    assert usual_scope(make_allocator("cero", **SIZE, offer="window"), None) == "window"
    assert usual_scope(make_allocator("cero", **SIZE), None) == "batch"
