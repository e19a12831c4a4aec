"""What the adapter relies on inside OpenRLHF, checked before anything can go wrong silently."""

from __future__ import annotations

import importlib

from cero_api.adapting import check_upstream
from cero_api.errors import MissingDependencyError
from cero_api.extras import install_hint

_GENERATOR = "openrlhf.trainer.ppo_utils.samples_generator.SamplesGenerator"
_MAKER = "openrlhf.trainer.ppo_utils.experience_maker.RemoteExperienceMaker"
_SYNC = "openrlhf.trainer.ppo_trainer"
_ASYNC = "openrlhf.trainer.ppo_trainer_async"
_ENGINE = "openrlhf.trainer.ray.vllm_engine.RolloutRayActor"
_GROUPS = (
    "actor_model_group",
    "critic_model_group",
    "reward_model_group",
)

# Every function and method that the adapter overrides or calls, with its parameters.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    f"{_GENERATOR}.__init__": (
        *("self", "strategy", "prompts_dataloader", "eval_dataloader", "tokenizer", "vllm_engines"),
    ),
    f"{_GENERATOR}.generate_samples": ("self", "generate_kwargs"),
    f"{_GENERATOR}.generate_eval_samples": ("self", "generate_kwargs"),
    f"{_GENERATOR}._generate_vllm": ("self", "dataloader_iter", "num_prompts", "dynamic_filtering", "generate_kwargs"),
    f"{_GENERATOR}._dispatch_prompts_to_vllm": ("self", "prompts", "labels", "images", "generate_kwargs"),
    f"{_GENERATOR}._process_response_into_experience": ("self", "response", "generate_kwargs"),
    f"{_MAKER}.__init__": (
        *("self", *_GROUPS, "initial_model_group", "kl_controller", "strategy", "tokenizer", "kwargs"),
    ),
    f"{_MAKER}.make_experience": ("self", "samples_list"),
    f"{_MAKER}.compute_advantages_and_returns": ("self", "experiences"),
    "openrlhf.trainer.ppo_utils.length_penalty.apply_length_penalties": ("experiences", "args"),
    f"{_SYNC}.BasePPOTrainer.train_step": ("self", "rollout_samples", "global_step"),
    f"{_SYNC}.BasePPOTrainer._compute_rollout_stats": ("self", "experiences"),
    f"{_SYNC}.BasePPOTrainer.init_checkpoint_states": ("self",),
    f"{_SYNC}.BasePPOTrainer.restore_best_checkpoint_state": ("self", "checkpoint_states"),
    f"{_SYNC}.PPOTrainer.__init__": (
        *("self", "pretrain", "strategy", *_GROUPS, "reference_model_group", "vllm_engines", "generate_kwargs"),
    ),
    f"{_SYNC}.PPOTrainer.fit": ("self", "global_step"),
    f"{_SYNC}.PPOTrainer.get_max_steps": ("self",),
    f"{_ASYNC}.GenerateSamplesActor.get_max_steps": ("self",),
    f"{_ASYNC}.GenerateSamplesActor.load_state_dict": ("self", "state_dict"),
    f"{_ASYNC}.GenerateSamplesActor.fit": ("self", "episode", "total_consumed_prompts"),
    f"{_ASYNC}.TrainingActor.fit": ("self", "global_step"),
    f"{_ASYNC}.TrainingActor.broadcast_to_vllm": ("self",),
    f"{_ASYNC}.PPOTrainerAsync.__init__": (
        *("self", "pretrain", "strategy", *_GROUPS, "reference_model_group", "vllm_engines", "generate_kwargs"),
    ),
    f"{_ASYNC}.PPOTrainerAsync.fit": ("self",),
    f"{_ASYNC}.PPOTrainerAsync.get_max_steps": ("self",),
    f"{_ENGINE}.get_num_unfinished_requests": ("self",),
    f"{_ENGINE}.generate_responses": (
        *("self", "prompt", "label", "sampling_params", "max_length", "hf_tokenizer", "num_samples", "images"),
    ),
    "openrlhf.utils.config.hierarchize": ("args",),
    "openrlhf.cli.train_ppo_ray.train": ("args",),
}
# Names on which the adapter relies inside of these functions: they must occur in their code.
WORDS: dict[str, tuple[str, ...]] = {
    f"{_GENERATOR}.generate_samples": ("_generate_vllm", "_sample_buffer", "batch_size", "n_samples_per_prompt"),
    f"{_GENERATOR}._generate_vllm": ("_dispatch_prompts_to_vllm", "_process_response_into_experience"),
    f"{_GENERATOR}._dispatch_prompts_to_vllm": (
        *("vllm_engines", "get_num_unfinished_requests", "generate_responses", "prompt", "num_samples"),
    ),
    f"{_GENERATOR}._process_response_into_experience": ("prompt", "reward", "scores", "prompts", "action_mask"),
    f"{_MAKER}.compute_advantages_and_returns": ("apply_length_penalties", "n_samples_per_prompt", "reinforce"),
    f"{_SYNC}.PPOTrainer.fit": (
        "samples_generator",
        "prompts_dataloader",
        "state_dict",
        "load_state_dict",
        "train_step",
    ),
    f"{_SYNC}.BasePPOTrainer.train_step": ("experience_maker", "_compute_rollout_stats"),
    f"{_ASYNC}.GenerateSamplesActor.fit": ("samples_generator", "prompts_dataloader", "state_dict"),
    f"{_ASYNC}.TrainingActor.fit": ("train_step",),
    f"{_ASYNC}.PPOTrainerAsync.__init__": ("GenerateSamplesActor", "TrainingActor"),
    "openrlhf.cli.train_ppo_ray.train": ("PPOTrainer", "PPOTrainerAsync"),
}


def check_openrlhf() -> None:
    """Refuse an OpenRLHF whose internals differ from those the adapter was written for; warn at another version.

    Raises:
        MissingDependencyError: OpenRLHF is missing, or a private name is gone or takes other arguments.
    """
    try:
        importlib.import_module("openrlhf.cli.train_ppo_ray")
    except ImportError as error:
        raise MissingDependencyError(
            f"OpenRLHF cannot be imported ({error}); install vllm and flash-attn as OpenRLHF's own guide says, and "
            f"then, {install_hint('openrlhf')}"
        ) from error
    check_upstream("cero_openrlhf", "openrlhf", functions=FUNCTIONS, words=WORDS)
