"""Everything about the allocator that is decided before a model is loaded, and said where a training starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cero_api.adapting import start_line, warn_of_idleness
from cero_api.config import Scope
from cero_api.errors import ConfigurationError, TraceError
from cero_api.trace import TraceWriter
from cero_verl.beginning import Beginning, beginning
from cero_verl.columns import refuse_columns
from cero_verl.config import FLAG, VerlAllocatorConfig
from cero_verl.prompts import TrainPrompts, train_dataset
from cero_verl.refusals import refuse_unsupported


@dataclass(frozen=True)
class Prepared:
    """What an allocator begins with in this training."""

    settings: VerlAllocatorConfig
    prompts: TrainPrompts
    beginning: Beginning
    trace: dict[str, Any] | None  # arguments of the `TraceWriter`

    def start_line(self) -> str:
        """What is about to happen, for the log."""
        begin, settings = self.beginning, self.settings
        mean, judge = begin.schedule.rollouts, settings.success_key
        said = start_line(
            settings.name, begin.allocator, scope=settings.scope, mean=mean, rule=settings.rule, judge=judge
        )
        return f"rollout allocator {said}; {begin.told}"


# verl builds the checkpoint callback before it loads a model, and the manager after that, from one configuration.
_waiting: tuple[Any, Prepared] | None = None


def prepare(config: Any) -> Prepared:
    """Judge the training by its configuration and files; what is found waits for the manager of this configuration.

    Raises:
        ConfigurationError: an option that would go wrong; the message says what to change.
        PromptError: the dataset does not tell its prompts apart.
        CheckpointError: the checkpoint that verl resumes has no allocator state, or one that does not fit.
    """
    global _waiting
    settings = refuse_unsupported(config)
    dataset = train_dataset(config)
    refuse_columns(dataset)
    prompts = TrainPrompts(dataset, settings.identity)
    begin = beginning(config, prompts)
    prepared = Prepared(settings, prompts, begin, _trace(settings, prompts))
    shape = begin.schedule.shape(settings, ahead=False)
    # The allocator that deals is in its actor, and is told there.
    begin.begin["idleness_known"] = warn_of_idleness(begin.allocator, shape, option=_option, stacklevel=3)
    if not settings.picks_prompts:
        prompts.release()
    _waiting = (config, prepared)
    return prepared


def take_prepared(config: Any) -> Prepared:
    """What `prepare` has found for this very configuration, or finds now."""
    global _waiting
    found, _waiting = _waiting, None
    if found is None or found[0] is not config:
        found, _waiting = (config, prepare(config)), None
    return found[1]


def _trace(settings: VerlAllocatorConfig, prompts: TrainPrompts) -> dict[str, Any] | None:
    """Arguments of the trace's writer, which can write there.

    Raises:
        ConfigurationError: it cannot.
    """
    if settings.trace is None:
        return None
    rows = range(len(prompts))
    arguments: dict[str, Any] = {
        "path": os.path.abspath(settings.trace),
        "num_prompts": len(rows),
        "metadata": {"trainer": "verl", "allocator": settings.name},
        "keys": prompts.index.keys(rows),
    }
    try:
        Path(arguments["path"]).parent.mkdir(parents=True, exist_ok=True)
        TraceWriter(**arguments).close()
    except (OSError, TraceError) as error:
        raise ConfigurationError(f"{FLAG}.trace={settings.trace} cannot be written: {error}; choose another") from error
    return arguments


def _option(setting: str) -> str:
    """How users write an option of this library."""
    name, _, value = setting.partition("=")
    if name == "scope" and value not in get_args(Scope):
        setting = "scope=pool"  # which chooses among more prompts than fit, too
    return f"{FLAG}.{setting}"
