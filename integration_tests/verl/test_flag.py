"""The flag on verl's own command line, in a process of its own: composed, overridden, refused before Ray starts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from cero_api import available_allocators
from cero_api.errors import ConfigurationError
from cero_verl.config import read_flag
from cero_verl.flag import refuse_near_misses
from integration_tests.verl.tiny import Tiny


def main_ppo(*arguments: str, module: str = "verl.trainer.main_ppo") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    # Hydra writes its logs into the folder where a program is started.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)


def test_one_flag_sets_all_that_is_needed_and_every_field_can_be_overridden() -> None:
    flags = ["rollout_allocator.saturation=2", "rollout_allocator.scope=pool", "rollout_allocator.prior=[0.5,2]"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        composed = OmegaConf.to_container(compose("ppo_trainer", overrides=["+rollout_allocator=cero", *flags]))
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
    with (
        initialize_config_module("verl.trainer.config", version_base=None),
        pytest.raises(MissingConfigException) as refused,
    ):
        compose("ppo_trainer", overrides=["+rollout_allocator=cerro"])
    assert all(name in str(refused.value) for name in (*available_allocators(), "custom"))


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


PROGRAM = """
import hydra

{runner}

@hydra.main(config_path="pkg://verl.trainer.config", config_name="ppo_trainer", version_base=None)
def main(config):
    print("trained")

if __name__ == "__main__":
    main()
"""
OWN_RUNNER = """
import warnings; warnings.simplefilter("ignore")
from verl.trainer.main_ppo import TaskRunnerV1
class MyRunner(TaskRunnerV1.__ray_metadata__.modified_class): pass
del TaskRunnerV1
"""


def run_program(folder: Path, *arguments: str, runner: str = "") -> tuple[int, str]:
    """A main of somebody else's, as recipes have them."""
    (folder / "main_dapo.py").write_text(PROGRAM.format(runner=runner))
    command = [sys.executable, "-W", "ignore", "main_dapo.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_a_recipe_with_a_trainer_of_its_own_is_refused(tmp_path: Path) -> None:
    code, said = run_program(tmp_path, "+rollout_allocator=cero")
    assert code != 0
    assert "main_dapo.py does not run verl's TaskRunnerV1" in said
    assert "trained" not in said


def test_a_program_around_verls_own_runner_is_taken(tmp_path: Path) -> None:
    n = "actor_rollout_ref.rollout.n=8"
    code, said = run_program(tmp_path, "+rollout_allocator=cero", n, runner=OWN_RUNNER)
    assert (code, "trained" in said) == (0, True), said


def test_a_flag_that_is_almost_right_is_refused_in_any_program_of_verls(tmp_path: Path) -> None:
    assert run_program(tmp_path) == (0, "trained\n"), "a program without the flag is left alone"
    code, said = run_program(tmp_path, "+rolout_allocator=cero")
    assert (code != 0, "trained" in said) == (True, False), said
    assert "did you mean +rollout_allocator=NAME" in said
    (tmp_path / "mine.yaml").write_text("defaults: [ppo_trainer, _self_]\nrollout_allocator: {name: cero}\n")
    verls = "hydra.searchpath=[pkg://verl.trainer.config]"
    code, said = run_program(tmp_path, "--config-path", str(tmp_path), "--config-name", "mine", verls)
    assert (code != 0, "trained" in said) == (True, False), said
    assert "'- rollout_allocator: NAME' in the defaults list" in said


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("+rolout_allocator=cero", "rolout_allocator is no option of verl's"),
        ("+rollout_alocator.name=cero", "rollout_alocator is no option"),
        ("+allocator=cero", "allocator is no option"),
        ("+trainer.rollout_allocator=cero", "trainer.rollout_allocator is no option"),
        ("+actor_rollout_ref.rollout.rollout_allocator=cero", "rollout.rollout_allocator is no option"),
        ("+rollout_allocator.name=cero", "not by its config group"),
        ("+rollout_allocator={name:cero}", "not by its config group"),
        ("++rollout_allocator.saturation=2", "not by its config group"),
    ],
)
def test_near_misses(flag: str, said: str) -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        refuse_near_misses(compose("ppo_trainer"))
        refuse_near_misses(compose("ppo_trainer", overrides=["+rollout_allocator=cero"]))
        with pytest.raises(ConfigurationError, match=re.escape(said)) as refused:
            refuse_near_misses(compose("ppo_trainer", overrides=[flag]))
    assert "NAME is one of cero, " in str(refused.value)


def test_other_programs_with_such_a_key_are_none_of_our_business() -> None:
    refuse_near_misses(OmegaConf.create({"rolout_allocator": "cero", "allocator": 1}))


@pytest.mark.parametrize(("allocator", "scope"), [("cero", "window"), ("greso", "pool"), ("vip", "batch")])
def test_a_method_brings_its_usual_scope(allocator: str, scope: str, tmp_path: Path) -> None:
    words = [f"+rollout_allocator={allocator}", "rollout_allocator.scope=null"]
    settings, fields = read_flag(Tiny(tmp_path, extra=words).config())
    assert settings.scope == scope
    assert fields.get("belief") == ("features" if allocator == "cero" else None)
