"""How many rollouts should each prompt get, now? An allocation API for GRPO-style RL post-training.

>>> from cero_api import RolloutOutcomes, make_allocator
>>> allocator = make_allocator("cero", num_prompts=100, rounds=50, budget=1600)
>>> allocation = allocator.allocate([3, 14, 15, 92], total=32)
>>> allocation.counts
array([8, 8, 8, 8])
>>> allocator.observe(RolloutOutcomes(allocation.prompt_ids, [8, 4, 1, 0], [0, 4, 7, 8], round=allocation.round))
"""

from importlib.metadata import PackageNotFoundError, version

from cero_api.advantages import group_advantages
from cero_api.allocators import (
    AllocatorState,
    BaseAllocator,
    BatchAllocator,
    CeroAllocator,
    GvmAllocator,
    HoraAllocator,
    KnapsackAllocator,
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
    GvmConfig,
    HoraConfig,
    KnapsackConfig,
    RandomMatchedConfig,
    UniformConfig,
    VipConfig,
)
from cero_api.errors import (
    BudgetError,
    CeroError,
    CheckpointError,
    ConfigurationError,
    InvalidOutcomeError,
    MissingDependencyError,
    PromptError,
    TraceError,
)
from cero_api.prompts import PromptIndex, content_key
from cero_api.protocol import Allocation, RolloutAllocator, RolloutOutcomes
from cero_api.testing import check_allocator

try:
    __version__ = version("cero-api")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

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
    "CheckpointError",
    "ConfigurationError",
    "GvmAllocator",
    "GvmConfig",
    "HoraAllocator",
    "HoraConfig",
    "InvalidOutcomeError",
    "KnapsackAllocator",
    "KnapsackConfig",
    "MissingDependencyError",
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
    "group_advantages",
    "load_allocator",
    "make_allocator",
    "register_allocator",
    "save_allocator",
]
