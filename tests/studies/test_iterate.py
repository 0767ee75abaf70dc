"""A second round: its parameters, what is refused, and the page of made-up episodes."""

import contextlib
import csv
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import pytest
from played import NAME, project

import iterate
import iterate_page
from evaluation.builders import trajectory
from w2sg.config import overlays
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling

RESAMPLING = Resampling(200, 0.95, 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with both models that a second round starts from, which nobody loads here."""
    folder = project(tmp_path / "run")
    there = [layout.imitation(NAME, 0, "w2s_mcts"), layout.sft(NAME, 0, "strong"), layout.tree_quality(NAME, 0)]
    for path in [*there, *(layout.episodes(NAME, 0, group) for group in iterate.FIRST)]:
        (folder / path).mkdir(parents=True)
    return folder


def test_its_models_are_the_first_rounds_and_nothing_is_tuned_on_demonstrations(run: Path) -> None:
    values = overlays.merged(run / "params.yaml").values
    made = iterate.second(values, iterate.ITERATION, run, None, NAME, 0)
    assert made["seeds"] == [0] and list(made["environments"]) == [NAME]
    assert made["sft"]["optimization"] is None
    for role, model in (("weak", layout.imitation(NAME, 0, "w2s_mcts")), ("strong", layout.sft(NAME, 0, "strong"))):
        base = made["models"][role]["base"]
        assert (iterate.WORKSPACES / f"{NAME}-0" / base).resolve() == (run / model).resolve()
        assert made["outside"] == {each: made["models"][each]["base"] for each in ("weak", "strong")}
    share = values["imitation"]["w2s_mcts"]["expert_share"]
    assert {name: each["expert_share"] for name, each in made["imitation"].items()} == {
        "w2s_mcts": share, "student_mcts": share, "student_best": share, "student_sft": 0.0,
    }  # fmt: skip
    for section in ("explore", "tree", "pairs", "mcts", "dpo", "imitate", "evaluate"):
        changed = {key for key in values[section] if made[section][key] != values[section][key]}
        assert changed == ({"roles"} if section == "explore" else set()), section
    assert made["preference"]["w2s_dpo"] == {**values["preference"]["w2s_dpo"], "reference": "sft_weak"}


def test_folders_and_numbers_of_tasks_are_those_of_its_environment(run: Path) -> None:
    """`../games` is named from where the run is; of 40 tasks that another environment had 12 are left."""
    values = overlays.merged(run / "params.yaml").values
    (run.parent / "games").mkdir()
    values["environments"][NAME] |= {"data_dir": "../games"}
    values["outside"] = {NAME: "../games", "webshop": "../shop", "embed": "../e5"}
    values["embed"]["model"] = "../e5"
    values["environments"][NAME]["tasks"] = {"train": 30, "seen": 8, "unseen": 12}
    values["evaluate"]["unseen"] = 40
    made = iterate.second(values, iterate.ITERATION, run, None, NAME, 0)
    data = made["environments"][NAME]["data_dir"]
    assert (iterate.WORKSPACES / f"{NAME}-0" / data).resolve() == (run.parent / "games").resolve()
    embedder = made["embed"]["model"]
    assert (iterate.WORKSPACES / f"{NAME}-0" / embedder).resolve() == (run.parent / "e5").resolve()
    assert made["outside"][NAME] == data and made["outside"]["embed"] == embedder
    assert set(made["outside"]) == {NAME, "weak", "strong", "embed"}
    assert made["evaluate"]["unseen"] == 12


def test_the_explorer_may_be_another_runs_student(run: Path, tmp_path: Path) -> None:
    """Weak to middle to strong: the middle model explores, SFT strong and the weak one are the first run's."""
    values = overlays.merged(run / "params.yaml").values
    other = tmp_path / "middle"
    with pytest.raises(
        UserError, match=rf"middle/models/imitation/{NAME}-0/w2s_mcts: missing; finish the run of seed 0"
    ):
        iterate.second(values, iterate.CHAIN, run, other, NAME, 0)
    for path in (layout.imitation(NAME, 0, "w2s_mcts"), layout.episodes(NAME, 0, "sft")):
        (other / path).mkdir(parents=True)
    weak = layout.sft(NAME, 0, "weak")
    (run / weak).mkdir()
    with pytest.raises(UserError, match=rf"middle/{weak}: missing; finish the run of seed 0"):
        iterate.second(values, iterate.CHAIN, run, other, NAME, 0)
    for folder, content in ((run, "taught"), (other, "taught by another")):
        files.write_text(folder / weak / "model.safetensors", content)
    with pytest.raises(
        UserError, match=rf"middle/{weak}: another weak model than .*run/{weak}; --explorer wants a run"
    ):
        iterate.second(values, iterate.CHAIN, run, other, NAME, 0)
    files.write_text(other / weak / "model.safetensors", "taught")
    made = iterate.second(values, iterate.CHAIN, run, other, NAME, 0)
    for role, model in (
        ("weak", other / layout.imitation(NAME, 0, "w2s_mcts")),
        ("strong", run / layout.sft(NAME, 0, "strong")),
    ):
        base = made["models"][role]["base"]
        assert (iterate.WORKSPACES / f"{NAME}-0-chain" / base).resolve() == model.resolve()
    assert list(made["imitation"]) == ["w2s_mcts"] and made["imitation"]["w2s_mcts"]["init"] == "sft_strong"


def options(run: Path, **changed: object) -> Namespace:
    return Namespace(**({"run": run, "explorer": None, "environments": None, "seeds": None, "cores": "1"} | changed))


def test_what_cannot_be_a_second_round_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterate.derived, "play", None)
    with pytest.raises(UserError, match=r"--environments chess: the run has alfworld"):
        iterate.follow(options(run, environments=["chess"]))
    with pytest.raises(UserError, match=rf"{NAME}-7/w2s_mcts: missing; finish the run of seed 7 first"):
        iterate.follow(options(run, environments=[NAME], seeds=[7]))
    (run / layout.episodes(NAME, 0, "sft")).rmdir()
    with pytest.raises(UserError, match=rf"episodes/{NAME}-0/sft.parquet: missing; finish the run of seed 0 first"):
        iterate.follow(options(run))
    monkeypatch.setattr(iterate, "WORKSPACES", run.parent)
    with pytest.raises(UserError, match=r"is itself a second round; give the run that it was made of"):
        iterate.follow(options(run))
    monkeypatch.undo()
    file = run / "params.yaml"
    file.write_text(file.read_text().replace("w2s_mcts:", "other_mcts:"))
    with pytest.raises(UserError, match=r"params.yaml: imitation: no w2s_mcts, which is the student"):
        iterate.follow(options(run))


