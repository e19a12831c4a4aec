"""Settings of the verl suite: its environment, which every process inherits, and what its libraries warn about."""

from __future__ import annotations

import os

import pytest

from integration_tests.verl import tiny

# Before anything imports verl, which looks for its platform then.
os.environ |= tiny.ENVIRONMENT
os.environ.pop("CUDA_VISIBLE_DEVICES", None)

# Tests say `filterwarnings = error`; these come from inside the pinned libraries and are nobody's fault here.
UPSTREAM = (
    # verl 0.9.1 imports ray.experimental.state and each of its training engines, installed or not.
    "ignore:Ray state API is no longer experimental:DeprecationWarning",
    "ignore:.* engine is not available:UserWarning",
    # What verl tells every user of GRPO.
    "ignore:Disabled critic as algorithm.adv_estimator:UserWarning",
    # torchdata with torch 2.13.
    "ignore:'set_vital' is deprecated:UserWarning",
    # Ray and ZeroMQ leave sockets and log files to the garbage collector.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in UPSTREAM:
        config.addinivalue_line("filterwarnings", line)
