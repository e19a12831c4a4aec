"""Settings of the verl suite: its environment, which every process inherits, and what its libraries warn about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from integration_tests.verl import tiny
from integration_tests.zygote.workers import not_forked

if TYPE_CHECKING:
    from integration_tests.verl.tiny import Run

# Before anything imports verl, which looks for its platform then.
os.environ |= tiny.ENVIRONMENT
os.environ.pop("CUDA_VISIBLE_DEVICES", None)

# Tests say `filterwarnings = error`; these come from inside the pinned libraries and are nobody's fault here.
UPSTREAM = (
    # verl 0.9.1 imports ray.experimental.state and each of its training engines, installed or not.
    "ignore:Ray state API is no longer experimental:DeprecationWarning",
    "ignore:.* engine is not available:UserWarning",
    # verl 0.9.0, which imports what only Megatron has.
    "ignore:NPU not support router replay:UserWarning",
    # What verl tells every user of GRPO.
    "ignore:Disabled critic as algorithm.adv_estimator:UserWarning",
    # torchdata with torch 2.13.
    "ignore:'set_vital' is deprecated:UserWarning",
    # Ray and ZeroMQ leave sockets and log files to the garbage collector.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    # Ours: most tiny trainings are too short to decide anything, and rightly told so; test_refusals.py asks for it.
    "ignore:the allocator can decide nothing:UserWarning",
)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A synchronous training with CERO, saved in its midst and at its end; nobody writes into its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    flags = [*tiny.undisturbed_flags(folder), "trainer.logger=[console,file,tensorboard]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORBOARD_DIR", str(folder / "board"))
        return tiny.train(tiny.Tiny(folder, steps=tiny.UNDISTURBED_STEPS, prompts=8, extra=flags))


def pytest_configure(config: pytest.Config) -> None:
    for line in UPSTREAM:
        config.addinivalue_line("filterwarnings", line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured, and what slowed them down, where a reader of the log finds it."""
    reports = terminalreporter.getreports("passed")
    for reason in not_forked():
        terminalreporter.write_line(f"not every worker was forked: {reason}")
    measured = [text for report in reports for name, text in report.user_properties if name == "measured"]
    if measured:
        terminalreporter.section("measured")
        for text in measured:
            terminalreporter.write_line(str(text))
