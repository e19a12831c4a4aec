"""The signature guard: passes with the pinned version, names what is gone with another."""

from __future__ import annotations

from typing import Any

import pytest
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

from cero_api.errors import MissingDependencyError
from cero_openrlhf import guard


def test_the_pinned_version_fits() -> None:
    guard.check_openrlhf()


def test_a_changed_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def _generate_vllm(self: Any, prompts: Any) -> None: ...

    monkeypatch.setattr(SamplesGenerator, "_generate_vllm", _generate_vllm)
    with pytest.raises(MissingDependencyError, match=r"SamplesGenerator\._generate_vllm.*pip install 'openrlhf"):
        guard.check_openrlhf()


def test_a_changed_body_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def generate_samples(self: Any, **generate_kwargs: Any) -> None: ...

    monkeypatch.setattr(SamplesGenerator, "generate_samples", generate_samples)
    with pytest.raises(MissingDependencyError, match=r"SamplesGenerator\.generate_samples"):
        guard.check_openrlhf()


def test_another_version_with_the_same_internals_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.12.0")
    with pytest.warns(UserWarning, match=r"tested with openrlhf.*, and this is 0\.12\.0"):
        guard.check_openrlhf()
