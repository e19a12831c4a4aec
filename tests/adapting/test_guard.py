"""The guard says which names of a trainer are gone or changed, and vouches for no other versions."""

import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from cero_api.adapting import TRAINERS, Supported, check_attributes, check_upstream, plain
from cero_api.errors import MissingDependencyError


class Trainer:
    """Stands for an upstream class."""

    def plan(self, steps: int) -> list[str]:
        return ["generate_every", str(steps)] if self.due(steps) else []

    def due(self, steps: int, warm: bool = False) -> bool:
        return steps > 0

    def step(self, *args: int, **options: int) -> None:
        """Takes what it is given."""


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    inner.__wrapped__ = function  # type: ignore[attr-defined]  # as functools.wraps leaves it
    return inner


@pytest.fixture(autouse=True)
def upstream(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package `upstream` of which versions 1.0 to 1.9 are supported, with the class above."""
    module = types.ModuleType("upstream_trainer")
    module.Trainer = Trainer  # type: ignore[attr-defined]  # modules take anything
    module.helper = wrapped(lambda rows: rows)  # type: ignore[attr-defined]  # likewise
    monkeypatch.setitem(sys.modules, "upstream_trainer", module)
    monkeypatch.setitem(TRAINERS, "upstream", Supported("upstream", "1.0.0", "1.9.0", "<2"))
    return module


def check(
    functions: dict[str, tuple[str, ...]], words: dict[str, tuple[str, ...]] | None = None, at: str = "1.5"
) -> None:
    check_upstream("cero_x", "upstream", functions=functions, words=words, installed=at)


def test_what_fits_passes_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(
            {
                "upstream_trainer.Trainer.plan": ("self", "steps"),
                "upstream_trainer.Trainer.due": ("self", "steps", "warm?"),
                "upstream_trainer.Trainer.step": ("self", "model", "batch"),  # somebody has wrapped it
                "upstream_trainer.helper": ("rows",),
            },
            {"upstream_trainer.Trainer.plan": ("due", "generate_every")},
        )


@pytest.mark.parametrize(
    "path",
    ["upstream_trainer.Trainer.gone", "upstream_trainer.Gone.plan", "gone.Trainer.plan", "upstream_trainer.gone"],
)
def test_what_is_gone_is_named(path: str) -> None:
    with pytest.raises(
        MissingDependencyError, match=rf"in upstream 1\.5 these are gone .*: {path}; pip install 'upstream"
    ):
        check({path: ("self", "steps"), "upstream_trainer.Trainer.plan": ("self", "steps")})


@pytest.mark.parametrize("parameters", [("self",), ("self", "steps", "more"), ("steps", "self"), ("self", "step")])
def test_other_parameters_are_a_change(parameters: tuple[str, ...]) -> None:
    with pytest.raises(MissingDependencyError, match=r"Trainer\.plan; pip"):
        check({"upstream_trainer.Trainer.plan": parameters})


def test_other_words_in_the_code_are_a_change() -> None:
    with pytest.raises(MissingDependencyError, match=r"Trainer\.plan; pip"):
        check({}, {"upstream_trainer.Trainer.plan": ("due", "renamed")})


@pytest.mark.parametrize("version", ["0.9", "2.0.0", "2.1"])
def test_other_versions_are_warned_of(version: str) -> None:
    with pytest.warns(UserWarning, match=rf"tested with upstream>=1\.0\.0,<2, and this is {version}; .* pip install"):
        check({"upstream_trainer.Trainer.plan": ("self", "steps")}, at=version)


def test_a_missing_trainer_says_what_to_install() -> None:
    with pytest.raises(
        MissingDependencyError,
        match=r'needs upstream, which is not installed; in a clone .*: pip install "\.\[upstream\]"',
    ):
        check_upstream("cero_x", "upstream", functions={})


def test_a_missing_attribute_of_an_instance_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.5")
    trainer = Trainer()
    check_attributes("cero_x", "upstream", trainer, ["plan", "due"])
    with pytest.raises(MissingDependencyError, match=r"a Trainer has no _logs, _step; pip install 'upstream"):
        check_attributes("cero_x", "upstream", trainer, ["plan", "_logs", "_step"])


def test_an_actor_is_the_class_behind_it() -> None:
    class Modified:
        __ray_actor_class__ = Trainer

    class Actor:
        __ray_metadata__ = types.SimpleNamespace(modified_class=Modified)

    assert plain(Actor) is Trainer
    assert plain(Trainer) is Trainer
