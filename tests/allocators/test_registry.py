"""Allocators by name, anybody's own among them."""

from typing import Any

import pytest

from cero_api import (
    AllocatorConfig,
    CeroAllocator,
    CeroConfig,
    ConfigurationError,
    UniformAllocator,
    UniformConfig,
    available_allocators,
    make_allocator,
    register_allocator,
)
from cero_api import allocators as registry

SIZE: dict[str, Any] = {"num_prompts": 4, "rounds": 2, "budget": 64}


def test_an_allocator_is_made_from_a_config_or_its_fields() -> None:
    config = CeroConfig(**SIZE)
    for allocator in (make_allocator("cero", config), make_allocator("cero", **SIZE)):
        assert isinstance(allocator, CeroAllocator)
        assert allocator.config == config


@pytest.mark.parametrize(
    ("name", "config", "fields", "remedy"),
    [
        ("ceru", None, SIZE, "there are cero, coba_rl, greso"),
        ("cero", CeroConfig(**SIZE), {"seed": 3}, "not both"),
        ("cero", UniformConfig(**SIZE), {}, "takes a CeroConfig"),
        ("cero", None, SIZE | {"sed": 1}, "sed: unknown"),
    ],
)
def test_bad_requests_are_refused(
    name: str, config: AllocatorConfig | None, fields: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        make_allocator(name, config, **fields)


class Mine(UniformAllocator):
    """Somebody's own."""


def test_ones_own_allocator_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    register_allocator("mine", Mine, UniformConfig)
    assert "mine" in available_allocators()
    assert isinstance(make_allocator("mine", **SIZE), Mine)
    with pytest.raises(ConfigurationError, match="take another name"):
        register_allocator("cero", Mine, UniformConfig)
    with pytest.raises(ConfigurationError, match="must subclass"):
        register_allocator("dict", Mine, dict)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ConfigurationError, match="has no allocate, observe, refund"):
        register_allocator("int", int, UniformConfig)  # type: ignore[arg-type]  # likewise
