"""What `make study` runs and what it keeps of it."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import keeping
import study
import workspace
from seeds import Record
from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]
STUDY = keeping.Study()
PLAYED = [
    Record(0, "0123456789ab", 3.21, 2, "Linux x86_64", {}, ""),
    Record(7, "unknown", 1.0, 8, "Darwin arm64", {}, ""),
]
RUN = study.run
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


@pytest.mark.parametrize("left", ["", "4.", "NaN", "-3", '"many"', "{}", "[", "\xff"])
def test_time_that_a_killed_call_has_left_in_half_counts_as_none(left: str, tmp_path: Path) -> None:
    spent = tmp_path / "seconds.json"
    spent.write_bytes(left.encode("latin-1"))
    assert study.run(["true"], tmp_path, spent=spent)[1] < 60
    assert json.loads(spent.read_text()) < 60


def test_a_seed_is_played_at_the_commits_of_all_its_calls(tmp_path: Path) -> None:
    noted = tmp_path / "commit-0.json"
    assert [study.played_at(noted, now) for now in ("abc", "abc", "def")] == ["abc", "abc", "abc to def"]
    noted.write_text("[")
    assert study.played_at(noted, "def") == "def"


@pytest.fixture
def playing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which a study of seed 0 is played by a command that does nothing; what it packs is in packed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".study").mkdir()
    monkeypatch.setattr(workspace, "make", lambda folder, text: (folder / "params.yaml").write_text(text))
    monkeypatch.setattr(workspace, "share_cache", lambda folder: None)
    monkeypatch.setattr(study.seeds, "sections", lambda values, source: {})
    monkeypatch.setattr(study, "pack", lambda study, values, record: Path("packed").write_text(record.commit))
    return tmp_path


def play(code: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Play seed 0, the stages being some code."""

    def stages(command: list[str], folder: Path, **options: Any) -> tuple[int, float]:
        return RUN([sys.executable, "-c", code], folder, **options)

    monkeypatch.setattr(study, "run", stages)
    with open(os.devnull) as file:
        return study.play(STUDY, {"seeds": [0]}, [0], cores="1", lock=file.fileno())


