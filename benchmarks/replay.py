"""Time and memory of reading, replaying and summing up a large trace.

    python benchmarks/replay.py [--lines 1000000] [--json FILE]

Rounds of 512 of 8,958 prompts, with integer and with string keys, plain and compressed. Every measurement is a process
of its own: processor seconds, and peak resident memory less that of a process that reads a trace of one round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cero_api.analysis.history import SuccessHistory
from cero_api.analysis.replay import replay
from cero_api.analysis.report import RunSummary
from cero_api.trace import TraceReader, TraceWriter

PROMPTS, CANDIDATES = 8958, 512


def write(path: Path, lines: int, strings: bool) -> None:
    rng = np.random.default_rng(0)
    rates = rng.beta(0.3, 0.6, PROMPTS)
    keys = [f"dapo/{row:06}" for row in range(PROMPTS)] if strings else None
    with TraceWriter(path, num_prompts=PROMPTS, keys=keys) as trace:
        for k in range(-(-lines // CANDIDATES)):
            rows = rng.choice(PROMPTS, CANDIDATES, replace=False)
            counts = rng.integers(2, 15, CANDIDATES)
            trace.write(k, rows, counts, rng.binomial(counts, rates[rows]))


def read(path: Path) -> None:
    assert sum(1 for _ in TraceReader(path))


def play(path: Path) -> None:
    replay(SuccessHistory.from_trace(path), ["uniform", "cero"], seeds=[0])


def sum_up(path: Path) -> None:
    assert RunSummary.of_trace(path).budget


def _measured(action: Callable[[Path], None], path: Path, queue: multiprocessing.Queue[tuple[float, float]]) -> None:
    start = time.process_time()
    action(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 2**-10)
    queue.put((time.process_time() - start, peak / 2**20))


def measured(action: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """Processor seconds and peak MiB of an action in a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[float, float]] = context.Queue()
    process = context.Process(target=_measured, args=(action, path, queue))
    process.start()
    result = queue.get()
    process.join()
    return result


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "replay.json")
    options = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as scratch:
        least = Path(scratch) / "least.jsonl"
        write(least, CANDIDATES, strings=False)
        base = measured(read, least)[1]
        print(f"{options.lines:,} lines; a process that reads one round takes {base:.0f} MiB\n")
        print(f"{'trace':<28}{'MB':>6}  {'action':<30}{'seconds':>8}{'MiB more':>10}")
        for name, strings in (("integers.jsonl", False), ("integers.jsonl.gz", False), ("strings.jsonl", True)):
            path = Path(scratch) / name
            write(path, options.lines, strings)
            size = path.stat().st_size / 1e6
            for label, action in (("read", read), ("replay uniform and cero", play), ("sum up for the report", sum_up)):
                seconds, peak = measured(action, path)
                row = {"trace": name, "megabytes": size, "action": label, "seconds": seconds, "mebibytes": peak - base}
                table.append(row)
                print(f"{name:<28}{size:6.0f}  {label:<30}{seconds:8.1f}{peak - base:10.0f}", flush=True)
            path.unlink()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"lines": options.lines, "base": base, "table": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
