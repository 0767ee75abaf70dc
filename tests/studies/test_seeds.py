"""Seeds that are played apart: each in an archive, and the report of all that are kept."""

import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from played import ROOT, play, project

import archives
import pooled
import seeds
import study
from keeping import FILES, Study
from toys import Toy
from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError
from w2sg.evaluation.report.inputs import gather

STUDY = Study()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the archives of two seeds, each played in a workspace of its own."""
    folder = project(tmp_path_factory.mktemp("played") / "project")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for seed in (0, 1):
            play(STUDY.workspace, [seed])
            study.pack(STUDY, values(), record(seed))
            shutil.rmtree(STUDY.workspace)
    return folder


@pytest.fixture
def here(played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test is."""
    folder = shutil.copytree(played, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def values() -> dict[str, Any]:
    return merged(STUDY.params).values


def record(seed: int) -> seeds.Record:
    """Of a seed that has been played and is not packed yet."""
    digests = seeds.sections(values(), source=STUDY.params)
    return seeds.Record(seed, f"{seed}" * 12, 0.84, 2, "Linux x86_64", digests, "")


def archive(seed: int) -> Path:
    return seeds.archive_of(STUDY.seeds, seed)


def refused(*wanted: int) -> str:
    """What the study says instead of a report."""
    before = snapshot(STUDY.kept)
    with pytest.raises(UserError) as error:
        study.follow(STUDY, list(wanted), cores="2")
    assert snapshot(STUDY.kept) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_report_of_two_archives_is_that_of_one_workspace(here: Path, tmp_path: Path) -> None:
    """Every file that the report writes, byte for byte."""
    whole = play(project(tmp_path / "whole"), [0, 1])
    (whole / "params.yaml").write_text(study.parameters(STUDY, values(), [0, 1]))
    subprocess.run(f"PYTHONPATH=src {sys.executable} -m w2sg.stages report", shell=True, cwd=whole, check=True)
    assert study.follow(STUDY, [], cores="2") == 0
    made, theirs = snapshot(STUDY.pool / "results"), snapshot(whole / "results")
    assert made == theirs and {*FILES, "report.html"} < made.keys()
    table = (STUDY.kept / "table1.csv").read_text()
    assert {line.split(",")[2] for line in table.splitlines()[1:]} == {"0", "1"}
    assert table == (whole / "results/table1.csv").read_text()
    assert yaml.safe_load((STUDY.kept / "params.yaml").read_text()) == values() | {"seeds": [0, 1]}
    page = (STUDY.kept / "README.md").read_text()
    assert "| 0 | 000000000000 | 0.8 | 2 | Linux x86_64 |\n| 1 | 111111111111 | 0.8 | 2 | Linux x86_64 |\n" in page
    assert set(seeds.kept(STUDY.seeds)) == {0, 1}, "they stay"


def test_an_archive_has_what_the_report_reads_of_its_seed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as it reads; besides, what it depends on but has no use for: the samples of the trees, and one log."""
    workspace = play(here / STUDY.workspace, [0, 1, 2])
    (workspace / "params.yaml").write_text(study.parameters(STUDY, values(), [1]))
    (workspace / "docs").symlink_to(here / "docs")
    shutil.copy("results/grid.csv", workspace / "results")
    monkeypatch.chdir(workspace)
    opened: set[str] = set()
    read_table, read_bytes = pq.read_table, Path.read_bytes

    def table(path: Path, *words: Any, **options: Any) -> Any:
        opened.add(str(path))
        return read_table(path, *words, **options)

    def content(path: Path) -> bytes:
        opened.add(str(path))
        return read_bytes(path)

    monkeypatch.setattr(pq, "read_table", table)
    monkeypatch.setattr(Path, "read_bytes", content)
    gather(params.load())
    monkeypatch.undo()
    monkeypatch.chdir(here)
    with tarfile.open(archive(1)) as tar:
        packed = set(tar.getnames())
    assert opened - packed == set()
    assert packed - opened == {"data/explore/alfworld-1/weak.parquet", "results/logs/diversify/alfworld-1.json"}


def test_the_same_files_give_the_same_bytes(here: Path) -> None:
    """Whoever packs, whenever, whatever else lies there; and the record of them stays."""
    before = snapshot(STUDY.seeds)
    play(STUDY.workspace, [1, 0])
    for path in STUDY.workspace.rglob("*.parquet"):
        path.chmod(0o600)
    study.pack(STUDY, values(), replace(record(0), commit="another", hours=0.0))
    assert snapshot(STUDY.seeds) == before
    (STUDY.workspace / "results/logs/diversify/alfworld-0.json").write_text("[1]")
    study.pack(STUDY, values(), replace(record(0), commit="another"))
    assert seeds.read(archive(0)).commit == "another" and archive(0).read_bytes() != before["0.tar.xz"]


def test_an_output_that_is_not_there_is_not_packed_over(here: Path) -> None:
    play(STUDY.workspace, [0])
    (STUDY.workspace / "results/theorem/alfworld-0.json").unlink()
    before = snapshot(STUDY.seeds)
    with pytest.raises(UserError, match=r"\.study/results/theorem/alfworld-0\.json: missing"):
        study.pack(STUDY, values(), record(0))
    assert snapshot(STUDY.seeds) == before


def test_a_seed_of_no_parameter_file_is_reported_and_one_that_is_lost_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(STUDY.workspace, [4])
    study.pack(STUDY, values(), record(4))
    shutil.rmtree(STUDY.workspace)
    for seed in (0, 1):
        archive(seed).unlink()
        seeds.record_of(archive(seed)).unlink()
    assert study.follow(STUDY, [], cores="2") == 0
    assert {line.split(",")[2] for line in (STUDY.kept / "table1.csv").read_text().splitlines()[1:]} == {"4"}
    assert "docs/study: seed 1 is in the tables no more, as no archive of it is kept" in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["params.yaml", "table1.csv", "a row"])
def test_a_study_that_lost_what_the_report_reads_is_pooled(here: Path, lost: str) -> None:
    """Else no call could bring it back, though all that it is made of is there."""
    table = STUDY.kept / "table1.csv"
    if lost == "a row":
        table.write_text(table.read_text()[:-9])
    else:
        (STUDY.kept / lost).unlink()
    assert study.follow(STUDY, [], cores="2") == 0
    assert read_yaml(STUDY.kept / "params.yaml")["seeds"] == [0, 1]
    assert {line.split(",")[2] for line in table.read_text().splitlines()[1:]} == {"0", "1"}


def other_parameters() -> None:
    text = Path("params/study.yaml").read_text().replace("seeds: [0, 1]", "seeds: [0], dpo: {beta: 0.7}")
    Path("params/study.yaml").write_text(text)


def other_tasks() -> None:
    repack(1, {"data/tasks/alfworld.parquet": b"others"})


def damaged() -> None:
    content = bytearray(archive(1).read_bytes())
    content[len(content) // 2] ^= 1
    archive(1).write_bytes(content)


def truncated() -> None:
    archive(1).write_bytes(archive(1).read_bytes()[:5000])
    sign(1)


def of_less() -> None:
    repack(1, {"results/theorem/alfworld-1.json": None})


def outside() -> None:
    repack(1, {"../data/tasks/alfworld.parquet": b""})


def without_record() -> None:
    seeds.record_of(archive(1)).unlink()


def record_alone() -> None:
    archive(1).unlink()


def record_of_another() -> None:
    seeds.record_of(archive(1)).write_text(seeds.record_of(archive(0)).read_text())


def half_a_record() -> None:
    path = seeds.record_of(archive(1))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hours": "many"}))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("hours", "NaN"),
        ("hours", "-1.0"),
        ("hours", "1e300"),
        ("cores", "0"),
        ("commit", '"abc | def"'),
        ("commit", r'"abc\ndef"'),
        ("machine", '""'),
        ("machine", r'"\u001b[2J"'),
    ],
)
def test_a_record_that_would_break_the_page_is_refused(here: Path, key: str, text: str) -> None:
    path = seeds.record_of(archive(1))
    told = {name: json.dumps(value) for name, value in json.loads(path.read_text()).items()}
    pairs = ", ".join(f'"{name}": {value}' for name, value in (told | {key: text}).items())
    path.write_text(f"{{{pairs}}}")
    assert re.match(rf"{SEED}\.json: {key}: .+; restore it from git", said := refused()), said


def stranger() -> None:
    (STUDY.seeds / "01.json").write_text("{}")


def no_seed() -> None:
    shutil.rmtree(STUDY.seeds)


def link() -> None:
    repack(1, {"results/theorem/alfworld-1.json": tarfile.SYMTYPE})


def repack(seed: int, changes: dict[str, bytes | None]) -> None:
    """An archive with other members, and its record as if it had been packed so."""
    with tarfile.open(archive(seed)) as tar:
        members = {each.name: tar.extractfile(each).read() for each in tar}
    with tarfile.open(archive(seed), "w:xz") as tar:
        for name, content in (members | changes).items():
            if content is None:
                continue
            member = tarfile.TarInfo(name)
            if content == tarfile.SYMTYPE:
                member.type, member.linkname = content, "alfworld-0.json"
                content = b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sign(seed)


def sign(seed: int) -> None:
    sha256 = seeds.sha256(archive(seed).read_bytes())
    seeds.write(archive(seed), replace(seeds.read(archive(seed)), sha256=sha256))


def another_call() -> None:
    """Held until the test has ended."""
    held = Path(".study/.lock")
    held.parent.mkdir()
    fcntl.flock(os.open(held, os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)


def seeds_of_no_list() -> None:
    (STUDY.kept / "params.yaml").write_text("seeds: 5\n")


SEED = "docs/study/seeds/1"
REFUSALS = {
    other_parameters: r".+/0\.tar\.xz: played with other parameters than params/study\.yaml \(dpo\); play it again",
    other_tasks: rf"{SEED}\.tar\.xz: data/tasks/alfworld\.parquet is another one than that of seed 0; play",
    damaged: rf"{SEED}\.tar\.xz: damaged, or not the one that 1\.json is of; restore it from git",
    truncated: rf"{SEED}\.tar\.xz: not an archive of a seed \(.+\); restore it from git",
    of_less: rf"{SEED}\.tar\.xz: lacks results/theorem/alfworld-1\.json; play the seed again \(--seeds 1\)",
    outside: rf"{SEED}\.tar\.xz: \.\./data/tasks/alfworld\.parquet is no plain file inside; restore it from git",
    link: rf"{SEED}\.tar\.xz: results/theorem/alfworld-1\.json is no plain file inside; restore it from git",
    without_record: rf"{SEED}\.json: missing, and what belongs to it is there; restore it from git",
    record_alone: rf"{SEED}\.tar\.xz: missing, and what belongs to it is there; restore it from git",
    record_of_another: rf"{SEED}\.json: is of seed 0; restore it from git",
    half_a_record: rf"{SEED}\.json: hours: .*number; restore it from git",
    stranger: r"docs/study/seeds/01\.json: neither the archive of a seed nor its record; move it elsewhere",
    another_call: r"\.study: another call is at work here; wait for it",
    seeds_of_no_list: r"docs/study/params\.yaml: seeds: expected a list of numbers, found 5; restore it from git",
    no_seed: r"docs/study/seeds: no seed is kept; play one \(--seeds 0\)",
}


@pytest.mark.parametrize("spoil", REFUSALS, ids=lambda spoil: spoil.__name__)
def test_what_cannot_be_pooled_is_refused_in_one_line(here: Path, spoil: Callable[[], None]) -> None:
    spoil()
    assert re.match(REFUSALS[spoil], said := refused()), said
    assert not (here.parent / "data").exists(), "nothing lies outside"


def test_what_the_report_has_depended_on_once_is_left_in_the_archive(here: Path) -> None:
    repack(1, {"data/older.txt": b"older"})
    kept = seeds.kept(STUDY.seeds)
    outs = {seed: pooled.outputs(values(), seed) for seed in kept}
    archives.unpack(STUDY.seeds, list(kept.values()), outs, into=here / "unpacked")
    assert sorted(snapshot(here / "unpacked")) == sorted({*outs[0], *outs[1]})


def test_numbers_of_one_value_are_the_same_parameters(here: Path) -> None:
    now = values()
    now["sft"]["optimization"]["epochs"], now["seeds"], now["report"]["resamples"] = 2, [9], 300
    then = seeds.sections(values(), source=STUDY.params)
    assert seeds.sections(now, source=STUDY.params) == then and "report" not in then
    now["tree"]["similarity"] = 0.5
    changed = seeds.sections(now, source=STUDY.params)
    assert {name for name in then if then[name] != changed[name]} == {"tree"}


TABLE = {
    "stages": {
        "tasks": {"cmd": "mkdir -p data && echo all > data/tasks.txt", "deps": ["raw.txt"], "outs": ["data/tasks.txt"]},
        "play": {
            "matrix": {"seed": "${seeds}"},
            "cmd": "mkdir -p data/played && echo ${item.seed} | tee -a $RUNS > data/played/${item.seed}.txt",
            "deps": ["data/tasks.txt"],
            "outs": ["data/played/${item.seed}.txt"],
        },
        "report": {
            "cmd": "cat data/tasks.txt data/played/*.txt > results/table1.csv",
            "deps": ["data/played", "data/tasks.txt", "results/grid.csv"],
            "params": [{"params.yaml": None}],
            "outs": ["results/table1.csv"],
        },
    }
}


@pytest.mark.slow
def test_seeds_are_played_by_the_real_commands_and_pooled_without_what_played_them(tmp_path: Path) -> None:
    """Snakemake and DVC, stand-ins for the stages: one seed that is asked for, those that are missing, none."""
    toy = Toy(project(tmp_path / "project"), tmp_path / "home")
    (toy.path / "src").unlink()
    shutil.copytree(ROOT / "workflow/studies", toy.path / "workflow/studies")
    for name in ("Snakefile", "environment.yml", ".dvcignore"):
        shutil.copy(ROOT / name, toy.path)
    shutil.copytree(ROOT / "profiles", toy.path / "profiles")
    (toy.path / "dvc.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    (toy.path / "raw.txt").touch()
    (toy.path / ".gitignore").write_text("/.toy/\n/data/\n/results/*\n!/results/grid.csv\n/logs/\n/runs.log\n")
    (toy.path / "params/study.yaml").rename(toy.path / "params/toy.yaml")
    for words in ("git init -q", "dvc init -q", "git add --all", "git commit -q -m one"):
        toy.run(*words.split())
    table, kept = toy.path / "docs/toy/table1.csv", toy.path / "docs/toy/seeds"

    def make(*words: str) -> str:
        command = [sys.executable, "workflow/studies/study.py", "toy", *words, "--cores", "2"]
        return toy.run(*command, PYTHONPATH=str(ROOT / "src")).stdout

    make("--seeds", "1", "7")
    assert toy.ran() == ["1", "7"] and table.read_text() == "all\n1\n7\n"
    first = snapshot(kept)
    told = json.loads(first["7.json"])
    assert len(told["commit"]) == 12 and told["cores"] == 2 and 0 <= told["hours"] < 0.1
    make()
    assert toy.ran() == ["0"] and table.read_text() == "all\n0\n1\n7\n"
    assert first.items() < snapshot(kept).items(), "those that were kept are as they were"
    shutil.rmtree(toy.path / ".toy")
    table.unlink()
    make("--pool")
    assert toy.ran() == [] and table.read_text() == "all\n0\n1\n7\n"
    assert "make study STUDY=toy" in (toy.path / "docs/toy/README.md").read_text()
