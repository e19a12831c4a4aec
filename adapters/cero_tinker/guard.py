"""What the adapter relies on in the cookbook, all of it public, checked before anything can go wrong silently."""

from __future__ import annotations

from cero_api.adapting import check_upstream

_TYPES = "tinker_cookbook.rl.types"

# Everything that the adapter overrides or calls, with its parameters.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    f"{_TYPES}.EnvGroupBuilder.make_envs": ("self",),
    f"{_TYPES}.EnvGroupBuilder.compute_group_rewards": ("self", "trajectory_group", "env_group"),
    f"{_TYPES}.EnvGroupBuilder.cleanup": ("self",),
    f"{_TYPES}.EnvGroupBuilder.logging_tags": ("self",),
    f"{_TYPES}.RLDataset.get_batch": ("self", "index"),
    f"{_TYPES}.RLDataset.__len__": ("self",),
    "tinker_cookbook.checkpoint_utils.get_last_checkpoint": ("log_dir", "required_key"),
    "tinker_cookbook.checkpoint_utils.load_checkpoints_file": ("log_dir",),
    "tinker_cookbook.rl.metric_util.compute_trajectory_metrics": ("trajectory_groups_P", "taglist_P"),
    "tinker_cookbook.rl.train.Config.effective_termination": ("self",),
    "tinker_cookbook.rl.train.main": ("config", "rollout_executor"),
}
# Where rewards are asked for, and where a group is over; and where a step takes its batch.
WORDS = {
    "tinker_cookbook.rl.rollouts.do_group_rollout": ("compute_group_rewards", "cleanup", "metrics_zip_G"),
    "tinker_cookbook.rl.train.do_sync_training": ("get_batch",),
}


def check_cookbook() -> None:
    """Refuse a cookbook that works differently from those the adapter was written for; warn at another version.

    Raises:
        MissingDependencyError: tinker-cookbook is missing, or something is gone or takes other arguments.
    """
    check_upstream("cero_tinker", "tinker", functions=FUNCTIONS, words=WORDS)
