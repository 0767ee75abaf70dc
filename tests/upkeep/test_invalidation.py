"""docs/invalidation.md against the stage table, and against what both tools run of it, with stand-ins for commands.

Each stage's command but that of `code` is replaced by one that writes a digest of what the stage declares to depend on.
So an output changes with every change of its inputs, no stage is cut off early, and what runs must be exactly what the
page says; and after an edit of the source, exactly what the digests of `code` say.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml

import invalidation
from snakemake_dvc.command_line import Mode
from snakemake_dvc.plan import load_pipeline
from snakemake_dvc.stages import open_repo

ROOT = Path(__file__).parents[2]

# DVC uses something its dependency pygtrie deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

STAND_IN = """
import hashlib, json, os
from functools import reduce
from pathlib import Path

import yaml

name = os.environ["DVC_STAGE"]
stage = json.loads(Path("declared.json").read_text())[name]
digest = hashlib.sha256(name.encode())
for dep in map(Path, stage["deps"]):
    for path in sorted(dep.rglob("*")) if dep.is_dir() else [dep]:
        if path.is_file():
            digest.update(path.read_bytes())
values = yaml.safe_load(Path("params.yaml").read_text())
for key in stage["params"]:
    digest.update(repr(reduce(lambda value, part: value[part], key.split(".") if key else [], values)).encode())
for out in map(Path, stage["outs"]):
    path = out if out.suffix else out / "content"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(digest.hexdigest()))
with open("runs.log", "a") as log:
    print(name, file=log)
