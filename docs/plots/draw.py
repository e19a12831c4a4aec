"""Draw the figures of the documentation, each for light and for dark pages: `python docs/plots/draw.py`.

The same sources and versions give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
from figures import FIGURES
from matplotlib.figure import Figure

INK = {"light": "#222222", "dark": "#D8DCE6"}


def style(ink: str) -> dict[str, object]:
    """Of a page whose text has this color."""
    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    return {
        **dict.fromkeys(colored, ink),
        "svg.fonttype": "none",  # the page's own fonts; text can be read and searched
        "svg.hashsalt": "cero",  # equal names of equal parts on every run
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#888888",
        "grid.alpha": 0.25,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
    }


def draw(folder: Path) -> list[Path]:
    """Write every figure twice.

    Args:
        folder: exists.

    Returns:
        The files.
    """
    files = []
    for name, (figure_of, size) in FIGURES.items():
        for theme, ink in INK.items():
            with mpl.rc_context(style(ink)):
                figure = Figure(figsize=size, layout="constrained")
                figure_of(figure)
                files.append(folder / f"{name}-{theme}.svg")
                figure.savefig(files[-1], transparent=True, metadata={"Date": None}, dpi=110)
    return files


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "images", help="folder of the files")
    for file in draw(parser.parse_args().out):
        print(file)
