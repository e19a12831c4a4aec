"""Does the default save through the real trainers what it saves in the fast one? Their own loops, against uniform.

    python benchmarks/through_trainers.py --trainers verl [--regimes hard-one-visit] [--starts 5] [--seeds 1] [--report]

Each trainer trains in an environment of its own, that of its nox session with reasoning-gym and rich beside it; verl
and OpenRLHF train on the CPU by the stand-ins of their suites. Of the allocator nothing is configured but its name.

It can be stopped at any time; a rerun makes what is missing. At the end, or at once with `--report`, it prints the
table of all trainings that are there, of whatever trainer; where there are none, of those that are published.
`--publish FOLDER` writes them, one file a trainer and regime, which `cero report` reads.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.through.jobs import TRAINERS, Through, jobs_of, read_all
from benchmarks.through.report import GRID, PUBLISHED, blocks
from cero_api.analysis.learning import read_trainings
from cero_lab.evidence.page import fill
from cero_lab.evidence.published import write_regimes
from cero_lab.grid.record import GridRecord, read
from cero_lab.grid.regimes import REGIMES
from cero_lab.grid.starts import start

RESULTS = Path(__file__).parent / "results" / "through"
HELD_OUT_STARTS = 5  # the first start that had no part in choosing the default


def make(job: Through, folder: Path, models: Path) -> GridRecord:
    """Train, and write the record.

    Args:
        job: which training.
        folder: of the records.
        models: folder of the starts; one that is not there yet is made.
    """
    import torch

    torch.set_num_threads(1)  # the model is too small to share out
    checkpoint = start(job.settings.model, job.start, models.resolve()).resolve()
    with tempfile.TemporaryDirectory(prefix="cero-through-") as scratch:
        training = importlib.import_module(f"benchmarks.through.by_{job.trainer}").train(job, checkpoint, Path(scratch))
    record = GridRecord.of(job, training)
    record.save(job.path(folder))
    return record


def chosen(text: str, known: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """Comma-separated names of what there is."""
    names = text.split(",")
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
    return names


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainers", default=",".join(TRAINERS), help=f"of {', '.join(TRAINERS)}")
    parser.add_argument("--regimes", default="hard-one-visit,hard-two-visits", help=f"of {', '.join(REGIMES)}")
    parser.add_argument("--starts", type=int, default=5, help="warm starts")
    parser.add_argument("--first-start", type=int, default=HELD_OUT_STARTS)
    parser.add_argument("--seeds", type=int, default=1, help="trainings from each start")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=None, help="trainings to make now; the next call makes more")
    parser.add_argument("--report", action="store_true", help="make nothing, report what is there")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the records")
    parser.add_argument("--models", type=Path, default=None, help="folder of the starts; default: in the records'")
    parser.add_argument("--publish", type=Path, default=None, help="folder for records in short, one file a regime")
    parser.add_argument("--grid", type=Path, default=GRID, help="records of the fast training, to compare with")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    starts = range(options.first_start, options.first_start + options.starts)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    trainers, regimes = chosen(options.trainers, TRAINERS), chosen(options.regimes, REGIMES)
    jobs = jobs_of(trainers, regimes, starts, seeds)
    todo = [] if options.report else [job for job in jobs if read(job, options.out) is None]
    for trainer in sorted({job.trainer for job in todo}):
        if importlib.util.find_spec(trainer) is None:
            raise SystemExit(
                f"{trainer} is not installed here: make its environment with `nox -s {trainer}`, and train what is "
                f"missing of it with .nox/{trainer}/bin/python benchmarks/{Path(__file__).name} --trainers {trainer}"
            )
    if not options.report:
        console.print(f"{len(jobs) - len(todo)} of {len(jobs)} trainings are there, {len(todo)} to make")
    for number, job in enumerate(todo[: options.most], start=1):
        record = make(job, options.out, options.models or options.out / "models")
        console.print(
            f"{number}/{len(todo)} {job.trainer}, {job.regime}, {job.start_name}, seed {job.seed}, {job.variant}: "
            f"{record.accuracy[0]:.3f} to {record.accuracy[-1]:.3f} in {record.seconds:.0f} s"
        )
    records = read_all(options.out) or read_trainings([PUBLISHED])
    if options.publish is not None:
        write_regimes(records, options.publish)
    made = blocks(records, options.grid)
    for name, block in made.items():
        console.print(f"\n### {name}\n\n{block}", markup=False)
    if options.page is not None:
        console.print(f"\nFilled into {options.page}: {', '.join(fill(options.page, made))}", markup=False)


if __name__ == "__main__":
    main()
