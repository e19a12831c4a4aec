"""`+rollout_allocator=NAME`: one Hydra config per registered allocator, found without a search path."""

from __future__ import annotations

import contextlib
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.experimental.callback import Callback

from cero_api.allocators import available_allocators, config_type
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroError, ConfigurationError
from cero_verl.config import CALLBACK, FLAG, MANAGER, VerlAllocatorConfig
from cero_verl.refusals import refuse_unsupported

CUSTOM = "custom"

# Programs of verl that would read the flag and not follow it: they repeat prompts by a fixed rollout.n.
_FIXED_N = ("fully_async_policy", "one_step_off_policy", "main_ppo_v0")


class RefuseEarly(Callback):
    """Hydra's callback: looks at the composed configuration before anything is started."""

    def on_job_start(self, config: Any, *, task_function: Any = None, **_: Any) -> None:
        """Refuse what cannot work; see `cero_verl.refusals`.

        Raises:
            SystemExit: the program or a combination of options is not supported. Hydra turns exceptions of its
                callbacks into warnings, and would go on.
        """
        try:
            _refuse_program(task_function)
            refuse_unsupported(config)
        except CeroError as error:
            raise SystemExit(f"{type(error).__name__}: {error}") from error


def _refuse_program(task_function: Any) -> None:
    program = getattr(getattr(task_function, "__code__", None), "co_filename", "")
    if any(name in program for name in _FIXED_N):
        raise ConfigurationError(
            f"{program} repeats every prompt by a fixed rollout.n, so +{FLAG} would do nothing; run "
            "verl.trainer.main_ppo with trainer.v1.trainer_mode=sync, colocate_async or separate_async"
        )


def group_config(name: str) -> dict[str, Any]:
    """What the flag merges into verl's configuration: the settings by their names, and the two hooks.

    A value of None stands for the default, which may depend on verl's own configuration.

    >>> node = group_config("cero")
    >>> node["rollout_allocator"]["saturation"], node["rollout_allocator"]["budget"]
    (1.0, None)
    """
    model = AllocatorConfig if name == CUSTOM else config_type(name)
    fields = {**VerlAllocatorConfig.model_fields, **model.model_fields}
    values = {field: None if info.is_required() else info.get_default() for field, info in fields.items()}
    # These have other defaults here, from verl's configuration.
    values |= dict.fromkeys({"max_rollouts_per_prompt", "rollouts_per_prompt"} & values.keys())
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {
        FLAG: plain | {"name": None if name == CUSTOM else name},
        "actor_rollout_ref": {"rollout": {"agent": {"agent_loop_manager_class": MANAGER}}},
        "trainer": {"checkpoint_callback_class": CALLBACK},
        # Runs in the process of the command line, before Ray starts.
        "hydra": {"callbacks": {FLAG: {"_target_": "cero_verl.flag.RefuseEarly"}}},
    }


def register_groups() -> None:
    """Tell Hydra of one config per allocator, and of `custom`, for one's own."""
    store = ConfigStore.instance()
    for name in (*available_allocators(), CUSTOM):
        # Somebody's broken plugin must not stop every program of this environment that uses Hydra.
        with contextlib.suppress(CeroError):
            store.store(group=FLAG, name=name, node=group_config(name), package="_global_")
