"""A round in two waves: a pilot of a few rollouts to many prompts, and then the rest to the best of them."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.choice import Choice
from cero_api.allocators.choosing import Choosing
from cero_api.allocators.pilot import PilotState
from cero_api.allocators.states import AllocatorState
from cero_api.allocators.whole import changing
from cero_api.arrays import whole_number
from cero_api.config import AllocatorConfig
from cero_api.errors import BudgetError, ConfigurationError, PilotError
from cero_api.mathematics.walk import Walk
from cero_api.protocol import Allocation

ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=AllocatorState)


class Waves(NamedTuple):
    """How a round is parted; sizes in rollouts."""

    prompts: int  # that get the pilot, at most
    need: int  # of both waves
    cap: int  # of a full group, the pilot's included


class Piloting(Choosing[ConfigT, StateT], abc.ABC):
    """The part of an allocator that deals a round in two waves, where its configuration has a `pilot`.

    Both are one round of pacing, budget and exposure, and what a prompt gets in both is one group. A window's pilot
    goes to those that are worth most of what is offered, as many as `pilot_share` of the round allows; a batch's to
    every candidate. The rest is full groups for those that are worth most by then.
    """

    # Whether the method says what a prompt is worth from one wave to the next; see also `_worth`.
    pilots: ClassVar[bool] = True

    @changing
    def commit(self, round: int | None = None) -> Allocation:
        """Deal the rest of the round whose pilot has been rewarded; see `PilotAllocator.commit`.

        Args:
            round: the pilot's; None is the one that waits.

        Returns:
            The pilot's prompts in its order, with what each gets in addition: 0 for most. Where the method sets the
            size of a round, it may deal less than the pilot's `to_commit`, which then stays in the budget.

        Raises:
            PilotError: no pilot waits (or not that round's), or rewards of it are still out; nothing has changed.

        >>> from cero_api import RolloutOutcomes, make_allocator
        >>> allocator = make_allocator("cero", num_prompts=64, rounds=9, budget=288, offer="window", pilot=2)
        >>> pilot = allocator.allocate(total=32)
        >>> pilot.total, pilot.to_commit, pilot.counts.size
        (16, 16, 8)
        >>> won = [0, 1, 0, 2, 0, 0, 1, 0]
        >>> allocator.observe(RolloutOutcomes(pilot.prompt_ids, won, 2 - np.array(won), round=pilot.round))
        >>> allocator.commit().counts
        array([4, 6, 0, 0, 0, 0, 6, 0])
        """
        pilot, state = self._waiting(), self._state
        if pilot is None or (round is not None and whole_number(round) != pilot.round):
            waits = "no pilot waits for its rest" if pilot is None else f"the pilot of round {pilot.round} waits"
            raise PilotError(
                f"there is nothing to commit{'' if round is None else f' in round {round}'}: {waits}. A round is "
                "committed once, after `allocate` has dealt its pilot; go on with `allocate`"
                if self.config.pilot is not None
                else "there is nothing to commit: every round is dealt in one wave; set `pilot` for two"
            )
        out = int(state.ledger.open.of(pilot.round).rollouts.sum())
        if out:
            raise PilotError(
                f"{out} rollouts of the pilot of round {pilot.round} have no rewards yet, by which its rest is dealt; "
                "observe them first, and refund those that will not come"
            )
        self._parts_now = replace(self._parts.learned(state.parts), pilot=PilotState())
        self._changes.set(state, "parts", self._parts_now)
        counts, given = self._rest(pilot), pilot.rollouts
        state.ledger.reopen(pilot.round, pilot.groups(counts), self._changes)
        self._changes.put(state.exposure, pilot.prompts, state.exposure[pilot.prompts] + counts)
        first, dealt = int(given.sum()), int(given.sum() + counts.sum())
        ends = not pilot.exact and pilot.left == state.ledger.remaining
        least = first + pilot.left if pilot.exact else first
        choice = Choice(pilot.prompts.size, int(given.min(initial=pilot.cap)), pilot.cap, least, first + pilot.left)
        self._weigh(choice, ends, dealt, pilot.round)
        self._dealt_waves(pilot.prompts, given + counts)  # what was refunded of the pilot was not dealt
        return Allocation(pilot.round, pilot.prompts.copy(), counts.copy())

    @property
    def _pilot_size(self) -> int:
        """Rollouts of each prompt in a pilot."""
        return self.config.pilot or 0

    def _refuse_pilot(self) -> None:
        """Raise ConfigurationError where a method has no use for a pilot."""
        silent = type(self)._worth is Choosing._worth
        if self.config.pilot is not None and (silent or not self.pilots):
            raise ConfigurationError(
                f"{type(self).__name__} does not say after a few rollouts what a prompt is worth, so a pilot would "
                "decide nothing; leave `pilot` out, or take cero, vip, gvm, hora, knapsack, coba_rl or mopps"
            )

    def _waiting(self) -> PilotState | None:
        """The pilot whose rest is still to be dealt."""
        pilot = self._state.parts.pilot
        return pilot if isinstance(pilot, PilotState) and pilot.round >= 0 else None

    def _refuse_waiting(self) -> None:
        """Raise PilotError while a round waits for its rest."""
        pilot = self._waiting()
        if pilot is not None:
            raise PilotError(
                f"round {pilot.round} has had its pilot, and {pilot.left} rollouts of it wait: observe the pilot's "
                "rewards and call `commit`, then `allocate` the next round; what will not be generated can be refunded"
            )

    def _waves(self, rows: IntArray | None, total: int | None) -> Waves | None:
        """How the next round is parted; None where it is dealt in one wave."""
        config, pilot = self.config, self.config.pilot
        if pilot is None or total == 0 or (rows is not None and rows.size == 0):
            return None
        unit = getattr(config, "rollouts_per_unit", 1)
        wanted = self._round_size(rows, total)
        need = min(wanted, self._left()) // unit * unit
        waves = self._window_waves(need) if rows is None else self._batch_waves(rows.size, total, need, unit)
        if waves.prompts > 0 and waves.prompts * pilot < need <= waves.prompts * waves.cap:
            return waves
        if need == wanted or total is not None:
            self._refuse_round(waves, need, rows is None)
        return None  # the budget ends here

    def _window_waves(self, need: int) -> Waves:
        config, pilot = self.config, self._pilot_size
        if config.offer != "window":
            raise BudgetError(
                "a pilot chooses among the prompts of a window, or candidates that are passed; set offer='window', or "
                "pass row_ids"
            )
        fewest, most = -(-need // config.group), (need - 1) // pilot
        prompts = max(int(need * config.pilot_share) // pilot, fewest)
        return Waves(min(prompts, most, config.num_prompts), need, config.group)

    def _batch_waves(self, prompts: int, total: int | None, need: int, unit: int) -> Waves:
        group, (floor, cap) = self.config.group, self.config.limits(prompts, total)
        if self._pilot_size < floor:
            raise BudgetError(
                f"each candidate gets min_rollouts_per_prompt={floor} at least, and pilot={self._pilot_size} is all "
                "that most of them get; raise it, or lower the floor"
            )
        if prompts * group <= need:  # fewer than fit at full groups: room for twice the mean
            group = -(-2 * need // (prompts * unit)) * unit
        return Waves(prompts, need, min(group, cap))

    def _refuse_round(self, waves: Waves, need: int, window: bool) -> None:
        pilot = self._pilot_size
        if need <= max(waves.prompts, 1) * pilot:
            whom = "the smallest pilot" if window else f"a pilot for {waves.prompts} candidates"
            raise BudgetError(
                f"{whom}, {pilot} rollouts each, leaves nothing to commit of a round of {need}; ask for more, lower "
                "`pilot`" + ("" if window else ", or pass fewer candidates")
            )
        raise BudgetError(
            f"a round of {need} rollouts cannot be dealt in two waves to {waves.prompts} prompts, at most {waves.cap} "
            "each; ask for another total, lower `pilot`, or raise the cap"
        )

    def _deal_pilot(self, waves: Waves, rows: IntArray | None, exact: bool) -> tuple[IntArray, IntArray]:
        """The first wave; what the second needs to know is kept."""
        state, walk = self._state, self._parts_now.window
        self._begin_round()
        if rows is None:
            rows, walk = self._pilot_line(waves)
        counts = np.full(rows.size, self._pilot_size, dtype=np.int64)
        left = waves.need - int(counts.sum())
        pilot = PilotState.of(state.round, left, int(exact), waves.cap, rows.copy())
        self._changes.set(state, "parts", replace(self._parts.ticked(self._parts_now), window=walk, pilot=pilot))
        self._dealt_waves(rows, counts)
        return rows, counts

    def _pilot_line(self, waves: Waves) -> tuple[IntArray, Walk]:
        """Those of the window that are worth most, best first, and where the window's walk stands after it."""
        group = self.config.group
        room = -(-waves.need // group)
        offered = self._offered(room)
        candidates, again = self._parted(offered.rows, room)
        line = candidates[self._line(candidates, self._worth(candidates, group), self._rank(candidates))]
        return np.concatenate([again, line])[: waves.prompts], offered.walk

    def _rest(self, pilot: PilotState) -> IntArray:
        """What each prompt of the pilot gets in addition: full groups in order of what they are worth."""
        unit, given = getattr(self.config, "rollouts_per_unit", 1), pilot.rollouts
        more = pilot.cap - self._pilot_size
        worth = self._worth_after(pilot, more)
        line = self._line(pilot.prompts, worth, self._rank_again(pilot.prompts))
        line = line[np.argsort(given[line] == 0, kind="stable")]  # what was refunded whole says nothing: last
        if not pilot.exact:
            line = line[worth[line] > self._least_worth(more)]
        room = (pilot.cap - given[line]) // unit * unit
        sizes = np.clip(pilot.left - (np.cumsum(room) - room), 0, room)
        last = int(np.count_nonzero(sizes)) - 1
        if last > 0 and sizes[last] + given[line[last]] == 1:  # a group of one has no contrast
            sizes[last - 1 : last + 1] += (-1, 1)
        counts = np.zeros(pilot.prompts.size, dtype=np.int64)
        counts[line] = sizes
        return counts

    def _worth_after(self, pilot: PilotState, more: int) -> FloatArray:
        """Of so many rollouts more, for each prompt of a pilot whose rewards are in."""
        return self._worth(pilot.prompts, more)

    def _least_worth(self, more: int) -> float:
        """A prompt that is worth no more than this gets no rest, where the round's size is the method's own."""
        return -np.inf

    def _rank_again(self, rows: IntArray) -> RankArray:
        """Who goes first among equals in the second wave."""
        return self._rank(rows)

    def _begin_round(self) -> None:
        """Change what a method changes once a round, before its first wave; that of `_deal` in a round of one."""

    def _dealt_waves(self, prompts: IntArray, counts: IntArray) -> None:
        """Take note of what the round has been dealt so far."""

    @abc.abstractmethod
    def _round_size(self, rows: IntArray | None, total: int | None) -> int:
        """Rollouts of the next round, whatever remains of the budget."""
