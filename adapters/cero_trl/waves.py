"""A round in two waves: a pilot is generated and rewarded, and then the rest of the same generation batch.

TRL makes a generation batch in one method: it generates all rows, rewards them, and makes tensors, logs and advantages
of the whole. Only the first two are taken apart here. TRL is handed all rows, those of the second wave open. Its
`_generate` is called for the pilot, whose rewards say what the open rows are, and then for these; its
`_calculate_rewards` for each wave alone. What follows is TRL's own, of all rows at once, and needs no joining.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cero_api import Allocation, PilotAllocator, RolloutAllocator
from cero_api.errors import BudgetError, ConfigurationError
from cero_trl.counts import share_of_rank
from cero_trl.rewards import in_place_of, usable
from cero_trl.rows import LaterRow

# Where these stand in what `_generate` returns, in every supported version.
_IDS, _TOOL_MASK, _COMPLETIONS = 1, 2, 3


class Wave(NamedTuple):
    """What was generated at once, and earned; rollouts `[n]` in the order of the allocation."""

    allocation: Allocation
    rewards: NDArray[np.float64]  # that were judged, NaN where there was none
    shares: NDArray[np.float64]  # of a success
    tokens: NDArray[np.float64]


class Round:
    """A round as it is generated: its waves, of each of which every rank has an equal part.

    Args:
        first: its first wave, of most rounds the only one.
        ranks: number of processes.
        rank: of this one.

    Attributes:
        allocations: of each wave so far.
        waves: those that are generated and judged.
        handed: rows of this process as they were handed to TRL and to who derives from it; None before that.

    Raises:
        ConfigurationError: the ranks cannot have equal parts.

    >>> round_ = Round(Allocation(0, np.array([8, 5]), np.array([2, 2]), to_commit=2), ranks=2)
    >>> round_.add(Allocation(0, np.array([8, 5]), np.array([0, 2])))
    >>> round_.allocation.counts, round_.order()
    (array([2, 4]), array([0, 1, 3, 4, 2, 5]))
    """

    def __init__(self, first: Allocation, ranks: int = 1, rank: int = 0) -> None:
        refuse_unequal_parts(first, ranks)
        self._ranks, self._rank = ranks, rank
        self.allocations = [first]
        self.waves: list[Wave] = []
        self.handed: list[Mapping[str, Any]] | None = None

    @property
    def later(self) -> int:
        """Rows of each rank that the second wave has."""
        return self.allocations[0].to_commit // self._ranks

    def own(self) -> list[int]:
        """Rows of the train dataset that this rank generates from in the wave that was dealt last."""
        return share_of_rank(self.allocations[-1], self._rank, self._ranks)

    @property
    def allocation(self) -> Allocation:
        """All waves as one: the rollouts of a prompt are one group."""
        first = self.allocations[0]
        counts = np.sum([wave.counts for wave in self.allocations], axis=0)
        return Allocation(first.round, first.prompt_ids, counts)

    def add(self, rest: Allocation) -> None:
        """Take the second wave.

        Raises:
            BudgetError: it is not the rest of this round.
        """
        first = self.allocations[0]
        same = rest.round == first.round and np.array_equal(rest.prompt_ids, first.prompt_ids)
        if not same or rest.counts.min(initial=0) < 0 or rest.total != first.to_commit:
            raise BudgetError(
                f"round {first.round}: {first.to_commit} rollouts are to be committed to its {first.prompt_ids.size} "
                f"prompts, and the allocator dealt {rest.total} to {rest.prompt_ids.size} in round {rest.round}; have "
                "its commit deal what its pilot left, in the pilot's order"
            )
        self.allocations.append(rest)

    def give_up(self, allocator: RolloutAllocator) -> None:
        """Close a round that is interrupted before its pilot is rewarded, so that the allocator can deal another."""
        first = self.allocations[0]
        if first.to_commit and not self.waves and isinstance(allocator, PilotAllocator):
            allocator.refund(first.prompt_ids, first.counts, first.round)
            rest = allocator.commit(first.round)
            allocator.refund(rest.prompt_ids, rest.counts, rest.round)

    def order(self) -> NDArray[np.int64]:
        """Which of TRL's rows, over all ranks, holds each rollout of `allocation`; int64 `[N]`."""
        return np.concatenate(self.places())[self._by_group()]

    def places(self) -> list[NDArray[np.int64]]:
        """Which of TRL's rows holds each rollout of each wave, in the order of its allocation.

        TRL's are rank after rank, and on a rank wave after wave.
        """
        parts = [wave.total // self._ranks for wave in self.allocations]
        begins = np.cumsum(parts) - parts
        starts = np.arange(self._ranks)[:, None] * sum(parts)
        return [(starts + begin + np.arange(part)).ravel() for begin, part in zip(begins, parts, strict=True)]

    def whole(self) -> Wave:
        """What all of the round's rollouts earned, those of a prompt side by side."""
        columns = [np.concatenate([wave[column] for wave in self.waves]) for column in (1, 2, 3)]
        rewards, shares, tokens = (column[self._by_group()] for column in columns)
        return Wave(self.allocation, rewards, shares, tokens)

    def _by_group(self) -> NDArray[np.int64]:
        """From wave after wave to prompt after prompt."""
        groups = [np.repeat(np.arange(wave.counts.size), wave.counts) for wave in self.allocations]
        return np.argsort(np.concatenate(groups), kind="stable")


def refuse_unequal_parts(first: Allocation, ranks: int) -> None:
    """Refuse a pilot of which the ranks cannot have equal parts.

    Raises:
        ConfigurationError: its rollouts do not divide.
    """
    if first.to_commit and first.total % ranks:
        prompts = first.total // int(first.counts.max())
        raise ConfigurationError(
            f"the pilot of round {first.round} is {first.total} of {first.total + first.to_commit} rollouts, which "
            f"{ranks} processes cannot share out equally; change pilot to a multiple of "
            f"{ranks // math.gcd(ranks, prompts)}, or pilot_share, or the batch"
        )


@contextmanager
def in_waves(
    trainer: Any,
    inputs: list[Any],
    later: int,
    rest: Callable[[torch.Tensor, torch.Tensor], Sequence[int]],
) -> Iterator[list[Any]]:
    """Have TRL generate the last so many rows after the others are rewarded, while this lasts.

    Args:
        trainer: a `GRPOTrainer`.
        inputs: this rank's rows as they were dealt, the later ones open.
        later: how many there are; 0 changes nothing.
        rest: is told the rewards per function `[n, F]` of the first wave and the tokens `[n]` that were generated in
            it, of all ranks; answers with this rank's rows of the train dataset for the second.

    Yields:
        the rows for TRL.

    Raises:
        ConfigurationError: a class changes rows that are not known yet.
    """
    if not later:
        yield inputs
        return
    first, open_rows = len(inputs) - later, inputs[-later:]
    if not all(isinstance(row, LaterRow) for row in open_rows):
        raise ConfigurationError(_CHANGED)
    # Until the second wave is known TRL sees the first row in its place, and looks at nothing but its form.
    rows = [*inputs[:first], *(dict(inputs[0]) for _ in range(later))]
    known: list[dict[str, Any]] = [dict(row) for row in rows]
    generate, calculate = trainer._generate, trainer._calculate_rewards
    earned: list[torch.Tensor] = []
    extra: list[dict[str, list[Any]]] = []

    def generated(prompts: list[Any]) -> tuple[Any, ...]:
        if len(prompts) != len(rows) or not all(map(_unchanged, rows, known)):
            raise ConfigurationError(_CHANGED)
        with _entries(trainer._metrics["train"]) as one:
            pilot = generate(prompts[:first])
        earned.append(usable(calculate(rows[:first], prompts[:first], pilot[_COMPLETIONS], pilot[_IDS])))
        extra.append(_taken(trainer._pending_extra_logs))
        tokens = torch.tensor(lengths(pilot[_IDS], pilot[_TOOL_MASK]), device=trainer.accelerator.device)
        numbers = rest(earned[0], trainer.accelerator.gather(tokens))
        rows[first:] = [row.become(number) for row, number in zip(open_rows, numbers, strict=True)]
        prompts[first:] = [row["prompt"] for row in rows[first:]]  # TRL's list, of which it logs and rewards
        with _entries(trainer._metrics["train"]) as two:
            second = generate(prompts[first:])
        for name, value in as_one(one, two, (first, later)).items():
            trainer._metrics["train"][name].append(value)
        return tuple(_joined(*parts, (first, later)) for parts in zip(pilot, second, strict=True))

    def calculated(inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        if inputs is not rows or not earned:
            raise ConfigurationError(_CHANGED)
        second = calculate(*(column[first:] for column in (inputs, prompts, completions, completion_ids_list)))
        one, two = extra[0], _taken(trainer._pending_extra_logs)
        for column in one.keys() | two.keys():  # a column of one wave is empty in the other
            values = [*one.get(column, [None] * first), *two.get(column, [None] * later)]
            trainer._pending_extra_logs[column] = values
        waves = [wave.unflatten(0, (-1, part)) for wave, part in ((earned[0], first), (second, later))]
        return torch.cat(waves, dim=1).flatten(0, 1)  # rank after rank, as TRL gathers

    with in_place_of(trainer, "_generate", generated), in_place_of(trainer, "_calculate_rewards", calculated):
        yield rows


_CHANGED = (
    "with a pilot, the rows of a round's second wave are not known before the first is rewarded, and a class changes "
    "rows; change them in the train dataset, or leave pilot out"
)


def _unchanged(row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether nobody has put anything else into a row."""
    return row.keys() == known.keys() and all(row[name] is known[name] for name in known)


def lengths(ids: Sequence[Sequence[int]], tool_mask: Sequence[Sequence[int]] | None) -> list[int]:
    """Tokens that the model generated in each completion: none of a tool's.

    >>> lengths([[4, 4, 7], [9]], None), lengths([[4, 4, 7], [9]], [[1, 0, 1], [1]])
    ([3, 1], [2, 1])
    """
    return [len(row) for row in ids] if tool_mask is None else [sum(row) for row in tool_mask]


def as_one(one: Mapping[str, float], two: Mapping[str, float], sizes: tuple[int, int]) -> dict[str, float]:
    """What TRL logs of one generation, from what it logged of each of its waves.

    Args:
        one: of the first wave, by TRL's names.
        two: of the second.
        sizes: rollouts of both.

    >>> logged = {"completions/mean_length": 4.0, "completions/min_length": 1.0, "num_tokens": 40.0}
    >>> as_one(logged, {**logged, "completions/mean_length": 7.0, "num_tokens": 90.0}, (8, 4))
    {'completions/mean_length': 5.0, 'completions/min_length': 1.0, 'num_tokens': 90.0}
    """
    merged: dict[str, float] = {}
    for name in {**one, **two}:
        values, weights = [], []
        for wave, size in zip((one, two), sizes, strict=True):
            if name in wave:
                values.append(wave[name])
                weights.append(size * _part(name, wave))
        values = [value for value, weight in zip(values, weights, strict=True) if weight] or values[-1:]
        weights = [weight for weight in weights if weight] or [1.0]
        if name == "num_tokens":  # so far
            merged[name] = values[-1]
        elif "/min_" in name or "/max_" in name:
            merged[name] = min(values) if "/min_" in name else max(values)
        else:
            merged[name] = float(np.average(values, weights=weights))
    return merged


def _part(name: str, wave: Mapping[str, float]) -> float:
    """Of a wave's rollouts, how many (or for calls, of how many) a number speaks of."""
    if "terminated" in name:
        return 1.0 - wave.get("completions/clipped_ratio", 0.0)
    return wave.get("tools/call_frequency", 1.0) if name == "tools/failure_frequency" else 1.0


@contextmanager
def _entries(log: dict[str, list[float]]) -> Iterator[dict[str, float]]:
    """What is added to a log while this lasts, one number a name; it is taken away again."""
    before = {name: len(values) for name, values in log.items()}
    added: dict[str, float] = {}
    yield added
    for name, values in log.items():
        new = values[before.get(name, 0) :]
        if new:
            added[name] = float(np.mean(new))
            del values[before.get(name, 0) :]


def _taken(log: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What a log holds, which is then empty."""
    held = dict(log)
    log.clear()
    return held


def _joined(one: Any, two: Any, sizes: tuple[int, int]) -> Any:
    """What `_generate` returned of both waves: a list of each rollout's, a total, or nothing."""
    if isinstance(one, dict):
        return {name: _joined(one[name], two[name], sizes) for name in one}
    if one is None and two is None:
        return None
    one, two = ([None] * size if part is None else part for part, size in zip((one, two), sizes, strict=True))
    return one + two
