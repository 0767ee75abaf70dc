"""The whole pipeline through the real commands, on params/smoke.yaml: results, second runs, kills, equal bytes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from w2sg.contracts.trajectories import read_trajectories

ROOT = Path(__file__).parents[1]

# What the second run takes over from the first: its stages are cheap, or train as `sft` and `imitation` do.
TAKEN = ("code", "tasks", "experts", "play", "tokenizer", "pretrain")

# What must be the same bytes whatever the number of jobs and interruptions.
# The other methods and the report take the same ways: `explore` and `evaluate` play, `imitation` trains.
COMPARED = (
    "models/sft/alfworld-0/strong/model.safetensors",
    "data/explore/alfworld-0/weak.parquet",
    "data/trees/alfworld-0.pkl",
    "data/paths/alfworld-0/w2s_mcts.parquet",
    "models/imitation/alfworld-0/w2s_mcts/model.safetensors",
    "results/episodes/alfworld-0/imitation.parquet",
)


def workspace(folder: Path) -> Path:
    """A copy of the project with the smoke parameters."""
    command = [sys.executable, "workflow/studies/workspace.py", "params/smoke.yaml", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace; its output is kept."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)


def executed(folder: Path) -> dict[str, float]:
    """When each output of the pipeline was last written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime
        for top in ("data", "models", "results")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which `snakemake --cores 2` has run."""
    folder = workspace(tmp_path_factory.mktemp("two_jobs") / "work")
    done = run(folder, "snakemake", "--cores", "2")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_the_run_ends_with_a_table_and_a_report(finished: Path) -> None:
    table = pd.read_csv(finished / "results/table1.csv")
    columns = ["environment", "model", "seed", "split", "tasks", "average_reward", "success_rate", "completion_rate"]
    assert list(table.columns) == columns
    trained = {"w2s_dpo", "ceiling", "w2s_mcts"}
    assert set(table.model) == {"base_weak", "base_strong", "sft_weak", "sft_strong", "best_of_n"} | trained
    assert set(table[table.split == "unseen"].tasks) == {12}
    # Learning must show even here: a pipeline in which every reward is 0 has learned nothing.
    assert table[table.model.str.startswith("sft_")].average_reward.max() > 0
    page = (finished / "results/report.html").read_text()
    assert "<svg" in page
    loads = re.search(r"""(src|href)\s*=\s*["']?https?:|url\(["']?https?:|@import""", page)
    assert not loads, f"the page loads {loads}"


@pytest.mark.slow
def test_models_are_judged_on_the_last_tasks_of_each_split(finished: Path) -> None:
    """So that after a choice more tasks can be asked for, and the new ones are those that decide."""
    tasks = pd.read_parquet(finished / "data/tasks/alfworld.parquet")
    for group in ("sft", "preference", "imitation"):
        episodes = pd.read_parquet(finished / f"results/episodes/alfworld-0/{group}.parquet")
        for split, count in (("seen", 8), ("unseen", 12)):
            every = list(tasks[tasks.split == split].task_id)
            assert len(every) > count
            own = episodes[episodes.split == split]
            for _, one in own.groupby("model"):
                assert list(dict.fromkeys(one.task_id)) == every[-count:]


@pytest.mark.slow
def test_a_second_run_recomputes_nothing(finished: Path) -> None:
    before = executed(finished)
    again = run(finished, "snakemake", "--cores", "2")
    assert again.returncode == 0, again.stderr[-2000:]
    assert executed(finished) == before
    status = run(finished, "dvc", "status")
    assert "up to date" in status.stdout, status.stdout
    assert executed(finished) == before


@pytest.mark.slow
def test_a_changed_beta_retrains_only_what_follows(finished: Path) -> None:
    params = finished / "params.yaml"
    original = params.read_text()
    changed = yaml.safe_load(original)
    changed["dpo"]["beta"] = 0.5
    params.write_text(yaml.safe_dump(changed, sort_keys=False))
    before = executed(finished)
    done = run(finished, "dvc", "repro")
    assert done.returncode == 0, done.stderr[-2000:]
    after = executed(finished)
    rewritten = {name for name in after if after[name] != before.get(name)}
    folders = {"/".join(name.split("/")[:2]) for name in rewritten if not name.endswith(".gitignore")}
    expected = {"models/preference", "results/logs", "results/episodes", "results/metrics"}
    assert expected <= folders
    assert not folders & {
        "data/explore",
        "data/trees",
        "data/pairs",
        "data/reference",
        "models/imitation",
        "models/sft",
    }
    assert "w2s_dpo" in " ".join(name for name in rewritten if name.startswith("results/logs"))
    params.write_text(original)
    back = run(finished, "snakemake", "--cores", "2")
    assert back.returncode == 0, back.stderr[-2000:]
    assert "restored from DVC's run cache" in back.stderr


@pytest.mark.slow
def test_the_student_explores_in_a_second_round(finished: Path) -> None:
    """`make iterate`: its explorer is the first round's student to the byte, and a second call plays nothing."""
    command = [sys.executable, "workflow/studies/iterate.py", "--environments", "alfworld", "--cores", "2"]
    done = run(finished, *command)
    assert done.returncode == 0, done.stderr[-4000:]
    folder = finished / ".iterate/alfworld-0"
    for student, explorer in (("imitation", "w2s_mcts"), ("sft", "strong")):
        role = "strong" if explorer == "strong" else "weak"
        was = finished / f"models/{student}/alfworld-0/{explorer}/model.safetensors"
        assert (folder / f"models/sft/alfworld-0/{role}/model.safetensors").read_bytes() == was.read_bytes()
    kept = finished / "docs/iteration"
    scores = pd.read_csv(kept / "scores.csv")
    first = pd.read_csv(finished / "results/table1.csv").query("environment == 'alfworld' and split == 'unseen'")
    assert scores.set_index("model").value["student"] == first.set_index("model").average_reward["w2s_mcts"]
    assert set(scores.model) == {
        "sft_weak", "sft_strong", "first_dpo", "student",
        "second_mcts", "second_dpo", "student_mcts", "student_best", "student_sft",
    }  # fmt: skip
    assert list(pd.read_csv(kept / "explored.csv").explorer) == ["sft_weak", "student"]
    assert len(pd.read_csv(kept / "comparisons.csv")) == 6
    before, pages = executed(folder), [path.read_bytes() for path in sorted(kept.iterdir())]
    again = run(finished, *command)
    assert again.returncode == 0, again.stderr[-2000:]
    assert executed(folder) == before
    assert [path.read_bytes() for path in sorted(kept.iterdir())] == pages


@pytest.mark.slow
def test_a_regime_map_of_two_cells(finished: Path) -> None:
    """`make map`: trees of the first samples of one exploration, controls once, a second call that plays nothing."""
    shutil.rmtree(finished / "docs/map/seeds", ignore_errors=True)  # of the default, which these are not compared with
    levels = ["--places", "3", "--demonstrations", "200", "--samples", "3", "4", "--passes", "1", "2", "--again", "1"]
    command = [sys.executable, "workflow/studies/regime_map.py", "--cores", "2", *levels]
    done = run(finished, *command)
    assert done.returncode == 0, done.stderr[-4000:]
    kept, place = finished / "docs/map", finished / ".map/0"
    rows = pd.read_parquet(kept / "seeds/0.parquet")
    standing = {
        key: set(zip(own.model, own.passes, strict=True)) for key, own in rows.groupby(["demonstrations", "samples"])
    }
    students = {("sft_weak", 0), ("sft_strong", 0), ("mcts", 1), ("mcts", 2), ("best", 2), ("dpo", 1)}
    assert standing == {
        (200, 3): students, (200, 4): students, (0, 3): {("own", 2)}, (0, 4): {("own", 2)},
        (0, 0): {("expert", 2), ("again", 1)},
    }  # fmt: skip
    # The weak model has 200 demonstrations, the strong one all that are not explored.
    cards = [
        (place / f"agents/3-{number}-{role}/README.md").read_text() for number, role in ((200, "weak"), (280, "strong"))
    ]
    assert "on 200 expert demonstrations" in cards[0] and "on 280 expert demonstrations" in cards[1]
    explored = read_trajectories(place / "cells/data/explore/alfworld-0/weak.parquet")
    assert {each.sample for each in explored} == set(range(4))
    first = [each.score for each in explored if each.sample < 3]
    assert set(rows[(rows.samples == 3) & (rows.demonstrations == 200)]["mean"]) == {sum(first) / len(first)}
    updates = rows[rows.model == "mcts"].set_index(["samples", "passes"]).updates
    assert updates[3, 2] == 2 * updates[3, 1] > 0
    before, pages = executed(place / "cells"), (kept / "README.md").read_bytes()
    again = run(finished, *command)
    assert again.returncode == 0, again.stderr[-2000:]
    assert executed(place / "cells") == before and (kept / "README.md").read_bytes() == pages
    pooled = run(finished, *command[:2], "--pool")
    assert pooled.returncode == 0 and (kept / "README.md").read_bytes() == pages


def take_over(finished: Path, folder: Path) -> None:
    """Give a new workspace the outputs of the first stages, and have DVC record them there."""
    lock = yaml.safe_load((finished / "dvc.lock").read_text())
    lock["stages"] = {name: entry for name, entry in lock["stages"].items() if name.startswith(TAKEN)}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    for out in (out["path"] for entry in lock["stages"].values() for out in entry["outs"]):
        (folder / out).parent.mkdir(parents=True, exist_ok=True)
        if (finished / out).is_dir():
            shutil.copytree(finished / out, folder / out)
        else:
            shutil.copy2(finished / out, folder / out)
    # An output that is not in DVC's cache would be made again.
    done = run(folder, "dvc", "commit", "--force", "--quiet", *lock["stages"])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_one_job_at_a_time_killed_and_resumed_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "work")
    take_over(finished, folder)
    taken = {name: written for name, written in executed(folder).items() if not name.endswith(".gitignore")}
    command = ["snakemake", "--cores", "1", "evaluate-imitation"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 600
    while not list(folder.glob(".resume/explore-*/**/cohort-0000.parquet")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "exploration never began"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "data/explore/alfworld-0/weak.parquet").exists()
    # That a finished cohort is not played again, tests/agents/test_rollout.py shows.
    done = run(folder, *command)
    assert done.returncode == 0, done.stderr[-4000:]
    assert not (folder / "models/preference").exists(), "only what was asked for"
    assert taken.items() <= executed(folder).items(), "what was taken over did not run"
    for name in COMPARED:
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.slow
def test_without_snakemake_and_dvc_the_same_bytes_come_out(finished: Path, tmp_path: Path) -> None:
    """`w2sg run` on stages that train, play, embed and search: every hash of dvc.lock is that of snakemake's run."""
    folder = workspace(tmp_path / "work")
    take_over(finished, folder)
    before = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    done = subprocess.run(
        [sys.executable, "-m", "w2sg.commands", "run", "--cores", "2", "imitation"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    ours, theirs = (yaml.safe_load((each / "dvc.lock").read_text())["stages"] for each in (folder, finished))
    made = {name.partition("@")[0] for name in ours.keys() - before.keys()}
    assert {"sft", "diversify", "explore", "embed", "trees", "paths", "imitation"} <= made
    for name, entry in ours.items():
        for what in ("deps", "outs"):
            hashes, others = ({each["path"]: each["md5"] for each in one[what]} for one in (entry, theirs[name]))
            assert hashes == others, name
