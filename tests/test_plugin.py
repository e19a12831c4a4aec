"""A third party's allocator, installed, is known by name; nothing else is needed."""

import os
import pathlib
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from cero_api import ConfigurationError, available_allocators, make_allocator
from cero_api import allocators as registry

PLUGIN = pathlib.Path(__file__).parents[1] / "examples" / "plugin"
USE = """
import tempfile, pathlib
from cero_api import available_allocators, check_allocator, load_allocator, make_allocator, save_allocator
assert "hardest_first" in available_allocators()
check_allocator(lambda **size: make_allocator("hardest_first", **size))
allocator = make_allocator("hardest_first", num_prompts=9, rounds=3, budget=72)
with tempfile.TemporaryDirectory() as folder:
    loaded = load_allocator(save_allocator(allocator, pathlib.Path(folder) / "allocator.npz"))
print(type(loaded).__module__, *sorted(loaded.allocate([0, 1, 2], total=24).counts.tolist()))
"""


def test_an_installed_plugin_keeps_the_contract_under_its_name(tmp_path: pathlib.Path) -> None:
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(tmp_path), str(PLUGIN)]
    subprocess.run(install, check=True, timeout=120)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    how: dict[str, Any] = {
        "env": os.environ | {"PYTHONPATH": path},
        "capture_output": True,
        "text": True,
        "timeout": 120,
    }
    result = subprocess.run([sys.executable, "-W", "error", "-c", USE], check=False, **how)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["cero_hardest_first", "2", "2", "20"]
    shutil.copy(PLUGIN / "test_contract.py", tmp_path)
    own = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_contract.py")]
    tested = subprocess.run(own, check=False, cwd=tmp_path, **how)
    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("cero_api_no_such_module:Allocator", "cannot be loaded"),
        ("cero_api:no_such_name", "cannot be loaded"),
        ("cero_api:RolloutOutcomes", "has no allocate"),
    ],
)
def test_a_broken_plugin_is_named_when_it_is_asked_for(
    target: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint(name="broken", value=target, group=registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "_plugins", lambda: (point,))
    assert "broken" in available_allocators()
    make_allocator("uniform", num_prompts=2, rounds=1, budget=16)  # the others are not affected
    with pytest.raises(ConfigurationError, match=remedy):
        make_allocator("broken", num_prompts=2, rounds=1, budget=16)
