"""How many rollouts should each prompt get, now? An allocation API for GRPO-style RL post-training.

>>> from cero_api import RolloutOutcomes, make_allocator
>>> allocator = make_allocator("cero", num_prompts=100, rounds=50, budget=1600)
>>> allocation = allocator.allocate([3, 14, 15, 92], total=32)
>>> allocation.counts
array([8, 8, 8, 8])
>>> allocator.observe(RolloutOutcomes(allocation.prompt_ids, [8, 4, 1, 0], [0, 4, 7, 8], round=allocation.round))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_api.advantages import group_advantages
    from cero_api.allocators import (
        AllocatorState,
        BaseAllocator,
        BatchAllocator,
        CeroAllocator,
        CobaRlAllocator,
        GresoAllocator,
        GroupAllocator,
        GvmAllocator,
        HoraAllocator,
        KnapsackAllocator,
        MoppsAllocator,
        PilotCommitAllocator,
        RandomMatchedAllocator,
        UniformAllocator,
        VipAllocator,
        available_allocators,
        make_allocator,
        register_allocator,
    )
    from cero_api.checkpoint import load_allocator, save_allocator
    from cero_api.config import (
        AllocatorConfig,
        BatchConfig,
        CeroConfig,
        CobaRlConfig,
        GresoConfig,
        GroupConfig,
        GvmConfig,
        HoraConfig,
        KnapsackConfig,
        MoppsConfig,
        PilotCommitConfig,
        RandomMatchedConfig,
        UniformConfig,
        VipConfig,
    )
    from cero_api.continuing import continued
    from cero_api.errors import (
        BudgetError,
        CeroError,
        CeroWarning,
        CheckpointError,
        ConfigurationError,
        InvalidOutcomeError,
        MissingDependencyError,
        PilotError,
        PromptError,
        TraceError,
    )
    from cero_api.knowledge import Knowledge
    from cero_api.prompts import PromptIndex, content_key
    from cero_api.protocol import Allocation, PilotAllocator, RolloutAllocator, RolloutOutcomes
    from cero_api.testing import check_allocator

__all__ = [
    "Allocation",
    "AllocatorConfig",
    "AllocatorState",
    "BaseAllocator",
    "BatchAllocator",
    "BatchConfig",
    "BudgetError",
    "CeroAllocator",
    "CeroConfig",
    "CeroError",
    "CeroWarning",
    "CheckpointError",
    "CobaRlAllocator",
    "CobaRlConfig",
    "ConfigurationError",
    "GresoAllocator",
    "GresoConfig",
    "GroupAllocator",
    "GroupConfig",
    "GvmAllocator",
    "GvmConfig",
    "HoraAllocator",
    "HoraConfig",
    "InvalidOutcomeError",
    "KnapsackAllocator",
    "KnapsackConfig",
    "Knowledge",
    "MissingDependencyError",
    "MoppsAllocator",
    "MoppsConfig",
    "PilotAllocator",
    "PilotCommitAllocator",
    "PilotCommitConfig",
    "PilotError",
    "PromptError",
    "PromptIndex",
    "RandomMatchedAllocator",
    "RandomMatchedConfig",
    "RolloutAllocator",
    "RolloutOutcomes",
    "TraceError",
    "UniformAllocator",
    "UniformConfig",
    "VipAllocator",
    "VipConfig",
    "available_allocators",
    "check_allocator",
    "content_key",
    "continued",
    "group_advantages",
    "load_allocator",
    "make_allocator",
    "register_allocator",
    "save_allocator",
]


_exported = lazy_exports(
    __name__,
    {
        "Allocation": "protocol",
        "AllocatorConfig": "config",
        "AllocatorState": "allocators",
        "BaseAllocator": "allocators",
        "BatchAllocator": "allocators",
        "BatchConfig": "config",
        "BudgetError": "errors",
        "CeroAllocator": "allocators",
        "CeroConfig": "config",
        "CeroError": "errors",
        "CeroWarning": "errors",
        "CheckpointError": "errors",
        "CobaRlAllocator": "allocators",
        "CobaRlConfig": "config",
        "ConfigurationError": "errors",
        "GresoAllocator": "allocators",
        "GresoConfig": "config",
        "GroupAllocator": "allocators",
        "GroupConfig": "config",
        "GvmAllocator": "allocators",
        "GvmConfig": "config",
        "HoraAllocator": "allocators",
        "HoraConfig": "config",
        "InvalidOutcomeError": "errors",
        "KnapsackAllocator": "allocators",
        "KnapsackConfig": "config",
        "Knowledge": "knowledge",
        "MissingDependencyError": "errors",
        "MoppsAllocator": "allocators",
        "MoppsConfig": "config",
        "PilotAllocator": "protocol",
        "PilotCommitAllocator": "allocators",
        "PilotCommitConfig": "config",
        "PilotError": "errors",
        "PromptError": "errors",
        "PromptIndex": "prompts",
        "RandomMatchedAllocator": "allocators",
        "RandomMatchedConfig": "config",
        "RolloutAllocator": "protocol",
        "RolloutOutcomes": "protocol",
        "TraceError": "errors",
        "UniformAllocator": "allocators",
        "UniformConfig": "config",
        "VipAllocator": "allocators",
        "VipConfig": "config",
        "available_allocators": "allocators",
        "check_allocator": "testing",
        "content_key": "prompts",
        "continued": "continuing",
        "group_advantages": "advantages",
        "load_allocator": "checkpoint",
        "make_allocator": "allocators",
        "register_allocator": "allocators",
        "save_allocator": "checkpoint",
    },
)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _exported(name)
    # On demand too: reading the version of an installed package is a fifth of importing all of this one.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cero-api")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "0+unknown"
