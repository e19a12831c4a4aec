"""`+rollout_allocator=NAME`: one Hydra config per registered allocator, found without a search path."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from cero_api.adapting.guard import names_in
from cero_api.allocators import available_allocators, config_type
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroError, ConfigurationError
from cero_verl.config import CALLBACK, FLAG, MANAGER, VerlAllocatorConfig, only_validates
from cero_verl.older import has_callback
from cero_verl.refusals import refuse_unsupported

CUSTOM = "custom"

# verl's program that the flag is for, and what runs its V1 trainer.
V1_PROGRAM, RUNNER = "verl.trainer.main_ppo", "TaskRunnerV1"


class RefuseEarly(Callback):
    """Hydra's callback: looks at the composed configuration before anything is started."""

    def on_job_start(self, config: Any, *, task_function: Any = None, **_: Any) -> None:
        """Refuse what cannot work; see `cero_verl.refusals`.

        Raises:
            SystemExit: the program or a combination of options is not supported. Hydra turns exceptions of its
                callbacks into warnings, and would go on.
        """
        with _leaving():
            refuse_program(task_function)
            if only_validates(config):
                return
            refuse_unsupported(config)
            if not has_callback():  # by which the files would be judged, where the training runs
                from cero_verl.preparing import prepare

                prepare(config)


class RefuseNearMisses(Callback):
    """Hydra's callback in every program: a flag that is almost right must not train without an allocator."""

    def on_job_start(self, config: Any, *, task_function: Any = None, **_: Any) -> None:
        """Refuse a configuration of verl's in which the flag is misspelt, or given without its hooks.

        Raises:
            SystemExit: it is; verl would take it for a key of somebody else's, and say nothing.
        """
        with _leaving():
            refuse_near_misses(config)


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    try:
        yield
    except CeroError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


def refuse_program(task_function: Any) -> None:
    """Refuse a program that does not run verl's V1 task runner: legacy trainers repeat prompts by a fixed rollout.n.

    Args:
        task_function: what Hydra is about to call: a function in a module that names, or derives, verl's runner.

    Raises:
        ConfigurationError: nothing in it does.
    """
    if task_function is None:
        return  # Hydra before 1.3 does not say
    function = inspect.unwrap(task_function)
    runner = getattr(sys.modules.get(V1_PROGRAM), RUNNER, None)
    theirs = vars(sys.modules[function.__module__]).values() if function.__module__ in sys.modules else ()
    if RUNNER in names_in(function) or any(_is_runner(value, runner) for value in theirs):
        return
    raise ConfigurationError(
        f"{function.__code__.co_filename} does not run verl's {RUNNER} but a trainer of its own, which repeats every "
        f"prompt by a fixed rollout.n, so +{FLAG} would do nothing; run {V1_PROGRAM} (with algorithm.filter_groups for "
        f"DAPO), or hand a {RUNNER} to run_ppo"
    )


def _is_runner(value: Any, runner: Any) -> bool:
    """Whether this is verl's V1 runner, or derived from it; each may or may not be a Ray actor class."""
    if runner is None:
        return False
    metadata, own = (getattr(found, "__ray_metadata__", None) for found in (value, runner))
    plain = value if metadata is None else metadata.modified_class
    runner_class: Any = runner if own is None else own.modified_class.__ray_actor_class__
    return inspect.isclass(plain) and issubclass(plain, runner_class)


def refuse_near_misses(config: Any) -> None:
    """Refuse a configuration of verl's in which somebody meant the flag and verl would not know.

    Raises:
        ConfigurationError: a key that is almost the flag's, or the flag's without the hooks.
    """
    plain = OmegaConf.to_container(config, resolve=False)
    if not isinstance(plain, dict) or "actor_rollout_ref" not in plain:
        return  # no training of verl's
    names = ", ".join((*available_allocators(), CUSTOM))
    for path, value in _paths({key: value for key, value in plain.items() if key not in (FLAG, "hydra")}):
        above, _, key = path.rpartition(".")
        if _almost(key, 0.8 if above else 0.7) or _names_one(key, value):
            raise ConfigurationError(
                f"{path} is no option of verl's, which would train without an allocator; did you mean +{FLAG}=NAME, "
                f"at the top level? NAME is one of {names}"
            )
    if FLAG in plain and OmegaConf.select(config, "actor_rollout_ref.rollout.agent.agent_loop_manager_class") is None:
        raise ConfigurationError(
            f"{FLAG} is set, but not by its config group, so verl would train without an allocator; write +{FLAG}=NAME "
            f"on the command line, or '- {FLAG}: NAME' in the defaults list of your file, and its fields beside it as "
            f"{FLAG}.FIELD=VALUE; NAME is one of {names}"
        )


def _almost(key: str, cutoff: float) -> bool:
    """Whether somebody who writes this means the flag.

    >>> [_almost(key, 0.7) for key in ("rolout_allocator", "rollout-allocators", "Allocator", "rollout", "allocate")]
    [True, True, True, False, False]
    """
    plain = "".join(letter for letter in key.lower() if letter.isalpha())
    return bool(difflib.get_close_matches(plain, [FLAG.replace("_", "")], cutoff=cutoff))


def _names_one(key: str, value: Any) -> bool:
    """Whether somebody who writes this names an allocator of ours.

    >>> [_names_one(*pair) for pair in (("allocator", "vip"), ("cero", True), ("allocator", "mimalloc"))]
    [True, True, False]
    """
    word = key.lower()
    return word == "cero" or ("alloc" in word and value in (*available_allocators(), CUSTOM))


def _paths(node: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths of all keys, and their values."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{above}{key}", value
        yield from _paths(value, f"{above}{key}.")


# What follows from the method, verl's configuration and the scope, where it is not set.
DERIVED = frozenset({"scope", "max_rollouts_per_prompt", "rollouts_per_prompt", "offer", "window", "variety", "belief"})


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
    values |= dict.fromkeys(DERIVED & values.keys())
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


def watch_for_near_misses() -> None:
    """Have Hydra call `RefuseNearMisses` in every program, by way of its own defaults.

    The group `hydra/callbacks` is there for this, and empty by default. A program that chooses another one from it goes
    without; `hydra/callbacks=null` turns this off.
    """
    store = ConfigStore.instance()
    defaults = HydraConf().defaults
    if {"callbacks": None} not in defaults:
        return
    store.store(
        group="hydra/callbacks",
        name=FLAG,
        node={f"{FLAG}_near_misses": {"_target_": f"{__name__}.RefuseNearMisses"}},
    )
    defaults[defaults.index({"callbacks": None})] = {"callbacks": FLAG}
    store.store(group="hydra", name="config", node=HydraConf(defaults=defaults), provider="hydra")
