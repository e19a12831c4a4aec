"""The versions that the suites run with are versions that pyproject.toml allows."""

import pathlib
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Each file, and the extras that its environment has.
EXTRAS = {
    "dev": ("bench", "cli", "demo", "parquet", "plot", "test", "trl"),
    "openrlhf": (),
    "tinker": ("test", "tinker"),
    "trl_lowest": ("test", "trl"),
    "verl": ("ray", "verl"),
}


def required(extras: tuple[str, ...]) -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines if not line.startswith("cero-api")]


@pytest.mark.parametrize("name", EXTRAS)
def test_a_constraints_file_pins_what_its_environment_needs(name: str) -> None:
    lines = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(versions) == len(pins)
    for requirement in required(EXTRAS[name]):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, and {version} in constraints/{name}.txt"
