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


def fragile(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any
) -> dict[str, float]:
    """Every other response makes the judge fail. `acc` is 3 for a success; the others earn from 2 to 3, or 4 to 5."""
    draw = zlib.crc32(solution_str.encode())
    if draw % 2:
        raise ValueError("this judge cannot read that")
    right = compute_score(data_source, solution_str, ground_truth, extra_info)
    return {"score": 2 + 2 * right + draw / 2**32, "acc": 3 * right}
