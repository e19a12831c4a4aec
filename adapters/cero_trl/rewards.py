"""Reward functions that may fail: what raises in the middle of a training costs its rollouts, not the training."""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

logger = logging.getLogger(__name__)

GIVE_UP_AFTER = 4
"""Rollouts of one batch in a row for which a function raises, after which the rest of the batch is left out too."""


class Forgiving:
    """Wraps the reward functions of a trainer, and counts what they failed to score.

    TRL calls a function with a whole batch, and one completion on which it raises would end the training. Here the
    rollouts of such a batch are scored one by one, and those on which it raises again have no reward, as if it had
    returned None for them. A function that has never worked is a mistake of somebody's: it raises, as in TRL.

    Attributes:
        failed: rollouts that a function failed to score so far, on this process.
        dtypes: of the tensors that each function returned last; float32, TRL's, where it returns numbers.
    """

    def __init__(self) -> None:
        self.failed = 0
        self.dtypes: list[torch.dtype] = []
        self._warned = False

    def wrap(self, function: Any) -> Any:
        """The function with this habit; a reward model as it is, for it takes no rollouts one by one."""
        place = len(self.dtypes)
        self.dtypes.append(torch.float32)
        if isinstance(function, torch.nn.Module):
            return function
        habit = _Habit(function, self, place)
        asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)

        async def later(**arguments: Any) -> list[float | None]:
            return await habit.score(arguments)

        def now(**arguments: Any) -> list[float | None]:
            return _finished(habit.score(arguments))

        return functools.wraps(function)(later if asynchronous else now)

    def note(self, name: str, prompts: Any, failures: list[tuple[int, Exception]], cause: Exception) -> None:
        """Count what a function failed to score, and warn of the first time."""
        self.failed += len(failures)
        if self._warned:
            return
        self._warned = True
        first, error = failures[0] if failures else (0, cause)
        logger.warning(
            "reward function %s raised %r for %s; %d rollouts have no reward of it, and training goes on (further ones "
            "are counted in cero/rewards_failed)",
            name,
            error,
            f"prompt {prompts[first]!r:.200}" if failures else "a batch, and for none of its rollouts alone",
            len(failures),
            exc_info=error,
        )


@contextmanager
def rewards_in_use(trainer: Any) -> Iterator[list[torch.Tensor]]:
    """The rewards that TRL is given while this lasts, after whatever subclasses make of them; on all ranks together.

    Args:
        trainer: a `GRPOTrainer`.
    """
    used: list[torch.Tensor] = []
    calculate = trainer._calculate_rewards

    def calculated(*args: Any, **kwargs: Any) -> torch.Tensor:
        used[:] = [usable(calculate(*args, **kwargs))]
        return used[0]

    with in_place_of(trainer, "_calculate_rewards", calculated):
        yield used


def usable(rewards: torch.Tensor) -> torch.Tensor:
    """Without the infinite ones, which are no reward, and would make NaN of the weights."""
    return rewards.masked_fill(rewards.isinf(), torch.nan)


@contextmanager
def in_place_of(trainer: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Have TRL call something else for one of its methods while this lasts.

    TRL asks the instance for them: what stands there comes after every class.

    Args:
        trainer: a `GRPOTrainer`.
        name: of the method.
        function: without `self`.
    """
    own = vars(trainer).get(name)
    setattr(trainer, name, function)
    try:
        yield
    finally:
        delattr(trainer, name)
        if own is not None:
            setattr(trainer, name, own)


class _Habit:
    """One function's."""

    def __init__(self, function: Callable[..., Any], owner: Forgiving, place: int) -> None:
        self._function = function
        self._owner = owner
        self._place = place
        self._name = getattr(function, "__name__", type(function).__name__)
        self._worked = False

    async def score(self, arguments: Mapping[str, Any]) -> list[float | None]:
        size = len(arguments["completions"])
        try:
            rewards = await self._called(arguments, size)
        except Exception as error:  # whatever somebody's function raises
            rewards = await self._one_by_one(arguments, size, error)
        self._worked = True
        return rewards

    async def _called(self, arguments: Mapping[str, Any], size: int) -> list[float | None]:
        """What it returns, checked as TRL will; what it logs is kept until it has returned."""
        extra: dict[str, list[Any]] = defaultdict(list)
        metrics: list[tuple[str, float]] = []
        own = {
            "log_extra": lambda column, values: extra[column].extend(values),
            "log_metric": lambda name, value: metrics.append((name, value)),
        }
        returned = self._function(**{**arguments, **{name: own[name] for name in own if name in arguments}})
        returned = list(await returned if inspect.isawaitable(returned) else returned)
        rewards = [_number(reward) for reward in returned]
        if len(rewards) != size:
            raise ValueError(f"it returned {len(rewards)} rewards for {size} completions; return one for each")
        given = next((reward.dtype for reward in returned if isinstance(reward, torch.Tensor)), torch.float32)
        self._owner.dtypes[self._place] = given if given.is_floating_point else torch.float32
        for column, values in extra.items():
            arguments["log_extra"](column, values)
        for name, value in metrics:
            arguments["log_metric"](name, value)
        return rewards

    async def _one_by_one(self, arguments: Mapping[str, Any], size: int, cause: Exception) -> list[float | None]:
        rewards: list[float | None] = [None] * size
        columns: dict[str, list[Any]] = {}
        failures: list[tuple[int, Exception]] = []
        for i in range(size):
            if len(failures) >= GIVE_UP_AFTER and failures[-GIVE_UP_AFTER][0] == i - GIVE_UP_AFTER:
                failures += [(left, failures[-1][1]) for left in range(i, size)]
                break

            def log_extra(column: str, values: list[Any], i: int = i) -> None:
                columns.setdefault(column, [None] * size)[i] = values[0]

            one = {
                name: [value[i]] if isinstance(value, list) and len(value) == size else value
                for name, value in arguments.items()
            }
            if "log_extra" in one:
                one["log_extra"] = log_extra
            try:
                (rewards[i],) = await self._called(one, 1)
            except Exception as error:  # as above
                failures.append((i, error))
        if len(failures) == size and not self._worked:
            raise cause
        for column, values in columns.items():
            arguments["log_extra"](column, values)
        self._owner.note(self._name, arguments["prompts"], failures, cause)
        return rewards


def _number(reward: Any) -> float | None:
    """A reward as TRL will take it: tensors of any type, with a gradient or without, are numbers too."""
    if reward is None:
        return None
    number = float(reward.detach() if isinstance(reward, torch.Tensor) else reward)
    return math.nan if math.isnan(number) else number


def _finished(scoring: Coroutine[Any, Any, list[float | None]]) -> list[float | None]:
    """The result of a coroutine that has nothing to wait for."""
    try:
        scoring.send(None)
    except StopIteration as done:
        rewards: list[float | None] = done.value
        return rewards
    raise RuntimeError("a reward function that is no coroutine function returned something to wait for; make it async")
