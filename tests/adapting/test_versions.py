"""One table of versions: what is in a range, and that whatever states a range states this one."""

import pathlib
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from cero_api.adapting import TRAINERS, Supported

ROOT = pathlib.Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
VERSIONS = [
    "0.9.0",
    "0.9.1",
    "0.10.0",
    "0.11.0",
    "0.11.2",
    "0.11.3",
    "1.5.9",
    "1.6",
    "1.6.0",
    "1.13.0",
    "1.16.3",
    "1.17.0",
    "2.0",
]


@pytest.mark.parametrize("range_", TRAINERS.values(), ids=TRAINERS.keys())
@pytest.mark.parametrize("version", VERSIONS)
def test_a_range_holds_what_pip_would_install_for_it(range_: Supported, version: str) -> None:
    specifier = Requirement(range_.requirement).specifier
    assert (version in range_) == specifier.contains(version)


@pytest.mark.parametrize("range_", TRAINERS.values(), ids=TRAINERS.keys())
def test_a_range_holds_its_ends(range_: Supported) -> None:
    assert range_.lowest in range_
    assert range_.latest in range_
    assert Version(range_.lowest) <= Version(range_.latest)
    assert SpecifierSet(range_.below).contains(range_.latest)


def test_versions_between_releases() -> None:
    trl = Supported("trl", "1.6.0", "1.16.0", "<1.17")
    assert "1.16.0.dev0" in trl
    assert "1.17.0rc1" not in trl
    assert "unknown" not in trl


@pytest.mark.parametrize("name", TRAINERS)
def test_the_extra_is_that_range(name: str) -> None:
    range_ = TRAINERS[name]
    (line,) = [line for line in EXTRAS[name] if Requirement(line).name.lower() == range_.package.lower()]
    assert Requirement(line) == Requirement(range_.requirement)


@pytest.mark.parametrize("name", TRAINERS)
def test_the_tables_are_of_that_range(name: str) -> None:
    range_ = TRAINERS[name]
    (row,) = [line for line in README.splitlines() if line.startswith("|") and f"(docs/{name}.md)" in line]
    assert row.split("|")[2].strip() == range_.span
    guide = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    first = re.search(r"```bash\n(.*?)```", guide, re.DOTALL)
    assert first is not None
    assert range_.span in first[1]


@pytest.mark.parametrize(("name", "file"), [("trl", "trl_lowest")])
def test_the_suite_of_the_lowest_version_runs_with_it(name: str, file: str) -> None:
    pins = (ROOT / "constraints" / f"{file}.txt").read_text(encoding="utf-8").splitlines()
    assert f"{TRAINERS[name].package}=={TRAINERS[name].lowest}" in pins


@pytest.mark.parametrize(("name", "file"), [("trl", "dev"), ("verl", "verl")])
def test_the_suite_of_the_latest_version_runs_with_it(name: str, file: str) -> None:
    pins = (ROOT / "constraints" / f"{file}.txt").read_text(encoding="utf-8").splitlines()
    assert f"{TRAINERS[name].package}=={TRAINERS[name].latest}" in pins


def test_verls_session_runs_at_both_ends() -> None:
    noxfile, range_ = (ROOT / "noxfile.py").read_text(encoding="utf-8"), TRAINERS["verl"]
    assert f'VERL_LOWEST = "{range_.lowest}"\n' in noxfile
    assert 'f"verl=={VERL_LOWEST}"' in noxfile


def test_the_cookbooks_session_runs_with_its_latest_version() -> None:
    range_ = TRAINERS["tinker"]
    assert f'"{range_.package}=={range_.latest}"' in (ROOT / "noxfile.py").read_text(encoding="utf-8")


def test_openrlhfs_sessions_run_at_both_ends() -> None:
    noxfile, range_ = (ROOT / "noxfile.py").read_text(encoding="utf-8"), TRAINERS["openrlhf"]
    assert f'OPENRLHF, OPENRLHF_LOWEST = "{range_.latest}", "{range_.lowest}"\n' in noxfile
    assert 'f"openrlhf=={version}"' in noxfile
