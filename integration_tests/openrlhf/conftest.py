"""Settings of the OpenRLHF suite: stand-ins for what needs CUDA, before anything imports OpenRLHF."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(DS_ACCELERATOR="cpu", TORCHDYNAMO_DISABLE="1")
ENGINE = os.environ.get("CERO_OPENRLHF_ENGINE", "light")
sys.path[:0] = [str(Path(__file__).parent / folder) for folder in (ENGINE, "cpu")]
