"""Plots and one HTML page: from traces, how the budget was spent and on whom; from trainings, what was learned.

Drawing needs matplotlib (extra `plot`), which is imported when something is drawn.
"""

from cero_api.analysis.report.figures import (
    PLOT_STYLE,
    color_of,
    draw_effective,
    draw_exposure,
    draw_signal,
    draw_spending,
)
from cero_api.analysis.report.learning import draw_learning, write_learning_report
from cero_api.analysis.report.learning_table import (
    learning_cells,
    learning_tables,
    learning_warnings,
    matched,
    together_cells,
    together_warnings,
)
from cero_api.analysis.report.page import (
    html_figure,
    html_notes,
    html_page,
    html_table,
    html_text,
    run_cells,
    run_notes,
    write_report,
)
from cero_api.analysis.report.summary import BANDS, RunSummary

__all__ = [
    "BANDS",
    "PLOT_STYLE",
    "RunSummary",
    "color_of",
    "draw_effective",
    "draw_exposure",
    "draw_learning",
    "draw_signal",
    "draw_spending",
    "html_figure",
    "html_notes",
    "html_page",
    "html_table",
    "html_text",
    "learning_cells",
    "learning_tables",
    "learning_warnings",
    "matched",
    "run_cells",
    "run_notes",
    "together_cells",
    "together_warnings",
    "write_learning_report",
    "write_report",
]
