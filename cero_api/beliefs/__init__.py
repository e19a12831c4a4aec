"""What is expected of prompts, and how sure: one kind a file."""

from __future__ import annotations

from typing import Any, Literal

from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.beta import BetaBelief, BetaState, Clock
from cero_api.beliefs.features import Features
from cero_api.beliefs.lengths import LengthBelief, LengthState
from cero_api.beliefs.offline import OfflineRates
from cero_api.beliefs.shared import SharedBelief, SharedState
from cero_api.errors import ConfigurationError

__all__ = [
    "Belief",
    "BeliefKind",
    "BetaBelief",
    "BetaState",
    "Expectation",
    "Features",
    "LengthBelief",
    "LengthState",
    "OfflineRates",
    "Results",
    "SharedBelief",
    "SharedState",
    "make_belief",
]

BeliefKind = Literal["beta", "pooled", "features"]


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
            "features", with one that is fitted to the features.
        num_prompts: M.
        prior: Beta prior of everything, `(successes, failures)`.
        forgetting: share of a prompt's evidence that a tick of the clock leaves; of "beta" alone.
        clock: what ticks; of "beta" alone.
        memory: rounds after which what a round told of the pool weighs a third; not of "beta".
        features: of the prompts; for "features".
        offline: pass rates to start from.

    Raises:
        ConfigurationError: an unknown name, features that are missing or would not be used, or forgetting where
            evidence fades by what predicts best.

    >>> belief = make_belief("pooled", 4)
    >>> belief.ask(belief.start()).mean
    array([0.5, 0.5, 0.5, 0.5])
    """
    if kind not in ("beta", "pooled", "features"):
        raise ConfigurationError(f"no belief is called {kind!r}; there are beta, pooled and features")
    if (kind == "features") != (features is not None):
        raise ConfigurationError(
            "belief='features' needs features, one row a prompt; give them, or configure belief='pooled'"
            if kind == "features"
            else f"features are given and belief={kind!r} uses none; configure belief='features', or leave them out"
        )
    if kind == "beta":
        return BetaBelief(num_prompts, prior=prior, forgetting=forgetting, clock=clock, offline=offline)
    if forgetting != 1.0:
        raise ConfigurationError(
            f"forgetting={forgetting} is of belief='beta'; with belief={kind!r} evidence fades by what predicts best: "
            "leave forgetting at 1"
        )
    return SharedBelief(num_prompts, prior=prior, features=features, offline=offline, memory=memory)
