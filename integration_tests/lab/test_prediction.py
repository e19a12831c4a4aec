"""A history is a uniform training, told with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cero_lab.fast.chances import chances
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.grid.regimes import REGIMES, Regime
from cero_lab.grid.starts import MODELS, start
from cero_lab.prediction.recording import record
from cero_lab.settings import EvalSettings, ModelSettings, TrainSettings, WarmstartSettings
from cero_lab.tasks import pool

TINY = Regime(
    pool="easy",
    train=TrainSettings(prompts=24, rounds=6, prompts_per_round=4, group_size=4, warmup=1, learning_rate=1e-3),
    model="tiny",
    evaluation=EvalSettings(prompts=12, samples=0, every=2),
)
MODEL = WarmstartSettings(
    model=ModelSettings(width=16, mlp_width=16, layers=1, heads=2), batch=16, max_steps=12, cooldown=1
)


def test_a_history_knows_the_true_rates_all_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGIMES, "tiny", TINY)
    monkeypatch.setitem(MODELS, "tiny", MODEL)
    history = record("tiny", 0, 3, tmp_path)
    assert history.at.tolist() == [0, 4, 6]
    assert history.log_odds.shape == (3, 24)
    # Every prompt comes once: a loader's epoch, in full groups.
    rows = np.concatenate([visit.rows for visit in history.visits])
    assert np.sort(rows).tolist() == list(range(24))
    assert all((visit.counts == 4).all() and (visit.successes <= 4).all() for visit in history.visits)
    assert history.features.shape[0] == history.offline.size == 24
    exact = chances(Network.load(start("tiny", 0, tmp_path)), Questions.of(pool("easy", 24, 3)))
    np.testing.assert_allclose(history.rates(0), exact, rtol=1e-6, atol=1e-11)
    again = record("tiny", 0, 3, tmp_path)
    np.testing.assert_array_equal(again.log_odds, history.log_odds)
