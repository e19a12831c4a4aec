"""An engine around a transformers model: samples token by token from the weights that it was last sent."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed
from openrlhf.trainer.ray.vllm_worker_wrap import WorkerWrap
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.tiny_model import Passes


@dataclass
class SamplingParams:
    """As vLLM's, as far as OpenRLHF uses it."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    min_tokens: int = 1
    skip_special_tokens: bool = False
    logprobs: int | None = None


class AsyncEngineArgs:
    """Keeps what it is given."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings


@dataclass
class _Logprob:
    logprob: float


@dataclass
class _Completion:
    token_ids: list[int]
    text: str
    finish_reason: str
    logprobs: list[dict[int, _Logprob]] | None


@dataclass
class _Output:
    outputs: list[_Completion] = field(default_factory=list)


class _Worker(WorkerWrap):
    """OpenRLHF's worker extension on a model that loads weights as vLLM's do."""

    def __init__(self, model: Any) -> None:
        if not torch.distributed.is_initialized():
            store = torch.distributed.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
            torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        self.device = torch.device("cpu")
        self.model = model
        self.model_config = SimpleNamespace(dtype=torch.bfloat16)
        self.model_runner = SimpleNamespace(model=self)
        self.digest = 0

    def load_weights(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        """Copy these."""
        parameters = dict(self.model.named_parameters())
        for name, weight in weights:
            parameters[name].data.copy_(weight)
        self.digest = 0

    def fingerprint(self) -> int:
        """Of all weights: the same weights answer the same, whatever run or engine they are in."""
        if not self.digest:
            for parameter in self.model.parameters():
                self.digest = zlib.crc32(parameter.detach().float().numpy().tobytes(), self.digest)
        return self.digest


class AsyncLLMEngine:
    """What OpenRLHF's engine actor calls."""

    def __init__(self, settings: dict[str, Any]) -> None:
        model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.bfloat16)
        self._passes = Passes(model.eval())
        self._tokenizer = AutoTokenizer.from_pretrained(settings["model"])
        self._worker = _Worker(model)
        self._asked: Counter[tuple[float, ...]] = Counter()  # since the question was last answered in full
        self._open: Counter[tuple[float, ...]] = Counter()
        self._unfinished = 0
        self._running = asyncio.Event()
        self._running.set()
        self.output_processor = SimpleNamespace(get_num_unfinished_requests=lambda: self._unfinished)

    @classmethod
    def from_engine_args(cls, args: AsyncEngineArgs) -> AsyncLLMEngine:
        return cls(args.settings)

    async def is_sleeping(self) -> bool:
        return False

    async def reset_prefix_cache(self) -> None:
        pass

    async def pause_generation(self, mode: str) -> None:
        self._running.clear()

    async def resume_generation(self) -> None:
        self._running.set()

    async def collective_rpc(self, method: str, args: tuple[Any, ...] = ()) -> list[Any]:
        # In a thread, for to join a process group is to wait for the others.
        return [await asyncio.to_thread(getattr(self._worker, method), *args)]

    async def generate(self, prompt: dict[str, Any], params: SamplingParams, request_id: str) -> AsyncIterator[_Output]:
        tokens = list(prompt["prompt_token_ids"])
        question = (params.temperature, *tokens)
        self._asked[question] += 1
        self._open[question] += 1
        self._unfinished += 1
        # Of the weights, the question, and the place in its group: not of the time, nor of what was asked before.
        seed = zlib.crc32(repr((self._worker.fingerprint(), question, self._asked[question])).encode())
        try:
            await asyncio.sleep(0)  # so that all requests of a group are in before the first is done
            yield _Output([await self._complete(tokens, params, seed)])
        finally:
            self._unfinished -= 1
            self._open[question] -= 1
            if not self._open[question]:
                del self._asked[question], self._open[question]

    async def _complete(self, tokens: list[int], params: SamplingParams, seed: int) -> _Completion:
        generator = torch.Generator().manual_seed(seed)
        drawn: list[int] = []
        logprobs: list[dict[int, _Logprob]] = []
        while len(drawn) < (params.max_tokens or 16):
            await self._running.wait()
            logits = await self._passes.logits(tokens + drawn) / params.temperature
            chances = logits.log_softmax(-1)
            token = int(torch.multinomial(chances.exp(), 1, generator=generator))
            drawn.append(token)
            logprobs.append({token: _Logprob(float(chances[token]))})
            if token == self._tokenizer.eos_token_id:
                break
            await asyncio.sleep(0)
        stopped = drawn[-1] == self._tokenizer.eos_token_id
        text = self._tokenizer.decode(drawn, skip_special_tokens=params.skip_special_tokens)
        return _Completion(drawn, text, "stop" if stopped else "length", logprobs if params.logprobs else None)
