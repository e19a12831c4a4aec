"""The learner's reward as verl and OpenRLHF load it: from this file, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cero_lab.tasks import by_prompt, corpus, solved
from cero_lab.vocabulary import EOS, PAD

# Now, not at the first reward: verl asks for those from several threads, and reasoning-gym's data are read by one.
_POOL = by_prompt(corpus("pool"))


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any
) -> float:
    """verl's: 1 if the task's own scorer gives full marks."""
    return _reward(extra_info["prompt"], solution_str)


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """OpenRLHF's, of one rollout: the same; its texts hold padding and the end of sequence."""
    [query], [prompt] = queries, prompts
    reward = _reward(prompt, query[len(prompt) :].replace(EOS, "").replace(PAD, ""))
    return {"rewards": reward, "scores": reward, "extra_logs": {}}


def _reward(prompt: str, said: str) -> float:
    return float(solved(_POOL[prompt], said))
