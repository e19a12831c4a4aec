"""What is expected of prompts, and how sure: one kind a file."""

from __future__ import annotations

from typing import Any, Literal, get_args

from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.beta import BetaBelief, BetaState, Clock
from cero_api.beliefs.features import Features
from cero_api.beliefs.gaussian import GaussianBelief, GaussianState
from cero_api.beliefs.lengths import LengthBelief, LengthState
from cero_api.beliefs.offline import OfflineRates
from cero_api.beliefs.shared import SharedBelief, SharedState
from cero_api.errors import ConfigurationError

__all__ = [
    "BY_FEATURES",
    "Belief",
    "BeliefKind",
    "BetaBelief",
    "BetaState",
    "Expectation",
    "Features",
    "GaussianBelief",
    "GaussianState",
    "LengthBelief",
    "LengthState",
    "OfflineRates",
    "Results",
    "SharedBelief",
    "SharedState",
    "make_belief",
]

BeliefKind = Literal["beta", "pooled", "features", "gp"]
BY_FEATURES: tuple[BeliefKind, ...] = ("features", "gp")  # those that need them


def make_belief(
    kind: BeliefKind,
    num_prompts: int,
    *,
    prior: tuple[float, float] = (1.0, 1.0),
    forgetting: float = 1.0,
    clock: Clock = "round",
    memory: float = 50.0,
    features: Features | None = None,
    offline: OfflineRates | None = None,
) -> Belief[Any]:
    """A belief by name.

    Args:
        kind: "beta", each prompt by itself (the paper's); "pooled", with a prior that is fitted to the pool;
            "features", with one that is fitted to the features; "gp", VIP's Gaussian process over the features.
        num_prompts: M.
        prior: Beta prior of everything, `(successes, failures)`.
        forgetting: share of a prompt's evidence that a tick of the clock leaves; of "beta" alone.
        clock: what ticks; of "beta" alone.
        memory: rounds after which what a round told of the pool weighs a third; of "pooled" and "features".
        features: of the prompts; for "features" and "gp".
        offline: pass rates to start from.

    Raises:
        ConfigurationError: an unknown name, features that are missing or would not be used, or forgetting where
            evidence fades by what predicts best.

    >>> belief = make_belief("pooled", 4)
    >>> belief.ask(belief.start()).mean
    array([0.5, 0.5, 0.5, 0.5])
    """
    if kind not in get_args(BeliefKind):
        raise ConfigurationError(f"no belief is called {kind!r}; there are {', '.join(get_args(BeliefKind))}")
    if (kind in BY_FEATURES) != (features is not None):
        raise ConfigurationError(
            f"belief={kind!r} needs features, one row a prompt; give them, or configure belief='pooled'"
            if features is None
            else f"features are given and belief={kind!r} uses none; configure belief='features', or leave them out"
        )
    if kind == "beta":
        return BetaBelief(num_prompts, prior=prior, forgetting=forgetting, clock=clock, offline=offline)
    if forgetting != 1.0:
        raise ConfigurationError(
            f"forgetting={forgetting} is of belief='beta'; with belief={kind!r} evidence fades by what predicts best: "
            "leave forgetting at 1"
        )
    if kind == "gp" and offline is not None:
        raise ConfigurationError(
            "belief='gp' knows of no offline rates; give them as a column of the features, or take belief='features'"
        )
    if kind == "gp" and features is not None:
        return GaussianBelief(num_prompts, features=features, prior=prior)
    return SharedBelief(num_prompts, prior=prior, features=features, offline=offline, memory=memory)
