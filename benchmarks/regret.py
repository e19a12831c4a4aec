"""Regret per prompt against the full-information optimum, for horizons from 8 to 4,096 rounds.

    python benchmarks/regret.py [--seeds 5] [--json FILE]

Rates are fixed and drawn from Beta(1/2, 1/2); rewards are binomial. Beside each regret stands the theorem's bound (11)
for the paper's method, computed from the same paths, and below the table the slope of log regret over log rounds: the
theorem promises -1/2. The horizon is known to every method, as in the paper.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cero_api import RolloutOutcomes, make_allocator
from cero_api.mathematics.oracle import optimal_exposure, regret_bound
from cero_api.mathematics.posterior import variance_proxy
from cero_api.mathematics.utility import saturation_rate, utility

PROMPTS, SHARE, CAP = 200, 2.0, 8  # share: mean rollouts of a prompt per round
HORIZONS = tuple(2**k for k in range(3, 13))
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cero (the paper's)": ("cero", {"max_rollouts_per_prompt": CAP}),
    "cero, fixed pacing": ("cero", {"max_rollouts_per_prompt": CAP, "pacing": "fixed"}),
    "cero, marginal + fixed": (
        "cero",
        {"max_rollouts_per_prompt": CAP, "pacing": "fixed", "selection": "marginal"},
    ),
    "uniform": ("uniform", {"rollouts_per_prompt": CAP}),
}


def play(name: str, options: dict[str, Any], rounds: int, seed: int) -> dict[str, float]:
    """One training of an allocator: regret per prompt, bound, and what was left of the budget."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.5, 0.5, PROMPTS)
    truth, budget = rates * (1 - rates), int(SHARE * PROMPTS * rounds)
    allocator = make_allocator(name, num_prompts=PROMPTS, rounds=rounds, budget=budget, seed=seed, **options)
    evidence, error = np.zeros((2, PROMPTS)), 0.0
    for _ in range(rounds):
        allocation = allocator.allocate()
        won = rng.binomial(allocation.counts, rates[allocation.prompt_ids])
        lost = allocation.counts - won
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, lost, round=allocation.round))
        evidence[:, allocation.prompt_ids] += won, lost
        error += float(np.abs(variance_proxy(1 + evidence[0], 1 + evidence[1]) - truth).mean()) / rounds
    rate = saturation_rate(truth, 1.0, budget / PROMPTS)
    best = float(utility(rate, optimal_exposure(rate, budget, rounds * CAP)).sum())
    bound = regret_bound(
        prompts=PROMPTS,
        rounds=rounds,
        budget=budget,
        capacity=getattr(allocator.config, "round_capacity", budget / rounds),
        cap=CAP,
        proxy_error=error,
    )
    return {
        "regret": (best - float(utility(rate, allocator.exposure()).sum())) / PROMPTS,
        "bound": bound,
        "unspent": allocator.metrics()["budget_remaining"] / budget,
    }


def slope(horizons: np.ndarray, regrets: np.ndarray) -> float:
    """Of log regret over log rounds, least squares."""
    return float(np.polyfit(np.log(horizons), np.log(np.maximum(regrets, 1e-12)), 1)[0])


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "regret.json")
    options = parser.parse_args()
    table: dict[str, list[dict[str, float]]] = {}
    for label, (name, fields) in VARIANTS.items():
        table[label] = []
        for rounds in HORIZONS:
            runs = [play(name, fields, rounds, seed) for seed in range(options.seeds)]
            row = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
            table[label].append(row | {"rounds": rounds, "sd": float(np.std([run["regret"] for run in runs], ddof=1))})
    print(f"regret per prompt in utility (mean ± sd of {options.seeds} seeds); {PROMPTS} prompts, {SHARE:g} rollouts a")
    print(f"prompt and round on average, at most {CAP}; the bound is on the paper's method\n")
    print(f"{'rounds':>6}{'bound':>7}" + "".join(f"{label:>26}" for label in table))
    for k, rounds in enumerate(HORIZONS):
        cells = (f"{rows[k]['regret']:.4f} ± {rows[k]['sd']:.4f}" for rows in table.values())
        first = next(iter(table.values()))[k]
        print(f"{rounds:6}{first['bound']:7.3f}" + "".join(f"{cell:>26}" for cell in cells))
    slopes = {label: slope(np.array(HORIZONS), np.array([r["regret"] for r in rows])) for label, rows in table.items()}
    print(f"{'slope':>13}" + "".join(f"{value:26.2f}" for value in slopes.values()))
    unspent = (f"{100 * rows[0]['unspent']:.1f}% / {100 * rows[-1]['unspent']:.1f}%" for rows in table.values())
    print(f"{'unspent':>13}" + "".join(f"{cell:>26}" for cell in unspent) + "  at the shortest / longest horizon")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"table": table, "slopes": slopes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