def write_page(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seeds: Sequence[int]) -> str:
    """Of 40 tasks the student solves the first 20, the second round 30, so it is 25 points above it."""
    solved = {"sft_weak": 10, "sft_strong": 15, "student": 20, "second_mcts": 30, "student_mcts": 20}
    episodes = [
        Episode(model, seed, "unseen", trajectory(["look"], task=f"{number:02}", score=float(number < count)))
        for model, count in solved.items()
        for seed in seeds
        for number in range(40)
    ]
    means = {"mean_score": 0.1, "best_score": 0.2, "mixed": 0.3, "merge_rate": 0.4, "nodes": 5.0}
    explored = [iterate_page.Explored(NAME, 0, explorer, means) for explorer in ("sft_weak", "student")]
    monkeypatch.setattr(iterate_page, "commit", lambda: "abc")
    iterate_page.write(
        folder,
        GroupedEpisodes(episodes),
        page=iterate_page.ITERATION,
        run=Path("some/.run"),
        seeds=seeds,
        explored=explored,
        resampling=RESAMPLING,
    )
    return (folder / "README.md").read_text()


def test_the_page_of_made_up_episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_page(tmp_path, monkeypatch, seeds=[0, 1])
    with contextlib.closing((tmp_path / "comparisons.csv").open()) as file:
        rows = {(row["model"], row["baseline"]): row for row in csv.DictReader(file)}
    assert set(rows) == {("second_mcts", "student"), ("second_mcts", "sft_strong"), ("student_mcts", "student")}
    gain = rows["second_mcts", "student"]
    assert (float(gain["difference"]), gain["wins"], gain["losses"]) == (0.25, "10", "0")
    numbers = sorted(float(row["p"]) for row in rows.values())
    least = min(rows.values(), key=lambda row: float(row["p"]))
    assert float(least["p_corrected"]) == pytest.approx(3 * numbers[0], rel=1e-4)  # Holm: the least of three
    assert numbers[0] < 1 / 3
    assert rows["student_mcts", "student"]["verdict"] == "no task differs"
    assert page.startswith("# A second round\n")
    assert "95% intervals over tasks and seeds.\n" in page and "\nPaired by task and seed; " in page
    assert "| The student (W2S MCTS) | 50.0 [" in page and "of the run in `.run`" in page and "40 unseen tasks" in page
    assert "| SFT strong, from the student's tree: TreeDPO | – |" in page
    assert "| SFT weak | mean 10.0, best 20.0, both 30.0 % |" in page


def test_means_of_trees_that_are_none_are_one_line(tmp_path: Path) -> None:
    path, means = tmp_path / "trees.json", dict.fromkeys(iterate_page.MEANS, 0.5)
    files.write_json(path, {"summary": {"mean": {**means, "other": "text"}}})
    assert iterate_page.means_of(path) == means
    for content, found in (
        ({}, "mean_score is None"),
        ({"summary": 5}, "mean_score is None"),
        ({"summary": {"mean": {**means, "mixed": "x"}}}, "mixed is 'x'"),
        ({"summary": {"mean": {**means, "nodes": True}}}, "nodes is True"),
        ({"summary": {"mean": {**means, "nodes": 10**400}}}, "nodes is 1000"),
    ):
        files.write_json(path, content)
        line = rf"trees\.json: summary\.mean\.{found}.*, expected a number; run the stage that writes it"
        with pytest.raises(UserError, match=line):
            iterate_page.means_of(path)


def test_one_seed_has_no_intervals_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_page(tmp_path, monkeypatch, seeds=[1])
    assert "95% intervals over tasks.\n" in page and "\nPaired by task; " in page


def test_every_model_of_a_plan_has_a_label() -> None:
    """So that no row is lost, and none stands for nothing."""
    for plan in (iterate.ITERATION, iterate.CHAIN):
        named = {*plan.first.values(), *plan.second.values(), *plan.before.values()}
        assert named == {*plan.page.labels}
        assert {name for pair in plan.page.contrasts for name in pair} <= named >= {*plan.page.explorers}
        assert {*plan.methods} <= {*plan.second}
