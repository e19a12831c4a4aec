r"""Any allocators, one budget, one set of success rates: the loop behind replay and simulation, and its numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators import config_type, make_allocator
from cero_api.errors import CeroError, ConfigurationError
from cero_api.protocol import RolloutOutcomes

# What a contest measures: name, heading, and what it is.
METRICS: dict[str, tuple[str, str]] = {
    "rollouts": ("rollouts", "dealt over all rounds"),
    "rounds_dealt": ("rounds", "rounds in which rollouts were dealt"),
    "effective_group_rate": ("effective", "share of groups with both a success and a failure"),
    "expected_effective_groups": ("expected", "effective groups expected: sum over groups of 1 - p^n - (1-p)^n"),
    "signal_per_rollout": ("signal", "mean over rollouts of p(1-p), the variance of their reward; at most 1/4"),
    "certain_share": ("on p≈0,1", "share of rollouts on prompts with p below 0.001 or above 0.999"),
    "unserved_prompts": ("unserved", "prompts that never got a rollout"),
    "allocator_ms": ("ms/round", "time in allocate and observe, milliseconds per round"),
    "regret": ("regret", "utility per prompt below the full-information optimum"),
}

_CERTAIN = 1e-3  # rates this close to 0 or 1 give a group of 8 contrast once in 125 times

# Two-sided 95% quantiles of Student's t, degrees of freedom 1 to 30.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

Progress = Callable[[str, int, float], None]


class Turn(NamedTuple):
    """One round that an allocator is asked to deal."""

    time: float  # in the units of the arena's rates
    rows: IntArray | None  # candidates; None is the whole pool
    total: int | None  # exactly so many rollouts; None leaves it to the method


class Arena(Protocol):
    """Prompts with success rates that move by themselves, offered round by round."""

    @property
    def num_prompts(self) -> int:
        """M."""
        ...

    @property
    def rounds(self) -> int:
        """K."""
        ...

    @property
    def budget(self) -> int:
        """Rollouts for all rounds together."""
        ...

    def turns(self, seed: int) -> Iterator[Turn]:
        """The rounds, the same for every allocator."""
        ...

    def rates(self, time: float, rows: IntArray, seed: int) -> FloatArray:
        """Success rate of these prompts at a time, float64 `[P]`."""
        ...

    def extra(self, exposure: IntArray, seed: int) -> dict[str, float]:
        """Further numbers about a finished run."""
        ...


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds with its 95% confidence interval by Student's t; no interval from a single seed.

    >>> Estimate.of([1.0, 2.0, 3.0])
    Estimate(mean=2.0, low=-0.484, high=4.484, values=(1.0, 2.0, 3.0))
    """

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """From one value per seed."""
        array = np.asarray(values, dtype=np.float64)
        mean = float(array.mean())
        if array.size < 2:
            return cls(mean, None, None, tuple(values))
        half = t95(array.size - 1) * float(array.std(ddof=1)) / array.size**0.5
        return cls(mean, mean - half, mean + half, tuple(values))


