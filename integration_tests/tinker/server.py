"""SkyRL's own Tinker server on loopback, with JAX on the CPU: `python server.py MODEL FOLDER PORT`.

Everything that samples, trains and saves is SkyRL 0.4.0's. Three things are added here, in the process that answers:

- the engine is started by this Python: SkyRL would start it by `uv run` in its own source tree;
- what the API has grown since tinker 0.25, for which SkyRL 0.4.0 was written, and the client insists on: ids of sampled
  sequences, and the end of a session;
- seeds: the k-th sample of a prompt from one set of weights is always the same, as are a new model's weights, so that
  two trainings can be compared.
"""

from __future__ import annotations

import collections
import sys
import types
import zlib
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from skyrl.tinker import api
from skyrl.tinker.config import EngineConfig, config_to_argv

Session = Annotated[Any, Depends(api.get_session)]

# Sampled in one shape, whatever the counts: every other shape is compiled anew, for seconds.
BACKEND = {
    "max_lora_adapters": 48,
    "max_lora_rank": 4,
    "sample_max_num_sequences": 16,
    "train_micro_batch_size": 16,
}


def main(model: str, folder: Path, port: int) -> None:
    api._build_uv_run_cmd_engine = lambda _, config: [
        *(sys.executable, "-m", "skyrl.tinker.engine"),
        *config_to_argv(config),
    ]
    api.random = types.SimpleNamespace(randint=lambda low, high: 7)
    api.app.state.engine_config = EngineConfig(
        base_model=model,
        backend="jax",
        backend_config=BACKEND,
        checkpoints_base=folder / "checkpoints",
        database_url=f"sqlite:///{folder / 'tinker.db'}",
        session_timeout_sec=-1,
    )
    asked: collections.Counter[tuple[Any, str]] = collections.Counter()

    @api.app.post("/api/v1/asample")
    async def asample(request: api.SampleRequest, req: Request, session: Session) -> Any:
        prompt = request.prompt.model_dump_json()
        of_prompt = (request.sampling_session_id, prompt)
        request.sampling_params.seed = zlib.crc32(f"{asked[of_prompt]} {prompt}".encode()) >> 1
        asked[of_prompt] += 1
        answer = (await api.asample(request, req, session)).model_dump()
        ids = [f"{answer['request_id']}-{k}" for k in range(request.num_samples)]
        return JSONResponse({**answer, "sample_sequence_ids": ids})

    @api.app.post("/api/v1/sessions/{session_id}/finish")
    async def finish(session_id: str) -> Any:
        return JSONResponse({})

    # In place of SkyRL's own, where there are any: the first that fits answers.
    routes = api.app.router.routes
    routes[:] = [*routes[-2:], *routes[:-2]]
    uvicorn.run(api.app, host="127.0.0.1", port=port, log_level="warning", timeout_keep_alive=75)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
