"""How two configurations differ, in words: for the message that refuses a checkpoint."""

from __future__ import annotations

from cero_api.config import AllocatorConfig


def differences(saved: AllocatorConfig, now: AllocatorConfig) -> str:
    """The fields that differ, as `name=was (now is)`; empty if the two are equal.

    >>> from cero_api import CeroConfig, UniformConfig
    >>> common = {"num_prompts": 8, "budget": 64}
    >>> differences(UniformConfig(rounds=4, **common), UniformConfig(rounds=5, **common))
    'rounds=4 (now 5)'
    >>> differences(UniformConfig(rounds=4, **common), CeroConfig(rounds=4, **common))
    'a UniformConfig (now a CeroConfig)'
    """
    if type(saved) is not type(now):
        return f"a {type(saved).__name__} (now a {type(now).__name__})"
    was, is_ = saved.model_dump(), now.model_dump()
    return ", ".join(f"{name}={was[name]} (now {is_[name]})" for name in was if was[name] != is_[name])
