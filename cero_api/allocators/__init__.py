"""The allocators by name. A method is one file here and one line below.

Anybody's own is known after `register_allocator`, or by an entry point of the group `cero_api.allocators` that names
its class; the class says its configuration in `config_type`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cero_api.allocators.base import AllocatorState, BaseAllocator, WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.allocators.cero import CeroAllocator
from cero_api.allocators.coba_rl import CobaRlAllocator
from cero_api.allocators.greso import GresoAllocator
from cero_api.allocators.groups import GroupAllocator
from cero_api.allocators.gvm import GvmAllocator
from cero_api.allocators.hora import HoraAllocator
from cero_api.allocators.knapsack import KnapsackAllocator
from cero_api.allocators.mopps import MoppsAllocator
from cero_api.allocators.pilot_commit import PilotCommitAllocator
from cero_api.allocators.random_matched import RandomMatchedAllocator
from cero_api.allocators.uniform import UniformAllocator
from cero_api.allocators.vip import VipAllocator
from cero_api.config import AllocatorConfig
from cero_api.errors import ConfigurationError
from cero_api.knowledge import Knowledge
from cero_api.protocol import RolloutAllocator

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = [
    "AllocatorState",
    "BaseAllocator",
    "BatchAllocator",
    "CeroAllocator",
    "CobaRlAllocator",
    "GresoAllocator",
    "GroupAllocator",
    "GvmAllocator",
    "HoraAllocator",
    "KnapsackAllocator",
    "MoppsAllocator",
    "PilotCommitAllocator",
    "RandomMatchedAllocator",
    "UniformAllocator",
    "VipAllocator",
    "WalkState",
    "allocator_name",
    "available_allocators",
    "config_type",
    "make_allocator",
    "register_allocator",
]


ENTRY_POINTS = "cero_api.allocators"


class _Entry(NamedTuple):
    allocator_type: type[RolloutAllocator]
    config_type: type[AllocatorConfig]


_BUILT_IN: dict[str, type[BaseAllocator[Any, Any]]] = {
    "cero": CeroAllocator,
    "coba_rl": CobaRlAllocator,
    "greso": GresoAllocator,
    "gvm": GvmAllocator,
    "hora": HoraAllocator,
    "knapsack": KnapsackAllocator,
    "mopps": MoppsAllocator,
    "pilot_commit": PilotCommitAllocator,
    "random_matched": RandomMatchedAllocator,
    "uniform": UniformAllocator,
    "vip": VipAllocator,
}
BUILT_IN = tuple(_BUILT_IN)
_REGISTRY: dict[str, _Entry] = {name: _Entry(kind, kind.config_type) for name, kind in _BUILT_IN.items()}


def available_allocators(waves: int | None = None) -> tuple[str, ...]:
    """Names that `make_allocator` knows, installed plugins' among them, sorted.

    Args:
        waves: only those that deal a round in so many waves unless they are told otherwise; None is all of them.

    >>> available_allocators(waves=1)
    ('cero', 'coba_rl', 'greso', 'gvm', 'hora', 'knapsack', 'mopps', 'random_matched', 'uniform', 'vip')
    >>> available_allocators(waves=2)
    ('pilot_commit',)
    """
    names = sorted({*_REGISTRY, *(point.name for point in _plugins())})
    # What is not loaded yet is not loaded for this; a plugin has one.
    known = {name: _REGISTRY[name].config_type.waves if name in _REGISTRY else 1 for name in names}
    return tuple(name for name in names if waves in (None, known[name]))


def allocator_type(name: str) -> type[RolloutAllocator]:
    """The class of a registered allocator.

    Raises:
        ConfigurationError: no allocator has this name.

    >>> allocator_type("uniform").__name__
    'UniformAllocator'
    """
    return _entry(name).allocator_type


def config_type(name: str) -> type[AllocatorConfig]:
    """The configuration model of a registered allocator.

    Raises:
        ConfigurationError: no allocator has this name.

    >>> config_type("uniform").__name__
    'UniformConfig'
    """
    return _entry(name).config_type


def make_allocator(name: str, config: AllocatorConfig | None = None, /, **fields: Any) -> RolloutAllocator:
    """An allocator by name, from its config or from the config's fields.

    Args:
        name: one of `available_allocators()`.
        config: its configuration; None makes one from `fields`.
        **fields: of the configuration; `preset`, a name of settings of the method, such as "paper", which the others
            complete and overrule; and what is known of the prompts: `features`, `offline_rates`, `offline_samples`
            (see `Knowledge`).

    Raises:
        ConfigurationError: an unknown name, a config of another allocator, or fields that are wrong.

    >>> make_allocator("uniform", num_prompts=4, rounds=2, budget=64).allocate([0, 3]).counts
    array([8, 8])
    >>> make_allocator("cero", preset="paper", num_prompts=40, rounds=9, budget=288).config.rollouts_per_unit
    4
    """
    entry = _entry(name)
    knowledge, fields = Knowledge.parted(fields)
    if config is None and "preset" in fields:
        config = entry.config_type.preset(fields.pop("preset"), **fields)
    elif config is None:
        config = entry.config_type(**fields)
    elif fields:
        raise ConfigurationError("give a config or its fields, not both; config.model_copy(update=...) changes one")
    if type(config) is not entry.config_type:
        raise ConfigurationError(
            f"allocator {name!r} takes a {entry.config_type.__name__}, not a {type(config).__name__}"
        )
    make: Any = entry.allocator_type
    # One's own class need not know of knowledge, unless there is some.
    allocator: RolloutAllocator = make(config, knowledge) if knowledge else make(config)
    return allocator


def register_allocator(name: str, allocator_type: type[RolloutAllocator], config_type: type[AllocatorConfig]) -> None:
    """Make an allocator of one's own known by name: to `make_allocator`, to checkpoints and to every adapter.

    Args:
        name: new, or the same class's own.
        allocator_type: called with its config, and implementing `RolloutAllocator`.
        config_type: a subclass of `AllocatorConfig`.

    Raises:
        ConfigurationError: the name is another allocator's, or a class does not fit.

    >>> register_allocator("uniform", UniformAllocator, UniformAllocator.config_type)  # again is fine
    """
    entry = _Entry(allocator_type, config_type)
    if _REGISTRY.get(name, entry) != entry:
        raise ConfigurationError(
            f"allocator {name!r} is {_REGISTRY[name].allocator_type.__qualname__} already; take another name"
        )
    if not issubclass(config_type, AllocatorConfig):
        raise ConfigurationError(f"config_type of {name!r} must subclass cero_api.AllocatorConfig")
    missing = [part for part in vars(RolloutAllocator) if part[0] != "_" and not hasattr(allocator_type, part)]
    missing = [part for part in missing if part != "config"]  # an instance may set it
    if missing:
        raise ConfigurationError(f"{allocator_type.__qualname__} has no {', '.join(missing)}; see RolloutAllocator")
    _REGISTRY[name] = entry


def allocator_name(allocator: RolloutAllocator) -> str:
    """The name under which an allocator's class is registered.

    Raises:
        ConfigurationError: it is not registered.

    >>> allocator_name(make_allocator("uniform", num_prompts=4, rounds=2, budget=64))
    'uniform'
    """
    for name, entry in _REGISTRY.items():
        if type(allocator) is entry.allocator_type:
            return name
    raise ConfigurationError(
        f"{type(allocator).__qualname__} is not registered; call register_allocator(name, allocator, config) first"
    )


def _entry(name: str) -> _Entry:
    if name not in _REGISTRY:
        for point in _plugins():
            if point.name == name:
                _register_plugin(point)
                break
        else:
            raise ConfigurationError(f"no allocator is called {name!r}; there are {', '.join(available_allocators())}")
    return _REGISTRY[name]


def _plugins() -> EntryPoints:
    from importlib.metadata import entry_points  # here: it costs as much as a fifth of the import

    return entry_points(group=ENTRY_POINTS)


def _register_plugin(point: EntryPoint) -> None:
    try:
        allocator_type = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"allocator {point.name!r} of {point.value!r} cannot be loaded ({error}); repair or uninstall its package"
        ) from error
    register_allocator(point.name, allocator_type, getattr(allocator_type, "config_type", AllocatorConfig))
