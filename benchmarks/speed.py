"""Cost of one allocation round, as a ratio to copying three float64 arrays of the pool's length.

    python benchmarks/speed.py [--prompts 1000000] [--rounds 60] [--json FILE]

Times are processor time of this one thread, so that a busy machine does not blur them, and ratios are of medians within
this one process, so that they travel. The strict baseline copies into
arrays that exist; `array.copy()`, which pays for fresh memory, is given beside it.

Beliefs have a pool with 16 features, and a copy of these (float32) as their measure: a round of 1,024 candidates, 256
of which are dealt to, and what is expected of the whole pool, with evidence of a few prompts and of all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cero_api import Allocation, CeroAllocator, CeroConfig, RolloutOutcomes, make_allocator
from cero_api.beliefs import Belief, BeliefKind, Features, Results, make_belief
from cero_api.changes import Changes

CANDIDATES = 1024
OPEN = 384  # rounds whose rewards never come, before the last measurement
GROUP = 8
COLUMNS = 16
BELIEFS: tuple[BeliefKind, ...] = ("pooled", "features")


def milliseconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        action()
        times.append(time.thread_time() - start)
    return 1e3 * statistics.median(times)


def ratio(action: Callable[[], object], copy: Callable[[], object], repeats: int) -> float:
    """Median time of an action over that of a copy, made in turn: what else the machine does hits both."""
    times = [(milliseconds(action, 1), milliseconds(copy, 1)) for _ in range(repeats)]
    of_action, of_copy = zip(*times, strict=True)
    return statistics.median(of_action) / statistics.median(of_copy)


def answer(allocation: Allocation, rates: np.ndarray, rng: np.random.Generator) -> RolloutOutcomes:
    """Rewards of a round, drawn from the prompts' success rates."""
    won = rng.binomial(allocation.counts, rates[allocation.prompt_ids]).astype(float)
    return RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round)


def rounds(
    allocator: CeroAllocator, rates: np.ndarray, number: int, batch: bool, clock: Callable[[], float]
) -> Iterator[float]:
    """Milliseconds of allocate + observe, round by round; the trainer's part in between is not counted."""
    rng = np.random.default_rng(1)
    epoch = rng.permutation(rates.size)
    for k in range(number):
        candidates = epoch[np.arange(k * CANDIDATES, (k + 1) * CANDIDATES) % epoch.size] if batch else None
        start = clock()
        allocation = allocator.allocate(candidates, total=CANDIDATES * GROUP if batch else None)
        dealt = clock()
        outcomes = answer(allocation, rates, rng)
        answered = clock()
        allocator.observe(outcomes)
        yield 1e3 * (dealt - start + clock() - answered)


def measure(prompts: int, number: int) -> dict[str, Any]:
    """All figures of the table."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.5, prompts)
    arrays = [rng.random(prompts) for _ in range(3)]
    targets = [np.empty(prompts) for _ in range(3)]

    def copy_into() -> None:
        for target, array in zip(targets, arrays, strict=True):
            np.copyto(target, array)

    # Batches come round again after an epoch; a long horizon keeps every round of the measurement in budget.
    horizon = max(500, 4 * prompts // CANDIDATES)
    config = CeroConfig(
        num_prompts=prompts, rounds=horizon, budget=horizon * CANDIDATES * GROUP, max_rollouts_per_prompt=32
    )
    scopes = {
        "pool: paper's admission, 256 prompts a round": (config, False),
        "pool: forgetting by round": (config.model_copy(update={"forgetting": 0.99}), False),
        "pool: marginal selection": (config.model_copy(update={"selection": "marginal"}), False),
        f"batch: {CANDIDATES} candidates, exact total": (config, True),
        f"batch: {CANDIDATES} candidates, dual selection": (config.model_copy(update={"selection": "dual"}), True),
    }
    copies = {"copy into": milliseconds(copy_into, 51), "copy()": milliseconds(lambda: [a.copy() for a in arrays], 51)}
    table = {}
    for label, (variant, batch) in scopes.items():
        allocator = CeroAllocator(variant)
        times = list(rounds(allocator, rates, number, batch, time.thread_time))
        table[label] = {
            "milliseconds": statistics.median(times),
            "slowest": max(times),
            "ratio": statistics.median(times) / copies["copy into"],
            "ratio to copy()": statistics.median(times) / copies["copy()"],
        }
    return {
        "prompts": prompts,
        "copies": copies,
        "rounds": table,
        "open groups": unreported(config, rates, number),
        "bytes per prompt": memory(config, rates),
        "beliefs": beliefs(prompts, number),
    }


def unreported(config: CeroConfig, rates: np.ndarray, number: int) -> dict[str, float]:
    """A batch's round while nothing else is open, and after many rounds of which no reward has come."""
    allocator = CeroAllocator(config)
    before = statistics.median(rounds(allocator, rates, number, True, time.thread_time))
    for k in range(OPEN):
        rows = np.arange(k * CANDIDATES, (k + 1) * CANDIDATES) % rates.size
        allocator.allocate(rows, total=CANDIDATES * GROUP)
    after = statistics.median(rounds(allocator, rates, number, True, time.thread_time))
    return {"groups": OPEN * CANDIDATES, "none open, ms": before, "milliseconds": after, "ratio": after / before}


