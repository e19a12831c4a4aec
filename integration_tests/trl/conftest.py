"""Settings of the TRL suite: what TRL and transformers themselves warn about in a tiny CPU training."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)  # the models are far too small to share out, and CI machines too busy

# Tests say `filterwarnings = error`; these come from inside the pinned libraries and are nobody's fault here.
UPSTREAM = (
    # transformers 5.23 renames gradient checkpointing; TRL 1.16 still uses the old names around every generation.
    "ignore:.*is deprecated and will be removed in v6.*:FutureWarning:transformers",
)
# And these from here: most trainings are shorter than an epoch, and reward shares of digits, on purpose.
OURS = (
    "ignore:the allocator can decide nothing. every prompt is visited once:UserWarning",
    "ignore:in . rounds no reward reached success_threshold=1:UserWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in UPSTREAM + OURS:
        config.addinivalue_line("filterwarnings", line)
