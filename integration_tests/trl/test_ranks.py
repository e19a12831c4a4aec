"""Two gloo ranks under torchrun: one allocator's decisions, groups that straddle ranks, one set of books."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import group_advantages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = ["-m", "integration_tests.trl.two_ranks", str(folder)]
    finished = subprocess.run(
        [sys.executable, *launch, *script],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def test_every_rank_has_the_whole_picture(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["uneven"] for rank in ranks)
    assert first["rewards"] == second["rewards"]
    assert first["exposure"] == second["exposure"]
    assert first["allocator"] == second["allocator"]
    assert first["weights"] == second["weights"]
    assert [len(rows) for rows in first["rows"]] == [4, 4]
    assert len(first["records"]) == 2  # on_round speaks on the main process alone
    assert second["records"] == []


def test_advantages_of_groups_that_straddle_the_ranks(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["uneven"] for rank in ranks)
    for step, counts in enumerate([[5, 3], [1, 7]]):
        assert first["records"][step][2] == counts
        together = first["advantages"][step] + second["advantages"][step]
        groups = np.repeat([0, 1], counts)
        expected = group_advantages(first["rewards"][step], groups)
        assert together == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)
        assert np.abs(expected).sum() > 0
        # As tokenized: the rows of one group share a prompt, across ranks, and those of two groups do not.
        rows = [tuple(row) for row in first["rows"][step] + second["rows"][step]]
        assert len(set(rows)) == 2
        assert all((rows[i] == rows[j]) == (groups[i] == groups[j]) for i in range(8) for j in range(8))
    assert first["logged"] == first["advantages"][1] + second["advantages"][1]


def test_equal_counts_train_exactly_as_trl_does(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["uniform"] == rank["stock"]


def test_resumed_in_the_middle_of_a_round(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        whole, rest = rank["whole"], rank["rest"]
        for what in ("losses", "weights", "exposure", "allocator"):
            assert rest[what] == whole[what], what
        assert rest["advantages"] == whole["advantages"][-1:]  # steps 4 to 6 are half a round and one more
        assert sum(rest["exposure"]) == 24


def test_a_window_over_two_ranks(ranks: list[dict[str, Any]]) -> None:
    """One rank's reward function raises, and its rollouts alone have no reward, on both."""
    first, second = (rank["window"] for rank in ranks)
    for what in ("rewards", "exposure", "allocator", "weights"):
        np.testing.assert_equal(first[what], second[what])
    assert [record[2] for record in first["records"]] == [[4, 4]] * 4
    assert ranks[0]["failed"] == 0
    assert ranks[1]["failed"] == np.isnan(first["rewards"]).sum() > 0
    assert first["allocator"]["tokens"] > 0
    # Resumed in the middle of a round, for longer.
    first, second = (rank["longer"] for rank in ranks)
    assert [record[0] for record in first["records"]] == [3, 4]
    for what in ("rewards", "exposure", "allocator", "weights"):
        np.testing.assert_equal(first[what], second[what])
    assert first["allocator"]["budget_remaining"] == 0
    assert sum(first["exposure"]) == 40


def test_two_waves_over_two_ranks(ranks: list[dict[str, Any]]) -> None:
    """A pilot of one for each of four prompts, and a rest of four: two and two of each on a rank."""
    first, second = (rank["waves"] for rank in ranks)
    for what in ("rewards", "exposure", "allocator", "weights", "losses", "logged"):
        np.testing.assert_equal(first[what], second[what])
    assert [len(rewards) for rewards in first["rewards"]] == [4] * 6
    assert [sorted(record[2]) for record in first["records"]] == [[1, 1, 2, 4]] * 3
    assert second["records"] == []
    uneven = 0.0
    for step, (_, prompts, counts) in enumerate(first["records"]):
        # Of a wave each rank has a half, the first one's before the second's.
        halves = [np.reshape(first["rewards"][2 * step + wave], (2, 2)) for wave in (0, 1)]
        rewards = np.concatenate(halves, axis=1).ravel()
        pilot = [[0, 1], [2, 3]]
        rest = np.repeat(range(4), np.array(counts) - 1).reshape(2, 2)
        groups = np.concatenate([pilot, rest], axis=1).ravel()
        together = first["advantages"][step] + second["advantages"][step]
        there = np.isfinite(rewards)
        expected = np.zeros(8)
        expected[there] = group_advantages(rewards[there], groups[there])
        assert together == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-3)
        rows = [tuple(row) for row in first["rows"][step] + second["rows"][step]]
        assert all((rows[i] == rows[j]) == (groups[i] == groups[j]) for i in range(8) for j in range(8))
        assert len(prompts) == len(set(groups)) == 4
        uneven += np.abs(expected).sum()
    assert uneven > 0


def test_two_waves_over_two_ranks_resumed_in_the_middle_of_a_round(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        whole, rest = rank["waves"], rank["waves_rest"]
        assert rest["losses"] == whole["losses"]
        assert rest["exposure"] == whole["exposure"]
        assert rest["allocator"] == whole["allocator"]
        assert rest["weights"] == whole["weights"]


def test_ranks_that_disagree_are_stopped(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "the ranks' allocators disagree" in rank["drifted"]
