"""What the columns of other people's tables are called: every synonym in one place, and how a column is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cero_api.analysis.history.cells import are_fractions
from cero_api.errors import TraceError

First = Callable[[str], Sequence[object]]  # values of a column in the first rows
Role = Literal["prompt", "rate", "success", "failure", "count", "reward", "round"]

# In order of preference. Case, spaces, hyphens and underscores do not matter.
SYNONYMS: dict[Role, tuple[str, ...]] = {
    "prompt": (
        "prompt", "prompt_id", "key", "id", "index", "uid", "question", "problem", "problem_id", "question_id",
        "task_id", "example_id", "instance_id", "unique_id", "sample_id", "data_id", "doc_id", "qid", "idx",
        "input_prompt", "prompt_text", "messages", "conversations", "instruction", "query", "input",
    ),
    # A mean over the rollouts of a prompt, from 0 to 1.
    "rate": (
        "pass_rate", "success_rate", "solve_rate", "pass@1", "accuracy", "acc", "pass_at_1", "solved_rate",
        "correct_rate", "accuracy_rate", "avg_pass_rate", "mean_pass_rate", "avg_accuracy", "mean_accuracy", "avg_acc",
        "mean_acc", "avg_reward", "mean_reward", "reward_mean", "average_reward", "avg_score", "mean_score",
        "score_mean", "average_score",
    ),
    # Numbers of rollouts.
    "success": (
        "successes", "num_correct", "correct", "n_correct", "correct_count", "num_correct_rollouts", "total_correct",
        "total_correct_rollouts", "num_successes", "num_success", "n_success", "success_count", "num_passed",
        "n_passed", "num_pass", "pass_count", "num_solved", "solved_count",
    ),
    "failure": (
        "failures", "num_incorrect", "incorrect", "num_wrong", "wrong", "num_failed", "failed_count", "num_failures",
    ),
    "count": (
        "count", "n", "rollouts", "num_samples", "num_rollouts", "n_rollouts", "rollout_count", "total_rollouts",
        "num_responses", "num_generations", "num_completions", "n_samples", "sample_count", "num_attempts",
        "n_attempts", "attempts", "num_trials", "n_trials", "trials", "num_total", "total_count", "total", "samples",
    ),
    # What one rollout earned.
    "reward": (
        "reward", "rewards", "score", "scores", "accuracy_reward", "is_correct", "correctness", "exact_match",
        "success", "passed", "solved", "is_passed", "final_reward", "total_reward", "reward_score",
    ),
    "round": ("round", "step", "epoch", "global_step", "global_steps", "training_step", "train_step"),
}  # fmt: skip
VALUES: tuple[Role, ...] = ("rate", "success", "reward")  # what says how often a prompt was solved
# Parts of names that say as much, where one column alone has them: llama8b_solve_rate, pass_rate_72b_tir.
_HINTS: dict[Role, tuple[str, ...]] = {
    "rate": ("passrate", "solverate", "successrate", "passpercent", "passpct", "solvepercent", "solvepct"),
    "reward": ("reward",),
}
_MEANS = ("rate", "mean", "avg", "average", "percent", "@")
_REWARDS = ("reward", "score", "correct", "passed", "solved", "success", "match")
_TRL = {"completion", "advantage"}  # TRL's completions have both, and a column for each reward function
_WHAT: dict[Role, str] = {"rate": "pass-rate"}


@dataclass(frozen=True)
class Columns:
    """Which column of a table says what.

    Args:
        prompt: who it is about.
        value: what is known of its success.
        kind: "rate" of several rollouts, number of "success"es, or "reward" of one rollout.
        count: of the rollouts, None if no column says it.
        failure: of the failures, where that is what is known beside the successes.
        round: when, None if no column says it.
    """

    prompt: str
    value: str
    kind: Literal["rate", "success", "reward"]
    count: str | None
    failure: str | None
    round: str | None

    @property
    def wanted(self) -> list[str]:
        """All of them, each once."""
        named = (self.prompt, self.value, self.count, self.failure, self.round)
        return list(dict.fromkeys(name for name in named if name is not None))


def plain_name(name: str) -> str:
    """A column's name without what people write differently.

    >>> plain_name("Pass Rate (%)"), plain_name("extra_info.passRate"), plain_name("pass@1")
    ('passrate', 'passrate', 'pass@1')
    """
    last = name.rpartition(".")[2] or name
    return re.sub(r"[^\w@]|_", "", last.lower())


def _unitless(plain: str) -> str:
    """Without a word that says percent, where more of the name is left."""
    return re.sub(r"(?<=.)(pct|percent|percentage)$", "", plain)


def is_percent(name: str) -> bool:
    """Whether a column says that it holds percentages."""
    return re.search(r"%|percent|(^|[^a-z])pct", name.lower()) is not None


def find(path: Path, names: Sequence[str], given: Mapping[Role, str | None], first: First) -> Columns:
    """The columns by the names given, else by their usual names, else a pass rate by what it looks like: 3/8.

    Args:
        path: for the message of an error.
        names: of all columns; those of nested ones have dots in them.
        given: by role, None for one that is to be found.
        first: values of a column in the first rows.

    Raises:
        TraceError: none is found, or several that could be meant, also by one name.
    """
    prompt = _given(path, names, given, "prompt", first) or _known(names, "prompt")
    if prompt is None:
        raise _none(path, names, "prompt")
    rest = [name for name in names if name != prompt]
    kind: Literal["rate", "success", "reward"] = "rate"
    value = _given(path, names, given, "rate", first)
    if value is not None:
        kind = "reward" if _is_reward(value, names) else "rate"
    elif given.get("success") is not None:
        value, kind = _given(path, names, given, "success", first), "success"
    else:
        value = _known(rest, "rate") or _hinted(path, rest, "rate")
    if value is None:
        value, kind = _known(rest, "success"), "success"
    if value is None:
        value, kind = _known(rest, "reward") or _hinted(path, rest, "reward") or _only_reward(rest), "reward"
    if value is None:
        value, kind = _fraction(path, rest, first), "rate"
    if value is None:
        raise _none(path, names, "rate")
    # A nested column of counts is about its neighbours only.
    above = value.rpartition(".")[0]
    others = [name for name in rest if name != value and name.rpartition(".")[0] in ("", above)]
    found = Columns(
        prompt=prompt,
        value=value,
        kind=kind,
        count=_given(path, names, given, "count", first) or _known(others, "count"),
        failure=_known(others, "failure") if kind == "success" else None,
        round=_given(path, names, given, "round", first) or _known(others, "round"),
    )
    for name in found.wanted:
        if list(names).count(name) > 1:
            raise TraceError(
                f"{path} has {list(names).count(name)} columns {name!r}; rename all but the one to be read"
            )
    return found


def _fraction(path: Path, names: Sequence[str], first: First) -> str | None:
    """The one column of fractions such as 3/8."""
    found = [name for name in names if are_fractions(first(name))]
    if len(found) > 1:
        raise _several(path, found)
    return found[0] if found else None


def _is_reward(name: str, names: Sequence[str]) -> bool:
    """Whether a column that the caller named holds rewards of single rollouts, as TRL's completions do."""
    plain, table = plain_name(name), set(map(plain_name, names))
    if any(mark in plain for mark in _MEANS):
        return False
    return any(mark in plain for mark in _REWARDS) or table >= _TRL


