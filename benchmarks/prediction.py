r"""What is expected of a prompt against what is true of it, before its first visit and after: every belief, held out.

    python benchmarks/prediction.py [--pools …] [--histories docs/evidence/prediction] [--page docs/evidence.md]
    python benchmarks/prediction.py --make [--pools …] [--starts 5] [--first-start 5]   # needs the extra `demo`

Reads uniform trainings of the embedded learner with the exact success rate of every prompt, and makes synthetic pools
whose rates drift and of which a feature says nothing, half, or nearly all; two minutes. Each group's expected variance
$\hat q$ is predicted from what came before it, and compared with $p(1-p)$. `--make` trains what is not there yet, two
seconds each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cero_lab.evidence.page import fill
from cero_lab.prediction.tables import REGIMES, SYNTHETIC, found, pools, table

HERE = Path(__file__).parent
HISTORIES = HERE.parent / "docs" / "evidence" / "prediction"


def make(regimes: list[str], starts: range, folder: Path, models: Path) -> None:
    """Train what is missing."""
    from cero_lab.prediction.recording import record

    for index in starts:
        for regime in regimes:
            seed = 1000 + index
            path = folder / f"{regime}.{index}.seed{seed}.npz"
            if not path.exists():
                record(regime, index, seed, models).save(path)
                print(f"made {path}", flush=True)


def main() -> None:
    """Make histories, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", default=",".join([*REGIMES, SYNTHETIC]))
    parser.add_argument("--histories", type=Path, default=HISTORIES)
    parser.add_argument("--make", action="store_true", help="train what is missing there, and print nothing")
    parser.add_argument("--starts", type=int, default=5, help="warm starts")
    parser.add_argument("--first-start", type=int, default=5, help="0 to 4 had a part in designing the beliefs")
    parser.add_argument("--models", type=Path, default=HERE / "results" / "grid" / "models")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "prediction.json")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the tables into")
    options = parser.parse_args()
    chosen = options.pools.split(",")
    unknown = set(chosen) - {*REGIMES, SYNTHETIC}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join([*REGIMES, SYNTHETIC])}")
    if options.make:
        starts = range(options.first_start, options.first_start + options.starts)
        make([name for name in chosen if name != SYNTHETIC], starts, options.histories, options.models)
        return
    blocks, numbers = {}, {}
    for name, pool in pools(chosen, options.histories).items():
        scores = found(pool)
        blocks[f"prediction {name}"] = table(scores)
        numbers[name] = {who: {at: score._asdict() for at, score in row.items()} for who, row in scores.items()}
        print(f"\n### {name}\n\n{blocks[f'prediction {name}']}", flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    if options.page is not None:
        print(f"\nFilled into {options.page}: {', '.join(fill(options.page, blocks))}")


if __name__ == "__main__":
    main()
