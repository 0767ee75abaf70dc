"""The order of the packages, read from the imports: no arrow points upward, none runs in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
# From the top. Packages of one level may import each other in one direction.
LEVELS = (
    ("w2sg.stages", "w2sg.commands"),
    ("w2sg.evaluation.report",),
    ("w2sg.evaluation.paper",),
    ("w2sg.evaluation.measures",),
    ("w2sg.training",),
    ("w2sg.environments", "w2sg.agents"),
    ("w2sg.trees",),
    ("w2sg.config",),
    ("w2sg.contracts",),
)
LEVEL = {package: number for number, level in enumerate(LEVELS) for package in level}
STAGE_HELPERS = {"cards", "launch", "digests", "groups", "rollouts", "sharing", "workers"}
LONGEST = 300  # lines, not reached


def modules(source: Path) -> dict[str, Path]:
    """Every module and package below a folder, by its dotted name."""
    names = {".".join(file.relative_to(source).with_suffix("").parts): file for file in source.rglob("*.py")}
    return {name.removesuffix(".__init__"): file for name, file in names.items()}


def imports(source: Path) -> dict[str, set[str]]:
    """By module, the modules of the folder that it imports, inside functions and for type checkers too."""
    known = modules(source)
    found = {}
    for name, file in known.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = name.split(".")[: len(name.split(".")) - node.level + (file.stem == "__init__")]
                    base = ".".join([*above, *base.split(".")]).rstrip(".")
                inner = {f"{base}.{alias.name}" for alias in node.names}
                wanted |= {module for module in inner if module in known} or {base}
                if not all(module in known for module in inner):
                    wanted.add(base)
        found[name] = {module for module in wanted if module in known} - {name}
    return found


IMPORTS = imports(SOURCE)


def package_of(module: str) -> str | None:
    """The package of LEVELS that a module lies in."""
    return next((package for package in LEVEL if module == package or module.startswith(f"{package}.")), None)


def upward(found: dict[str, set[str]]) -> list[str]:
    """Imports that point to a package above the importer's."""
    arrows = [(module, other) for module, others in found.items() for other in sorted(others)]
    return [
        f"{module} imports {other}"
        for module, other in arrows
        if (own := package_of(module)) and (its := package_of(other)) and LEVEL[its] < LEVEL[own]
    ]


def circle(found: dict[str, set[str]]) -> list[str]:
    """One circle of imports, if there is any."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_has_a_place_in_the_order() -> None:
    loose = [name for name in IMPORTS if name.startswith("w2sg.") and package_of(name) is None]
    assert [name for name in loose if name != "w2sg.evaluation"] == []
    empty = [package for package in LEVEL if not any(package_of(name) == package for name in IMPORTS)]
    assert empty == []


def test_no_import_points_upward() -> None:
    assert upward(IMPORTS) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(IMPORTS) == []


def test_no_packages_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {package: set() for package in LEVEL}
    for module, others in IMPORTS.items():
        if own := package_of(module):
            arrows[own] |= {package for other in others if (package := package_of(other)) and package != own}
    assert circle(arrows) == []


def test_no_stage_imports_a_stage() -> None:
    stages = {name for name in IMPORTS if name.startswith("w2sg.stages.")}
    stages -= {f"w2sg.stages.{helper}" for helper in STAGE_HELPERS}
    assert len(stages) > 15
    assert {name: IMPORTS[name] & stages for name in stages if IMPORTS[name] & stages} == {}


def test_the_bridge_and_the_project_know_nothing_of_each_other() -> None:
    bridge = {name for name in IMPORTS if name.split(".")[0] == "snakemake_dvc"}
    assert bridge
    across = [(a, b) for a, others in IMPORTS.items() for b in others if (a in bridge) != (b in bridge)]
    assert across == []


@pytest.mark.parametrize("folder", ["src", "workflow"])
def test_modules_are_short(folder: str) -> None:
    files = list((SOURCE.parent / folder).rglob("*.py"))
    lines = {str(file.relative_to(SOURCE.parent)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert lines
    assert {name: number for name, number in lines.items() if number >= LONGEST} == {}


def test_the_reader_of_imports_sees_every_kind(tmp_path: Path) -> None:
    texts = {
        "w2sg/contracts/low.py": "def f():\n    from w2sg.stages import high\n",
        "w2sg/contracts/relative.py": "from .low import f\n",
        "w2sg/contracts/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import w2sg.config.keys\n",
        "w2sg/config/keys.py": "from w2sg.contracts import typed, relative\n",
        "w2sg/stages/high.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = imports(tmp_path)
    assert found["w2sg.contracts.relative"] == {"w2sg.contracts.low"}
    assert sorted(upward(found)) == [
        "w2sg.contracts.low imports w2sg.stages.high",
        "w2sg.contracts.typed imports w2sg.config.keys",
    ]
    assert set(circle(found)) == {"w2sg.contracts.typed", "w2sg.config.keys"}
