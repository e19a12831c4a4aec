r"""Strength shared among prompts: what the pool, features and offline rates say of one before it is tried.

What is common to the pool (`cero_api.beliefs.posteriors` has the model: level $\theta_0$, coefficients $w$, drift
$\delta$) follows from the outcomes of each round by Newton's steps on their likelihood, each group being predicted from
what had been known before it; what older rounds told fades. The weight $s$ of what is common, the fading $\tau$ of own
evidence and the worth $k$ of an offline rate are those by which the groups are predicted best, each by all others. How
much features may say is found by the evidence (`cero_api.mathematics.shrinkage`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.evidence import add_graded, evidence_fault
from cero_api.beliefs.features import Features
from cero_api.beliefs.grid import GridNumber
from cero_api.beliefs.offline import OfflineRates
from cero_api.beliefs.posteriors import EVERY, FIXED, Common, Evidence, Known, Posterior
from cero_api.beliefs.visits import Visits
from cero_api.changes import Changes
from cero_api.mathematics.beta_binomial import Slopes, log_likelihood, slopes
from cero_api.mathematics.shrinkage import feature_precisions, most_probable
from cero_api.state import RAGGED, no_floats

_LEVEL_WIDTH = 1.5  # standard deviation of the prior of the pool's log-odds
_DRIFT_WIDTH = 0.03  # and of their drift in a round
_STEPS = 2  # Newton's, for a round
_LONGEST = 2.0  # log-odds by which one of them moves a prompt at most
_CLOSE = 0.1  # and a move that needs no other after it
_JUDGES = 64  # visits of a round by which s, tau and k are judged
_EDGE = 1e-9  # groups are predicted from rates inside of (0, 1)
_OWN = 0.25  # a prompt's spread from which on it tells more of its rewards than the pool does: that of one rollout
_WHOLE = 5.0  # rollouts' worth of spread by which rewards are believed to be whole before any came


@dataclass
class SharedState:
    """Evidence of each prompt, and what is common to the pool. Sizes: M prompts, D = d features and two."""

    round: int  # rounds dealt so far
    features: int  # fingerprint of the features it has learned by
    successes: FloatArray  # [M] own evidence, as of the round in `seen`
    failures: FloatArray  # [M]
    seen: NDArray[np.int32]  # [M]
    information: FloatArray = field(metadata=RAGGED)  # [D * D] row by row
    pull: FloatArray = field(metadata=RAGGED)  # [D]
    coefficients: FloatArray = field(metadata=RAGGED)  # [D] level, drift, and one a feature
    precision: FloatArray = field(metadata=RAGGED)  # [d]
    strength_evidence: FloatArray = field(metadata=RAGGED)  # [8] log-likelihoods of the values of s
    fading_evidence: FloatArray = field(metadata=RAGGED)  # [6] and of tau
    # [10] and of k; shorter where it is given, or where there are no offline rates
    offline_evidence: FloatArray = field(metadata=RAGGED)
    graded_sum: float  # what graded rewards lacked of the spread of whole ones
    spread_sum: float  # that spread
    visits: Visits = field(default_factory=Visits)  # still to be learned from
    graded: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # [M] sum of x(1 - x); [0] while all were 0


class SharedBelief(Belief[SharedState]):
    """Beta posteriors whose prior is fitted to the pool: by features where there are some (`features`), else `pooled`.

    Args:
        num_prompts: M.
        prior: Beta prior of everything before the first outcome, `(successes, failures)`.
        features: what is known of each prompt; None is nothing.
        offline: pass rates to start from.
        memory: rounds after which what a round told of the pool weighs a third.

    >>> belief = SharedBelief(300, features=Features(np.arange(300) % 3 == 0, 300))
    >>> state = belief.start()
    >>> for round in range(4):  # every third prompt is solved half of the time, the others never
    ...     rows, changes = np.arange(40 * round, 40 * round + 40), Changes()
    ...     won = np.where(rows % 3 == 0, 4.0, 0.0)
    ...     state = belief.tick(belief.learned(state))
    ...     belief.told(state, Results(round, rows, won, 8.0 - won, 0 * won, won >= 0), changes)
    ...     changes.make()
    >>> belief.ask(belief.learned(state), np.array([297, 298])).variance.round(2)  # neither was tried
    array([0.24, 0.01])
    """

    def __init__(
        self,
        num_prompts: int,
        *,
        prior: tuple[float, float] = (1.0, 1.0),
        features: Features | None = None,
        offline: OfflineRates | None = None,
        memory: float = 50.0,
    ) -> None:
        super().__init__(num_prompts)
        self._known = Known(Features.none(num_prompts) if features is None else features, offline)
        self._keep = 1.0 - 1.0 / memory
        self._mean = np.array([np.log(prior[0]) - np.log(prior[1]), 0.0])
        self._precision = np.array([_LEVEL_WIDTH, _DRIFT_WIDTH]) ** -2.0
        self._strength = GridNumber(0.25, 32.0, 8, sum(prior), 1.0)
        self._fading = GridNumber(0.001, 0.3162, 6, 0.02, 1.5)
        self._strengths = None if offline is None else offline.strength

    def start(self) -> SharedState:
        """The prior for all."""
        pool, columns = self.num_prompts, self._known.features.columns
        size = FIXED + columns
        coefficients = np.zeros(size)
        coefficients[:FIXED] = self._mean
        return SharedState(
            round=0,
            features=self._known.features.fingerprint,
            successes=np.zeros(pool),
            failures=np.zeros(pool),
            seen=np.zeros(pool, dtype=np.int32),
            information=np.zeros(size * size),
            pull=np.zeros(size),
            coefficients=coefficients,
            precision=np.full(columns, float(max(columns, 1))),
            strength_evidence=self._strength.start(),
            fading_evidence=self._fading.start(),
            offline_evidence=np.zeros(0) if self._strengths is None else self._strengths.start(),
            graded_sum=0.0,
            spread_sum=0.0,
        )

    def expectation(self, state: SharedState, rows: IntArray | slice) -> Expectation:
        r"""Mean and $\hat q = \frac{c}{c + 1}\mu(1-\mu)(1 - g)$, with $g$ the share that graded rewards lack of it."""
        common = self._common(state)
        own = Evidence(state.successes[rows], state.failures[rows], np.subtract(float(state.round), state.seen[rows]))
        found = self._known.posterior(rows, own, np.array([float(state.round)]), common)
        mean, weight = found.mean, found.weight
        spread = 1.0 - mean
        spread *= mean
        spread *= weight
        if state.graded.size:
            spread *= 1.0 - _lacking(state, rows)
        spread /= weight + 1.0
        return Expectation(mean, spread)

    def told(self, state: SharedState, results: Results, changes: Changes) -> None:
        """Add to the prompts' own evidence; what is common is learned before the next round."""
        rows, seen = results.rows, state.seen[results.rows].astype(np.int64)
        age = np.maximum(results.round - seen, 0).astype(np.float64)  # late results join what is newer
        own = Evidence(state.successes[rows], state.failures[rows], age)
        found = self._known.posterior(rows, own, np.array([float(results.round)]), self._common(state))
        failures = np.maximum(found.own.weight - found.own.successes, 0.0)
        changes.put(state.successes, rows, found.own.successes + results.successes)
        changes.put(state.failures, rows, failures + results.failures)
        add_graded(state, rows, _kept(own, found), results.graded, changes)
        changes.put(state.seen, rows, np.maximum(seen, results.round))
        changes.set(state, "visits", state.visits.with_results(results, seen, own.successes, own.failures))

    def learned(self, state: SharedState) -> SharedState:
        """Newton's steps on the likelihood of the visits, beside what is remembered of older ones."""
        if not state.visits.size:
            return state
        visits, common = state.visits.in_order(), self._common(state)
        known = self._known.part(visits.row)
        mean = np.zeros(state.pull.size)
        mean[:FIXED] = self._mean
        precision = np.concatenate([self._precision, state.precision])
        remembered = state.information.reshape(mean.size, mean.size)
        for _ in range(_STEPS):
            found = _before(known, visits, common)
            slope = slopes(found.mean, found.weight, visits.won, visits.lost)
            design = known.design(EVERY, found, common)
            information = remembered + (design * slope.information[:, None]).T @ design
            information = 0.5 * (information + information.T)
            pull = state.pull + design.T @ (slope.information * (design @ common.coefficients) + slope.score)
            goal = most_probable(information, pull, mean, precision)
            moves = design @ (goal - common.coefficients)
            longest = float(np.abs(moves).max())
            common = common._replace(coefficients=_towards(common.coefficients, goal, longest))
            if longest < _CLOSE:
                break
        precision[FIXED:] = feature_precisions(information, pull, self._mean, self._precision)
        goal = most_probable(information, pull, mean, precision)
        longest = float(np.abs(design @ (goal - common.coefficients)).max())
        common = common._replace(coefficients=_towards(common.coefficients, goal, longest))
        covariance = np.linalg.inv(information + np.diag(precision)).astype(np.float64, copy=False)
        spread = (visits.won + visits.lost) * found.mean * (1.0 - found.mean)
        learned = replace(
            state,
            information=information.ravel(),
            pull=pull,
            coefficients=common.coefficients,
            precision=precision[FIXED:],
            graded_sum=state.graded_sum + float(visits.graded.sum()),
            spread_sum=state.spread_sum + float(spread.sum()),
            visits=Visits(),
        )
        chosen = np.unique(np.linspace(0, visits.size - 1, min(visits.size, _JUDGES)).round().astype(np.int64))
        own = _own_pull(design[chosen], Slopes(slope.score[chosen], slope.information[chosen]), covariance)
        return self._judged(learned, known.part(chosen), visits.part(chosen), own, common)

    def tick(self, state: SharedState) -> SharedState:
        """What older rounds told fades."""
        keep = self._keep
        return replace(
            state,
            round=state.round + 1,
            information=keep * state.information,
            pull=keep * state.pull,
            strength_evidence=keep * state.strength_evidence,
            fading_evidence=keep * state.fading_evidence,
            offline_evidence=keep * state.offline_evidence,
            graded_sum=keep * state.graded_sum,
            spread_sum=keep * state.spread_sum,
        )

    def fault(self, state: SharedState) -> str | None:
        """Whether it has learned by other features, or from what cannot have been."""
        size = FIXED + self._known.features.columns
        shapes = (state.information.size, state.pull.size, state.coefficients.size, state.precision.size + FIXED)
        if state.features != self._known.features.fingerprint or shapes != (size * size, size, size, size):
            return "its belief has learned by other features than these"
        offline = 0 if self._strengths is None else self._strengths.values.size
        judged = (state.strength_evidence.size, state.fading_evidence.size, state.offline_evidence.size)
        if judged != (self._strength.values.size, self._fading.values.size, offline):
            return "its belief has learned with other offline rates, or with none"
        if state.round < 0 or not ((state.seen >= 0) & (state.seen <= state.round)).all():
            return "its belief has evidence of a round that was not dealt"
        if min(state.precision.min(initial=1.0), state.information[:: size + 1].min()) < 0.0:
            return "its belief has a negative precision"
        fault = evidence_fault(state.successes, state.failures, state.graded)
        return fault or state.visits.fault(self.num_prompts, state.round)

    def metrics(self, state: SharedState) -> dict[str, float]:
        """What the pool, and an offline rate, tell of a prompt, in rollouts; and the drift of log-odds in a round."""
        strength, _, offline = self._found(state)
        numbers = {"belief_strength": strength, "belief_drift": self._common(state).drift}
        return numbers if self._strengths is None else numbers | {"offline_strength": offline}

    def _common(self, state: SharedState) -> Common:
        return Common(state.coefficients, *self._found(state))

    def _found(self, state: SharedState) -> tuple[float, float, float]:
        """The numbers that predict best: s, tau and k."""
        strengths = self._strengths
        return (
            self._strength.value(state.strength_evidence),
            self._fading.value(state.fading_evidence),
            0.0 if strengths is None else strengths.value(state.offline_evidence),
        )

    def _judged(self, state: SharedState, known: Known, judges: Visits, own: FloatArray, common: Common) -> SharedState:
        """With the evidence for s, tau and k, each with the others as they are, by some of a round's visits.

        What is common has just been fitted to these very visits, so each is judged without its `own` pull on its
        prediction, or many features would seem to say much.
        """
        sizes = [part.size for part in (state.strength_evidence, state.fading_evidence, state.offline_evidence)]
        guesses = np.tile(self._found(state), (sum(sizes), 1))  # [G, 3]: one number is another, and two as they are
        grids = (self._strength, self._fading, self._strengths)
        starts = np.cumsum([0, *sizes])
        for number, (grid, start, size) in enumerate(zip(grids, starts, sizes, strict=False)):
            guesses[start : start + size, number] = 0.0 if grid is None else grid.values
        other = _before(known, judges, Common(common.coefficients, *guesses.T[:, :, None]))
        odds = other.mean / (1.0 - other.mean) * np.exp(-own)
        likely = log_likelihood(odds / (1.0 + odds), other.weight, judges.won, judges.lost).sum(1)
        strength, fading, offline = np.split(likely, starts[1:-1])
        return replace(
            state,
            strength_evidence=state.strength_evidence + strength,
            fading_evidence=state.fading_evidence + fading,
            offline_evidence=state.offline_evidence + offline,
        )


