"""What a stage reads of the parameters is what dvc.yaml declares for it: else a change would not invalidate it."""

import ast

import pytest

from w2sg.stages.__main__ import STAGES


def chains(source: str) -> set[str]:
    """Dotted keys that a module reads: `params.tree.breadth`; `params.environment(name)` counts as `environments`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "params" and names:
            names.reverse()
            found.add("environments" if names[0] in ("environment", "environments") else ".".join(names))
    longest = {key for key in found if not any(other.startswith(f"{key}.") for other in found)}
    return {key for key in longest if not key.startswith(("seeds", "model_dump"))}


def covered(key: str, declared: frozenset[str]) -> bool:
    """A declared key covers itself and all below it; a whole section that was handed on, its declared parts."""
    return any(f"{key}.".startswith(f"{one}.") or one.startswith(f"{key}.") for one in declared)


# The report depends on the whole file; the tokenizer needs the environments' names alone, which are the matrix.
@pytest.mark.parametrize("command", [name for name in STAGES if name not in ("report", "tokenizer")])
def test_parameters_that_are_read_are_declared(stage_table, root, command):
    folder = root / "src" / "w2sg" / "stages"
    source = (folder / f"{command}.py").read_text(encoding="utf-8")
    if "w2sg.stages.rollouts" in source:
        source += (folder / "rollouts.py").read_text(encoding="utf-8")
    tables = [stage for name, stage in stage_table.items() if f"w2sg.stages {command}" in stage.command]
    assert tables
    for stage in tables:
        missing = {key for key in chains(source) if not covered(key, stage.params)}
        assert not missing, f"{stage.command}: {', '.join(sorted(missing))} not under `params:` in dvc.yaml"


def test_chains():
    assert chains("a = params.x.y + params.x\nb = params.environment(n).prompt\nparams.seeds[0]\nq.params.z") == {
        "x.y", "environments",
    }  # fmt: skip
    assert covered("x.y", frozenset({"x"}))
    assert covered("x", frozenset({"x.y"}))
    assert not covered("x.y", frozenset({"x.yy"}))
