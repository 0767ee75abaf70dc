"""dvc.yaml and layout.py say the same about where everything lies."""

import re
import shlex
from pathlib import Path

from w2sg import layout, params
from w2sg.params import Params
from w2sg.stages.__main__ import STAGES
from w2sg.stages.groups import GROUPS


def outs(stage, *, environment="", seed=0, role="", kind="", method="", group="") -> set[Path]:
    """What a run of a stage writes, in the words of layout.py."""
    run = layout.run_name(environment, seed)
    match stage:
        case "tasks":
            return {layout.tasks(environment), layout.games(environment)}
        case "experts":
            return {layout.experts(environment)}
        case "play":
            return {layout.play(environment)}
        case "tokenizer":
            return {layout.tokenizer()}
        case "pretrain":
            return {layout.base(role), layout.log("pretrain", role)}
        case "sft":
            return {layout.sft(environment, seed, role), layout.log("sft", f"{run}-{role}")}
        case "explore":
            return {layout.explore(environment, seed, role)}
        case "embed":
            return {layout.embeddings(environment, seed)}
        case "trees":
            return {layout.trees(environment, seed), layout.tree_quality(environment, seed)}
        case "pairs":
            return {layout.pairs(environment, seed, kind)}
        case "paths":
            return {layout.paths(environment, seed, kind)}
        case "reference":
            return {layout.reference(environment, seed, method)}
        case "preference":
            return {layout.preference(environment, seed, method), layout.log("preference", f"{run}-{method}")}
        case "imitation":
            return {layout.imitation(environment, seed, method), layout.log("imitation", f"{run}-{method}")}
        case "evaluate":
            return {layout.episodes(environment, seed, group), layout.metrics(environment, seed, group)}
    raise AssertionError(f"stage {stage} has no place in layout.py")


def options(command: str) -> tuple[str, dict]:
    """Stage and options of a command of dvc.yaml."""
    words = shlex.split(re.fullmatch(r"PYTHONPATH=src python -m w2sg\.stages (.*)", command)[1])
    names = [word.removeprefix("--") for word in words[1::2]]
    return words[0], {
        name: int(word) if name == "seed" else word for name, word in zip(names, words[2::2], strict=True)
    }


def test_outputs_lie_where_layout_says(stage_table):
    for name, stage in stage_table.items():
        command, chosen = options(stage.command)
        if command != "report":
            assert {Path(out) for out in stage.outs} == outs(command, **chosen), name
    assert all(Path(out).parent == layout.RESULTS for out in stage_table["report"].outs)


def test_every_stage_is_there(stage_table):
    runs = [options(stage.command) for stage in stage_table.values()]
    assert {command for command, _ in runs} == set(STAGES)
    assert {chosen["group"] for command, chosen in runs if command == "evaluate"} == set(GROUPS)
    for kind, known in (("pairs", params.BUILT_PAIRS), ("paths", params.BUILT_PATHS)):
        assert {chosen["kind"] for command, chosen in runs if command == kind} == set(known)
    assert {chosen["seed"] for _, chosen in runs if "seed" in chosen} == {0, 7}
    assert {chosen["method"] for command, chosen in runs if command == "preference"} == {"w2s_dpo", "random_dpo"}
    assert {chosen["method"] for command, chosen in runs if command == "imitation"} == {"w2s_mcts", "best_of_m"}


def test_every_data_dependency_is_an_output(stage_table):
    """Of a stage, or a folder that holds outputs of stages and nothing else."""
    made = {Path(out) for stage in stage_table.values() for out in stage.outs}
    folders = {parent for out in made for parent in out.parents}
    for name, stage in stage_table.items():
        for dep in map(Path, stage.deps):
            if dep.parts[0] in ("data", "models", "results"):
                assert dep in made or dep in folders, f"{name}: {dep}"


def test_no_output_is_made_twice(stage_table):
    made = [out for stage in stage_table.values() for out in stage.outs]
    assert len(made) == len(set(made))
    assert not any(other in Path(out).parents for out in made for other in map(Path, made))


def test_declared_parameters_exist(stage_table, root):
    """A parameter that no longer exists would never invalidate anything."""
    loaded = params.load(root / "params.yaml").model_dump()
    loaded["preference"]["random_dpo"] = loaded["imitation"]["best_of_m"] = {}
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
