"""Does an allocator save rollouts? Real GRPO on the demo's learner: every allocator and ablation, paired seeds.

    python benchmarks/sample_efficiency.py [--regimes hard,mixed] [--variants main] [--seeds 10] [--jobs 1] [--report]

Needs the extra `demo`. It can be stopped at any time; a rerun makes what is missing. `--report` makes nothing, and
prints the tables and draws the plots of what is there; of the published records, if nothing is, for which the extras
`cli` and `plot` are enough.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from cero_lab.evidence.grid import Job, run_grid
from cero_lab.evidence.published import Published, read_published, write_regimes
from cero_lab.evidence.regimes import REGIMES
from cero_lab.evidence.report import report
from cero_lab.evidence.runs import read_all
from cero_lab.evidence.variants import MAIN, RIVALS, VARIANTS

SETS = {"main": MAIN, "rivals": RIVALS, "all": tuple(VARIANTS)}
RESULTS = Path(__file__).parent / "results"
PUBLISHED = Path(__file__).parents[1] / "docs" / "evidence"


def names(text: str, known: dict[str, object], sets: dict[str, tuple[str, ...]]) -> list[str]:
    """Comma-separated names, or names of sets of them."""
    chosen = [name for part in text.split(",") for name in sets.get(part, (part,))]
    unknown = set(chosen) - set(known)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join([*sets, *known])}")
    return list(dict.fromkeys(chosen))


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", default="hard,mixed,hard-few-visits", help=f"of {', '.join(REGIMES)}, or all")
    parser.add_argument("--variants", default="main", help=f"of {', '.join(VARIANTS)}, or {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one core each")
    parser.add_argument("--report", action="store_true", help="make nothing, report everything that is there")
    parser.add_argument("--out", type=Path, default=RESULTS / "sample_efficiency")
    parser.add_argument(
        "--figures",
        type=Path,
        default=None,
        help="folder for the plots, and with --page for the records; default: the results'",
    )
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the tables into")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    if not options.report:
        regimes = names(options.regimes, dict(REGIMES), {"all": tuple(REGIMES)})
        variants = names(options.variants, dict(VARIANTS), SETS)
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        # Seed by seed: whatever is there when it stops is paired.
        jobs = [Job(r, v, s) for s in seeds for r in regimes for v in variants]
        run_grid(jobs, starting_models(regimes, options.out, console), options.out, options.jobs, console)
    records = made(options.out)
    if not records:
        console.print(f"Nothing in {options.out}; what follows is of the published records in {PUBLISHED}.")
    elif options.page is not None:
        write_regimes(records, options.figures or options.out)
    report(records or read_published(PUBLISHED), options.figures or options.out, console, options.page)


def made(folder: Path) -> list[Published]:
    """What has been trained here."""
    return [
        Published.of(regime, record)
        for regime, variants in read_all(folder).items()
        for seeds in variants.values()
        for record in seeds.values()
    ]


def starting_models(regimes: Iterable[str], folder: Path, console: Console) -> dict[str, Path]:
    """The warm-started model of each regime, made only if nobody has yet."""
    from cero_lab.warmstart import cached_checkpoint

    with console.status("warm start"):
        return {name: cached_checkpoint(REGIMES[name].model, folder / "models").resolve() for name in regimes}


if __name__ == "__main__":
    main()
