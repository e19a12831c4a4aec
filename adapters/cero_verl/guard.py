"""What the adapter relies on inside verl, checked before anything can go wrong silently."""

from __future__ import annotations

from cero_api.adapting import check_upstream
from cero_verl.older import CALLBACK_MODULE, has_callback

_TQ = "verl.trainer.ppo.v1.agent_loop_tq"
_WORKER = f"{_TQ}.AgentLoopWorkerTQ"
_TRAINER = "verl.trainer.ppo.v1.trainer_base.PPOTrainer"

# Every function and method that the adapter overrides or calls, with its parameters.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    f"{_TQ}.AgentLoopManagerTQ.__init__": ("self", "args", "kwargs"),
    f"{_TQ}.AgentLoopManagerTQ.create": ("cls", "args", "kwargs"),
    f"{_TQ}.AgentLoopManagerTQ.generate_sequences": ("self", "prompts"),
    f"{_TQ}.AgentLoopManagerTQ._init_agent_loop_workers": ("self",),
    f"{_WORKER}._run_prompt": ("self", "prompt", "sampling_params", "trajectory", "trace"),
    f"{_WORKER}._run_agent_loop": ("self", "sampling_params", "trajectory", "agent_name", "trace", "kwargs"),
    f"{_WORKER}._agent_loop_postprocess": ("self", "output", "validate", "kwargs"),
    f"{_TRAINER}._submit_batch_to_rollout": ("self", "batch"),
    f"{_TRAINER}._reissue_inflight_prompts": ("self", "partition_id"),
    f"{_TRAINER}._load_checkpoint": ("self",),
    f"{_TRAINER}._save_checkpoint": ("self",),
    "verl.trainer.ppo.v1.utils.compute_advantage": (
        "data",
        "adv_estimator",
        "gamma",
        "lam",
        "num_repeat",
        "norm_adv_by_std_in_grpo",
        "config",
    ),
    "verl.trainer.ppo.utils.create_rl_dataset": (
        "data_paths",
        "data_config",
        "tokenizer",
        "processor",
        "is_train",
        "max_samples",
    ),
    "verl.protocol.DataProto.select_idxs": ("self", "idxs"),
    "verl.utils.checkpoint.checkpoint_manager.find_latest_ckpt_path": ("path", "directory_format"),
    "verl.utils.config.omega_conf_to_dataclass": ("config", "dataclass_type"),
    "verl.utils.dataset.rl_dataset.collate_fn": ("data_list",),
    "verl.utils.dataset.rl_dataset.RLHFDataset.__getitem__": ("self", "item"),
    "verl.utils.dataset.rl_dataset.RLHFDataset._build_messages": ("self", "example", "key"),
    "verl.utils.import_utils.load_class_from_fqn": ("fqn", "description"),
    "verl.utils.tensordict_utils.assign_non_tensor_data": ("tensor_dict", "key", "val"),
    "verl.utils.tensordict_utils.assign_non_tensor_stack": ("tensor_dict", "key", "val"),
    "verl.utils.tensordict_utils.get_tensordict": ("tensor_dict", "non_tensor_dict"),
    "verl.utils.tracking.Tracking.log": ("self", "data", "step", "backend"),
}
# Names that upstream reads from a prompt or writes into a step's record; they must occur in that function's code.
WORDS: dict[str, tuple[str, ...]] = {
    f"{_WORKER}._run_prompt": ("__rollout_n__", "uid", "validate", "session_id"),
    f"{_WORKER}._agent_loop_postprocess": ("uid", "session_id", "response_mask"),
    f"{_TRAINER}._fetch_one_gen_batch": ("uid", "raw_prompt"),
    f"{_TRAINER}._next_train_batch": ("global_steps",),
    f"{_TRAINER}._validate": ("validate",),
    "verl.trainer.ppo.v1.utils.compute_advantage_for_multi_trajectories": ("compute_advantage",),
    "verl.utils.dataset.rl_dataset.RLHFDataset.__getitem__": ("raw_prompt", "index", "extra_info"),
    f"{_TRAINER}._compute_metrics": ("training/global_step",),
}


# Where verl offers it; see `cero_verl.older`.
CALLBACK: dict[str, tuple[str, ...]] = {
    f"{CALLBACK_MODULE}.CheckpointCallback.on_save": (
        "self",
        "trainer",
        "global_step",
        "checkpoint_dir",
        "async_save",
        "kwargs",
    ),
}


def check_verl() -> None:
    """Refuse a verl whose internals differ from those the adapter was written for; warn at another version.

    Raises:
        MissingDependencyError: verl is missing, or a private name is gone or takes other arguments.
    """
    functions = FUNCTIONS | CALLBACK if has_callback() else FUNCTIONS
    check_upstream("cero_verl", "verl", functions=functions, words=WORDS)
