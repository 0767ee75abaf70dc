"""The published bases: what the store holds is what this code trains, and a clone takes it from there."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import published
import store
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError
from w2sg.stages import code
from w2sg.stages.digests import Source, read_pins

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

# Of the stages that are published each writes what it read; of the first two one environment is, and the last is not.
TABLE = """
stages:
  tasks:
    matrix: {environment: [scienceworld, another]}
    cmd: sed s/$/${item.environment}/ in.txt > tasks-${item.environment}.txt && echo tasks >> runs.log
    deps: [in.txt]
    outs: ["tasks-${item.environment}.txt"]
  experts:
    matrix: {environment: [scienceworld, another]}
    cmd: sed s/^/shown/ tasks-${item.environment}.txt > experts-${item.environment}.txt && echo experts >> runs.log
    deps: ["tasks-${item.environment}.txt"]
    outs: ["experts-${item.environment}.txt"]
  play:
    matrix: {environment: [one, two]}
    cmd: sed s/^/played/ tasks-another.txt > play-${item.environment}.txt && echo play >> runs.log
    deps: [tasks-another.txt, tasks-scienceworld.txt]
    outs: ["play-${item.environment}.txt"]
  tokenizer:
    cmd: cp play-one.txt tokenizer.txt && echo tokenizer >> runs.log
    deps: [play-one.txt]
    outs: [tokenizer.txt]
  pretrain:
    matrix: {seed: "${seeds}", role: [weak, strong]}
    cmd: >-
      mkdir -p base/${item.seed}/${item.role} && cp tokenizer.txt base/${item.seed}/${item.role}/model &&
      echo ${item.seed} ${item.role} ${rate} > base/${item.seed}/${item.role}/card && echo pretrain >> runs.log
    deps: [tokenizer.txt]
    params: [rate]
    outs: ["base/${item.seed}/${item.role}"]
  sft: {cmd: cat base/0/*/card > sft.txt && echo sft >> runs.log, deps: [base], outs: [sft.txt]}
"""
REST = ["experts", "sft", "tasks"]  # what a clone that has fetched runs: of the first two one environment each


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    environment |= {"DVC_SITE_CACHE_DIR": str(folder / ".site")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "workflow/studies/published.py", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def ran(folder: Path) -> list[str]:
    """What ran since the last time."""
    log = folder / "runs.log"
    found = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run, and published its bases."""
    folder = tmp_path_factory.mktemp("published") / "project"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(TABLE)
    (folder / "params.yaml").write_text("seeds: [0, 1]\nrate: 1\n")
    (folder / "in.txt").write_text("tasks")
    (folder / ".gitignore").write_text("/.snakemake/\n/logs/\n/runs.log\n/.site/\n")
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copytree(
        ROOT / "src/snakemake_dvc", folder / "src/snakemake_dvc", ignore=shutil.ignore_patterns("__pycache__")
    )
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "--quiet")
    assert ran(folder) == ["experts"] * 2 + ["play"] * 2 + ["pretrain"] * 4 + ["sft"] + ["tasks"] * 2 + ["tokenizer"]
    done = call(folder, "publish")
    assert done.returncode == 0, done.stderr
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "published")
    return folder


@pytest.fixture
def clone(trained: Path, tmp_path: Path) -> Path:
    """A clone that has fetched."""
    folder = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(trained), str(folder))
    done = call(folder, "fetch")
    assert done.returncode == 0, done.stderr
    return folder


def test_what_is_published_is_what_this_code_trains_with_these_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "run `make publish` and commit data/published with dvc.lock"
    digests = {
        str(place): text for place, text in code.texts(Source(ROOT / code.SOURCE), read_pins(ROOT / code.LOCK)).items()
    }
    values = read_yaml(ROOT / "params.yaml")
    monkeypatch.chdir(ROOT)
    entries = published.contents()
    own = published.trained()
    assert {name: entries.get(name) for name in own} == own, f"{published.CONTENTS}: {remedy}"
    seeds = values["seeds"]
    assert set(entries) >= {f"pretrain@{seed}-{role}" for seed in seeds for role in ("weak", "strong")} | {"tokenizer"}
    for name, entry in entries.items():
        for dep in entry["deps"]:
            if dep["path"].startswith("data/code/"):
                now = digests[dep["path"].removeprefix("data/code/")]
                assert dep["md5"] == store.md5(now.encode()), f"{name}: {dep['path']}: {remedy}"
        for key, value in (entry.get("params") or {}).get("params.yaml", {}).items():
            now = values
            for part in key.split("."):
                now = now[part]
            assert now == value, f"{name}: {key}: {remedy}"


def test_the_store_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fetches, every object as its name says, and it holds what its list names, no more and no less."""
    monkeypatch.chdir(ROOT)
    published.fetch(tmp_path)
    files = set(store.held(published.STORE))
    assert files == set(store.held(tmp_path))
    assert files == published.wanted(tmp_path, published.contents())
    assert capsys.readouterr() == (f"data/published: {len(files)} of {len(files)} files copied into the cache\n", "")
    published.fetch(tmp_path)
    assert f"0 of {len(files)} files" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("command", [("dvc", "repro"), ("snakemake", "--cores", "2")])
def test_a_clone_takes_the_bases_and_runs_the_rest(clone: Path, command: tuple[str, ...]) -> None:
    run(clone, *command)
    assert ran(clone) == REST
    assert (clone / "base/1/strong/card").read_text() == "1 strong 1\n"
    assert run(clone, "git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_what_depends_on_a_change_is_trained_anew(clone: Path) -> None:
    (clone / "params.yaml").write_text("seeds: [0, 1]\nrate: 2\n")
    run(clone, "snakemake", "--cores", "2")
    assert ran(clone) == sorted(["pretrain"] * 4 + REST)
    differing = call(clone, "compare", ".")
    assert differing.returncode == 0 and "the same bytes" in differing.stdout
    done = call(clone, "publish")
    assert done.returncode == 0, done.stderr
    objects = {file for file in store.held(clone / published.STORE, store.OBJECTS)}
    # cards and folders; tasks, demonstrations, and one text for play and all that copies it
    assert len(objects) == 4 + 4 + 3 and "differs" not in done.stdout


@pytest.fixture
def studied(clone: Path) -> Path:
    """A clone with a study of a third seed on its cache, whose bases are published too."""
    study = clone / ".study"
    shutil.copytree(clone, study, ignore=shutil.ignore_patterns(".study", ".git"))
    run(study, "git", "init", "--quiet")
    run(study, "dvc", "cache", "dir", "--local", "--quiet", str(clone / ".dvc/cache"))
    (study / "params.yaml").write_text("seeds: [0, 1, 7]\nrate: 1\n")
    run(study, "dvc", "repro", "--quiet")
    assert ran(study) == sorted(["pretrain"] * 2 + REST)
    (study / "params.yaml").write_text("seeds: [1]\nrate: 1\n")  # the next one was played after it
    run(clone, "dvc", "repro", "--quiet")
    done = call(clone, "publish", ".study")
    assert done.returncode == 0, done.stderr
    ran(clone)
    shutil.rmtree(study)
    return clone


def names(folder: Path) -> set[str]:
    return set(read_yaml(folder / published.CONTENTS)["stages"])


@pytest.mark.slow
def test_seeds_of_a_study_are_published_and_stay(studied: Path, tmp_path: Path) -> None:
    assert {"pretrain@7-weak", "pretrain@7-strong", "pretrain@0-weak"} < names(studied)
    assert call(studied, "publish").returncode == 0
    assert "pretrain@7-weak" in names(studied)
    run(studied, "git", "add", "--all")
    run(studied, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "study")
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "--quiet", str(studied), str(other))
    assert call(other, "fetch").returncode == 0
    (other / "params.yaml").write_text("seeds: [0, 7]\nrate: 1\n")
    run(other, "dvc", "repro", "--quiet")
    assert ran(other) == REST, "no base is trained"
    assert (other / "base/7/weak/card").read_text() == "7 weak 1\n"


@pytest.mark.slow
def test_other_seeds_go_with_parameters_and_stay_with_code_that_leaves_the_bytes(studied: Path) -> None:
    """A command is not recorded as changed where its text is the same; the inputs of pretrain stand for its code."""
    table = (studied / "dvc.yaml").read_text()
    (studied / "more.txt").write_text("another text, of which no output depends")
    (studied / "dvc.yaml").write_text(
        table.replace("deps: [tokenizer.txt]\n    params", "deps: [tokenizer.txt, more.txt]\n    params")
    )
    run(studied, "dvc", "repro", "--quiet")
    assert ran(studied).count("pretrain") == 4
    done = call(studied, "publish")
    assert done.returncode == 0, done.stderr
    assert "pretrain@7-weak" in names(studied) and "goes" not in done.stdout
    (studied / "params.yaml").write_text("seeds: [0, 7]\nrate: 1\n")
    run(studied, "dvc", "repro", "--quiet")
    assert "pretrain" not in ran(studied), "restored as of the code that is now"
    (studied / "params.yaml").write_text("seeds: [0, 1]\nrate: 2\n")
    run(studied, "dvc", "repro", "--quiet")
    done = call(studied, "publish")
    assert done.returncode == 0, done.stderr
    assert "pretrain@7-weak goes, being of other code, parameters or inputs" in done.stdout
    assert "pretrain@7-weak" not in names(studied)


@pytest.mark.slow
def test_bytes_that_differ_are_named(trained: Path, clone: Path) -> None:
    (clone / "params.yaml").write_text("seeds: [0, 1]\nrate: 2\n")
    run(clone, "dvc", "repro", "--quiet")
    done = call(trained, "compare", str(clone))
    assert done.returncode == 1
    assert "tokenizer.txt: the same bytes" in done.stdout
    assert "base/0/weak: differs: " in done.stdout


@pytest.mark.slow
def test_it_is_a_remote_of_dvc(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(trained), str(folder))
    run(folder, "dvc", "remote", "add", "--local", "published", "data/published")
    run(folder, "dvc", "pull", "--quiet", "--remote", "published", "pretrain")
    assert (folder / "base/0/weak/card").read_text() == "0 weak 1\n"


def test_a_damaged_object_is_refused_and_nothing_is_half_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    victim = next(file for file in store.held(published.STORE, store.OBJECTS))
    (published.STORE / victim).chmod(0o644)
    (published.STORE / victim).write_bytes(b"cut")
    with pytest.raises(UserError, match=rf"{published.STORE / victim}: damaged, .*git checkout"):
        published.fetch(tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_without_a_run_there_is_nothing_to_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "dvc", "init", "--quiet")
    table = {name: {"cmd": "x"} for name in ("play", "tokenizer", "pretrain")}
    table["tasks"] = {"matrix": {"environment": ["scienceworld", "another"]}, "cmd": "x ${item.environment}"}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": table}))
    stages = {name: {"cmd": "x", "outs": []} for name in ("play", "pretrain@of-before", "tasks@another")}
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    with pytest.raises(UserError, match=r"dvc.lock: nothing of tasks@scienceworld, tokenizer, pretrain; run"):
        published.publish(tmp_path / "cache")


@pytest.fixture
def copied(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, in which the test is."""
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def base(seed: int) -> Path:
    """The object of a folder of a base."""
    return store.object_of(published.contents()[f"pretrain@{seed}-weak"]["outs"][0]["md5"])


def test_what_is_no_content_of_the_store_is_passed_by(copied: Path) -> None:
    """A file manager's, or of a call that was killed: later ones would take it for a damaged object."""
    files = set(store.held(published.STORE))
    strangers = [published.STORE / store.OBJECTS / name for name in (".DS_Store", "ab/tmpq1w2e3.tmp", "ab/.cd.12.tmp")]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert set(store.held(published.STORE)) == files
    published.fetch(copied / "cache")
    published.publish(published.cache())
    assert [path.exists() for path in strangers] == [True, False, False]


def test_a_study_that_has_played_nothing_is_passed_by(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder is there once its report was made of what others have played."""
    (copied / ".study/.pool").mkdir(parents=True)
    published.publish(published.cache(), [Path(".study")])
    assert ".study: has played nothing\n" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"^nowhere/dvc\.lock: no such file"):
        published.publish(published.cache(), [Path("nowhere")])


def test_an_interrupted_copy_leaves_nothing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copymode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        published.fetch(copied / "cache")
    assert not [path for path in (copied / "cache").rglob("*") if path.is_file()]


def removed() -> None:
    shutil.rmtree(published.STORE)


def without_a_folder() -> None:
    (published.STORE / base(1)).unlink()


def without_a_file() -> None:
    shutil.rmtree(published.STORE / store.OBJECTS)
    shutil.copytree(copied_objects(), published.STORE / store.OBJECTS)


def copied_objects() -> Path:
    """Those of the cache, less what the folder of a base holds."""
    (own,) = [file for file in store.objects(published.contents()["pretrain@0-weak"], published.cache())][1:2]
    (published.cache() / own).unlink()
    return published.cache() / store.OBJECTS


def without_records() -> None:
    shutil.rmtree(published.STORE / store.RECORDS)


def without_a_list() -> None:
    published.CONTENTS.unlink()


MISSING = {
    removed: r"data/published: not there;",
    without_a_folder: r"data/published: lacks files/md5/\w\w/\w{30}\.dir of pretrain@1-weak;",
    without_a_file: r"data/published: lacks files/md5/\w\w/\w{30} of pretrain@0-weak",
    without_records: r"data/published: lacks the record of experts@scienceworld and \d+ more;",
    without_a_list: r"data/published: lacks data/published/dvc\.lock;",
}


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("lose", MISSING, ids=lambda lose: lose.__name__)
def test_what_the_store_lacks_is_said_before_it_is_trained(
    lose: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose()
    published.fetch(tmp_path / "cache")
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(MISSING[lose], line) and "is trained, half an hour for all; `git checkout data/published`" in line


def no_project() -> None:
    shutil.rmtree(".dvc")


def no_repository() -> None:
    shutil.rmtree(".git")


def broken_settings() -> None:
    Path(".dvc/config").write_text("[core\n")


def written(path: Path, text: str) -> Callable[[], None]:
    return lambda: (path.chmod(0o644), path.write_text(text), None)[-1]


LOCK, KEPT = published.LOCK, published.CONTENTS
REFUSALS: list[tuple[str, str, Callable[[], None]]] = [
    ("publish", r"\.dvc: not a project that DVC can open \(.+\); `git checkout \.dvc", no_project),
    ("compare .", r"\.dvc: not a project that DVC can open \(.+\); `git checkout \.dvc", no_project),
    ("fetch", r"\.dvc: not a project that DVC can open \(.+\); `git checkout \.dvc", broken_settings),
    ("fetch", r"copy: no git repository, which DVC needs; `git init` makes one", no_repository),
    ("compare nowhere", r"nowhere: no such folder; name that of a project or a study", lambda: None),
    ("compare .", r"dvc\.lock: expected sections.+; `git checkout dvc\.lock`", written(LOCK, "")),
    ("publish", r"dvc\.lock: stages: not as DVC writes them", written(LOCK, "stages: [a]\n")),
    (
        "compare .",
        r"dvc\.lock: nothing of .+ to compare with; run",
        written(LOCK, "schema: '2.0'\nstages: {}\n"),
    ),
    ("compare .", r"dvc\.lock: tokenizer: not as DVC writes it", written(LOCK, "stages: {tokenizer: {cmd: x}}\n")),
    ("publish", r"dvc\.lock: tokenizer: not as", written(LOCK, "stages: {tokenizer: {cmd: x, outs: [{path: a}]}}\n")),
    ("publish", r"dvc\.lock: tokenizer: not as", written(LOCK, "stages: {tokenizer: 5}\n")),
    ("fetch", r"data/published/dvc\.lock: tokenizer: not as DVC", written(KEPT, "stages: {tokenizer: [a]}\n")),
    ("fetch", r"data/published/dvc\.lock: stages: not as DVC", written(KEPT, "stages: a\n")),
    ("fetch", r"data/published/dvc\.lock: not valid YAML", written(KEPT, "stages: {\n")),
]


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(("command", "why", "spoil"), REFUSALS)
def test_what_cannot_be_read_is_one_line(
    command: str, why: str, spoil: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil()
    monkeypatch.setattr(sys, "argv", ["published.py", *command.split()])
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert published.main() == 2
    assert re.fullmatch(rf"published: {why}.*\n", said.getvalue()), said.getvalue()


def test_a_file_where_the_cache_has_its_place_is_one_line(copied: Path) -> None:
    shutil.rmtree(".dvc/cache")
    Path(".dvc/cache").touch()
    done = call(copied, "fetch")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and ".dvc/cache" in done.stderr
