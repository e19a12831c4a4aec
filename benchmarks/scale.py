"""What pools of millions of prompts cost: memory, time of a round, checkpoints, and string keys.

    python benchmarks/scale.py [--sizes 1000000 10000000] [--gib 8] [--json FILE]

Each size runs in processes of its own, whose resident memory is what is counted. What would need more than `--gib`
is left out, and said so. Times are processor time, so that a busy machine does not blur them, but those of saving and
loading, which wait for the disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cero_api import (
    Allocation,
    CeroAllocator,
    CeroConfig,
    PromptIndex,
    RolloutOutcomes,
    content_key,
    load_allocator,
    save_allocator,
)

PROMPTS, GROUP, ROUNDS = 1024, 8, 9
# Bytes a prompt at the peak, from which it follows what fits: of a round, of saving or loading, of an index.
NEEDS = {"rounds": 64, "checkpoint": 100, "keys": 200}


def resident() -> int:
    """Bytes of this process in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise OSError("no VmRSS in /proc/self/status; this benchmark needs Linux")


def peak() -> int:
    """The most bytes that this process has had in memory."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def seconds(action: Callable[[], object], repeats: int = 1, clock: Callable[[], float] = time.thread_time) -> float:
    """Median time of an action."""
    times = []
    for _ in range(repeats):
        start = clock()
        action()
        times.append(clock() - start)
    return statistics.median(times)


def answered(allocation: Allocation) -> RolloutOutcomes:
    won = (allocation.prompt_ids + allocation.round) % (allocation.counts + 1)
    return RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round)


def config_for(prompts: int) -> CeroConfig:
    return CeroConfig(num_prompts=prompts, rounds=500, budget=500 * PROMPTS * GROUP)


def measure_rounds(prompts: int) -> dict[str, float]:
    """A round over the pool, and one over a batch with an exact total."""
    before = resident()
    allocator = CeroAllocator(config_for(prompts))
    rng = np.random.default_rng(0)

    def pool() -> None:
        allocator.observe(answered(allocator.allocate()))

    def batch() -> None:
        rows = np.unique(rng.integers(0, prompts, 2 * PROMPTS))[:PROMPTS]
        allocator.observe(answered(allocator.allocate(rows, total=PROMPTS * GROUP)))

    pool()  # touches every page once
    held = resident() - before
    return {
        "bytes held": held / prompts,
        "pool, ms": 1e3 * seconds(pool, ROUNDS),
        "batch, ms": 1e3 * seconds(batch, ROUNDS),
        "bytes at the peak": (peak() - before) / prompts,
    }


def measure_checkpoint(prompts: int) -> dict[str, float]:
    """Saving blocks other calls for the copy only; the file is written from the copy."""
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "allocator.npz"
        figures = measure_saving(prompts, path)
        return figures | {
            "load, s": seconds(lambda: load_allocator(path), 1, time.perf_counter),
            "bytes at the peak": (peak() - before) / prompts,
        }


def measure_saving(prompts: int, path: Path) -> dict[str, float]:
    allocator = CeroAllocator(config_for(prompts))
    allocator.observe(answered(allocator.allocate()))
    return {
        "copy, s": seconds(allocator.state_dict, 3),
        "save, s": seconds(lambda: save_allocator(allocator, path), 3, time.perf_counter),
        "bytes on disk": path.stat().st_size / prompts,
    }


def measure_keys(prompts: int) -> dict[str, float]:
    """String keys of 32 characters, as `content_key` makes them."""
    start = time.thread_time()
    for n in range(100_000):
        content_key(f"What is {n} + 1?", str(n + 1))
    hashing = (time.thread_time() - start) / 100_000
    before = resident()
    start = time.thread_time()
    index = PromptIndex(f"{n:032x}" for n in range(prompts))
    building = time.thread_time() - start
    held = resident() - before
    batch = [f"{n:032x}" for n in np.random.default_rng(0).integers(0, prompts, PROMPTS).tolist()]
    return {
        "bytes held": held / prompts,
        "content_key, us": 1e6 * hashing,
        "build, s": building,
        "batch lookup, ms": 1e3 * seconds(lambda: index.row_ids(batch), ROUNDS),
        "fingerprint, s": seconds(lambda: index.fingerprint),
        "bytes at the peak": (peak() - before) / prompts,
    }


MEASURES = {"rounds": measure_rounds, "checkpoint": measure_checkpoint, "keys": measure_keys}


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--gib", type=float, default=8.0, help="memory that may be used")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "scale.json")
    parser.add_argument("--one", nargs=2, metavar=("MEASURE", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(MEASURES[options.one[0]](int(options.one[1]))))
        return
    table: dict[str, dict[str, Any]] = {name: {} for name in MEASURES}
    for name in MEASURES:
        for size in options.sizes:
            if size * NEEDS[name] > options.gib * 2**30:
                print(f"{name}, {size:,} prompts: needs {size * NEEDS[name] / 2**30:.0f} GiB, left out")
                continue
            command = [sys.executable, __file__, "--one", name, str(size)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            table[name][str(size)] = row
            print(f"{name}, {size:,} prompts: " + ", ".join(f"{label} {value:,.3g}" for label, value in row.items()))
    result = {"table": table, "python": sys.version.split()[0], "numpy": np.__version__}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
