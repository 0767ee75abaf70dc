"""What is said twice agrees: dvc.yaml and the imports, the lock file and pyproject, the README and the tree."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import lock

ROOT = Path(__file__).parents[1]


def test_code_dependencies_equal_the_imports() -> None:
    done = subprocess.run([sys.executable, "workflow/upkeep/code_deps.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "dependency", ["trees/mcts.py", "evaluation/report/templates"], ids=["import", "folder of templates"]
)
def test_a_dependency_that_the_stage_table_lacks_is_found(dependency: str, tmp_path: Path) -> None:
    table = (ROOT / "dvc.yaml").read_text().replace(f"      - src/w2sg/{dependency}\n", "", 1)
    for folder in ("src", "workflow"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "dvc.yaml").write_text(table)
    done = subprocess.run(
        [sys.executable, "workflow/upkeep/code_deps.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "--write" in done.stderr


def test_the_lock_file_pins_every_dependency_within_its_bounds() -> None:
    locked = dict(
        line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in wanted:
        name, bound = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", requirement).groups()  # type: ignore[union-attr]
        assert name.lower() in locked, f"{name} is not in requirements.lock"
        if bound.startswith("=="):
            assert locked[name.lower()] == bound[2:], name


def test_the_conda_environment_is_the_lock_file() -> None:
    pins = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    text = (ROOT / "environment.yml").read_text()
    (python,) = re.findall(r"^  - python=(\S+)$", text, flags=re.MULTILINE)
    assert text == lock.format_environment(pins, python=python), "`make lock` writes both"
    environment = yaml.safe_load(text)
    assert environment["channels"] == ["conda-forge"]
    assert environment["dependencies"][-1] == {"pip": pins}
    assert [strict_spec(entry).name.normalized for entry in environment["dependencies"][:-1]] == [
        "python",
        "pip",
        "git",
    ]
    assert all(str(Requirement(pin).specifier).startswith("==") for pin in pins)


def strict_spec(text: str) -> rattler.MatchSpec:
    """A dependency as conda itself reads it."""
    return rattler.MatchSpec(text, strict=True)


def test_every_python_that_conda_may_choose_is_one_that_the_project_allows() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (spec,) = [strict_spec(entry) for entry in environment["dependencies"][:-1] if entry.startswith("python")]
    allowed = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    released = [f"3.{minor}.{patch}" for minor in range(30) for patch in range(30)]
    chosen = [version for version in released if rattler.VersionSpec(spec.version).matches(rattler.Version(version))]
    assert chosen and all(version in allowed for version in chosen)


def test_the_readme_names_what_is_there() -> None:
    tree = (ROOT / "README.md").read_text().split("## The repository")[1].split("```")[1]
    for line in tree.splitlines():
        if line and not line.startswith(" "):
            for name in line.split("  ")[0].split():
                # Outputs appear with the first run.
                there = (ROOT / name).exists() or name in ("models/", "results/")
                assert there, f"{name} is in the README, but not in the repository"
    for name in re.findall(r"^  ([\w.]+)/? ", tree, flags=re.MULTILINE):
        assert (ROOT / "src/w2sg" / name).exists(), f"src/w2sg/{name} is in the README, but not in the repository"


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if (ROOT / name).suffix in {
            ".py",
            ".md",
            ".yaml",
            ".yml",
            ".toml",
            ".lock",
            ".cff",
            "",
        } and name != "tests/test_repository.py":
            text = (ROOT / name).read_text(encoding="utf-8", errors="ignore")
            assert not re.search(r"(?<![\w.])/(?:home|root|work|Users)/\w", text), name
