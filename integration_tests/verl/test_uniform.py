"""Uniform allocation trains exactly as verl without the flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration_tests.verl.tiny import Tiny, train


def test_uniform_counts_reproduce_stock_verl(tmp_path: Path) -> None:
    stock = train(Tiny(tmp_path, steps=3))
    uniform = train(Tiny(tmp_path, steps=3, extra=["+rollout_allocator=uniform"]))
    assert uniform.counts() == stock.counts()
    names = ("actor/pg_loss", "actor/grad_norm", "critic/score/mean", "response_length/mean", "actor/entropy")
    for ours, theirs in zip(uniform.log, stock.log, strict=True):
        for name in names:
            # The same rollouts finish in another order, and float32 sums differ by it.
            assert ours["data"][name] == pytest.approx(theirs["data"][name], abs=2e-6), name
    # The stock training must have learned something, or equality would say nothing.
    assert any(abs(record["data"]["actor/grad_norm"]) > 1e-3 for record in stock.log)
