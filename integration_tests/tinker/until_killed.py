"""A training that is killed while a round is going on: `python -m …until_killed URL MODEL FOLDER`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cero_tinker
from integration_tests.tinker.tiny import config

EPOCHS, EVERY, LAST = 2, 2, 3


def until_killed(record: Any) -> None:
    if record.round == LAST:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, model, folder = sys.argv[1:]
    setup = config(Path(folder), url, model, num_epochs=EPOCHS, save_every=EVERY)
    asyncio.run(cero_tinker.main(setup, scope="batch", on_round=until_killed))
