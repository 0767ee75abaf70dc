"""dvc.yaml and layout.py say the same about where everything lies."""

import re
import shlex
from pathlib import Path
from typing import get_args

import yaml

from w2sg.config import params
from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.layout import EVALUATION_GROUPS
from w2sg.stages.__main__ import STAGES
from w2sg.stages.groups import contestants


def outs(stage, *, environment="", seed=0, role="", method="", group="") -> set[Path]:
    """What a run of a stage writes, in the words of layout.py."""
    run = layout.run_name(environment, seed)
    match stage:
        case "code":
            return {layout.DATA / "code"}
        case "tasks":
            return {layout.tasks(environment), layout.games(environment)}
        case "experts":
            return {layout.experts(environment), layout.explored_experts(environment)}
        case "play":
            return {layout.play(environment)}
        case "tokenizer":
            return {layout.tokenizer()}
        case "pretrain":
            return {layout.base(seed, role), layout.log("pretrain", f"{seed}-{role}")}
        case "sft":
            return {layout.sft(environment, seed, role), layout.log("sft", f"{run}-{role}")}
        case "diversify":
            return {layout.diverse(environment, seed), layout.log("diversify", run)}
        case "explore":
            return {layout.explore(environment, seed, role)}
        case "embed":
            return {layout.embeddings(environment, seed)}
        case "trees":
            return {layout.trees(environment, seed), layout.tree_quality(environment, seed)}
        case "merging":
            return {layout.merging(environment, seed)}
        case "pairs":
            return {layout.pairs(environment, seed, method)}
        case "paths":
            return {layout.paths(environment, seed, method)}
        case "reference":
            return {layout.reference(environment, seed, method)}
        case "preference":
            return {layout.preference(environment, seed, method), layout.log("preference", f"{run}-{method}")}
        case "imitation":
            return {layout.imitation(environment, seed, method), layout.log("imitation", f"{run}-{method}")}
        case "evaluate":
            return {layout.episodes(environment, seed, group), layout.metrics(environment, seed, group)}
        case "theorem":
            return {layout.theorem(environment, seed)}
    raise AssertionError(f"stage {stage} has no place in layout.py")


def options(command: str) -> tuple[str, dict]:
    """Stage and options of a command of dvc.yaml."""
    words = shlex.split(re.fullmatch(r"PYTHONPATH=src python -m w2sg\.stages[ .](.*)", command)[1])
    names = [word.removeprefix("--") for word in words[1::2]]
    values = zip(names, words[2::2], strict=True)
    return words[0], {name: int(word) if name == "seed" else word for name, word in values if name != "threads"}


def test_outputs_lie_where_layout_says(stage_table):
    for name, stage in stage_table.items():
        command, chosen = options(stage.command)
        if command != "report":
            assert {Path(out) for out in stage.outs} == outs(command, **chosen), name
    assert all(Path(out).parent == layout.RESULTS for out in stage_table["report"].outs)


def test_every_stage_is_there(stage_table, root):
    runs = [options(stage.command) for stage in stage_table.values()]
    assert {command for command, _ in runs} == {"code", *STAGES}
    assert {chosen["group"] for command, chosen in runs if command == "evaluate"} == set(EVALUATION_GROUPS)
    assert {chosen["seed"] for _, chosen in runs if "seed" in chosen} == {0, 7}
    assert {chosen["role"] for command, chosen in runs if command == "explore"} == set(get_args(Role))
    rosters = params.load(root / "params.yaml")
    for roster, commands in (
        (rosters.preference, ("pairs", "reference", "preference")),
        (rosters.imitation, ("paths", "imitation")),
    ):
        for each in commands:
            assert {chosen["method"] for command, chosen in runs if command == each} == set(roster)


def test_a_new_method_is_one_entry_of_a_roster(values, resolve, tmp_path):
    """Its stages, and its place among the models that are evaluated and reported, follow from the entry alone."""
    without = resolve(values)
    values["preference"]["mine"] = {
        "init": "sft_weak",
        "data": "tree",
        "reference": "sft_weak",
        "pairs": None,
        "dpo": None,
    }
    values["imitation"]["my_paths"] = {"init": "base_strong", "data": "mcts", "expert_share": 0.0} | {
        "mcts": None,
        "imitate": None,
    }
    values["inference"]["best_of_two"] = {"model": "sft_weak", "samples": 2, "temperature": 0.7, "top_p": 0.9}
    again = resolve(values)
    added = {
        f"{stage}@{world}-0-{method}"
        for world in values["environments"]
        for method, stages in (("mine", ("pairs", "reference", "preference")), ("my_paths", ("paths", "imitation")))
        for stage in stages
    }
    assert set(again) - set(without) == added
    assert all(again[name] == stage for name, stage in without.items())
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    settings = params.load(file)
    made = {Path(out) for name in added for out in again[name].outs}
    for group, name in (("preference", "mine"), ("imitation", "my_paths"), ("inference", "best_of_two")):
        contestant = contestants(settings, environment="alfworld", seed=0, group=group)[name]
        stage = again[f"evaluate-{group}@alfworld-0"]
        assert any(contestant.checkpoint.is_relative_to(dep) for dep in stage.deps)
        assert group == "inference" or contestant.checkpoint in made
        assert group != "inference" or "inference" in stage.params
        assert contestant.samples == (2 if group == "inference" else 1)
    start = layout.model("alfworld", 0, "base_strong")
    assert any(start.is_relative_to(dep) for dep in again["imitation@alfworld-0-my_paths"].deps)


def test_every_data_dependency_is_an_output(stage_table):
    """Of a stage, or a folder that holds outputs of stages and nothing else; but for the grid's table."""
    grid = Path("results/grid.csv")  # under version control: `make grid` fills it from experiments of their own
    outside = layout.DATA / "outside"  # a text for each entry of `outside`; by default there is none
    made = {Path(out) for stage in stage_table.values() for out in stage.outs}
    folders = {parent for out in made for parent in out.parents}
    for name, stage in stage_table.items():
        for dep in map(Path, stage.deps):
            if dep.parts[0] in ("data", "models", "results"):
                there = dep in made or dep in folders or layout.DATA / "code" in dep.parents or dep in (grid, outside)
                assert there, f"{name}: {dep}"


def test_no_output_is_made_twice(stage_table):
    made = [out for stage in stage_table.values() for out in stage.outs]
    assert len(made) == len(set(made))
    assert not any(other in Path(out).parents for out in made for other in map(Path, made))


def test_declared_parameters_exist(stage_table, root):
    """A parameter that no longer exists would never invalidate anything."""
    loaded = params.load(root / "params.yaml").model_dump()
    for name, stage in stage_table.items():
        for key in stage.params:
            values = loaded
            for part in key.split("."):
                assert part in values, f"{name}: {key}"
                values = values[part]


def test_every_section_invalidates_something(stage_table):
    named = {key.split(".")[0] for stage in stage_table.values() for key in stage.params}
    # `seeds` and the rosters' names are the matrix itself; the report depends on the whole file.
    assert set(Params.model_fields) - named == {"seeds", "report"}
