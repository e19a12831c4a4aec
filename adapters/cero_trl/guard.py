"""What the adapter relies on inside TRL, checked before anything can go wrong silently."""

from __future__ import annotations

import inspect
import warnings

import trl
from trl import GRPOTrainer

from cero_api.errors import MissingDependencyError

TRL_VERSION = "1.16.0"

# Every private method that the adapter overrides or calls, with its parameters.
METHODS: dict[str, tuple[str, ...]] = {
    "_calculate_rewards": ("self", "inputs", "prompts", "completions", "completion_ids_list"),
    "_generate_and_score_completions": ("self", "inputs"),
    "_generate_single_turn": (
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ),
    "_get_dataloader": (
        "self",
        "dataset",
        "description",
        "batch_size",
        "sampler_fn",
        "is_training",
        "dataloader_key",
    ),
    "_get_output_dir": ("self", "trial"),
    "_get_train_sampler": ("self", "dataset"),
    "_load_optimizer_and_scheduler": ("self", "checkpoint"),
    "_prepare_inputs": ("self", "generation_batch"),
    "_remove_unused_columns": ("self", "dataset", "description"),
    "_save_checkpoint": ("self", "model", "trial"),
}
# Every private attribute of a trainer that the adapter reads or writes.
ATTRIBUTES = ("_buffered_inputs", "_logs", "_metrics", "_step")


def check_trl() -> None:
    """Refuse a TRL whose internals differ from those the adapter was written for; warn at another version.

    Raises:
        MissingDependencyError: a private method is gone or takes other arguments.
    """
    changed = [name for name, parameters in METHODS.items() if _parameters(name) != parameters]
    if changed:
        raise MissingDependencyError(
            f"cero_trl was written for trl {TRL_VERSION}; in trl {trl.__version__}, GRPOTrainer lacks these "
            f"methods or they take other arguments: {', '.join(changed)}; install trl=={TRL_VERSION}"
        )
    if trl.__version__ != TRL_VERSION:
        warnings.warn(
            f"cero_trl is tested with trl {TRL_VERSION}, and this is {trl.__version__}; its internals look "
            f"the same, but run the adapter's tests before relying on it, or install trl=={TRL_VERSION}",
            stacklevel=3,
        )


def check_trainer(trainer: GRPOTrainer) -> None:
    """Refuse a constructed trainer that lacks a private attribute the adapter uses.

    Raises:
        MissingDependencyError: an attribute is gone.
    """
    gone = [name for name in ATTRIBUTES if not hasattr(trainer, name)]
    if gone:
        raise MissingDependencyError(
            f"cero_trl was written for trl {TRL_VERSION}; in trl {trl.__version__}, GRPOTrainer has no "
            f"{', '.join(gone)}; install trl=={TRL_VERSION}"
        )


def _parameters(name: str) -> tuple[str, ...] | None:
    method = getattr(GRPOTrainer, name, None)
    return None if method is None else tuple(inspect.signature(method).parameters)
