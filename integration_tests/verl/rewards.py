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


def graded(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any
) -> dict[str, float]:
    """Half a point for a success, which `acc` names; and some responses make the judge fail."""
    if zlib.crc32(solution_str.encode()) % 5 == 0:
        raise ValueError("this judge cannot read that")
    right = compute_score(data_source, solution_str, ground_truth, extra_info)
    return {"score": right / 2, "acc": right}


def fragile(data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any) -> float:
    """Every other response makes the judge fail, and the others earn more than there should be, each its own."""
    draw = zlib.crc32(solution_str.encode())
    if draw % 2:
        raise ValueError("this judge cannot read that")
    return 2.0 + draw / 2**32
