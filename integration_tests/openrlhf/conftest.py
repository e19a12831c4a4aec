"""Settings of the OpenRLHF suite: stand-ins for what needs CUDA, and what the libraries themselves warn about."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Before anything imports OpenRLHF, here and in the processes that tests start.
os.environ.update(DS_ACCELERATOR="cpu", TORCHDYNAMO_DISABLE="1", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
if "vllm_cpu" not in os.environ.get("CERO_OPENRLHF_ENGINE", ""):
    sys.path.insert(0, str(Path(__file__).parent / "cpu"))

# Tests say `filterwarnings = error`; these come from inside the pinned libraries and are nobody's fault here.
UPSTREAM = (
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::ResourceWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in UPSTREAM:
        config.addinivalue_line("filterwarnings", line)