"""

CHANGES = {
    "dpo.beta": 0.7,
    "tree.breadth": 5,
    "mcts.gamma": 2.5,
    "preference.ceiling.reference": "sft_weak",
}


def run(folder: Path, *command: str, errors: bool = False) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(folder / ".site"),
        "XDG_CACHE_HOME": str(folder / ".site"),
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if errors else done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's stage table and parameters in a repository of their own, every stage run once by its stand-in."""
    folder = tmp_path_factory.mktemp("stand_ins") / "work"
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml", "requirements.lock", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "data/outside", folder / "data/outside")
    (folder / "results").mkdir()
    shutil.copy(ROOT / "results/grid.csv", folder / "results")
    shutil.copytree(
        ROOT / "docs/study", folder / "docs/study", ignore=shutil.ignore_patterns("*.svg", "*.html", "*.md")
    )
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    # The others would only multiply the jobs.
    for section, kept in (
        ("environments", ["alfworld"]),
        ("preference", ["w2s_dpo", "ceiling"]),
        ("imitation", ["w2s_mcts"]),
    ):
        values[section] = {name: values[section][name] for name in kept}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    table = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for name, entry in table["stages"].items():
        if name not in ("outside", "code"):
            entry["cmd"] = "python stand_in.py"
    shutil.copytree(ROOT / "src/w2sg", folder / "src/w2sg", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "dvc.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    (folder / "stand_in.py").write_text(STAND_IN)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with open_repo() as repo:
            declare(repo)
    run(folder, "dvc", "repro", "--quiet")
    (folder / "runs.log").unlink()
    return folder


def declare(repo: Any) -> None:
    """Write what the stand-ins read."""
    declared = {
        stage.addressing: {
            "deps": [dep.def_path for dep in stage.deps if not hasattr(dep, "params")],
            "params": [key for dep in stage.deps if hasattr(dep, "params") for key in dep.params or [""]],
            "outs": [out.def_path for out in stage.outs],
        }
        for stage in repo.index.stages
    }
    Path("declared.json").write_text(json.dumps(declared))


def change(folder: Path, key: str) -> None:
    values = yaml.safe_load((folder / "params.yaml").read_text())
    *sections, last = key.split(".")
    section = values
    for name in sections:
        section = section[name]
    assert section[last] != CHANGES[key]
    section[last] = CHANGES[key]
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def ran(folder: Path) -> list[str]:
    log = folder / "runs.log"
    names = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return sorted(names)


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "workflow/upkeep/invalidation.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_the_page_says_is_what_runs(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    shutil.copytree(built, other)
    monkeypatch.chdir(built)
    with open_repo() as repo:
        effects = invalidation.effects(repo, yaml.safe_load(Path("params.yaml").read_text()))
    for key in CHANGES:
        expected = sorted(effects[key].direct | effects[key].after)
        before = Path("params.yaml").read_text()
        change(built, key)
        shown = load_pipeline(Mode.SHOW, [], scratch=tmp_path / key)
        Path("params.yaml").write_text(before)
        assert sorted(rule.stage.name for rule in shown.rules if not Path(rule.stamp).exists()) == expected, key
        change(other, key)
        run(other, "dvc", "repro", "--quiet")
        assert ran(other) == expected, f"dvc repro after {key}"
    for key in CHANGES:
        change(built, key)
    run(built, "snakemake", "--cores", "2")
    assert set(ran(built)) == {name for key in CHANGES for name in effects[key].direct | effects[key].after}
    outputs = {path.relative_to(built): path.read_bytes() for path in built.glob("results/**/*") if path.is_file()}
    assert outputs == {path: (other / path).read_bytes() for path in outputs}, "and both made the same"


def edited(folder: Path, path: str, old: str, new: str) -> None:
    text = (folder / path).read_text(encoding="utf-8")
    assert old in text
    (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")


# Edits after which `code` alone runs: a comment, a docstring, a format, a key that no stage reads yet.
MEANINGLESS = (
    ("src/w2sg/trees/mcts.py", "def ", "# Said otherwise.\ndef "),
    ("src/w2sg/contracts/layout.py", '"""', '"""Said otherwise: '),
    ("src/w2sg/trees/merging.py", "\nfrom ", "\n\n\nfrom  "),
    ("src/w2sg/config/fields.py", "Share = ", "Another = int\nShare = "),
)
SEARCH = ("src/w2sg/trees/mcts.py", "def ", "ANOTHER = 1\n\n\ndef ")
TORCH = ("requirements.lock", "\ntorch==", "\ntorch==0.")
IMPORT_TORCH = {
    "pretrain", "sft", "diversify", "explore", "reference", "preference", "imitation", "theorem",
    *(f"evaluate-{group}" for group in ("base", "sft", "preference", "imitation", "inference")),
}  # fmt: skip


def with_descendants(repo: Any, entries: set[str]) -> tuple[list[str], list[str]]:
    """All stages of some entries of the table, and these with all that come after one of them."""
    direct = [stage for stage in repo.index.graph if stage.addressing.partition("@")[0] in entries]
    later = {each for stage in direct for each in nx.ancestors(repo.index.graph, stage)}
    return sorted(stage.addressing for stage in direct), sorted({each.addressing for each in (*direct, *later)})


@pytest.mark.slow
def test_an_edit_of_the_source_runs_what_imports_it(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    for folder in (here, other):
        shutil.copytree(built, folder)
    monkeypatch.chdir(here)
    with open_repo() as repo:
        _, after_search = with_descendants(repo, {"merging", "paths"})
        importing_torch, after_torch = with_descendants(repo, IMPORT_TORCH)
    for edits, expected in ((MEANINGLESS, []), ([SEARCH], after_search)):
        for edit in edits:
            edited(here, *edit)
            edited(other, *edit)
        plan = run(here, "snakemake", "-n", errors=True)
        assert "would run first: code: src/w2sg is modified" in plan
        assert ("Nothing to be done" in plan) == (not expected)
        assert not (here / "runs.log").exists()
        assert "running first: code" in run(here, "snakemake", "--cores", "2", errors=True)
        assert ran(here) == expected
        assert "Running stage 'code'" in run(other, "dvc", "repro")
        assert ran(other) == expected
        assert "up to date" in run(here, "dvc", "status")
    edited(here, *TORCH)
    plan = run(here, "snakemake", "-n", errors=True)
    assert sorted(set(re.findall(r"^Job \d+: (\S+): ", plan, flags=re.MULTILINE)) - {"all", "0"}) == after_torch
    run(here, "dvc", "repro", "code")
    status = json.loads(run(here, "dvc", "status", "--json"))
    assert sorted(status) == importing_torch


@pytest.mark.slow
def test_a_table_that_changed_is_found(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    shutil.copytree(built, folder)
    shutil.copytree(ROOT / "docs", folder / "docs", dirs_exist_ok=True)
    command = [sys.executable, "workflow/upkeep/invalidation.py"]
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace("- mcts.uncertified\n", "- mcts\n"))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("docs/invalidation.md: differs from dvc.yaml and params.yaml")
    subprocess.run([*command, "--write"], cwd=folder, check=True)
    page = (folder / "docs/invalidation.md").read_text()
    before = "| `mcts`: gamma, iterations, ties, words, minimum_score |   | ○ |   |   |   | ○ |   |   |"
    assert before in (ROOT / "docs/invalidation.md").read_text() and before not in page
    assert "| `mcts` |   | ● |   |   |   | ○ |   |   |" in page
