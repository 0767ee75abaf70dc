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


def pins(name: str) -> list[str]:
    """The pinned packages of a lock file."""
    return [line for line in (ROOT / name).read_text().splitlines() if line[0] not in "#-"]


def test_the_lock_file_pins_every_dependency_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run = dict(pin.split("==") for pin in pins("requirements.lock"))
    both = run | dict(pin.split("==") for pin in pins("requirements-test.lock"))
    for locked, wanted in ((run, project["dependencies"]), (both, project["optional-dependencies"]["test"])):
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement


def test_the_conda_environment_is_the_lock_file() -> None:
    locked = pins("requirements.lock")
    text = (ROOT / "environment.yml").read_text()
    (python,) = re.findall(r"^  - python=(\S+)$", text, flags=re.MULTILINE)
    assert text == lock.format_environment(locked, python=python), "`make lock` writes both"
    environment = yaml.safe_load(text)
    assert environment["channels"] == ["conda-forge"]
    alone = [pin for pin in locked if pin.split("==")[0] in lock.WITHOUT_DEPENDENCIES]
    assert environment["dependencies"][-1] == {"pip": [*lock.OPTIONS, *(pin for pin in locked if pin not in alone)]}
    assert [strict_spec(entry).name.normalized for entry in environment["dependencies"][:-1]] == [
        "python",
        "pip",
        "git",
    ]
    assert all(str(Requirement(pin).specifier).startswith("==") for pin in locked)


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


def test_the_tree_of_the_repository_names_what_is_there() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text().split("## The rooms")[1].split("```")[1]
    for line in tree.splitlines():
        if line and not line.startswith(" "):
            for name in line.split("  ")[0].split():
                # Outputs appear with the first run.
                there = (ROOT / name).exists() or name in ("models/", "results/")
                assert there, f"{name} is in CONTRIBUTING.md, but not in the repository"
    rooms = set(re.findall(r"^  ([\w.]+)/ ", tree, flags=re.MULTILINE))
    assert rooms == {path.parent.name for path in (ROOT / "src/w2sg").glob("*/__init__.py")}


def test_the_picture_of_the_pipeline_shows_every_stage() -> None:
    picture = (ROOT / "README.md").read_text().split("```mermaid")[1].split("```")[0]
    stages = {name.partition("-")[0] for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]} - {"code"}
    assert set(re.findall(r"[a-z]+", picture.split("\n", 2)[2])) == stages


LOG = ROOT / "docs/log"


def test_the_log_lists_its_entries_newest_first() -> None:
    listed = re.findall(r"^\| (\d+) \| ([\d-]+) \| \[(.+)\]\((.+)\) \|$", (LOG / "README.md").read_text(), re.MULTILINE)
    assert {name for *_, name in listed} == {path.name for path in LOG.glob("*.md")} - {"README.md"}
    assert [int(number) for number, *_ in listed] == list(range(len(listed), 0, -1))
    assert [date for _, date, *_ in listed] == sorted((date for _, date, *_ in listed), reverse=True)
    for _, date, title, name in listed:
        text = (LOG / name).read_text()
        assert text.startswith(f"# {title}\n\n{date}\n"), name
        assert re.findall("^## (.+)$", text, re.MULTILINE) == ["Question", "Tried, and what came out", "Decided"], name


def hand_written() -> list[Path]:
    """Pages that no script writes."""
    made = {"docs/presets.md", "docs/invalidation.md", "docs/parameters.md", "docs/method.md"}
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [ROOT / name for name in listed if name not in made and not name.startswith("docs/study/")]


def test_no_line_of_a_page_is_too_long_to_read() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in hand_written()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 140
    ]
    assert not found, found


def test_links_between_pages_lead_somewhere() -> None:
    for path in hand_written():
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}"


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
