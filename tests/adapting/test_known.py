"""What adapters tell an allocator of the prompts: features for whoever looks at them; the user's own settings win."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cero_api import make_allocator
from cero_api.adapting.known import informed_fields, told_before
from cero_api.beliefs import BY_FEATURES

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


def test_a_belief_that_does_not_look_at_them_gets_none() -> None:
    for belief in ("beta", "pooled"):
        assert told("cero", {"belief": belief}) == {"belief": belief}
    assert told("cero", {"belief": "pooled", "cost": "tokens"})["features"] is TABLE


def test_without_a_word_of_the_user_they_are_looked_at() -> None:
    assert told("cero", {})["belief"] == "features"
    assert told("hora", {}) == {}
    assert informed_fields("vip", "window", {"belief": "gp"}) == {"belief": "gp"}
    assert informed_fields("vip", "window", {}) == {"belief": "features"}


def test_offline_rates_alone_make_a_pooled_belief() -> None:
    fields = told_before("cero", {}, features=None, offline_rates=RATES, automatic=True)
    assert fields["belief"] == "pooled"
    assert told("cero", {}, rates=RATES)["belief"] == "features"
