"""Where trainings start: warm-started models of several sizes, as many of each as one asks for, made by their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cero_lab.settings import ModelSettings, WarmstartSettings

# What can be saved differs from one start to the next, so a comparison needs several.
STARTS = 5

MODELS: Mapping[str, WarmstartSettings] = {
    # 0.1 million parameters: a training takes seconds.
    "small": WarmstartSettings(model=ModelSettings(width=64, mlp_width=192, layers=2, heads=4), learning_rate=5e-3),
    # 0.65 million, the demo's own.
    "demo": WarmstartSettings(),
    # 3.4 million.
    "large": WarmstartSettings(
        model=ModelSettings(width=256, mlp_width=768, layers=4, heads=8), learning_rate=1.5e-3
    ),
    # The small one, and answers of up to twenty characters; fewer slips, or no long answer would ever be right.
    "long": WarmstartSettings(
        model=ModelSettings(width=64, mlp_width=192, layers=2, heads=4), learning_rate=4e-3, max_steps=800,
        tasks=("spell_backward", "caesar_cipher", "caesar_text"), longest=20, length_decay=0.85, slips=0.05,
    ),
}  # fmt: skip


def start(model: str, index: int, folder: Path) -> Path:
    """The checkpoint of one start, trained only if it is not there yet.

    Args:
        model: name in `MODELS`.
        index: which; the seed of its weights and data.
        folder: of the checkpoints.
    """
    # Here, and not above: to name a start needs no torch.
    from cero_lab.warmstart import cached_checkpoint

    return cached_checkpoint(MODELS[model].model_copy(update={"seed": index}), folder)


def start_name(model: str, index: int) -> str:
    """What a record calls it.

    >>> start_name("small", 3)
    'small-3'
    """
    return f"{model}-{index}"
