"""Every allocator deals every round of an arena, for every seed, at equal terms."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators import config_type, make_allocator
from cero_api.analysis.contest.arena import Arena
from cero_api.analysis.contest.estimate import Estimate
from cero_api.analysis.contest.results import METRICS, Result
from cero_api.analysis.contest.terms import Terms
from cero_api.config import GroupConfig
from cero_api.errors import CeroError, CeroWarning, ConfigurationError
from cero_api.protocol import PilotAllocator, RolloutOutcomes

_CERTAIN = 1e-3  # rates this close to 0 or 1 give a group of 8 contrast once in 125 times
Progress = Callable[[str, int, float], None]


def contest(
    arena: Arena, terms: Terms, *, seeds: Sequence[int], progress: Progress | None = None
) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Let each allocator deal every round of the arena, with rewards drawn from its rates.

    One that cannot deal these rounds is left out, and a note says why; unless the caller configured it, or nobody is
    left.

    Args:
        arena: prompts, rates and rounds.
        terms: the allocators and their configurations.
        seeds: of the draws and of the allocators.
        progress: called with the allocator, the seed and the share of its rounds that is done.

    Raises:
        CeroError: a configuration or a round that does not work; it names the allocator.

    Returns:
        One result per allocator, and notes on those that had to be adapted or left out.
    """
    if not seeds:
        raise ConfigurationError("no seeds; give at least one")
    results: list[Result] = []
    notes = list(terms.notes)
    first: CeroError | None = None
    idle: list[str] = []
    for name, config in terms.configs.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CeroWarning)  # each seed would say it again; a note does
                runs = [_run(arena, name, config, seed, progress) for seed in seeds]
        except CeroError as error:
            named = type(error)(f"{name}: {error}")
            if name in terms.configured:
                raise named from error
            first = first or named
            notes.append(f"{name} is left out, since it cannot deal these rounds: {error}")
            continue
        bounded = "max_rollouts_per_prompt" in config or issubclass(config_type(name), GroupConfig)
        if bounded and not any(run["decided"] for run in runs):
            idle.append(name)
        metrics = {metric: Estimate.of([run[metric] for run in runs]) for metric in METRICS if metric in runs[0]}
        results.append(Result(name, config, metrics))
    if first is not None and not results:
        raise first
    if idle:
        notes.append(f"Floor and cap left one way to deal every round: nothing to decide for {', '.join(idle)}.")
    return tuple(results), tuple(notes)


def _run(arena: Arena, name: str, config: Mapping[str, Any], seed: int, progress: Progress | None) -> dict[str, float]:
    allocator = make_allocator(name, **config, seed=seed)
    rng = np.random.default_rng((seed, 1))  # a stream of its own: the arena and the ties use the seed too
    rollouts = groups = effective = dealt = 0
    expected = signal = certain = seconds = 0.0
    decided = False
    for k, (moment, rows, total) in enumerate(arena.turns(seed)):
        started = time.perf_counter()
        allocation = allocator.allocate(rows, total)
        seconds += time.perf_counter() - started
        given = allocation.counts > 0
        ids, n = allocation.prompt_ids[given], allocation.counts[given]
        p = arena.rates(moment, ids, seed)
        varying = arena.varying(moment, ids, seed)
        outcomes = _drawn(ids, n, p, varying, allocation.round, rng)
        if ids.size:
            started = time.perf_counter()
            allocator.observe(outcomes)
            seconds += time.perf_counter() - started
            dealt += 1
        if allocation.to_commit and isinstance(allocator, PilotAllocator):
            started = time.perf_counter()
            more = allocator.commit().counts
            seconds += time.perf_counter() - started
            also = _drawn(ids, more, p, varying, allocation.round, rng)
            started = time.perf_counter()
            allocator.observe(also)
            seconds += time.perf_counter() - started
            n, outcomes = n + more, _together(outcomes, also)  # one group of both waves
        rollouts += int(n.sum())
        groups += ids.size
        effective += int(np.count_nonzero(outcomes.mixed))
        contrast = 1.0 - p**n - (1.0 - p) ** n
        expected += float((contrast if varying is None else contrast[varying > 0.0]).sum())
        signal += float((n * p * (1.0 - p) * (1.0 if varying is None else varying)).sum())
        certain += float(n[(p < _CERTAIN) | (p > 1.0 - _CERTAIN)].sum())
        decided = decided or allocator.metrics().get("decidable", 1.0) > 0.0
        if progress is not None and (k + 1) % 16 == 0:
            progress(name, seed, (k + 1) / arena.rounds)
    if progress is not None:
        progress(name, seed, 1.0)
    exposure = allocator.exposure()
    return {
        "rollouts": rollouts,
        "decided": decided,
        "rounds_dealt": dealt,
        "effective_group_rate": effective / max(groups, 1),
        "expected_effective_groups": expected,
        "signal_per_rollout": signal / max(rollouts, 1),
        "certain_share": certain / max(rollouts, 1),
        "unserved_prompts": int(np.count_nonzero(exposure == 0)),
        "allocator_ms": 1e3 * seconds / max(arena.rounds, 1),
        **arena.extra(exposure, seed),
    }


def _together(first: RolloutOutcomes, second: RolloutOutcomes) -> RolloutOutcomes:
    """Outcomes of the same prompts in two waves, as of one group each."""
    won, lost = first.successes + second.successes, first.failures + second.failures
    return RolloutOutcomes(first.prompt_ids, won, lost, first.round, squares=first.squares + second.squares)


def _drawn(
    ids: IntArray, n: IntArray, p: FloatArray, varying: FloatArray | None, round: int, rng: np.random.Generator
) -> RolloutOutcomes:
    """Rewards of groups of these sizes; graded ones as `Arena.varying` says."""
    won = rng.binomial(n, p)
    if varying is None:
        return RolloutOutcomes(ids, won, n - won, round=round)
    low = p * (1.0 - np.sqrt(varying))  # what a failure earns
    high = low + np.sqrt(varying)
    earned = n * low + won * np.sqrt(varying)
    return RolloutOutcomes(ids, earned, n - earned, round, squares=won * high**2 + (n - won) * low**2)
