"""Settings of the learner's suite: the TRL suite's own, for it trains through TRL."""

from __future__ import annotations

from integration_tests.trl.conftest import pytest_configure

__all__ = ["pytest_configure"]