def beliefs(prompts: int, number: int) -> dict[str, Any]:
    """What a belief costs, as ratios to a copy of the features."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(prompts, COLUMNS)).astype(np.float32)
    rates = 1.0 / (1.0 + np.exp(-table[:, 0].astype(np.float64)))
    target = np.empty_like(table)
    copy = partial(np.copyto, target, table)
    found: dict[str, Any] = {"columns": COLUMNS, "copy": milliseconds(copy, 51)}
    for kind in BELIEFS:
        found[kind] = believed(kind, table, rates, number, copy)
    found["window, ms"] = composed(table, rates, number)
    return found


def believed(
    kind: BeliefKind, table: np.ndarray, rates: np.ndarray, number: int, copy: Callable[[], None]
) -> dict[str, float]:
    """Of one belief."""
    rng, prompts = np.random.default_rng(1), rates.size
    features = Features(table, prompts) if kind == "features" else None
    tracemalloc.start()
    belief: Belief[Any] = make_belief(kind, prompts, features=features)
    state = belief.start()
    held = tracemalloc.get_traced_memory()[0] / prompts
    tracemalloc.stop()
    times = []
    for k in range(number):
        candidates = rng.choice(prompts, min(CANDIDATES, prompts), replace=False)
        rows = candidates[: CANDIDATES // 4]
        won = rng.binomial(GROUP, rates[rows]).astype(np.float64)
        began = time.thread_time()
        learned = belief.learned(state)
        belief.ask(learned, candidates)
        state = belief.tick(learned)
        told(belief, state, k, rows, won)
        times.append(1e3 * (time.thread_time() - began))
    few = ratio(partial(belief.ask, state), copy, 21)
    told(belief, state, number - 1, np.arange(prompts), rng.binomial(GROUP, rates).astype(np.float64))
    state = belief.tick(belief.learned(state))  # the evidence of all is a round old
    whole = ratio(partial(belief.ask, state), copy, 21)
    return {
        "round, ms": statistics.median(times),
        "pool, few tried": few,
        "pool, all tried": whole,
        "bytes per prompt": held + (4 * COLUMNS if features is not None else 0),
    }


def told(belief: Belief[Any], state: Any, round: int, rows: np.ndarray, won: np.ndarray) -> None:
    """Rewards of a round."""
    changes, none = Changes(), np.zeros(rows.size)
    belief.told(state, Results(round, rows, won, GROUP - won, none, none == 0), changes)
    changes.make()


def composed(table: np.ndarray, rates: np.ndarray, number: int) -> float:
    """Milliseconds of allocate + observe of CERO over a window of 1,024 prompts, by their features."""
    rng, room = np.random.default_rng(1), CANDIDATES // 4
    allocator = make_allocator(
        "cero", num_prompts=rates.size, rounds=500, budget=500 * room * GROUP, offer="window", belief="features",
        features=table,
    )  # fmt: skip
    times = []
    for _ in range(number):
        start = time.thread_time()
        allocation = allocator.allocate(total=room * GROUP)
        dealt = time.thread_time()
        outcomes = answer(allocation, rates, rng)
        answered = time.thread_time()
        allocator.observe(outcomes)
        times.append(1e3 * (dealt - start + time.thread_time() - answered))
    return statistics.median(times)


def memory(config: CeroConfig, rates: np.ndarray) -> dict[str, float]:
    """Bytes a prompt: held by an allocator, and at the peak of a few rounds."""
    tracemalloc.start()
    allocator = CeroAllocator(config)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in rounds(allocator, rates, 3, False, time.thread_time):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # `rounds` itself permutes the pool, for batches; that array is the benchmark's.
    return {"held": held / config.num_prompts, "peak": peak / config.num_prompts - 8}


def show(found: dict[str, Any]) -> None:
    """Print what beliefs cost."""
    print(f"\na belief; over the whole pool in copies of its {found['columns']} features ({found['copy']:.2f} ms)")
    print(f"{'':12}{'round, ms':>11}{'pool, few tried':>17}{'pool, all tried':>17}{'bytes a prompt':>16}")
    for kind in BELIEFS:
        print("{:12}{:11.2f}{:17.2f}{:17.2f}{:16.0f}".format(kind, *found[kind].values()))
    print(f"cero over a window of {CANDIDATES:,} by features, allocate + observe: {found['window, ms']:.2f} ms")


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60, help="rounds to take the median of")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    options = parser.parse_args()
    result = measure(options.prompts, options.rounds) | {"python": sys.version.split()[0], "numpy": np.__version__}
    copies = result["copies"]
    print(f"one round (allocate + observe) over {options.prompts:,} prompts; median of {options.rounds}")
    print(f"copying 3 float64 arrays: {copies['copy into']:.2f} ms into place, {copies['copy()']:.2f} ms with copy()\n")
    print(f"{'':48}{'ms':>8}{'slowest':>9}{'ratio':>8}{'to copy()':>11}")
    for label, row in result["rounds"].items():
        print("{:48}{:8.2f}{:9.2f}{:8.2f}{:11.2f}".format(label, *row.values()))
    left = result["open groups"]
    print(
        f"\nbatch, {left['groups']:,} groups unreported: {left['milliseconds']:.2f} ms, "
        f"{left['ratio']:.2f} of {left['none open, ms']:.2f} ms while none is"
    )
    print("bytes a prompt: {held:.0f} held, {peak:.0f} at the peak of a round".format(**result["bytes per prompt"]))
    show(result["beliefs"])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
