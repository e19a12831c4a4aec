"""Every allocator deals every round of an arena, for every seed, at equal terms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cero_api.allocators import config_type, make_allocator
from cero_api.analysis.contest.arena import Arena
from cero_api.analysis.contest.estimate import Estimate
from cero_api.analysis.contest.results import METRICS, Result
from cero_api.errors import CeroError, ConfigurationError
from cero_api.protocol import RolloutOutcomes

_CERTAIN = 1e-3  # rates this close to 0 or 1 give a group of 8 contrast once in 125 times
Progress = Callable[[str, int, float], None]


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
