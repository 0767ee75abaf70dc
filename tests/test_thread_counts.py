"""The threads that the stage table declares are what Snakemake schedules and what a stage gets, by either tool."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from snakemake_dvc.stages import open_repo, read_stages
from toys import Toy, copy_of
from w2sg.config import threads

ROOT = Path(__file__).parents[1]

# The project's own stage runner, with a stage that says what it sees in place of the real one.
PROBE = """
import json, os, sys, types
from pathlib import Path
from w2sg.stages.__main__ import main

given = os.environ["OMP_NUM_THREADS"]

def stage(params):
    import torch
    counts = {"given": given, "torch": torch.get_num_threads(), "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"]}
    Path(f"{sys.argv[1]}.json").write_text(json.dumps(counts))

sys.modules[f"w2sg.stages.{sys.argv[1]}"] = types.SimpleNamespace(main=stage)
sys.exit(main())
"""
TABLE = """
stages:
  tokenizer: {cmd: python probe.py tokenizer --threads 2, deps: [probe.py], outs: [tokenizer.json], meta: {threads: 2}}
  report: {cmd: python probe.py report, deps: [probe.py], outs: [report.json]}
"""


@pytest.fixture(scope="module")
def fresh_probe(tmp_path_factory):
    """A repository with the project's Snakefile, over stages that say what they see; nothing has run."""
    folder = tmp_path_factory.mktemp("fresh")
    toy = Toy(folder / "probe", folder / "home")
    toy.path.mkdir()
    for name in ("Snakefile", "environment.yml", "params.yaml"):
        shutil.copy(ROOT / name, toy.path)
    shutil.copytree(ROOT / "profiles", toy.path / "profiles")
    (toy.path / "probe.py").write_text(PROBE)
    (toy.path / "dvc.yaml").write_text(TABLE)
    toy.run("git", "init", "--quiet")
    toy.run("dvc", "init", "--quiet")
    return toy


@pytest.fixture
def probe(fresh_probe, tmp_path):
    yield from copy_of(fresh_probe, tmp_path / "probe")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("dvc repro", {"tokenizer": 7, "report": 7}),
        ("snakemake --cores 2", {"tokenizer": 2, "report": 1}),
        ("snakemake --cores 1 tokenizer", {"tokenizer": 1}),
    ],
)
def test_a_stage_gets_the_threads_it_declares(probe, command, given):
    """Snakemake gives its jobs the scheduled number, which is less where it has fewer cores; a shell, any number."""
    probe.run(*command.split(), PYTHONPATH=str(ROOT / "src"), OMP_NUM_THREADS="7")
    declared = {"tokenizer": 2, "report": 1}
    for stage, count in given.items():
        seen = json.loads((probe.path / f"{stage}.json").read_text())
        assert seen == {"given": str(count), "torch": declared[stage], "OMP_NUM_THREADS": str(declared[stage])}, stage


# DVC uses something its dependency pygtrie deprecates.
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")
def test_both_tools_read_the_same_count_from_the_stage_table(tmp_path, monkeypatch):
    """A module may serve several entries of the table (evaluate-base, evaluate-sft), which must declare the same."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "workflow").mkdir()
    shutil.copy(ROOT / "workflow/warm.txt", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    from dvc.repo import Repo

    Repo.init(no_scm=True).close()
    with open_repo() as repo:
        scheduled = {name: stage.threads for name, stage in read_stages(repo).items()}
    entries = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    commands = {name: entry.get("do", entry)["cmd"] for name, entry in entries.items()}
    modules = {name: re.search(r"w2sg[./]stages[ ./](\w+)", command)[1] for name, command in commands.items()}
    assert scheduled == {name: threads.declared(modules[name.partition("@")[0]]) for name in scheduled}
    assert len(set(scheduled.values())) > 1, "or this compares nothing"
