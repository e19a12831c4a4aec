"""Unsloth patches whole libraries as it is imported, and warns as it likes; each file here is a process of its own."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore")