def _only_reward(names: Sequence[str]) -> str | None:
    """The one reward function of TRL's completions, whatever it is called."""
    left = [name for name in names if plain_name(name) not in {*_TRL, "step", "prompt"}]
    return left[0] if len(left) == 1 and len(names) - len(left) >= len(_TRL) else None


def _given(path: Path, names: Sequence[str], given: Mapping[Role, str | None], role: Role, first: First) -> str | None:
    name = given.get(role)
    if name is None or name in names:
        return name
    alike = [own for own in names if own.lower().strip() == name.lower().strip()]
    if alike:
        return alike[0]
    for own in names:
        if name.startswith(f"{own}.") and any(str(value).lstrip().startswith("{") for value in first(own)):
            return name  # inside of a column of JSON text
    raise TraceError(f"{path} has no column {name!r}, but {_listed(names)}; name the one that holds it")


def _known(names: Sequence[str], role: Role) -> str | None:
    """The column with the most usual name; nested ones only where no other has one."""
    for depth in range(4):
        plain = {_unitless(plain_name(name)): name for name in reversed(names) if name.count(".") == depth}
        for synonym in SYNONYMS[role]:
            found = plain.get(plain_name(synonym))
            if found is not None:
                return found
    return None


def _hinted(path: Path, names: Sequence[str], role: Role) -> str | None:
    hints = _HINTS[role]
    found = [name for name in names if any(hint in plain_name(name) for hint in hints)]
    if len(found) > 1:
        raise _several(path, found)
    return found[0] if found else None


def _several(path: Path, names: Sequence[str]) -> TraceError:
    return TraceError(f"{path} has {_listed(names)}; name the one to be read with --rate-column (rate_column=)")


def _none(path: Path, names: Sequence[str], role: Role) -> TraceError:
    known = SYNONYMS[role]
    return TraceError(
        f"{path} has no {_WHAT.get(role, role)} column {known[0]} or {known[1]} or the like, but {_listed(names)}; "
        f"name the one that holds it with --{role}-column ({role}_column=)"
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "") if names else "nothing"
