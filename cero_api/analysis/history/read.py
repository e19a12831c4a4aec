"""One call for every shape in which people have success histories."""

from __future__ import annotations

import os
from pathlib import Path

from cero_api.analysis.history.files import HistoryFormat, kind_of, trace_in
from cero_api.analysis.history.rates import from_json
from cero_api.analysis.history.table import from_table
from cero_api.analysis.history.traces import from_trace
from cero_api.analysis.history.verl import from_verl
from cero_api.analysis.history.visits import Progress, SuccessHistory
from cero_api.errors import CeroError, TraceError


def read_history(
    path: str | os.PathLike[str],
    *,
    format: HistoryFormat = "auto",
    success_threshold: float = 1.0,
    prompt_column: str | None = None,
    rate_column: str | None = None,
    progress: Progress | None = None,
) -> SuccessHistory:
    r"""Read any of the shapes in which people have success histories.

    | format | file | time of a visit |
    | --- | --- | --- |
    | `trace` | a trace, or the folder of a run with one | its round |
    | `verl` | the folder of `trainer.rollout_data_dir`, or one of its files | its step |
    | `rates` | JSON: `{"prompt": [rate, ...]}`, or `[successes, rollouts]` for a rate | its number |
    | `table` | CSV, TSV or Parquet with a pass-rate column | its `round`, `step` or `epoch`, else its number |

    Args:
        path: of the file or folder; text may be compressed with gzip.
        format: "auto" tells by the file's name and first line.
        success_threshold: verl's score from which a rollout is a success.
        prompt_column: of a table; None finds `prompt`, `prompt_id`, `key`, `id`, `index`, `uid`, `question`, `problem`.
        rate_column: of a table; None finds `pass_rate`, `success_rate`, `solve_rate`, `pass@1`, `accuracy`, `acc`,
            or `successes` with `count`.
        progress: called with the share that is read, from 0 to 1.

    Raises:
        TraceError: the file cannot be read; with the line and the reason.
        MissingDependencyError: Parquet without the extra `parquet`.
    """
    path = Path(path)
    try:
        kind = kind_of(path) if format == "auto" else format
        if kind == "trace":
            return from_trace(trace_in(path), progress)
        if kind == "verl":
            return from_verl(path, success_threshold, progress)
        if kind == "rates":
            return from_json(path)
        return from_table(path, prompt_column, rate_column)
    except CeroError:
        raise
    except Exception as error:  # damaged bytes make gzip, csv, json and Parquet raise almost anything
        raise TraceError(
            f"{path} cannot be read ({error!r}); restore the file, or name its format if it is another"
        ) from error
