"""Who needs how many rollouts and tokens? The embedded learner, trained fast: regimes, variants, starts and seeds.

    python benchmarks/grid.py [--regimes visits] [--variants main] [--starts 5] [--seeds 5] [--jobs 2] [--report]

Needs the extra `demo`. It can be stopped at any time; a rerun makes what is missing. At the end, or at once with
`--report`, it prints the tables of what is there and was asked for; `--publish FOLDER` writes what they need, one file
a regime, which `cero report` reads as it reads the folders of the records.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from cero_lab.crew import run_tasks
from cero_lab.grid.jobs import Job
from cero_lab.grid.making import make
from cero_lab.grid.record import read
from cero_lab.grid.regimes import REGIMES, SETS, regime_of
from cero_lab.grid.report import publish, report
from cero_lab.grid.starts import STARTS, start
from cero_lab.grid.variants import VARIANT_SETS, VARIANTS

RESULTS = Path(__file__).parent / "results" / "grid"


def names(text: str, known: Mapping[str, object], sets: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Comma-separated names, or names of sets of them."""
    chosen = [name for part in text.split(",") for name in sets.get(part, (part,))]
    unknown = {name.partition("@")[0] for name in chosen} - set(known)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join([*sets, *known])}")
    return list(dict.fromkeys(chosen))


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join([*SETS, *REGIMES])
    parser.add_argument("--regimes", default="visits", help=f"of {known}; REGIME@0.5 is at half the learning rate")
    parser.add_argument("--variants", default="main", help=f"of {', '.join([*VARIANT_SETS, *VARIANTS])}")
    parser.add_argument("--starts", type=int, default=STARTS, help="warm starts of each size")
    parser.add_argument("--first-start", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5, help="trainings from each start")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trainer", default="fast", choices=("fast", "trl"), help="trl is the judge of a chosen few")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one core each")
    parser.add_argument("--report", action="store_true", help="make nothing, report what is there")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the records")
    parser.add_argument("--models", type=Path, default=None, help="folder of the starts; default: in the records'")
    parser.add_argument("--publish", type=Path, default=None, help="folder for records in short, one file a regime")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the tables into")
    parser.add_argument("--mark", default="grid overview", help="of the overview in it")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    regimes = names(options.regimes, REGIMES, SETS)
    variants = names(options.variants, VARIANTS, VARIANT_SETS)
    starts = range(options.first_start, options.first_start + options.starts)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    # Whatever is there when it stops is paired, and of several starts.
    jobs = [
        Job(regime, variant, start, seed, options.trainer)
        for seed in seeds
        for start in starts
        for regime in regimes
        for variant in variants
    ]
    if not options.report:
        models = options.models or options.out / "models"
        sizes = dict.fromkeys(regime_of(name).model for name in regimes)
        warm = [partial(start, size, index, models) for size in sizes for index in starts]
        run_tasks(warm, options.jobs, options.out / "logs", "warm starts", console)
        todo = [job for job in jobs if read(job, options.out) is None]
        console.print(f"{len(jobs) - len(todo)} of {len(jobs)} trainings are there, {len(todo)} to make")
        tasks = [partial(make, job, options.out, models) for job in todo]
        run_tasks(tasks, options.jobs, options.out / "logs", "trainings", console)
    records = [record for job in jobs if (record := read(job, options.out)) is not None]
    if options.publish is not None:
        publish(records, options.publish)
    report(records, console, options.page, options.mark)


if __name__ == "__main__":
    main()
