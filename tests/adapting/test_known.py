"""What is known of prompts before their first visit: told to an allocator, and the same when it goes on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from cero_api import make_allocator
from cero_api.adapting import prompt_features, refuse_other_knowledge, told_before
from cero_api.adapting.known import features_help, informed_fields, numbers_in_column
from cero_api.beliefs import BY_FEATURES
from cero_api.errors import CeroWarning, CheckpointError, ConfigurationError
from cero_api.protocol import RolloutAllocator

SIZE: dict[str, Any] = {"num_prompts": 8, "rounds": 4, "budget": 64}


def made(**known: Any) -> RolloutAllocator:
    belief = "features" if "features" in known else "pooled"
    return make_allocator("cero", **SIZE, belief=belief, **known)


def test_samples_without_rates_are_refused_and_not_left_out() -> None:
    fields = told_before("cero", SIZE, features=None, offline_rates=None, offline_samples=np.ones(8), automatic=False)
    with pytest.raises(ConfigurationError, match="give the rates too"):
        make_allocator("cero", **fields)


def test_the_users_settings_win() -> None:
    given: dict[str, Any] = {"features": np.eye(8), "offline_rates": None, "automatic": True}
    assert "features" not in told_before("cero", {"belief": "beta"}, **given)
    assert told_before("cero", {"belief": "beta", "cost": "tokens"}, **given)["features"] is given["features"]
    assert "features" not in told_before("uniform", {}, **given)


def test_the_same_knowledge_goes_on() -> None:
    refuse_other_knowledge(made(), made())
    rates = np.array([np.nan, *np.linspace(0, 1, 7)])
    samples = np.array([0, *[4] * 7])
    both = {"offline_rates": rates, "offline_samples": samples}
    refuse_other_knowledge(made(**both), made(offline_rates=rates.tolist(), offline_samples=samples.tolist()))
    refuse_other_knowledge(made(features=np.arange(8.0)), made(features=np.arange(8)[:, None]))


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({"features": np.eye(8)}, {"features": np.eye(8)[::-1]}, "other features of"),
        ({"features": np.eye(8)}, {"features": np.arange(8)}, "other features of"),
        ({"offline_rates": np.full(8, 0.5)}, {"offline_rates": np.full(8, 0.25)}, "other offline rates of"),
        ({}, {"offline_rates": np.full(8, 0.25)}, "other offline rates of"),
        (
            {"features": np.eye(8), "offline_rates": np.full(8, 0.5)},
            {"features": np.ones(8)},
            "other features and offline rates of",
        ),
    ],
)
def test_other_knowledge_is_refused_by_name(before: dict[str, Any], now: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        refuse_other_knowledge(made(**before), made(**now))


TABLE, RATES = np.arange(12.0).reshape(6, 2), np.linspace(0, 1, 6)
SIZES = {"num_prompts": 6, "rounds": 3, "budget": 48}


def told(name: str, fields: dict[str, Any], *, automatic: bool = True, rates: Any = None) -> dict[str, Any]:
    return told_before(name, fields, features=TABLE, offline_rates=rates, automatic=automatic)


@pytest.mark.parametrize("belief", BY_FEATURES)
def test_a_belief_that_goes_by_features_gets_them(belief: str) -> None:
    for automatic in (True, False):
        fields = told("vip", {"belief": belief}, automatic=automatic)
        assert fields["belief"] == belief
        assert fields["features"] is TABLE
        make_allocator("vip", **SIZES, **fields)


def test_features_are_made_where_prompts_are_chosen_or_a_belief_goes_by_them() -> None:
    assert [features_help("window", fields) for fields in (None, {}, {"belief": "pooled"})] == [True] * 3
    assert [features_help("batch", {"belief": belief}) for belief in ("gp", "features", "beta")] == [True, True, False]
    assert not features_help("pool", None)


def test_a_belief_that_does_not_look_at_them_gets_none() -> None:
    for belief in ("beta", "pooled"):
        assert told("cero", {"belief": belief}) == {"belief": belief}
    assert told("cero", {"belief": "pooled", "cost": "tokens"})["features"] is TABLE


def test_features_that_were_asked_for_and_that_nothing_would_look_at_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"belief=pooled does not look at features.*choose belief=features"):
        told("cero", {"belief": "pooled"}, automatic=False)
    assert told("cero", {"belief": "pooled", "cost": "tokens"}, automatic=False)["features"] is TABLE


def test_without_a_word_of_the_user_they_are_looked_at() -> None:
    assert told("cero", {})["belief"] == "features"
    assert told("hora", {}) == {}
    assert informed_fields("vip", "window", {"belief": "gp"}) == {"belief": "gp"}
    assert informed_fields("vip", "window", {}) == {"belief": "features"}


def test_offline_rates_alone_make_a_pooled_belief() -> None:
    fields = told_before("cero", {}, features=None, offline_rates=RATES, automatic=True)
    assert fields["belief"] == "pooled"
    assert told("cero", {}, rates=RATES)["belief"] == "features"


def columns_of(values: Any) -> Any:
    """What a column adds to the length, which is the same for all."""
    return prompt_features(["2+2="] * len(values), {"column": values})[:, 1:]


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float32, np.float64, np.bool_])
def test_numbers_of_numpy_are_numbers_and_not_classes(dtype: Any) -> None:
    """As a data set hands them out whose format is numpy's or torch's."""
    values = list(np.arange(40).astype(dtype))
    np.testing.assert_array_equal(columns_of(values), np.arange(40).astype(dtype)[:, None])
    np.testing.assert_array_equal(columns_of([np.asarray(value) for value in values]), columns_of(values))


def test_vectors_of_a_column_are_as_many_columns() -> None:
    table = np.random.default_rng(0).normal(size=(40, 3))
    for rows in (table.tolist(), [tuple(row) for row in table.tolist()], list(table)):
        np.testing.assert_array_equal(columns_of(rows), table)
    holes: list[Any] = [*table[:-1].tolist(), None]
    np.testing.assert_allclose(columns_of(holes)[-1], table[:-1].mean(axis=0))
    holes[0] = [np.nan, *table[0, 1:]]
    np.testing.assert_allclose(columns_of(holes)[0], [table[1:-1, 0].mean(), *table[0, 1:]])


def test_vectors_of_several_lengths_are_refused_by_the_columns_name() -> None:
    with pytest.raises(ConfigurationError, match="'column' has vectors of 1 to 2 numbers; give all of one length"):
        columns_of([[0.5], [0.5, 1.0]])


def test_lists_of_words_are_classes() -> None:
    np.testing.assert_array_equal(columns_of([["a"], ["b"], ["a"], []]), [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])


def test_decimals_are_numbers() -> None:
    np.testing.assert_array_equal(columns_of([Decimal("0.25"), None, Decimal("0.75")])[:, 0], [0.25, 0.5, 0.75])


def test_classes_that_most_prompts_have_none_of_are_said() -> None:
    with pytest.warns(CeroWarning, match="'column' has 40 different values, and only the 16 most .* which 16 of 40"):
        columns_of([f"name {i}" for i in range(40)])
    columns_of([f"name {i}" for i in range(40)] + ["the same"] * 40)


def test_a_chats_length_counts_the_parts_of_its_messages() -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "Why?"}]
    chats: list[Any] = ["Why?", [{"role": "user", "content": "Why?"}], [{"role": "user", "content": parts}]]
    chats.append(np.array(chats[1], dtype=object))
    np.testing.assert_allclose(prompt_features(chats, {}), np.log(5))


def test_a_column_of_words_is_no_column_of_rates() -> None:
    with pytest.raises(ConfigurationError, match="'rate' is to hold a number for each prompt and does not"):
        numbers_in_column("rate", ["50%"])
