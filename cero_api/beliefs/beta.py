"""The paper's belief: one Beta posterior for each prompt, which knows of no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.evidence import add_graded, evidence_fault
from cero_api.beliefs.offline import OfflineRates
from cero_api.changes import Changes
from cero_api.mathematics.beta_binomial import log_likelihood
from cero_api.mathematics.posterior import forget, posterior_mean, variance_proxy
from cero_api.state import RAGGED, no_floats

Clock = Literal["round", "visit"]


@dataclass
class BetaState:
    """Evidence beyond the prior."""

    round: int  # rounds dealt so far
    successes: FloatArray  # [M] in rollouts, of the weight that is not forgotten
    failures: FloatArray  # [M]
    # [G] log-likelihoods of the strengths that offline rates may have
    offline_evidence: FloatArray = field(metadata=RAGGED)
    graded: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # [M] sum of x(1 - x); [0] while all were 0


class BetaBelief(Belief[BetaState]):
    r"""$P_i \sim \mathrm{Beta}(a_0 + S_i, b_0 + F_i)$, with forgetting by the round or by the visit.

    Offline pass rates are a part of the prior: $a_0 + k r_i$ and $b_0 + k(1 - r_i)$.

    Args:
        num_prompts: M.
        prior: $(a_0, b_0)$.
        forgetting: share $\rho$ of the evidence that a tick of the clock leaves.
        clock: "round" ticks for the whole pool with every round (the paper's), "visit" for a prompt when it is told of.
        offline: pass rates to start from.

    Source: arXiv 2606.05606, arXiv 2610.09679.

    >>> belief = BetaBelief(2)
    >>> state, changes = belief.start(), Changes()
    >>> one, none = np.array([1.0]), np.zeros(1)
    >>> belief.told(state, Results(0, np.array([1]), 4 * one, none, none, one > 0), changes)
    >>> changes.make()
    >>> belief.ask(state).variance.round(4)
    array([0.1667, 0.119 ])
    """

    def __init__(
        self,
        num_prompts: int,
        *,
        prior: tuple[float, float] = (1.0, 1.0),
        forgetting: float = 1.0,
        clock: Clock = "round",
        offline: OfflineRates | None = None,
    ) -> None:
        super().__init__(num_prompts)
        self._prior, self._keep, self._clock, self._offline = prior, forgetting, clock, offline

    def start(self) -> BetaState:
        """The prior."""
        strengths = np.zeros(0) if self._offline is None else self._offline.strength.start()
        return BetaState(0, np.zeros(self.num_prompts), np.zeros(self.num_prompts), strengths)

    def expectation(self, state: BetaState, rows: IntArray | slice) -> Expectation:
        """Mean and proxy of the posteriors."""
        a, b = self._posterior(state, rows, self._strength(state))
        graded = state.graded[rows] if state.graded.size else 0.0
        return Expectation(posterior_mean(a, b), variance_proxy(a, b, graded))

    def told(self, state: BetaState, results: Results, changes: Changes) -> None:
        """Add the evidence, of the weight that its age leaves."""
        rows, keep = results.rows, self._keep
        kept: FloatArray | float = 1.0
        weight = 1.0
        if keep < 1.0 and self._clock == "visit":
            kept = np.where(results.first, keep, 1.0)
        elif keep < 1.0:
            # Late evidence has aged: it weighs what it would weigh had it come in its own round.
            weight = keep ** max(state.round - 1 - results.round, 0)
        changes.put(state.successes, rows, state.successes[rows] * kept + results.successes * weight)
        changes.put(state.failures, rows, state.failures[rows] * kept + results.failures * weight)
        add_graded(state, rows, kept, results.graded * weight, changes)
        if state.offline_evidence.size > 1 and self._offline is not None:
            likely = [self._likelihood(state, results, value) for value in self._offline.strength.values.tolist()]
            changes.set(state, "offline_evidence", state.offline_evidence + np.array(likely))

    def tick(self, state: BetaState) -> BetaState:
        """The paper's clock, for visited and unvisited prompts alike."""
        successes, failures, graded = state.successes, state.failures, state.graded
        if self._keep < 1.0 and self._clock == "round":
            successes, failures, graded = (forget(part, self._keep) for part in (successes, failures, graded))
        return BetaState(state.round + 1, successes, failures, state.offline_evidence, graded)

    def fault(self, state: BetaState) -> str | None:
        """Whether there is evidence of a number of rollouts that cannot be."""
        if state.round < 0:
            return f"its belief is of round {state.round}"
        if state.offline_evidence.size != (0 if self._offline is None else self._offline.strength.values.size):
            return "its belief has learned with other offline rates, or with none"
        return evidence_fault(state.successes, state.failures, state.graded)

    def metrics(self, state: BetaState) -> dict[str, float]:
        """What an offline rate is worth, in rollouts."""
        return {} if self._offline is None else {"offline_strength": self._strength(state)}

    def _strength(self, state: BetaState) -> float:
        return 0.0 if self._offline is None else self._offline.strength.value(state.offline_evidence)

    def _posterior(self, state: BetaState, rows: IntArray | slice, strength: float) -> tuple[FloatArray, FloatArray]:
        a, b = self._prior[0] + state.successes[rows], self._prior[1] + state.failures[rows]
        if self._offline is None:
            return a, b
        won, lost = self._offline.evidence(strength, rows)
        return a + won, b + lost

    def _likelihood(self, state: BetaState, results: Results, strength: float) -> float:
        a, b = self._posterior(state, results.rows, strength)
        each = log_likelihood(a / (a + b), a + b, results.successes, results.failures)
        return float(each[np.argsort(results.rows)].sum())  # in one order, however they came
