r"""What is expected of a prompt against what is true of it, before its first visit and after: every belief, held out.

    python benchmarks/prediction.py [--histories docs/evidence/prediction] [--page docs/evidence.md]
    python benchmarks/prediction.py --make [--starts 5] [--first-start 5] [--regimes …]   # needs the extra `demo`

Reads uniform trainings of the embedded learner with the exact success rate of every prompt, the same for all rounds
(`--make` makes them), and makes synthetic pools whose rates drift and of which a feature says nothing, half, or nearly
all. Each group's expected variance $\hat q$ is predicted from what came before it, and compared with $p(1-p)$.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cero_api import VipConfig
from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Features, GaussianBelief, OfflineRates, make_belief
from cero_lab.prediction.history import History, histories, synthetic
from cero_lab.prediction.rivals import Believed, GridFilter, Predictor
from cero_lab.prediction.scores import VISITS, Score, scores

REGIMES = ("hard-one-visit", "hard-two-visits", "hard-seven-visits", "mixed-seven-visits", "easy-seven-visits")
VIP_PRIOR = VipConfig.presets["paper"]["prior"]
HERE = Path(__file__).parents[1]


def features(history: History) -> Features:
    """Length and source; of a synthetic pool, one that says something and one that does not."""
    return Features(history.features, history.num_prompts)


def noise(history: History, columns: int) -> Features:
    """Columns that say nothing."""
    rng = np.random.default_rng((1, columns))
    return Features(rng.normal(size=(history.num_prompts, columns)), history.num_prompts)


def with_noise(history: History) -> Features:
    """What is known, among 32 columns that say nothing."""
    rng = np.random.default_rng((1, 32))
    useless = rng.normal(size=(history.num_prompts, 32))
    return Features(np.column_stack([history.features, useless]), history.num_prompts)


def offline(history: History, shuffled: bool = False) -> OfflineRates:
    """Four samples of another model; or the same given to the wrong prompts."""
    passes = np.random.default_rng(2).permutation(history.offline) if shuffled else history.offline
    return OfflineRates(passes / 4, history.num_prompts, np.full(history.num_prompts, 4))


def classes(values: FloatArray) -> IntArray:
    """A class for each row that there is."""
    return np.asarray(np.unique(values.round(1), axis=0, return_inverse=True)[1].ravel(), dtype=np.int64)


Maker = Callable[[History], Predictor]
PREDICTORS: dict[str, Maker] = {
    "`beta`: the uniform prior of the papers": lambda h: Believed(make_belief("beta", h.num_prompts)),
    "`pooled`": lambda h: Believed(make_belief("pooled", h.num_prompts)),
    "grid of log-odds": lambda h: GridFilter(h.num_prompts),
    "`features`": lambda h: Believed(make_belief("features", h.num_prompts, features=features(h))),
    "grid of log-odds, a class each": lambda h: GridFilter(h.num_prompts, classes(h.features)),
    "`gp`, VIP's": lambda h: Believed(make_belief("gp", h.num_prompts, features=features(h), prior=VIP_PRIOR)),
    "`gp` with the published noise, $10^{-4}$": lambda h: Believed(
        GaussianBelief(h.num_prompts, features=features(h), prior=VIP_PRIOR, noise=1e-4)
    ),
    "`features`, 64 of noise": lambda h: Believed(make_belief("features", h.num_prompts, features=noise(h, 64))),
    "`features`, among 32 of noise": lambda h: Believed(make_belief("features", h.num_prompts, features=with_noise(h))),
    "`beta` and offline rates": lambda h: Believed(make_belief("beta", h.num_prompts, offline=offline(h))),
    "`pooled` and offline rates": lambda h: Believed(make_belief("pooled", h.num_prompts, offline=offline(h))),
    "grid of log-odds, offline rates as classes": lambda h: GridFilter(h.num_prompts, h.offline),
    "`pooled` and offline rates of the wrong prompts": lambda h: Believed(
        make_belief("pooled", h.num_prompts, offline=offline(h, shuffled=True))
    ),
    "`features` and offline rates": lambda h: Believed(
        make_belief("features", h.num_prompts, features=features(h), offline=offline(h))
    ),
}


def cell(found: Score | None) -> str:
    """Of the table."""
    if found is None:
        return ""
    r, slope = (f"{value:.2f}" if np.isfinite(value) else "–" for value in (found.r, found.slope))
    return f"{r}, {found.rmse:.3f}, {found.bias:+.3f}, {slope}"


def table(of: list[History]) -> tuple[str, dict[str, dict[str, Score]]]:
    """One regime: a row a predictor, a column a visit."""
    found = {name: scores(make, of) for name, make in PREDICTORS.items()}
    columns = [visit for visit in VISITS if any(visit in row for row in found.values())]
    lines = [f"| r, rmse, bias, slope | {' | '.join(f'{visit} visit' for visit in columns)} |"]
    lines.append(f"|{' --- |' * (len(columns) + 1)}")
    for name, row in found.items():
        lines.append(f"| {name} | {' | '.join(cell(row.get(visit)) for visit in columns)} |")
    return "\n".join(lines), found


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
    parser.add_argument("--histories", type=Path, default=HERE / "docs" / "evidence" / "prediction")
    parser.add_argument("--make", action="store_true", help="train what is missing there, and print nothing")
    parser.add_argument("--regimes", default=",".join(REGIMES))
    parser.add_argument("--starts", type=int, default=5, help="warm starts")
    parser.add_argument("--first-start", type=int, default=5, help="0 to 4 had a part in choosing the method")
    parser.add_argument("--models", type=Path, default=Path(__file__).parent / "results" / "grid" / "models")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "prediction.json")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the tables into")
    options = parser.parse_args()
    if options.make:
        starts = range(options.first_start, options.first_start + options.starts)
        make(options.regimes.split(","), starts, options.histories, options.models)
        return
    pools = dict(histories(options.histories))
    pools |= {f"synthetic-{said:g}": [synthetic(said=said, seed=seed) for seed in range(5)] for said in (0.0, 0.5, 0.9)}
    tables, numbers = {}, {}
    for name, of in pools.items():
        text, found = table(of)
        tables[f"prediction-{name}"], numbers[name] = (
            text,
            {p: {v: s._asdict() for v, s in row.items()} for p, row in found.items()},
        )
        print(f"\n{name}, {len(of)} trainings\n\n{text}", flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    if options.page is not None:
        from cero_lab.evidence.page import fill

        print(f"Filled into {options.page}: {', '.join(fill(options.page, tables))}")


if __name__ == "__main__":
    main()
