"""Of what an allocator is made, beside its rule: an offer, a belief, and what a rollout costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.pilot import PilotState
from cero_api.allocators.token_pace import TokenPace
from cero_api.beliefs import (
    BY_FEATURES,
    Belief,
    Expectation,
    Features,
    LengthBelief,
    OfflineRates,
    Results,
    make_belief,
)
from cero_api.changes import Changes
from cero_api.config import AllocatorConfig
from cero_api.errors import ConfigurationError
from cero_api.knowledge import Knowledge
from cero_api.mathematics.walk import Walk
from cero_api.offers import Offered, Rest, window
from cero_api.state import no_integers


@dataclass
class Nothing:
    """The state of a part that there is not."""


@dataclass
class PartsState:
    """What the parts remember; of a part that is not in use, nothing."""

    window: Walk = field(default_factory=lambda: Walk(no_integers(), 0))
    belief: Any = field(default_factory=Nothing)  # a belief's own dataclass
    lengths: Any = field(default_factory=Nothing)  # a `LengthState`
    rest: Any = field(default_factory=Nothing)  # a `RestState`
    pilot: Any = field(default_factory=Nothing)  # a `PilotState`
    pace: Any = field(default_factory=Nothing)  # a `PaceState`


class Parts:
    """The parts that a configuration names, over what is known of the pool.

    Args:
        config: names offer, belief and cost.
        knowledge: features and offline pass rates.
        asks_belief: whether the method goes by what a belief expects.

    Raises:
        ConfigurationError: a part needs to know what is not given, or nothing would use what is.
    """

    def __init__(self, config: AllocatorConfig, knowledge: Knowledge, asks_belief: bool) -> None:
        self._config = config
        pool = config.num_prompts
        _refuse(config, knowledge)
        features = None if knowledge.features is None else Features(knowledge.features, pool)
        offline = None
        if knowledge.offline_rates is not None:
            offline = OfflineRates(knowledge.offline_rates, pool, knowledge.offline_samples, config.offline_strength)
        # The paper's own belief is the allocator's evidence itself, kept in its state.
        self.belief: Belief[Any] | None = None
        if asks_belief and (config.belief != "beta" or offline is not None):
            self.belief = make_belief(
                config.belief,
                pool,
                prior=config.prior,
                forgetting=getattr(config, "forgetting", 1.0),
                clock=getattr(config, "forgetting_clock", "round"),
                features=features if config.belief in BY_FEATURES else None,
                offline=offline,
            )
        self.rest: Rest | None = None
        if config.hopeless is not None or config.mastered is not None:
            self.rest = Rest(
                pool,
                hopeless=config.hopeless,
                mastered=config.mastered,
                rounds=config.rest_rounds,
                share=config.look_again,
            )
        self.lengths = LengthBelief(pool, features=features) if config.cost == "tokens" else None
        self.pace = None if config.token_budget is None else TokenPace(config.token_budget)

    def start(self) -> PartsState:
        """Before the first round."""
        config = self._config
        return PartsState(
            Walk.start(config.num_prompts, config.seed) if config.offer == "window" else Walk(no_integers(), 0),
            Nothing() if self.belief is None else self.belief.start(),
            Nothing() if self.lengths is None else self.lengths.start(),
            Nothing() if self.rest is None else self.rest.start(),
            Nothing() if config.pilot is None else PilotState(),
            Nothing() if self.pace is None else self.pace.start(),
        )

    def learned(self, state: PartsState) -> PartsState:
        """Before a round: what was told has changed what is common to the pool."""
        belief = state.belief if self.belief is None else self.belief.learned(state.belief)
        lengths = state.lengths if self.lengths is None else self.lengths.learned(state.lengths)
        return replace(state, belief=belief, lengths=lengths)

    def ticked(self, state: PartsState) -> PartsState:
        """After a round has been dealt."""
        belief = state.belief if self.belief is None else self.belief.tick(state.belief)
        lengths = state.lengths if self.lengths is None else self.lengths.tick(state.lengths)
        pace = state.pace if self.pace is None else self.pace.tick(state.pace)
        return replace(state, belief=belief, lengths=lengths, pace=pace)

    def told(self, state: PartsState, results: Results, tokens: FloatArray | None, changes: Changes) -> None:
        """Rewards came in."""
        if self.belief is not None:
            self.belief.told(state.belief, results, changes)
        rollouts = np.rint(results.successes + results.failures).astype(np.int64)
        if self.lengths is not None and tokens is not None:
            self.lengths.told(state.lengths, results.rows, tokens, rollouts, changes)
        if self.pace is not None and tokens is not None:
            self.pace.told(state.pace, float(tokens.sum()), int(rollouts.sum()), changes)

    def expected(self, state: PartsState, rows: IntArray | slice) -> Expectation:
        """Of these prompts, by the belief that is in use."""
        assert self.belief is not None  # else the allocator's own evidence answers
        return self.belief.expectation(state.belief, rows)

    def costs(self, state: PartsState, rows: IntArray) -> FloatArray:
        """Of a rollout of each of these prompts: its tokens, or 1."""
        return np.ones(rows.size) if self.lengths is None else self.lengths.ask(state.lengths, rows)

    def offered(self, state: PartsState, room: int, round: int, factor: int | None = None) -> Offered:
        """Prompts of the window for a round with room for so many full groups; `factor` as if it were the width."""
        # A stream of its own: allocators walk by (seed, round).
        return window(state.window, room, factor or self._config.window, (self._config.seed, round, 1))

    def fault(self, state: PartsState) -> str | None:
        """What is wrong with a state of the right names and shapes, or None."""
        found = state.window.check()
        if found is None and self.belief is not None:
            found = self.belief.fault(state.belief)
        if found is None and self.lengths is not None:
            found = self.lengths.fault(state.lengths)
        if found is None and self.rest is not None:
            found = self.rest.fault(state.rest)
        if found is None and self.pace is not None:
            found = self.pace.fault(state.pace)
        return found

    def metrics(self, state: PartsState, round: int) -> dict[str, float]:
        """Numbers worth logging before a round."""
        believed = {} if self.belief is None else self.belief.metrics(state.belief)
        return believed if self.rest is None else believed | self.rest.metrics(state.rest, round)


def _refuse(config: AllocatorConfig, knowledge: Knowledge) -> None:
    if config.belief in BY_FEATURES and knowledge.features is None:
        raise ConfigurationError(
            f"belief={config.belief!r} has no features to go by; give features=..., an array with a row for each "
            "prompt, or take belief='pooled'"
        )
    if knowledge.features is not None and config.belief not in BY_FEATURES and config.cost != "tokens":
        raise ConfigurationError(
            f"features are given and belief={config.belief!r} does not look at them; set belief='features' (or "
            "cost='tokens', which learns lengths by them)"
        )
    if config.offline_strength is not None and knowledge.offline_rates is None:
        raise ConfigurationError("offline_strength weighs offline_rates, and none are given; give them or leave it out")
