"""What is said twice agrees: dvc.yaml and the imports, the lock file and pyproject, the README and the tree."""

import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pandas
import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import lock

ROOT = Path(__file__).parents[1]


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
    stages = {name.partition("-")[0] for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]} - {
        "code",
        "outside",
    }
    assert set(re.findall(r"[a-z]+", picture.split("\n", 2)[2])) == stages


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_a_page_has_the_numbers_of_the_run_that_is_kept(page: str) -> None:
    run = pandas.read_csv(ROOT / "docs/run/table1.csv")
    means = 100 * run[run.split == "unseen"].groupby(["model", "environment"]).average_reward.mean()
    models = ["sft_weak", "w2s_dpo", "w2s_mcts", "sft_strong", "eto", "best_of_n", "ceiling", "more_sft"]
    rows = re.findall(r"^\| [\w (),]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / page).read_text(), re.MULTILINE)
    assert rows == [
        tuple(f"{means[model, name]:.1f}" for name in ("webshop", "scienceworld", "alfworld")) for model in models
    ]


def test_the_picture_of_a_tree_needs_nothing_from_outside() -> None:
    picture = (ROOT / "docs/pictures/tree.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<text" in picture and "prefers-color-scheme:dark" in picture
    assert not re.search(r"href|url\(|@import|<image|<script", picture)


def test_one_command_writes_every_page_that_is_made_from_code() -> None:
    (named,) = re.findall(r"^PAGES := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    scripts = {path.stem for path in (ROOT / "workflow/upkeep").glob("*.py") if "pages.main(" in path.read_text()}
    assert set(named.split()) == scripts


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
    made = {"docs/presets.md", "docs/invalidation.md", "docs/parameters.md"}
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    folders = ("study", "dose", "middle", "run", "credit", "iteration", "chain", "map")
    tables = tuple(f"docs/{folder}/" for folder in folders)
    return [ROOT / name for name in listed if name not in made and not name.startswith(tables)]


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


def test_every_reading_that_the_code_names_is_in_the_method() -> None:
    """`A11` in a docstring has an entry in docs/method.md; any other such code would be a legend that nobody has."""
    page = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- \*\*(A\d+(?:, A\d+)*)", page, flags=re.MULTILINE)
    known = {code for entry in entries for code in entry.split(", ")}
    assert len(known) == 25
    named = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"\bM[0-9]+\b", text), f"{path.name}: give the paper's section instead"
        named |= set(re.findall(r"\bA[0-9]+\b", text))
    assert named and named <= known, sorted(named - known)


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
