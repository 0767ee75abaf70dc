"""What keeps the bridge's overhead small, as facts that do not depend on the machine (benchmarks/ has the times)."""

import cProfile
import pstats
import shutil
import sys
from pathlib import Path

import dvc.lock
import dvc_data.hashfile.hash
import pytest

from snakemake_dvc import jobs, patches
from snakemake_dvc.command_line import Mode
from snakemake_dvc.plan import load_pipeline

ROOT = Path(__file__).parents[2]
STAMP = ".dvc/tmp/snakemake/train@a"

# DVC uses something its dependency pygtrie deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.mark.parametrize(("target", "output"), [("train@a", "out/train/a.txt"), ("prepare@a", "out/prepare/a")])
def test_outputs_are_hashed_while_others_may_have_the_lock(here, monkeypatch, target, output):
    hashed = []
    locks = set()
    take, release, read = dvc.lock.Lock.lock, dvc.lock.Lock.unlock, dvc_data.hashfile.hash._hash_file
    monkeypatch.setattr(dvc.lock.Lock, "lock", lambda self: (take(self), locks.add(self)))
    monkeypatch.setattr(dvc.lock.Lock, "unlock", lambda self: (release(self), locks.discard(self)))

    def hash_file(path, *arguments, **options):
        hashed.append((path, bool(locks)))
        return read(path, *arguments, **options)

    monkeypatch.setattr(dvc_data.hashfile.hash, "_hash_file", hash_file)
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    here.edit("params.yaml", "count: 10", "count: 11")
    jobs.run_stage(target, f".dvc/tmp/snakemake/{target}")
    assert [locked for path, locked in hashed if path.startswith(f"{here.path}/{output}")] == [False], (
        "once, without the lock"
    )
    assert here.ran() == [target.replace("@", "-")]
    assert not locks


ODD = """{none: null, tiny: 1.0e-05, yes: 'on', octal: '0o17', words: 'a b ', text: "a: #b", list: [1, 2.50]}"""


def test_dvc_lock_is_what_dvc_itself_writes(here, tmp_path):
    """Two runs, as the second reads what the first wrote; values that YAML can write in several ways."""
    other = type(here)(tmp_path / "other", Path(here.env["HOME"]))
    shutil.copytree(here.path, other.path)
    for number, old, new in ((1, "beta: 0.3", f"beta: {ODD}"), (2, "2.50]", f"2.50, '{'word ' * 40}']")):
        for toy in (here, other):
            toy.edit("params.yaml", old, new)
        for name in ("train@a", "train@b"):
            jobs.run_stage(name, f".dvc/tmp/snakemake/{name}")
        other.run("dvc", "repro", "--single-item", "train@a", "train@b")
        assert here.ran() == other.ran() == ["train-a", "train-b"], number
        assert (here.path / "dvc.lock").read_bytes() == (other.path / "dvc.lock").read_bytes(), number
    assert "octal" in (here.path / "dvc.lock").read_text()


def test_planning_costs_no_more_per_stage_when_there_are_more(tmp_path, monkeypatch):
    """Counted in function calls: what 20 stages add to 10 is about twice what 10 add to 5."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    from pipeline_overhead import make_pipeline

    calls = []
    for stages in (5, 10, 20):
        folder = tmp_path / str(stages)
        make_pipeline(folder, stages=stages, sources=3)
        monkeypatch.chdir(folder)
        load_pipeline(Mode.SHOW, [], scratch=tmp_path / "scratch")  # imports, and what is cached for good
        (folder / "dvc.lock").write_text((folder / "dvc.lock").read_text() + "\n")  # so that YAML is read again
        with cProfile.Profile() as profile:
            pipeline = load_pipeline(Mode.SHOW, [], scratch=tmp_path / "scratch")
        assert len(pipeline.rules) == stages
        assert all(Path(rule.stamp).exists() for rule in pipeline.rules), "nothing is stale"
        calls.append(pstats.Stats(profile).total_calls)
    assert calls[2] - calls[1] < 1.2 * 2 * (calls[1] - calls[0]), calls


def test_yaml_is_read_once_and_copies_do_not_meet():
    from dvc.utils.serialize import _yaml

    patches.read_yaml_once()
    one, other = (_yaml.parse_yaml("a: {b: [1]}", "x.yaml") for _ in range(2))
    one["a"]["b"].append(2)
    assert other == {"a": {"b": [1]}}
    with pytest.raises(_yaml.YAMLFileCorruptedError):
        _yaml.parse_yaml("a: [", "x.yaml")
