"""Settings that nobody gave are uniform's, for every allocator, so that all methods spend the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import available_allocators, make_allocator
from cero_api.adapting import RoundShape, allocator_fields, limits, scope_of
from cero_api.config import Scope
from cero_api.errors import ConfigurationError

# Any shape of a training is tried, those among them that leave nothing to decide.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


@pytest.mark.parametrize("scope", ["batch", "pool"])
@pytest.mark.parametrize("name", available_allocators(waves=1))
@given(data=st.data())
def test_every_allocator_fills_every_round_of_uniforms_budget(name: str, scope: Scope, data: st.DataObject) -> None:
    group = data.draw(st.integers(3, 16))  # vip deals 3 at least
    batch, rounds = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 6))
    pool = batch * data.draw(st.integers(1, 4))
    shape = RoundShape(pool, rounds, rounds * batch * group, group, batch * group, scope)
    allocator = make_allocator(name, **allocator_fields(name, shape, {}))
    for k in range(rounds):
        rows = None if scope == "pool" else [(k * batch + i) % pool for i in range(batch)]
        assert allocator.allocate(rows, total=batch * group).total == batch * group
    assert allocator.metrics()["budget_remaining"] == 0


def shape(**changes: Any) -> RoundShape:
    return RoundShape(**{"num_prompts": 64, "rounds": 10, "budget": 640, "group_size": 8, "largest": 64, **changes})


def test_a_users_own_settings_win() -> None:
    fields = allocator_fields("cero", shape(), {"max_rollouts_per_prompt": 24, "budget": 600, "capacity": 72})
    assert (fields["max_rollouts_per_prompt"], fields["budget"], fields["capacity"]) == (24, 600, 72)


@pytest.mark.parametrize(
    ("changes", "cap"),
    [({}, 16), ({"scope": "pool"}, 8), ({"scope": "window"}, 8), ({"room": 12}, 12), ({"room": 8}, 16)],
)
def test_ceros_cap(changes: dict[str, Any], cap: int) -> None:
    bounds = limits(make_allocator("cero", **allocator_fields("cero", shape(**changes), {})).config)
    assert bounds is not None
    assert bounds.cap == cap


@pytest.mark.parametrize(("scope", "offer"), [("batch", "window"), ("window", "pool")])
def test_an_offer_that_the_scope_would_pass_over_is_refused(scope: str, offer: str) -> None:
    with pytest.raises(ConfigurationError, match=f"offer={offer} contradicts scope={scope}"):
        allocator_fields("cero", shape(scope=scope), {"offer": offer})


@pytest.mark.parametrize("scope", ["batch", "pool"])
def test_a_width_without_a_window_is_refused(scope: str) -> None:
    with pytest.raises(ConfigurationError, match=f"window=4 .* there is none with scope={scope}"):
        allocator_fields("cero", shape(scope=scope), {"window": 4})
    assert allocator_fields("cero", shape(scope="window"), {"window": 4})["window"] == 4
    for fields in ({"window": 4, "offer": "window"}, {"window": None}):
        allocator_fields("cero", shape(scope="pool"), fields)
    assert allocator_fields("mopps", shape(scope="pool"), {"window": 4})["window"] == 4  # by its own offer


def test_an_offer_that_fits_is_taken() -> None:
    for scope, offer in (("window", "window"), ("pool", "window"), ("pool", "pool"), ("batch", "pool")):
        assert allocator_fields("cero", shape(scope=scope), {"offer": offer})["offer"] == offer


@pytest.mark.parametrize("field", ["budget", "max_rollouts_per_prompt", "window"])
@pytest.mark.parametrize("value", ["many", [8], float("nan")])
def test_what_is_no_number_is_refused_by_the_configuration(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=field):
        make_allocator("cero", **allocator_fields("cero", shape(scope="window"), {field: value}))


def test_a_reserve_for_groups_that_are_generated_anew() -> None:
    fields = allocator_fields("uniform", shape(reserve=3.0), {})
    assert (fields["rounds"], fields["budget"]) == (30, 1920)


def test_the_capacity_is_a_round_or_all_that_the_pool_can_take() -> None:
    assert allocator_fields("cero", shape(), {})["capacity"] == 64
    assert allocator_fields("cero", shape(num_prompts=3), {"budget": 480})["capacity"] == 48


def test_a_method_is_given_the_scope_of_its_evidence_where_nobody_says() -> None:
    usual = {name: scope_of(name) for name in available_allocators()}
    # The control is in the scope of what it controls.
    assert {name for name, scope in usual.items() if scope == "window"} == {
        "cero",
        "mopps",
        "pilot_commit",
        "random_matched",
    }
    assert {name for name, scope in usual.items() if scope == "pool"} == {"greso"}
    assert scope_of("cero", "batch") == "batch"


def test_a_cost_that_would_decide_nothing_is_refused() -> None:
    for scope in ("batch", "pool"):
        with pytest.raises(ConfigurationError, match=f"scope={scope}, so it would decide nothing; choose scope=window"):
            allocator_fields("cero", shape(scope=scope), {"cost": "tokens"})
    for name, scope in (("cero", "window"), ("mopps", "batch")):  # the second gives whole groups to a part of a batch
        fields = allocator_fields(name, shape(scope=scope), {"cost": "tokens"})
        assert make_allocator(name, **fields).config.cost == "tokens"


def test_a_budget_in_tokens_needs_rounds_of_any_size() -> None:
    with pytest.raises(ConfigurationError, match="token_budget=9000 is kept by the size of rounds"):
        allocator_fields("cero", shape(), {"token_budget": 9000})
    fields = allocator_fields("cero", shape(fixed=False), {"token_budget": 9000})
    assert make_allocator("cero", **fields).config.token_budget == 9000


@pytest.mark.parametrize("budget", [800, 800.0, "800"])
def test_a_budget_in_the_words_of_a_command_line_is_a_longer_plan_too(budget: object) -> None:
    assert allocator_fields("cero", shape(), {"budget": budget})["rounds"] == 13
    assert allocator_fields("cero", shape(), {"budget": "many"})["rounds"] == 10
