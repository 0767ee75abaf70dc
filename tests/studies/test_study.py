"""What `make study` runs and what it keeps of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keeping
import study
import workspace
from seeds import Record
from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.config.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
STUDY = keeping.Study()
PLAYED = [
    Record(0, "0123456789ab", 3.21, 2, "Linux x86_64", {}, ""),
    Record(7, "unknown", 1.0, 8, "Darwin arm64", {}, ""),
]
DVC = str(Path(sys.executable).with_name("dvc"))


def test_the_study_is_the_default_run_under_five_seeds() -> None:
    found = merged(ROOT / STUDY.params)
    own = read_yaml(ROOT / "params.yaml")
    arms = {f"{roster}.{name}" for roster in ("preference", "imitation") for name in found.values[roster]}
    arms -= {f"{roster}.{name}" for roster in ("preference", "imitation") for name in own[roster]}
    assert set(found.changes) == {"seeds"} | arms and found.values["seeds"] == [0, 1, 2, 3, 4]
    assert {"preference.paper_dpo", "imitation.paper_mcts", "preference.shuffled_dpo"} < arms
    params.validated(found.values, source=STUDY.params)


def test_the_default_grid_reaches_the_breadth_of_figure_5() -> None:
    settings = params.load(ROOT / "params.yaml")
    assert settings.explore.samples == settings.tree.breadth == 6, "the run explores what its trees take"
    assert len({(s.temperature, s.top_p) for s in settings.explore.schedule}) == 6
    assert "\nGRID ?= --breadth 3 4 5 6 7 8 9 10\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_it_finds_what_the_run_has_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the project has made is restored in the workspace; what is new there goes into the same cache."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "made.txt"
    command = f"echo made >> {made} && cp in.txt out.txt"
    table = f"stages:\n  one:\n    cmd: {command}\n    deps: [in.txt]\n    outs: [out.txt]\n"
    for folder in (Path(), STUDY.workspace):
        folder.mkdir(exist_ok=True)
        (folder / "dvc.yaml").write_text(table)
        (folder / "in.txt").write_text("input")
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run([DVC, "init", "--quiet"], cwd=folder, check=True)
    subprocess.run([DVC, "repro", "--quiet"], check=True)
    workspace.share_cache(STUDY.workspace)
    subprocess.run([DVC, "repro", "--quiet"], cwd=STUDY.workspace, check=True)
    assert (STUDY.workspace / "out.txt").read_text() == "input" and made.read_text() == "made\n"
    (STUDY.workspace / "in.txt").write_text("another")
    subprocess.run([DVC, "repro", "--quiet"], cwd=STUDY.workspace, check=True)
    assert made.read_text() == "made\nmade\n" and not (STUDY.workspace / ".dvc/cache/files").exists()


def test_time_is_added_up_over_calls_and_written_down_on_the_way(tmp_path: Path) -> None:
    spent, seen = tmp_path / "seconds.json", tmp_path / "seen"
    command = ["sh", "-c", f"sleep 0.5; cp {spent} {seen}; exit 3"]
    code, first = study.run(command, tmp_path, spent=spent, every=0.1)
    assert code == 3 and first >= 0.5
    assert 0 < json.loads(seen.read_text()) < first, "a killed call would have left the time until then"
    assert study.run(["true"], tmp_path, spent=spent)[1] > first
    assert json.loads(spent.read_text()) > first


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures/standings.svg").write_text("<svg/>")
    (folder / "report.html").write_text("page")
    (folder.parent / "params.yaml").write_text("seeds: [0, 1]\n")
    (folder / "explorer.html").write_text("page")
    (folder / "explorer").mkdir()
    for name in keeping.FILES:
        (folder / name).write_text(name)
    (tmp_path / "docs/study").mkdir(parents=True)
    (tmp_path / "docs/study/of_an_older_study.csv").write_text("")
    (tmp_path / "docs/study/figures").mkdir()
    (tmp_path / "docs/study/figures/of_an_older_study.svg").write_text("")
    (tmp_path / "docs/study/seeds").mkdir()
    (tmp_path / "docs/study/seeds/0.tar.xz").write_text("")
    return folder


def test_tables_claims_figures_and_a_small_report_are_kept(results: Path) -> None:
    keeping.keep(STUDY, results, PLAYED)
    kept = {str(path.relative_to(STUDY.kept)) for path in STUDY.kept.rglob("*") if path.is_file()}
    pages = {"report.html", "explorer.html", "README.md"}
    assert kept == {*keeping.FILES, "figures/standings.svg", "params.yaml", "seeds/0.tar.xz", *pages}
    page = (STUDY.kept / "README.md").read_text()
    assert "from `params/study.yaml`: the report at commit unknown, of" in page
    assert "| 0 | 0123456789ab | 3.2 | 2 | Linux x86_64 |\n| 7 | unknown | 1.0 | 8 | Darwin arm64 |\n\n" in page
    assert "report.html" in page and "explorer.html" in page


@pytest.mark.parametrize("large", ["data beside it", "a large file"])
def test_large_pages_are_not_kept(results: Path, large: str) -> None:
    (results / "report.html").write_bytes(b" " * (keeping.LARGEST_PAGE + 1))
    if large == "a large file":
        (results / "explorer.html").write_bytes(b" " * (keeping.LARGEST_PAGE + 1))
    else:
        (results / "explorer/trees-alfworld-0-weak.js").touch()
    keeping.keep(STUDY, results, PLAYED)
    assert not list(STUDY.kept.glob("*.html"))
    page = (STUDY.kept / "README.md").read_text()
    assert "too large for git: `report.html`, `explorer.html`, in `.study/.pool/results` after the same command" in page


def test_the_commit_says_when_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, lock, page = tmp_path / "file", tmp_path / "dvc.lock", tmp_path / "docs/page"
    page.parent.mkdir()
    for each in (file, lock, page):
        each.write_text("one")
    who = ["-c", "user.name=toy", "-c", "user.email=toy@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", *command], check=True)
    clean = keeping.commit()
    assert len(clean) == 12
    for each in (page, lock):
        each.write_text("what the seed before has left")
    assert keeping.commit() == clean
    file.write_text("two")
    assert keeping.commit() == f"{clean}, with changes"


def test_another_study_has_its_own_places_and_says_what_made_it(results: Path) -> None:
    dose = keeping.Study("dose")
    assert (dose.params, dose.workspace, dose.kept) == (Path("params/dose.yaml"), Path(".dose"), Path("docs/dose"))
    keeping.keep(dose, results, PLAYED)
    page = (dose.kept / "README.md").read_text()
    assert page.startswith(
        "# The study: dose\n\nMade by `make study STUDY=dose` from `params/dose.yaml`: the report at commit"
    )
    assert page.endswith("Report, explorer and figures: `.dose/.pool/results`, where it was made.\n")
    assert {path.name for path in dose.kept.iterdir()} == {*keeping.FILES, "params.yaml", "README.md"}
    assert (STUDY.kept / "of_an_older_study.csv").exists()


def test_a_study_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "workflow/studies/study.py", "doze"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "params/doze.yaml" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (ROOT / ".doze").exists()
