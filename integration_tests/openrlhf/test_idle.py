"""A training in which nothing can be decided says so as it starts, before a model is loaded, with the remedy."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from cero_openrlhf.config import read_settings
from cero_openrlhf.early import check_files
from integration_tests.openrlhf import made, tiny


def said(folder: Path, prompts: int = 12, **changes: Any) -> list[str]:
    """What is warned of in a training of these prompts, four a batch with four rollouts each."""
    path = tiny.make_prompts(folder / "prompts.jsonl", [i % 19 for i in range(prompts)])
    args = made.args(**made.reading(path), ckpt__load_enable=False, ckpt__path=str(folder), **changes)
    with warnings.catch_warnings(record=True) as all_of_them:
        warnings.simplefilter("always")
        check_files(args, *read_settings(args))
    return [str(warning.message) for warning in all_of_them if warning.category is UserWarning]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"rollout__n_samples_per_prompt": 2},
            "groups have 2 rollouts on average and at least 2.*raise the group size",
        ),
        ({"cero__max_rollouts_per_prompt": "4"}, r"at most 4.*raise --cero\.max_rollouts_per_prompt where"),
        ({"cero__min_rollouts_per_prompt": "4"}, r"at least 4.*\(or --cero\.min_rollouts_per_prompt 0, to pass"),
        ({"rollout__batch_size": 1}, "a batch has one prompt, which gets all"),
        ({"train__num_episodes": 1}, r"every prompt is visited once.*\(--cero\.scope window\)"),
        ({"train__num_episodes": 1, "prompts": 10}, "every prompt is visited once"),  # the last batch is smaller
        ({"cero__scope": "pool", "prompts": 4}, "the 4 prompts of the pool all fit into a round"),
    ],
)
def test_nothing_to_decide(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    (warning,) = said(tmp_path, **{"train__num_episodes": 3} | changes)
    assert re.search(f"^the allocator can decide nothing: .*{reason}", warning)


@pytest.mark.parametrize(
    "changes",
    [
        {"train__num_episodes": 2},
        {"cero__scope": "window"},
        {"cero__scope": "pool"},
        {"cero__belief": "features", "prompts": 18},  # of which two have a longer text
        {"cero__allocator": "uniform", "rollout__n_samples_per_prompt": 2},
    ],
)
def test_what_can_decide_something_is_not_warned_of(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert said(tmp_path, **changes) == []
