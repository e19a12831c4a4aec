"""Train `hardest_first` beside uniform and an oracle on the embedded learner, and say what came of it.

    pip install -e ".[demo]" ./examples/plugin && python examples/plugin/evidence.py

in a clone of cero-api. To ask the same of a method of yours, change `NAME`. It can be stopped at any time; a rerun does
what is missing. It writes evidence.json, fills docs/third_parties.md, and prints the table; `--report` does so from
evidence.json alone, and trains nothing.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console

from cero_api.analysis.learning import TrainingRecord, compare_regimes, read_trainings, write_trainings
from cero_lab.crew import run_tasks
from cero_lab.evidence.page import fill
from cero_lab.grid.jobs import Job
from cero_lab.grid.making import make
from cero_lab.grid.record import read
from cero_lab.grid.regimes import REGIMES
from cero_lab.grid.report import overview
from cero_lab.grid.starts import start
from cero_lab.grid.variants import VARIANTS, Allocated

NAME = "hardest_first"
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE, PUBLISHED = ROOT / "docs" / "third_parties.md", HERE / "evidence.json"
# A pool with something to gain, seen once, twice and often, and one without.
WHERE = ("hard-one-visit", "hard-two-visits", "hard-seven-visits", "easy-seven-visits")

# Here, and not in main: the workers import this file, too.
VARIANTS[NAME] = Allocated(NAME)  # shares out batches; Allocated(NAME, "window") chooses among four times as many


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5, help="warm starts")
    parser.add_argument("--seeds", type=int, default=1, help="trainings from each")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one core each")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "plugin", help="for the records")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args()
    if not options.report:
        write_trainings(trained(options.out, options.starts, options.seeds, options.jobs), PUBLISHED)
    table = told()
    fill(PAGE, {NAME: table})
    print(table)


def trained(out: Path, starts: int, seeds: int, jobs: int) -> list[TrainingRecord]:
    """The records of all trainings, those that are there taken as they are.

    Args:
        out: folder of records and warm starts.
        starts: how many.
        seeds: trainings from each.
        jobs: at a time.
    """
    console, models = Console(), out / "models"
    every = [
        Job(regime, variant, index, seed)
        for regime in WHERE
        for variant in ("uniform", NAME, "oracle-batch")
        for index in range(starts)
        for seed in range(seeds)
    ]
    sizes = dict.fromkeys(REGIMES[regime].model for regime in WHERE)
    warm = [partial(start, size, index, models) for size in sizes for index in range(starts)]
    run_tasks(warm, jobs, out / "logs", "warm starts", console)
    todo = [job for job in every if read(job, out) is None]
    run_tasks([partial(make, job, out, models) for job in todo], jobs, out / "logs", "trainings", console)
    fields = set(TrainingRecord.model_fields)
    found = (read(job, out) for job in every)
    return [TrainingRecord(**record.model_dump(include=fields)) for record in found if record is not None]


def told() -> str:
    """The table in Markdown, from the published records."""
    return overview(compare_regimes(read_trainings([PUBLISHED]), oracle="oracle-batch").results)


if __name__ == "__main__":
    main()
