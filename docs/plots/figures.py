"""What each explaining figure shows. A figure takes matplotlib's axes and a training, and draws no decoration."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from training import BATCH, BATCH_TOTAL, BUDGET, PROMPTS, ROUNDS, train

from cero_api.mathematics.posterior import variance_proxy
from cero_api.mathematics.utility import saturation_rate, utility

# Okabe and Ito: told apart with any color vision; readable on white and on dark.
UNIFORM, CERO, OTHER, THIRD = "#888888", "#2A8FD0", "#E0702B", "#1FA37A"

run = cache(train)


def budget(figure: Any) -> None:
    """When the budget is spent: surplus over an even schedule, and the sizes of the rounds."""
    ahead, sizes = figure.subplots(1, 2)
    spent = run("cero").counts.sum(axis=1)
    rounds = np.arange(1, ROUNDS + 1)
    ahead.axhline(0, color=UNIFORM, lw=1.5)
    ahead.plot(rounds, np.cumsum(spent) - rounds * BUDGET / ROUNDS, color=CERO)
    ahead.set(xlabel="round", ylabel="rollouts", title="Spent ahead of an even schedule")
    sizes.axhline(BUDGET / ROUNDS, color=UNIFORM, lw=1.5)
    sizes.plot(rounds, spent, ".", color=CERO, ms=4)
    sizes.set(xlabel="round", ylabel="rollouts", title="Size of each round", ylim=(-5, None))


def batch_round(figure: Any) -> None:
    """One round over candidates: the same total, shared out by what is known of each prompt."""
    axes = figure.subplots()
    training = run("cero", batches=True, max_rollouts_per_prompt=16)
    k = 150
    rows = np.flatnonzero(training.counts[k])
    rows = rows[np.argsort(training.rate[rows])]
    axes.bar(np.arange(rows.size), training.counts[k, rows], color=CERO, width=0.75)
    axes.axhline(BATCH_TOTAL / BATCH, color=UNIFORM, lw=2)
    axes.annotate("uniform: 8 each", (0.01, BATCH_TOTAL / BATCH), xycoords=("axes fraction", "data"),
                  xytext=(0, 4), textcoords="offset points", color=UNIFORM, fontweight="bold")  # fmt: skip
    axes.set_xticks(np.arange(rows.size), [f"{rate:.0%}" for rate in training.rate[rows]], rotation=60, fontsize=8)
    axes.set(
        xlabel="the 20 prompts of a batch, by their true success rate (which the allocator does not see)",
        ylabel="rollouts",
        title=f"Round {k + 1}: {training.counts[k].sum()} rollouts",
    )
    axes.set_yticks(range(0, 17, 4))
    axes.grid(visible=False, axis="x")


def exposure(figure: Any) -> None:
    """Rollouts of a prompt over the whole training, by its success rate."""
    axes = figure.subplots()
    training = run("cero")
    axes.plot(training.rate, training.counts.sum(axis=0), "o", color=CERO, ms=3.5, alpha=0.45, mew=0, label="cero")
    axes.axhline(BUDGET / PROMPTS, color=UNIFORM, lw=2, label="uniform")
    axes.set(
        xlabel="success rate of the prompt",
        ylabel="rollouts in all",
        title="Exposure after 200 rounds",
        ylim=(0, None),
    )
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")


def price(figure: Any) -> None:
    """The price of the budget, and of three prompts, round by round."""
    axes = figure.subplots()
    training = run("cero")
    rounds = np.arange(1, ROUNDS + 1)
    for target, color in ((0.5, OTHER), (0.1, THIRD), (0.002, "#A377C9")):
        row = int(np.argmin(np.abs(training.rate - target)))
        served = np.flatnonzero(training.counts[:, row])
        axes.plot(rounds, training.prompt_price[:, row], color=color, label=f"a prompt solved {target:.1%} of the time")
        axes.plot(rounds[served], training.prompt_price[served, row], "o", color=color, ms=4)
    axes.plot(rounds, training.budget_price, color=CERO, lw=2.6, label="the budget")
    axes.set(
        xlabel="round", ylabel="price, from 0 to 1", title="Prices; a dot is a round in which the prompt is served"
    )
    axes.legend(frameon=False, fontsize=8.5, labelcolor="linecolor", ncols=2, loc="upper right")
    axes.set_ylim(0.35, 0.8)


def scope(figure: Any) -> None:
    """Who is served when: one dot per prompt and round, prompts in order of their success rate."""
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, training, title in (
        (left, run("cero", batches=True, max_rollouts_per_prompt=16), "batch: the loader picks who, CERO how many"),
        (right, run("cero"), "pool: CERO picks who"),
    ):
        place = np.argsort(np.argsort(training.rate)) / PROMPTS
        rounds, rows = np.nonzero(training.counts[:, ::2])  # every second prompt is enough to see
        sizes = training.counts[:, ::2][rounds, rows]
        axes.scatter(rounds + 1, place[::2][rows], s=sizes / 2.2, color=CERO, alpha=0.55, linewidths=0, rasterized=True)
        axes.set(xlabel="round", title=title)
        axes.grid(visible=False)
    left.set_ylabel("prompts, hardest at the bottom")
    left.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")


def saturation(figure: Any) -> None:
    """The utility of exposure for three proxies, and what the saturation scale does to the exposures."""
    curves, spread = figure.subplots(1, 2)
    share = np.linspace(0, 3, 200)
    for a, b, color in ((5, 5, OTHER), (1, 9, THIRD), (0.2, 19.8, "#A377C9")):
        proxy = float(variance_proxy(a, b))
        curves.plot(share, utility(saturation_rate(proxy, 1.0, 1.0), share), color=color, label=f"q̂ = {proxy:.3f}")
    curves.set(
        xlabel="exposure, in equal shares R", ylabel="utility", title="Worth of all rollouts so far", ylim=(0, 1)
    )
    curves.legend(frameon=False, labelcolor="linecolor")
    for scale, color in ((0.25, THIRD), (1.0, CERO), (4.0, OTHER)):
        given = np.sort(run("cero", saturation=scale).counts.sum(axis=0)) * PROMPTS / BUDGET
        spread.step(given, np.arange(1, PROMPTS + 1) / PROMPTS, color=color, label=f"λ = {scale:g}")
    spread.axvline(1, color=UNIFORM, lw=1.5)
    spread.set(xlabel="exposure, in equal shares R", ylabel="prompts with at most this", title="Spread of the exposure")
    spread.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    spread.legend(frameon=False, labelcolor="linecolor")


FIGURES = {
    "budget": (budget, (8.4, 3.0)),
    "round": (batch_round, (7.2, 3.2)),
    "exposure": (exposure, (7.2, 3.2)),
    "price": (price, (7.2, 3.6)),
    "scope": (scope, (8.4, 3.4)),
    "saturation": (saturation, (8.4, 3.2)),
}
