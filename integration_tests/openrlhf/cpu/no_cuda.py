"""What OpenRLHF asks of CUDA, answered on a CPU. The stubs beside this import it, so every OpenRLHF process does."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed.device_mesh

torch.set_num_threads(1)


class _Cpu(str):
    """The current device: "cpu" to torch, and 0 where OpenRLHF formats `cuda:{device}`."""

    def __format__(self, spec: str) -> str:
        return "0"


# Four objects, for torch's compiler keeps a table of its functions by identity.
torch.cuda.set_device = lambda device: None
torch.cuda.synchronize = lambda device=None: None
torch.cuda.current_stream = lambda device=None: None
torch.cuda.current_device = lambda: _Cpu("cpu")

if not hasattr(torch, "cero_no_cuda"):
    torch.cero_no_cuda = True
    _empty, _mesh = torch.empty, torch.distributed.device_mesh.init_device_mesh

    def _empty_on_cpu(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") == "cuda":
            kwargs["device"] = "cpu"
        return _empty(*args, **kwargs)

    def _mesh_on_cpu(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return _mesh("cpu", *args, **kwargs)

    torch.empty = _empty_on_cpu
    torch.distributed.device_mesh.init_device_mesh = _mesh_on_cpu
