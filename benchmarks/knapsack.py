"""Knapsack's allocation: our exact greedy against a compiled dynamic programme, same problem, same value.

    python benchmarks/knapsack.py [--prompts 1024] [--json FILE]

1,024 prompts x 8 rollouts on average, 2 to 128 each. The dynamic programme is ours, over (prompt, rollouts so far),
compiled by numba and without its compilation time; its counts and the greedy's are checked to have equal value.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numba
import numpy as np

from cero_api import KnapsackAllocator, KnapsackConfig, RolloutOutcomes

FLOOR, CAP, MEAN = 2, 128, 8


@numba.njit
def dynamic_programme(values: np.ndarray, floor: int, total: int) -> np.ndarray:
    """Counts that maximise the sum of `values[i, n - floor]` with sum `total`, by the textbook recursion."""
    prompts, choices = values.shape
    spare = total - floor * prompts
    best = np.full(spare + 1, -np.inf)
    best[0] = 0.0
    choice = np.zeros((prompts, spare + 1), dtype=np.uint8)
    for i in range(prompts):
        after = np.full(spare + 1, -np.inf)
        for used in range(spare + 1):
            for extra in range(min(choices - 1, used) + 1):
                value = best[used - extra] + values[i, extra]
                if value > after[used]:
                    after[used] = value
                    choice[i, used] = extra
        best = after
    counts = np.empty(prompts, dtype=np.int64)
    for i in range(prompts - 1, -1, -1):
        extra = choice[i, spare]
        counts[i] = floor + extra
        spare -= extra
    return counts


def value(rate: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Knapsack's value of `count` rollouts, arXiv 2509.25849."""
    gained: np.ndarray = (1 - rate**count - (1 - rate) ** count) * rate * (1 - rate) ** 2
    return gained


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "knapsack.json")
    options = parser.parse_args()
    prompts, total = options.prompts, options.prompts * MEAN
    won = np.random.default_rng(0).integers(1, MEAN, prompts)

    config = KnapsackConfig(num_prompts=prompts, rounds=1000, budget=1000 * total, min_rollouts_per_prompt=FLOOR)
    allocator, rows = KnapsackAllocator(config), np.arange(prompts)
    allocator.observe(RolloutOutcomes(rows, won, allocator.allocate(rows, total=total).counts - won))
    times = []
    for _ in range(101):
        start = time.perf_counter()
        greedy = allocator.allocate(rows, total=total).counts
        times.append(time.perf_counter() - start)
        allocator.refund(rows, greedy)  # the same problem again, with no rollouts left open
    ours = float(np.median(times))

    rate = won / MEAN
    values = value(rate[:, None], np.arange(FLOOR, CAP + 1)[None, :])
    dynamic_programme(values[:4], FLOOR, 4 * MEAN)  # compiles
    start = time.perf_counter()
    programmed = dynamic_programme(values, FLOOR, total)
    theirs = time.perf_counter() - start

    best, reached = value(rate, programmed).sum(), value(rate, greedy).sum()
    assert abs(best - reached) < 1e-9, f"values differ: {best} and {reached}"
    print(f"{prompts} prompts x {MEAN} rollouts, {FLOOR} to {CAP} each; value {reached:.6f} by either")
    print(f"  dynamic programme, numba  {1e3 * theirs:10.2f} ms")
    print(f"  greedy, all of allocate() {1e3 * ours:10.2f} ms")
    print(f"  ratio                     {theirs / ours:10.0f}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"prompts": prompts, "dynamic programme ms": 1e3 * theirs, "greedy ms": 1e3 * ours, "value": reached}
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
