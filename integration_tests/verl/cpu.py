"""What lets unmodified verl train on a CPU: a platform, and a rollout engine around a transformers model.

verl loads this module in each of its processes (VERL_USE_EXTERNAL_MODULES). Nothing here is of the adapter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ray
import torch
import transformers
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from integration_tests.tiny_model import Passes
from integration_tests.zygote.workers import use_zygote

ENGINE = "tiny"
torch.set_num_threads(1)


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    device_name = "cpu"
    vendor_name = "cpu"

    @property
    def device_module(self) -> ModuleType:
        return torch.cpu

    def is_available(self) -> bool:
        return True

    def current_device(self) -> Any:
        return "cpu"  # verl hands it to torch, where an index would be a CUDA device

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"  # one logical GPU, which ray.init is told of

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


def _complete_torch_cpu() -> None:
    """Give torch.cpu the functions of torch.cuda that verl calls without looking."""
    additions = {
        "empty_cache": lambda: None,
        "memory_allocated": lambda *_: 0,
        "memory_reserved": lambda *_: 0,
        "max_memory_allocated": lambda *_: 0,
        "max_memory_reserved": lambda *_: 0,
        "mem_get_info": lambda *_: (1 << 30, 1 << 30),
        "reset_peak_memory_stats": lambda *_: None,
        "get_device_name": lambda *_: "cpu",
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
    }
    for name, function in additions.items():
        if not hasattr(torch.cpu, name):
            setattr(torch.cpu, name, function)


_complete_torch_cpu()


def _one_backend() -> None:
    """verl asks for "cpu:gloo,cpu:gloo", which torch refuses as a repetition."""
    import verl.utils.distributed as distributed

    original = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        original(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize


_one_backend()


class TinyServer:
    """Generates with the weights it was last sent; same prompt, weights' step and request number, same tokens.

    A request can be aborted between two tokens, as in a real engine, and goes on after the update.
    """

    def __init__(self, model_path: str, response_length: int) -> None:
        torch.set_num_threads(1)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
        self.passes = Passes(self.model)
        self.eos = self.model.config.eos_token_id
        self.response_length = response_length
        self.step: int | None = None
        self.asked: Counter[tuple[int, ...]] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.aborts = 0
        self.seconds_per_token = float(os.environ.get("TINY_SECONDS_PER_TOKEN", "0"))

    async def generate(self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        await self.open.wait()
        aborts, prompt = self.aborts, tuple(prompt_ids)
        self.asked[prompt] += 1
        seed = zlib.crc32(repr((prompt, self.step, self.asked[prompt])).encode())
        generator = torch.Generator().manual_seed(seed)
        temperature = float(sampling_params.get("temperature", 1.0))
        limit = int(sampling_params.get("max_tokens", self.response_length))
        tokens: list[int] = []
        log_probs: list[float] = []
        stop = "completed"
        while len(tokens) < limit:
            logits = await self.passes.logits([*prompt_ids, *tokens]) / (temperature or 1.0)
            scores = torch.log_softmax(logits, -1)
            choice = int(torch.multinomial(scores.exp(), 1, generator=generator) if temperature else scores.argmax())
            tokens.append(choice)
            log_probs.append(float(scores[choice]))
            if choice == self.eos:
                break
            await asyncio.sleep(self.seconds_per_token)
            if self.aborts > aborts:
                stop = "aborted"
                break
        return TokenOutput(
            token_ids=tokens, log_probs=log_probs, stop_reason=stop, extra_fields={"global_steps": self.step}
        )

    async def load(self, weights: dict[str, torch.Tensor], step: int | None) -> None:
        self.model.load_state_dict(weights, strict=False)
        if step is not None:
            self.step = step
            self.asked.clear()

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        self.open.clear()
        self.aborts += 1

    async def resume_generation(self) -> None:
        self.open.set()

    async def sleep(self) -> None: ...

    async def wake_up(self, tags: list[str] | None = None) -> None: ...

    async def clear_kv_cache(self) -> None: ...

    async def release_kv_cache(self) -> None: ...

    async def resume_kv_cache(self) -> None: ...

    async def start_profile(self, **_: Any) -> None: ...

    async def stop_profile(self) -> None: ...


def _register_engine() -> None:
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry

    class TinyReplica(RolloutReplica):
        async def launch_servers(self) -> None:
            server = ray.remote(TinyServer).options(
                name=f"{ENGINE}_server_{self.replica_rank}", max_concurrency=1000, num_cpus=0
            )
            self._server_handle = server.remote(self.model_config.path, self.config.response_length)
            self._server_address = f"{ENGINE}-{self.replica_rank}"
            self.servers = [self._server_handle]

    class TinyAdapter(base.BaseRollout):
        """Where verl's trainer hands the weights over, in the trainer's process."""

        def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1) -> None:
            super().__init__(config, model_config, device_mesh)
            self.replica_rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank
            self.is_leader_rank = True

        async def resume(self, tags: list[str]) -> None: ...

        async def release(self) -> None: ...

        async def update_weights(self, weights: Any, global_steps: int | None = None, **_: Any) -> None:
            from verl.workers.rollout.utils import ensure_async_iterator

            state = {name: tensor.detach().clone() async for name, tensor in ensure_async_iterator(weights)}
            await ray.get_actor(f"{ENGINE}_server_{self.replica_rank}").load.remote(state, global_steps)

    RolloutReplicaRegistry.register(ENGINE, lambda: TinyReplica)
    globals()["TinyAdapter"] = TinyAdapter
    base._ROLLOUT_REGISTRY[(ENGINE, "async")] = f"{__name__}.TinyAdapter"


def _register_checkpoint_engine() -> None:
    """separate_async sends weights between processes; on one machine a file does."""
    from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry

    @CheckpointEngineRegistry.register("file")
    class FileEngine(CheckpointEngine):
        def __init__(self, bucket_size: int, folder: str, is_master: bool = False) -> None:
            self.path = Path(folder)

        def prepare(self) -> dict[str, Any]:
            return {}

        @classmethod
        def build_topology(cls, actors: int, rollouts: int, metadata: list[Any]) -> tuple[Any, Any]:
            return {"rank": list(range(actors))}, {"rank": list(range(rollouts))}

        def init_process_group(self, **_: Any) -> None: ...

        def finalize(self) -> None: ...

        def _file(self, global_steps: int | None) -> Path:
            return self.path / f"weights_{global_steps}.pt"

        async def send_weights(self, weights: Any, global_steps: int | None = None) -> None:
            state = {name: tensor.detach().clone() for name, tensor in weights}
            torch.save(state, self.path / "sending")
            (self.path / "sending").replace(self._file(global_steps))

        async def receive_weights(self, global_steps: int | None = None) -> AsyncIterator[tuple[str, torch.Tensor]]:
            while not self._file(global_steps).exists():
                await asyncio.sleep(0.02)
            for item in torch.load(self._file(global_steps)).items():
                yield item


if os.environ.get("VERL_PLATFORM") == "cpu":
    use_zygote()
    _register_engine()
    _register_checkpoint_engine()