@dataclass(frozen=True)
class Result:
    """One allocator's numbers.

    Args:
        allocator: its name.
        config: what it was configured with, the seed apart.
        metrics: by the names in `METRICS`.
    """

    allocator: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class ContestReport:
    """All allocators side by side, and what their numbers can and cannot tell.

    Args:
        kind: "replay" or "simulation".
        settings: of the contest: prompts, rounds, budget and the like.
        seeds: of the draws, and of the allocators' ties.
        results: in the order of the allocators asked for.
        notes: to be read with the numbers.
    """

    kind: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The allocator that differences are taken from: uniform, or else the first."""
        names = [result.allocator for result in self.results]
        return "uniform" if "uniform" in names else names[0]

    def differences(self) -> dict[str, dict[str, Estimate]]:
        """Each allocator's numbers less the baseline's, seed by seed: what both owe to the seed cancels."""
        base = next(result for result in self.results if result.allocator == self.baseline)
        return {
            result.allocator: {
                name: Estimate.of([a - b for a, b in zip(own.values, base.metrics[name].values, strict=True)])
                for name, own in result.metrics.items()
            }
            for result in self.results
            if result is not base
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        differences = {
            name: {metric: asdict(estimate) for metric, estimate in metrics.items()}
            for name, metrics in self.differences().items()
        }
        return asdict(self) | {"baseline": self.baseline, "differences": differences}


def t95(freedom: int) -> float:
    r"""Two-sided 95% quantile of Student's t; beyond a table to 30 by its expansion around the normal's.

    $z + \frac{z^3 + z}{4\nu} + \frac{5z^5 + 16z^3 + 3z}{96\nu^2}$ with $z = 1.959964$.

    Args:
        freedom: $\nu$, at least 1.

    >>> t95(4), round(t95(100), 3)
    (2.776, 1.984)
    """
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def contest(
    arena: Arena,
    allocators: Sequence[str],
    configs: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> tuple[Result, ...]:
    """Let each allocator deal every round of the arena, with rewards drawn from its rates.

    Args:
        arena: prompts, rates and rounds.
        allocators: registered names.
        configs: fields of each one's configuration, the seed apart.
        seeds: of the draws and of the allocators.
        progress: called with the allocator, the seed and the share of its rounds that is done.

    Raises:
        CeroError: a configuration or a round that does not work; it names the allocator.

    Returns:
        One result per allocator.
    """
    if not seeds:
        raise ConfigurationError("no seeds; give at least one")
    results = []
    for name in allocators:
        config = dict(configs[name])
        runs = []
        for seed in seeds:
            try:
                runs.append(_run(arena, name, config, seed, progress))
            except CeroError as error:
                raise type(error)(f"{name}: {error}") from error
        metrics = {metric: Estimate.of([run[metric] for run in runs]) for metric in METRICS if metric in runs[0]}
        results.append(Result(name, config, metrics))
    return tuple(results)


def _run(arena: Arena, name: str, config: dict[str, Any], seed: int, progress: Progress | None) -> dict[str, float]:
    allocator = make_allocator(name, **config, seed=seed)
    rng = np.random.default_rng((seed, 1))  # a stream of its own: the arena and the ties use the seed too
    rollouts = groups = effective = dealt = 0
    expected = signal = certain = seconds = 0.0
    for k, (moment, rows, total) in enumerate(arena.turns(seed)):
        started = time.perf_counter()
        allocation = allocator.allocate(rows, total)
        seconds += time.perf_counter() - started
        given = allocation.counts > 0
        ids, n = allocation.prompt_ids[given], allocation.counts[given]
        p = arena.rates(moment, ids, seed)
        won = rng.binomial(n, p)
        if ids.size:
            started = time.perf_counter()
            allocator.observe(RolloutOutcomes(ids, won, n - won, round=allocation.round))
            seconds += time.perf_counter() - started
            dealt += 1
        rollouts += int(n.sum())
        groups += ids.size
        effective += int(np.count_nonzero((won > 0) & (won < n)))
        expected += float((1.0 - p**n - (1.0 - p) ** n).sum())
        signal += float((n * p * (1.0 - p)).sum())
        certain += float(n[(p < _CERTAIN) | (p > 1.0 - _CERTAIN)].sum())
        if progress is not None and (k + 1) % 16 == 0:
            progress(name, seed, (k + 1) / arena.rounds)
    if progress is not None:
        progress(name, seed, 1.0)
    exposure = allocator.exposure()
    return {
        "rollouts": rollouts,
        "rounds_dealt": dealt,
        "effective_group_rate": effective / max(groups, 1),
        "expected_effective_groups": expected,
        "signal_per_rollout": signal / max(rollouts, 1),
        "certain_share": certain / max(rollouts, 1),
        "unserved_prompts": int(np.count_nonzero(exposure == 0)),
        "allocator_ms": 1e3 * seconds / max(arena.rounds, 1),
        **arena.extra(exposure, seed),
    }


def equal_configs(
    arena: Arena,
    allocators: Sequence[str],
    *,
    group_size: int,
    cap: int,
    floor: int | None = None,
    capacity: int | None = None,
    whole_pool: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Configurations under which allocators can be compared: one budget, one cap, one group size.

    An allocator gets those of the fields that its configuration has, whoever wrote it. Over the whole pool one that
    knows a cap and no group size, like CERO, is capped at one group, as in the paper.

    Args:
        arena: whose prompts, rounds and budget they get.
        allocators: registered names.
        group_size: rollouts of a prompt where all get the same.
        cap: rollouts of a prompt in a round.
        floor: the largest feasible floor; a method with a higher one by default gets 0 or this.
        capacity: rollouts that a round may take; None is each method's own.
        whole_pool: the rounds offer the whole pool.
        settings: fields by allocator, which overrule all of this.

    Raises:
        ConfigurationError: an allocator that does not exist, or settings for one that does not take part.
    """
    settings = settings or {}
    strangers = set(settings) - set(allocators)
    if strangers:
        raise ConfigurationError(f"settings for {', '.join(sorted(strangers))}, which does not take part; add it")
    configs = {}
    for name in allocators:
        fields = config_type(name).model_fields
        config: dict[str, Any] = {"num_prompts": arena.num_prompts, "rounds": arena.rounds, "budget": arena.budget}
        if "rollouts_per_prompt" in fields:
            config["rollouts_per_prompt"] = group_size
        if "max_rollouts_per_prompt" in fields:
            config["max_rollouts_per_prompt"] = (
                group_size if whole_pool and "rollouts_per_prompt" not in fields else max(cap, group_size)
            )
        if "min_rollouts_per_prompt" in fields and floor is not None:
            own = fields["min_rollouts_per_prompt"].default
            if (2 if own is None else own) > floor:
                config["min_rollouts_per_prompt"] = floor if floor >= 2 else 0
        if "capacity" in fields and capacity is not None:
            config["capacity"] = capacity
        configs[name] = config | dict(settings.get(name, {}))
    return configs


def even_totals(budget: int, rounds: int) -> IntArray:
    """Whole rollouts per round that sum to the budget, int64 `[K]`.

    >>> even_totals(10, 4)
    array([2, 3, 2, 3])
    """
    edges = np.arange(rounds + 1, dtype=np.int64) * budget // rounds
    return np.diff(edges)


def epochs(num_prompts: int, batch: int, rounds: int, seed: int) -> Iterator[IntArray]:
    """Batches as a shuffling data loader draws them: every prompt once an epoch, an incomplete last batch dropped.

    >>> [batch.tolist() for batch in epochs(num_prompts=5, batch=2, rounds=3, seed=0)]
    [[4, 2], [1, 0], [1, 3]]
    """
    rng = np.random.default_rng((seed, 2))
    dealt = 0
    while dealt < rounds:
        order = rng.permutation(num_prompts)
        for start in range(0, num_prompts - batch + 1, batch):
            if dealt == rounds:
                return
            dealt += 1
            yield order[start : start + batch]
