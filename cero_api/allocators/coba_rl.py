"""CoBA-RL: the batch's rollouts where the pool's present ability says that they are worth most."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.allocators.choosing import LEAST_VARYING
from cero_api.config import CobaRlConfig
from cero_api.mathematics.contrast import graded_fits, varying_share
from cero_api.mathematics.ledger import Report
from cero_api.mathematics.selection import fill_by_table, in_proportion
from cero_api.state import RAGGED, no_floats

_CITATION = """\
@article{yao2026coba,
  title   = {{CoBA-RL}: Capability-Oriented Budget Allocation for Reinforcement Learning in {LLMs}},
  author  = {Yao, Zhiyuan and Zhang, Yi-Kai and Chen, Yuxin and Sun, Yueqing and Xu, Zishan and Yang, Yu and
             Hu, Tianhao and Gu, Qi and Su, Hui and Cai, Xunliang},
  journal = {arXiv preprint arXiv:2602.03048},
  year    = {2026}
}
"""

_LEAST = 0.01  # success rate: one of 0 or 1 would have no value at all
_MOST_VARIED = 0.1667  # variance of success rates at which the scale is at its upper end
_NEVER = 0.05  # success rate below which what is kept from the value goes first
_LEAST_VALUED = 0.6  # share that goes by the value where nobody is between
_UNKNOWN = 0.5  # success rate of a prompt that was never tried


@dataclass
class CobaRlState(WalkState):
    """The latest visits of each prompt, W one after the other: of the first in each case, then of the second, ..."""

    visit_round: IntArray  # [W M] -1 where there was none
    visit_successes: FloatArray  # [W M]
    visit_rollouts: FloatArray  # [W M]
    visit_graded: FloatArray = field(metadata=RAGGED)  # [W M] sum of x(1 - x); [0] while all rewards were 0 or 1


class CobaRlAllocator(BatchAllocator[CobaRlConfig, CobaRlState]):
    r"""Maximises $\sum_i (1 - e^{-n_i p_i (1-p_i)/\tau})\, f(p_i; \alpha, \beta)$, $f$ the density of a Beta.

    Its mode goes with the failure rate $F$ of the pool: $\alpha = 1 + (S - 2) F'$ and $\beta = S - \alpha$, where $S$
    is fixed and $F' = F$, or $1/(1 + e^{-10(F - 1/2)})$ once $F \le 1/2$. So a model that mostly fails gets most for
    its easier prompts, and one that mostly succeeds for the harder. $F$ is the mean over the latest rounds, $p_i$ the
    rate of a prompt's latest visits, and $\tau$ the larger the more those of a batch differ. The value is concave in
    $n$, so dealing unit by unit to the largest gain is exact.

    With `by_value` below 1, as in the preset "paper_reserve", a part of what is above the floors is kept from it, as in
    the published code: a fifth where more than half of a batch succeed in 5% to 99% of their rollouts, up to two
    fifths the fewer these are. It goes to those below 5%, in proportion to their failures, then to the others alike.

    Deviations: without it, which is the default, all goes by the value, and $\tau$ is of the whole batch. What is kept
    back is shared out by largest remainders, where the code rounds down and deals the rest evenly. A graded reward,
    which the paper has not, counts as its share of a success for $p_i$ and $F$, and $f$ is multiplied by the share of
    the variance of whole successes and failures that the rewards of a prompt have: 0 where they never differ.

    Source: arXiv 2602.03048.

    >>> allocator = CobaRlAllocator(CobaRlConfig(num_prompts=3, rounds=3, budget=96))
    >>> from cero_api import RolloutOutcomes
    >>> allocation = allocator.allocate([0, 1, 2])
    >>> allocator.observe(RolloutOutcomes([0, 1, 2], [1, 3, 5], [7, 5, 3]))
    >>> allocator.allocate([0, 1, 2]).counts
    array([ 2,  4, 18])
    """

    config_type = CobaRlConfig

    def citation(self) -> str:
        """BibTeX of CoBA-RL."""
        return _CITATION

    def _initial_state(self) -> CobaRlState:
        slots = self.config.recent * self.config.num_prompts
        return CobaRlState.initial(
            self.config,
            walk=self._walk(),
            visit_round=np.full(slots, -1),
            visit_successes=np.zeros(slots),
            visit_rollouts=np.zeros(slots),
            visit_graded=no_floats(),
        )

    def _fault(self, state: CobaRlState) -> str | None:
        if (state.visit_round >= state.round).any() or (state.visit_round < -1).any():
            return "it has a visit in a round that was not dealt"
        if (state.visit_successes < 0).any() or (state.visit_successes > state.visit_rollouts).any():
            return "it has more successes than rollouts in a visit"
        if state.visit_rollouts.max() > state.ledger.budget:
            return "it has more rollouts in a visit than were ever dealt"
        if not graded_fits(state.visit_graded, state.visit_successes, state.visit_rollouts - state.visit_successes):
            return "it has a visit whose squares do not fit"
        return super()._fault(state)

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        super()._learn(round, ids, won, lost, graded, report)
        state, pool = self._state, self.config.num_prompts
        rounds = state.visit_round.reshape(-1, pool)[:, ids]
        same = rounds == round
        known = same.any(axis=0)
        slot = np.where(known, same.argmax(axis=0), rounds.argmin(axis=0))  # else in the place of the oldest
        fresh = known | (rounds.min(axis=0) < round)  # what is older than all of them is no news
        where = (slot * pool + ids)[fresh]
        kept, slots = known[fresh], state.visit_round.size
        self._changes.put(state.visit_round, where, round)
        for name, earned in (("visit_successes", won), ("visit_rollouts", won + lost), ("visit_graded", graded)):
            column = getattr(state, name)
            if column.size or earned.any():
                before = column[where] if column.size else 0.0
                self._write(name, where, np.where(kept, before, 0.0) + earned[fresh], slots)

    def _rates(self, rows: IntArray) -> FloatArray:
        """Success rates of the latest visits."""
        won, n = self._latest("visit_successes", rows), self._latest("visit_rollouts", rows)
        return np.clip(np.where(n > 0, won / np.maximum(n, 1.0), _UNKNOWN), _LEAST, 1 - _LEAST)

    def _varying(self, rows: IntArray) -> FloatArray:
        if not self._state.visit_graded.size:
            return np.ones(rows.size)
        won, n = self._latest("visit_successes", rows), self._latest("visit_rollouts", rows)
        return np.maximum(varying_share(won, n - won, self._latest("visit_graded", rows)), LEAST_VARYING)

    def _latest(self, name: str, rows: IntArray) -> FloatArray:
        """Sum over the latest visits."""
        column: FloatArray = getattr(self._state, name)
        return np.asarray(column.reshape(-1, self.config.num_prompts)[:, rows].sum(axis=0))

    def _failure_rate(self) -> float:
        """Of the latest rounds with rewards: the mean of each over its prompts, and of these."""
        state, means, latest = self._state, [], self._state.round
        for _ in range(self.config.recent):
            rounds = state.visit_round
            latest = int(rounds.max(where=rounds < latest, initial=-1))
            if latest < 0:
                break
            visits = rounds == latest
            means.append(float((1 - state.visit_successes[visits] / state.visit_rollouts[visits]).mean()))
        return sum(means) / len(means) if means else _UNKNOWN

    def _log_density(self, rate: FloatArray) -> FloatArray:
        """Of the present Beta, but for what is common to all."""
        failure = self._failure_rate()
        if failure <= 0.5:
            failure = 1 / (1 + np.exp(-10 * (failure - 0.5)))
        alpha = 1 + (self.config.shape - 2) * failure
        return (alpha - 1) * np.log(rate) + (self.config.shape - alpha - 1) * np.log1p(-rate)

    def _speed(self, rate: FloatArray) -> FloatArray:
        r"""How fast the value of each saturates, $p(1-p)/\tau$."""
        least, most = self.config.scale
        varied = float(np.var(rate)) / _MOST_VARIED if rate.size else 0.0
        tau = least + (most - least) * min(varied, 1.0)
        return rate * (1 - rate) / tau

    def _share(self, rows: IntArray, need: int) -> IntArray:
        floor = self.config.min_rollouts_per_prompt
        if self.config.by_value == 1.0 or not self._latest("visit_rollouts", rows).any():
            return self._by_value(rows, need)
        rate = self._rates(rows)
        hard, easy = rate < _NEVER, rate >= 1 - _LEAST
        between = ~hard & ~easy
        counts, left = np.full(rows.size, floor), need - floor * rows.size
        valued = int(left * self._valued_share(float(between.mean())))
        room = (self.config.max_rollouts_per_prompt - floor) * int(between.sum())
        counts[between] = self._by_value(rows[between], floor * int(between.sum()) + min(valued, room))
        for part in (hard, between, easy):
            counts[part] += self._by_failures(rows[part], counts[part], need - int(counts.sum()))
        return counts

    def _valued_share(self, between: float) -> float:
        """Of what is above the floors, where so many of a batch neither nearly always fail nor always succeed."""
        return _LEAST_VALUED + (self.config.by_value - _LEAST_VALUED) * min(2 * between, 1.0)

    def _by_failures(self, rows: IntArray, counts: IntArray, left: int) -> IntArray:
        """What is left in proportion to the failure rates, as far as there is room."""
        room = self.config.max_rollouts_per_prompt - counts
        weight = np.maximum(1 - self._rates(rows), _LEAST)
        return in_proportion(weight, min(left, int(room.sum())), 0, room, self._ties.rank[rows])

    def _by_value(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        rate = self._rates(rows)
        speed = self._speed(rate)
        first = self._log_density(rate) + np.log(-np.expm1(-speed) * self._varying(rows))

        def gains(width: int) -> FloatArray:
            return first[:, None] - speed[:, None] * np.arange(floor, floor + width)

        return floor + fill_by_table(gains, cap - floor, self._ties.rank[rows], need - floor * rows.size)

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        rate = self._rates(rows)
        return np.exp(self._log_density(rate)) * -np.expm1(-group * self._speed(rate)) * self._varying(rows)