def _lacking(state: SharedState, rows: IntArray | slice) -> FloatArray:
    """Share of the spread of whole rewards that a prompt's do not have: the pool's, until its own tell, at any age."""
    won, lost = state.successes[rows], state.failures[rows]
    pool, spread = state.graded_sum / (state.spread_sum + _WHOLE), won * (lost / np.maximum(won + lost, _EDGE))
    return np.minimum((state.graded[rows] + _OWN * pool) / (spread + _OWN), 1.0)


def _before(known: Known, visits: Visits, common: Common) -> Posterior:
    """What was believed of prompts when they were tried, by what is known of them alone."""
    age = np.maximum(visits.round - visits.seen, 0).astype(np.float64)
    own = Evidence(visits.successes, visits.failures, age)
    found = known.posterior(EVERY, own, visits.round.astype(np.float64), common)
    return found._replace(mean=np.clip(found.mean, _EDGE, 1.0 - _EDGE))


def _kept(own: Evidence, found: Posterior) -> FloatArray:
    """Share of the weight of own evidence that is left."""
    return found.own.weight / np.maximum(own.successes + own.failures, _EDGE)


def _towards(coefficients: FloatArray, goal: FloatArray, longest: float) -> FloatArray:
    """A step to the goal, so far that no prompt's log-odds move by more than they may."""
    return coefficients + (goal - coefficients) * min(1.0, _LONGEST / max(longest, _EDGE))


def _own_pull(design: FloatArray, slope: Slopes, covariance: FloatArray) -> FloatArray:
    """How far each visit has pulled its own prediction, in log-odds and to first order: leverage times its score."""
    leverage = np.einsum("vd,vd->v", design @ covariance, design)
    return np.asarray(leverage * slope.score / np.maximum(1.0 - leverage * slope.information, 0.1))
