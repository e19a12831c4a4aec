"""The flag on verl's own command line, in a process of its own: composed, overridden, refused before Ray starts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cero_api import available_allocators
from integration_tests.verl.tiny import Tiny


def main_ppo(*arguments: str, module: str = "verl.trainer.main_ppo") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    # Hydra writes its logs into the folder where a program is started.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)


def test_one_flag_sets_all_that_is_needed_and_every_field_can_be_overridden(tmp_path: Path) -> None:
    flags = ["rollout_allocator.saturation=2", "rollout_allocator.scope=pool", "rollout_allocator.prior=[0.5,2]"]
    shown = main_ppo("+rollout_allocator=cero", *flags, "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    composed = OmegaConf.to_container(OmegaConf.create(shown.stdout))
    node = composed["rollout_allocator"]
    assert (node["name"], node["saturation"], node["scope"], node["prior"]) == ("cero", 2, "pool", [0.5, 2])
    agent = composed["actor_rollout_ref"]["rollout"]["agent"]
    assert agent["agent_loop_manager_class"] == "cero_verl.counts.AllocatedAgentLoopManager"
    assert agent["num_workers"] == 8  # verl's own settings stay
    assert composed["trainer"]["checkpoint_callback_class"] == "cero_verl.checkpoint.AllocatorCheckpoint"


def test_the_guides_command_is_composed() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "verl.md").read_text()
    [command] = re.findall(r"python -m verl.trainer.main_ppo \\\n(.*?)```", guide, re.DOTALL)
    shown = main_ppo(*shlex.split(command.replace("\\\n", " ")), "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    assert OmegaConf.create(shown.stdout).rollout_allocator.name == "cero"


def test_an_unknown_allocator_is_answered_with_those_there_are() -> None:
    shown = main_ppo("+rollout_allocator=cerro", "--cfg", "job")
    assert shown.returncode != 0
    assert all(name in shown.stderr for name in (*available_allocators(), "custom"))


def test_what_cannot_work_is_refused_before_ray_starts(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, extra=["+rollout_allocator=cero", "rollout_allocator.saturation=-1"])
    ran = main_ppo(*tiny.overrides())
    assert ran.returncode != 0
    assert "rollout_allocator.saturation=-1: Input should be greater than 0" in ran.stderr
    assert "ray init" not in ran.stdout


@pytest.mark.parametrize("program", ["fully_async_policy.fully_async_main", "one_step_off_policy.main_ppo"])
def test_programs_that_repeat_by_a_fixed_n_are_refused(program: str) -> None:
    # verl's own search path for these is relative to its repository.
    path = "hydra.searchpath=[pkg://verl.trainer.config]"
    ran = main_ppo("+rollout_allocator=cero", path, module=f"verl.experimental.{program}")
    assert ran.returncode != 0
    assert "repeats every prompt by a fixed rollout.n" in ran.stderr
    assert "Error executing job" not in ran.stderr
