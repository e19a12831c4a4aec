"""The reward of the tiny trainings, as verl loads it: from this file, by name."""

from __future__ import annotations

import zlib
from typing import Any


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any
) -> float:
    """1 with the prompt's own probability, decided by the response's text: same text, same reward."""
    draw = zlib.crc32(f"{extra_info['index']}:{solution_str}".encode()) / 2**32
    return float(draw < float(ground_truth))
