"""One server for the whole suite; each training has a model of its own in it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tinker

from integration_tests.tinker.tiny import ALPHABET, LORA_RANK
from integration_tests.tiny_model import make_model, make_tokenizer

# Tests say `filterwarnings = error`; these come from inside the pinned libraries and are nobody's fault here.
UPSTREAM = (
    # tinker's client lives in a thread of its own, whose connections are open when a process ends.
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore:unclosed:ResourceWarning",
    "ignore:DEPRECATED:FutureWarning",
)
# And these from here: most trainings are one epoch, on purpose.
OURS = ("ignore:the allocator can decide nothing. every prompt is visited once:UserWarning",)
PYTHON = "CERO_TINKER_SERVER"
WAIT = 300  # seconds


class Server(NamedTuple):
    url: str
    model: str


def pytest_configure(config: pytest.Config) -> None:
    for line in UPSTREAM + OURS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if PYTHON not in os.environ:
        pytest.fail(f"{PYTHON} must be a Python with skyrl[tinker,jax] and aiohttp; `nox -s tinker` makes one")
    folder = tmp_path_factory.mktemp("tinker")
    model = folder / "model"
    make_model(ALPHABET, hidden_size=32, positions=64).save_pretrained(model)
    make_tokenizer(ALPHABET).save_pretrained(model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HF_HUB_OFFLINE": "1"}
    script = Path(__file__).with_name("server.py")
    with (folder / "server.log").open("w") as log:
        command = [os.environ[PYTHON], str(script), str(model), str(folder), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            _wait(f"{url}/api/v1/healthz", process, folder / "server.log")
            yield Server(url, str(model))
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


async def _resumed(self: tinker.ServiceClient, path: str, user_metadata: Any = None) -> tinker.TrainingClient:
    """A client from a checkpoint in two requests, as tinker 0.25 asked for it; SkyRL 0.4.0 does not know the one."""
    base = (await self.create_rest_client().get_weights_info_by_tinker_path(path)).base_model
    client = await self.create_lora_training_client(base, rank=LORA_RANK)
    await client.load_state_with_optimizer(path)
    return client


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-loopback")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(tinker.ServiceClient, "create_training_client_from_state_with_optimizer", _resumed)
    # Prices are asked for on the network, and a name that nobody answers for takes seconds.
    monkeypatch.setattr("tinker_cookbook.rl.train.fetch_model_pricing", lambda _: None, raising=False)
