r"""How much a pilot that also trains bends the gradient: against fresh groups of the same sizes, by success rate.

    python benchmarks/pilot_bias.py [--rounds 1000] [--page docs/early.md]

A round's rest goes to prompts by the rewards of the pilot, and those rewards are in the same groups. For rewards of 0
and 1 a prompt's expected gradient is

    E[sum_i A_i grad log pi(y_i)] = E[S] / (p (1 - p)) grad p,    S = the sum of A_i over its right answers,

whatever decides the size of its group, since an answer is drawn from its reward's answers whoever asked for more. So
the direction is always the prompt's own, and what stopping changes is its weight: E[S] over that of fresh groups of the
same sizes. Rates do not move here, and each prompt is visited once; the allocators are the library's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api import PilotAllocator, RolloutOutcomes, make_allocator
from cero_lab.evidence.page import fill
from cero_lab.evidence.tables import table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
PILOTS = ((2, 8), (4, 16), (8, 32))  # of a full group
RULES = ("random_matched", "cero", "pilot_commit")
ESTIMATORS = ("rloo", "grpo")
ROOM = 256  # full groups of a round


def right_side(won: Floats, n: Ints, estimator: str, eps: float = 1e-4) -> Floats:
    """S, the sum of the advantages of a group's right answers, as `group_advantages` has them.

    Args:
        won: right answers, float64 `[P]`.
        n: rollouts, int64 `[P]`; a group of one has no advantages.
        estimator: "rloo" or "grpo".
        eps: of grpo's denominator.
    """
    spread = won * (n - won) / n  # the sum of the deviations of the right ones; of squares of all of them, too
    others = np.maximum(n - 1, 1)
    if estimator == "rloo":
        return np.asarray(spread * n / others * (n > 1))
    return np.asarray(spread / (np.sqrt(spread / others) + eps) * (n > 1))


def fresh(rate: float, n: int, estimator: str) -> float:
    """Expected S of a group whose size nothing decided."""
    won = np.arange(n + 1.0)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0.0, -1.0)) - np.log(np.arange(1.0, n + 1)))])
    chance = np.exp(log_choose + won * np.log(rate) + (n - won) * np.log1p(-rate))
    return float(chance @ right_side(won, np.full(n + 1, n), estimator))


def played(rule: str, pilot: int, group: int, rounds: int, seed: int = 0) -> tuple[Floats, Ints, Ints]:
    """Groups of rounds in two waves: success rate, rollouts and right answers of each, `[groups]`."""
    total, share = ROOM * group, ROOM * group // 2 // pilot
    prompts = share * rounds
    fields: dict[str, Any] = {"pilot": pilot, "pilot_share": 0.5, "offer": "window", "window": group // (2 * pilot)}
    size = "max_rollouts_per_prompt" if rule in ("cero", "random_matched") else "rollouts_per_prompt"
    allocator = make_allocator(
        rule, num_prompts=prompts, rounds=rounds, budget=total * rounds, seed=seed, **{size: group}, **fields
    )
    assert isinstance(allocator, PilotAllocator)
    rng = np.random.default_rng((seed, 1))
    rates = rng.permutation(np.resize(RATES, prompts))
    parts: list[tuple[Floats, Ints, Ints]] = []
    for _ in range(rounds):
        first = allocator.allocate(total=total)
        p = rates[first.prompt_ids]
        won = rng.binomial(first.counts, p)
        allocator.observe(RolloutOutcomes(first.prompt_ids, won, first.counts - won))
        rest = allocator.commit()
        more = rng.binomial(rest.counts, p)
        allocator.observe(RolloutOutcomes(rest.prompt_ids, more, rest.counts - more))
        parts.append((p, first.counts + rest.counts, won + more))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]  # of three


def ratios(rate: Floats, n: Ints, won: Ints, pilot: int, estimator: str) -> list[tuple[float, float]]:
    """For each success rate the weight over that of fresh groups: of all groups, and of those with a rest."""
    found = []
    for p in RATES:
        here = rate == p
        sizes, which = np.unique(n[here], return_inverse=True)
        expected = np.array([fresh(p, int(size), estimator) for size in sizes])[which]
        got = right_side(won[here].astype(np.float64), n[here], estimator)
        large = n[here] > pilot
        more = float(got[large].sum() / expected[large].sum()) if large.any() else float("nan")
        found.append((float(got.sum() / expected.sum()), more))
    return found


def rows(rounds: int) -> list[dict[str, str]]:
    """The table: all groups, and in brackets those that were committed to."""
    made = []
    for rule in RULES:
        for pilot, group in PILOTS if rule != "random_matched" else PILOTS[:1]:
            groups = played(rule, pilot, group, rounds)
            for estimator in ESTIMATORS:
                cells = ratios(*groups, pilot, estimator)
                name = "at random" if rule == "random_matched" else rule
                row = {"rest goes": f"by {name}" if name == rule else name, "pilot": f"{pilot} of {group}"}
                row["advantage"] = estimator
                for p, (whole, more) in zip(RATES, cells, strict=True):
                    row[f"p = {p:g}"] = f"{whole:.2f} ({more:.2f})" if np.isfinite(more) else f"{whole:.2f}"
                made.append(row)
    return made


def main() -> None:
    """Print the table, write it as JSON, fill it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help=f"of {ROOM} full groups each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pilot_bias.json")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    made = rows(options.rounds)
    text = table(made)
    print(text)
    if options.page is not None:
        print(f"\nFilled into {options.page}: {', '.join(fill(options.page, {'pilot bias': text}))}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