def test_the_commit_is_that_of_the_code_that_played(playing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one at the end: a run takes hours, in which the project goes on."""
    commits = iter(["abc", "def", "of no call"])
    monkeypatch.setattr(study, "commit", lambda: next(commits))
    assert play("raise SystemExit(3)", monkeypatch) == 3 and not Path("packed").exists()
    assert play("", monkeypatch) == 0
    assert Path("packed").read_text() == "abc to def"
    assert [path.name for path in Path(".study").iterdir()] == ["params.yaml"], "no note is left for other calls"


@pytest.mark.parametrize("code", ["open('params.yaml', 'a').write('x')", "import os; os.remove('params.yaml')"])
def test_what_was_played_by_changed_parameters_is_not_kept(
    code: str, playing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "commit", lambda: "abc")
    with pytest.raises(UserError, match=r"^\.study/params\.yaml: changed while this call played by it, so nothing"):
        play(code, monkeypatch)
    assert not Path("packed").exists()


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
    (tmp_path / "docs/study/NOTES.md").write_text("the user's")
    (tmp_path / "docs/study/mine").mkdir()
    (tmp_path / "docs/study/mine/table1.csv").write_text("")
    (tmp_path / "docs/study/.table1.csv.12.tmp").write_text("of a killed call")
    (tmp_path / "docs/study/figures").mkdir()
    (tmp_path / "docs/study/figures/of_an_older_study.svg").write_text("")
    (tmp_path / "docs/study/seeds").mkdir()
    (tmp_path / "docs/study/seeds/0.tar.xz").write_text("")
    return folder


def test_tables_claims_figures_and_a_small_report_are_kept(results: Path) -> None:
    keeping.keep(STUDY, results, PLAYED)
    kept = {str(path.relative_to(STUDY.kept)) for path in STUDY.kept.rglob("*") if path.is_file()}
    pages = {"report.html", "explorer.html", "README.md"}
    others = {"of_an_older_study.csv", "NOTES.md", "mine/table1.csv"}
    assert kept == {*keeping.FILES, "figures/standings.svg", "params.yaml", "seeds/0.tar.xz", *pages, *others}
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
    for name in keeping.PAGES:
        (STUDY.kept / name).write_text("of an earlier study")
    keeping.keep(STUDY, results, PLAYED)
    assert not list(STUDY.kept.glob("*.html"))
    page = (STUDY.kept / "README.md").read_text()
    assert "too large for git: `report.html`, `explorer.html`, in `.study/.pool/results` after the same command" in page


def test_links_are_replaced_and_not_followed(results: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("table1.csv", "of_an_older_study.svg"):
        (elsewhere / name).write_text("the user's")
    shutil.rmtree(STUDY.kept / "figures")
    (STUDY.kept / "figures").symlink_to(elsewhere)
    (STUDY.kept / "mine_too").symlink_to(elsewhere)
    (STUDY.kept / "table1.csv").symlink_to(elsewhere / "table1.csv")
    keeping.keep(STUDY, results, PLAYED)
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {
        "table1.csv": "the user's",
        "of_an_older_study.svg": "the user's",
    }
    assert not (STUDY.kept / "table1.csv").is_symlink() and (STUDY.kept / "mine_too").is_symlink()
    assert (STUDY.kept / "figures/standings.svg").is_file() and not (STUDY.kept / "figures").is_symlink()


@pytest.mark.parametrize("after", range(6))
def test_a_full_disk_leaves_what_was_kept(results: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The report of any run reads some of it."""
    keeping.keep(STUDY, results, PLAYED)
    before = {path: path.read_bytes() for path in STUDY.kept.rglob("*") if path.is_file()}
    (results / "table1.csv").write_text("new")
    copy, room = shutil.copyfile, iter(range(after))

    def copyfile(source: Path, target: Path) -> None:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(OSError):
        keeping.keep(STUDY, results, PLAYED)
    assert {path: path.read_bytes() for path in STUDY.kept.rglob("*") if path.is_file()} == before


def test_a_folder_that_is_no_studys_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = keeping.Study("log")
    keeping.check(log)
    log.kept.mkdir(parents=True)
    with pytest.raises(UserError, match=r"^docs/log: is there, and no study's; move it"):
        keeping.check(log)
    log.seeds.mkdir()
    keeping.check(log)
    (log.kept / "README.md").write_text("# A log\n")
    with pytest.raises(UserError, match=r"^docs/log/README\.md: not the page of a study; move it"):
        keeping.check(log)
    (log.kept / "README.md").write_text("# The study: log\n\nMade by `make study STUDY=log` from ...\n")
    log.seeds.rmdir()
    keeping.check(log)
    log.seeds.touch()
    with pytest.raises(UserError, match=r"^docs/log/seeds: is a file, where seeds are kept; move it"):
        keeping.check(log)
    (log.kept / "table1.csv").mkdir()
    with pytest.raises(UserError, match=r"^docs/log/table1\.csv: is a folder, where a file of a study"):
        keeping.check(log)


@pytest.mark.parametrize("text", ["seeds: 5", "seeds: [a]", "seeds: {0: 1}"])
def test_seeds_that_are_none_are_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    STUDY.kept.mkdir(parents=True)
    (STUDY.kept / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^docs/study/params\.yaml: seeds: expected a list of numbers, found .+ git$"):
        keeping.shown(STUDY)


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
    file.write_text("one")
    (tmp_path / "new").touch()  # workspaces are given it, too
    assert keeping.commit() == f"{clean}, with changes"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert keeping.commit() == "unknown"


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


@pytest.mark.parametrize(
    ("name", "why"),
    [("doze", "params/doze.yaml"), ("../params/study", "must be letters, digits, - and _"), ("", "must be letters")],
)
def test_a_study_that_is_not_there_is_named(name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "workflow/studies/study.py", name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and why in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (ROOT / ".doze").exists()
