"""What the adapter relies on inside TRL, checked before anything can go wrong silently."""

from __future__ import annotations

from cero_api.adapting import check_attributes, check_upstream

_TRAINER = "trl.trainer.grpo_trainer.GRPOTrainer"

# Every private method that the adapter overrides or calls, with its parameters.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    f"{_TRAINER}._calculate_rewards": ("self", "inputs", "prompts", "completions", "completion_ids_list"),
    f"{_TRAINER}._generate": ("self", "prompts"),
    f"{_TRAINER}._generate_and_score_completions": ("self", "inputs"),
    f"{_TRAINER}._generate_single_turn": (
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations?",
        "has_tool_images?",
    ),
    f"{_TRAINER}._get_dataloader": (
        "self",
        "dataset",
        "description",
        "batch_size",
        "sampler_fn",
        "is_training",
        "dataloader_key",
    ),
    f"{_TRAINER}._get_output_dir": ("self", "trial"),
    f"{_TRAINER}._get_train_sampler": ("self", "dataset"),
    f"{_TRAINER}._prepare_inputs": ("self", "generation_batch"),
    f"{_TRAINER}._remove_unused_columns": ("self", "dataset", "description"),
    f"{_TRAINER}._save_checkpoint": ("self", "model", "trial"),
}
# What decides there when a generation batch is due; the adapter deals by the same condition.
WORDS = {
    f"{_TRAINER}._prepare_inputs": (
        "_step",
        "steps_per_generation",
        "_buffered_inputs",
        "_generate_and_score_completions",
    )
}
# Every private attribute of a trainer that the adapter reads or writes.
ATTRIBUTES = ("_buffered_inputs", "_logs", "_metrics", "_pending_extra_logs", "_step")


def check_trl() -> None:
    """Refuse a TRL whose internals differ from those the adapter was written for; warn at another version.

    Raises:
        MissingDependencyError: TRL is missing, or a private method is gone or takes other arguments.
    """
    check_upstream("cero_trl", "trl", functions=FUNCTIONS, words=WORDS)


def check_trainer(trainer: object) -> None:
    """Refuse a constructed trainer that lacks a private attribute the adapter uses.

    Raises:
        MissingDependencyError: an attribute is gone.
    """
    check_attributes("cero_trl", "trl", trainer, ATTRIBUTES)
