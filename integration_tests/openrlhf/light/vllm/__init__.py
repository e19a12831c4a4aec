"""Stands in for vLLM: the names that OpenRLHF uses, around a transformers model that really generates.

OpenRLHF's own engine actor, executors and weight synchronisation run on it unchanged.
"""

import no_cuda  # noqa: F401

from vllm.engine import AsyncEngineArgs, AsyncLLMEngine, SamplingParams

__version__ = "0.29.0"
__all__ = ["AsyncEngineArgs", "AsyncLLMEngine", "SamplingParams"]
