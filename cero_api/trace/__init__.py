r"""Recorded runs: one line per (round, prompt), appended as training goes, read back in bounded memory.

A trace is a text file of JSON lines, compressed if its name ends in `.gz`. The first line is the header, every other
line says what one prompt got and earned in one round:

    {"format":"cero-trace","version":1,"num_prompts":8958,"metadata":{"allocator":"cero"}}
    {"round":0,"prompt":17,"count":8,"successes":3}
    {"round":0,"prompt":21,"count":0,"successes":0}
    {"round":1,"prompt":17,"count":6,"successes":2,"failures":3}

- `round`: 0-based, never decreasing; a zero round has no lines.
- `prompt`: its stable key, a string or an integer, once per round.
- `count`: rollouts given; 0 is a candidate that was passed over.
- `successes`: of those, fractional for graded rewards.
- `failures`: only where rewards are missing, else `count - successes`.
- `squares`: only where rewards are graded, the sum over rollouts of their squared share of a success.
- `tokens`: only where somebody counts them, generated in the rollouts that have a reward.

Unknown fields are ignored. A round is appended in one write, so a crash can tear the last line only; readers pass over
it and say so. In a `.gz` every round is a gzip member of its own, which `zcat` and `gzip` read as one.
"""

from cero_api.trace.columns import Columns
from cero_api.trace.reader import TraceReader, TraceRound
from cero_api.trace.records import TraceHeader, TraceLine, trace_lines
from cero_api.trace.writer import RoundLike, TraceWriter

__all__ = [
    "Columns",
    "RoundLike",
    "TraceHeader",
    "TraceLine",
    "TraceReader",
    "TraceRound",
    "TraceWriter",
    "trace_lines",
]
