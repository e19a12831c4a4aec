"""What the README says of savings, from the published records: `python docs/headline.py [--fill]`.

Prints the table; `--fill` writes it between the marks of README.md and docs/index.md, and draws the README's picture,
which needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from cero_api.analysis.learning import TrainingRecord, TrainingResult, compare_trainings, read_trainings
from cero_api.analysis.report import matched
from cero_lab.evidence.page import fill
from cero_lab.evidence.tables import lines
from cero_lab.grid.regimes import regime_of

ROOT = Path(__file__).parents[1]
RECORDS, PICTURE = ROOT / "docs" / "evidence" / "grid", ROOT / "docs" / "evidence" / "saving.svg"
PAGES = (ROOT / "README.md", ROOT / "docs" / "index.md")
MARK = "headline"
# Where there is something to gain, from the fewest visits on, and where there is nothing.
REGIMES = ("hard-one-visit", "hard-two-visits", "hard-seven-visits", "mixed-one-visit", "easy-one-visit")
BATCH, ORACLE = "cero-batch", "oracle-window"
# The composition that trainers have by default, and until it is published everywhere, the one beside it.
WINDOWS = {"window-8-features": "window (default)", "window-features": "window of 4"}
# The panels of the picture: a regime, and what it shows.
PANELS = {"hard-two-visits": "half of the prompts out of reach", "easy-one-visit": "an easy pool"}


def records_of(regime: str) -> list[TrainingRecord]:
    """The published trainings of a regime."""
    return read_trainings([RECORDS / f"{regime}.json"])


def composition() -> str:
    """The first of `WINDOWS` that every regime has trainings of."""
    there = [{record.label for record in records_of(regime)} for regime in REGIMES]
    return next(label for label in WINDOWS if all(label in labels for labels in there))


def along(results: Mapping[str, TrainingResult], label: str, tokens: bool = False) -> str:
    """Rollouts or tokens to match uniform, along the curve, with the interval."""
    found = results[label].against if label in results else None
    match = None if found is None else found.tokens if tokens else found.rollouts
    return matched(match, along=True) or "–"


def headline() -> str:
    """The table in Markdown, and over how many starts it is."""
    window = composition()
    rows, starts = [["pool, visits", "batch", WINDOWS[window], "its tokens", "an oracle's tokens"]], set[int]()
    for name in REGIMES:
        place, results = regime_of(name), compare_trainings(records_of(name), oracle=ORACLE)
        visits = round(place.visits)
        rows.append(
            [
                f"{place.pool}, {visits}",
                # With one visit there is no past to go by: a batch is dealt as uniform does, rollout by rollout.
                "1, as uniform" if visits <= 1 else along(results, BATCH),
                along(results, window),
                along(results, window, tokens=True),
                along(results, ORACLE, tokens=True),
            ]
        )
        starts.add(results[window].starts)
    told = str(min(starts)) if len(starts) == 1 else f"{min(starts)} to {max(starts)}"
    return f"{lines(rows)}\n\nOver {told} warm starts; pools are visited once, twice or seven times a prompt."


def draw() -> None:
    """The README's picture: where it saves, and where it does not."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from cero_api.analysis.report import PLOT_STYLE
    from cero_lab.plots import draw_saving

    window = composition()
    names = {"uniform": "uniform", window: f"cero, {WINDOWS[window].removesuffix(' (default)')}"}
    with plt.rc_context({**PLOT_STYLE, "svg.hashsalt": "cero-api"}):
        figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.6))
        for axes, (regime, title) in zip(panels, PANELS.items(), strict=True):
            shown = [r.model_copy(update={"label": names[r.label]}) for r in records_of(regime) if r.label in names]
            draw_saving(axes, shown, over="tokens")
            axes.set_title(
                f"{title}, {regime_of(regime).visits:.0f} visit{'s' * (regime_of(regime).visits > 1)} a prompt"
            )
        panels[0].set(ylabel="held-out accuracy")
        figure.tight_layout()
        figure.savefig(PICTURE, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)


def main() -> None:
    """Print, and fill if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", action="store_true", help="write the table into its pages, and draw the picture")
    table = headline()
    print(table)
    if parser.parse_args().fill:
        for page in PAGES:
            fill(page, {MARK: table})
        draw()


if __name__ == "__main__":
    main()
