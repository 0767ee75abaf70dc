"""Keep docs/invalidation.md equal to the stage table: `python workflow/upkeep/invalidation.py [--write]`.

The page says what a change of each parameter makes stale, as the stages say that DVC has resolved. Without --write
nothing is changed; the exit code is 1 where the page differs (a test runs this).
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pages
from dotted_keys import leaves
from snakemake_dvc.patches import Repo
from snakemake_dvc.stages import BridgeError, one_line_errors, open_repo
from w2sg.config.params import validated
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

PAGE = Path("docs/invalidation.md")
PARAMS = Path("params.yaml")
TABLE = Path("dvc.yaml")

HEAD = """# What a change makes stale

Made from dvc.yaml and params.yaml by `python workflow/upkeep/invalidation.py --write`.
Tests compare it with both files, and with what `snakemake` and `dvc repro` run after a parameter was changed.

● names it: the stage depends on the parameter, and runs.
○ comes after: the stage takes an output of such a stage, directly or not.
It runs unless what it takes comes out as the same bytes.
A change of one environment or one method concerns its own stages, and what comes after them.
"""
MATRICES = """
Some parameters also say which stages there are.
A new entry adds stages; those that take the folder of all their outputs are stale then, and when an entry is removed.
"""
WIDTH = 138  # of a line of the tables
ROSTERS = ("environments", "preference", "imitation", "inference")

Stages: TypeAlias = frozenset[str]


@dataclass(frozen=True)
class Effect:
    """What a parameter makes stale: the stages that name it, and those that come after one of them."""

    direct: Stages
    after: Stages


def effects(repo: Repo, values: Mapping[str, Any]) -> dict[str, Effect]:
    """The effect of each parameter; keys are dotted, and a list is one value."""
    import networkx as nx

    graph = repo.index.graph
    found = {}
    for key in leaves(values):
        direct = [stage for stage in graph if any(_covers(name, key) for name in _names(stage))]
        after = {later for stage in direct for later in nx.ancestors(graph, stage)}.difference(direct)
        found[key] = Effect(*(frozenset(stage.addressing for stage in stages) for stages in (direct, after)))
    return found


def _names(stage: Any) -> Iterator[str]:
    """The parameters that a stage names; "" is the whole file."""
    from dvc.dependency.param import ParamsDependency

    for dep in stage.deps:
        if isinstance(dep, ParamsDependency) and Path(dep.fs_path).resolve() == PARAMS.resolve():
            yield from dep.params or [""]


def _covers(name: str, key: str) -> bool:
    return name in ("", key) or key.startswith(f"{name}.")


def rows(found: Mapping[str, Effect], stages: Sequence[str]) -> list[tuple[str, str]]:
    """Parameters in the file's order, each with ● (names it), ○ (comes after) or a blank for each of `stages`.

    Stages are entries of the table, and an entry of a roster is written `*`. A section is one row, or a row
    for each set of its parameters that have the same marks, cut where the line would be too long.
    """
    marks: dict[str, str] = {}
    for key, effect in found.items():
        own = "".join(_mark(effect, stage) for stage in stages)
        label = re.sub(rf"^({'|'.join(ROSTERS)})\.\w+", r"\1.*", key)
        marks[label] = "".join(min(pair, key="●○ ".index) for pair in zip(own, marks.get(label, own), strict=True))
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, mark in _sections(marks):
        section, _, last = name.rpartition(".")
        grouped.setdefault((section or name, mark), []).append(last if section else "")
    return [
        (f"`{section}`: {names}" if names else f"`{section}`", mark)
        for (section, mark), lasts in grouped.items()
        for names in textwrap.wrap(", ".join(filter(None, lasts)), WIDTH - len(section) - 4 * len(stages) - 12) or [""]
    ]


def _mark(effect: Effect, stage: str) -> str:
    for names, mark in ((effect.direct, "●"), (effect.after, "○")):
        if any(name.partition("@")[0] == stage for name in names):
            return mark
    return " "


def _sections(marks: Mapping[str, str]) -> dict[tuple[str, str], None]:
    """The largest section around each parameter all of whose parameters have the same marks, with these marks."""
    found: dict[tuple[str, str], None] = {}
    for key, mark in marks.items():
        parts = key.split(".")
        around = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        section = next(one for one in around if all(marks[other] == mark for other in marks if _covers(one, other)))
        found[section, mark] = None
    return found


def made() -> dict[Path, str]:
    """The page with its text.

    Raises:
        UserError: the parameters or the stage table are wrong.
    """
    values = read_yaml(PARAMS)
    validated(values, source=PARAMS)
    try:
        with one_line_errors(), open_repo() as repo:
            return {PAGE: page(repo, values)}
    except BridgeError as error:
        raise UserError(str(error)) from None


def page(repo: Repo, values: Mapping[str, Any]) -> str:
    """The text of docs/invalidation.md."""
    found = effects(repo, values)
    names = list(dict.fromkeys(stage.addressing.partition("@")[0] for stage in repo.index.stages))
    always = {name for name in names if all(_mark(effect, name) == "●" for effect in found.values())}
    lines = [HEAD]
    if always:
        lines += [f"Left out below: {', '.join(always)} names all parameters, so it runs after every change.", ""]
    marked = [name for name in names if any(_mark(effect, name) != " " for effect in found.values())]
    for stages in _side_by_side([name for name in marked if name not in always]):
        lines += [f"| | {' | '.join(stages)} |", f"|---|{':-:|' * len(stages)}"]
        lines += [f"| {label} | {' | '.join(mark)} |" for label, mark in rows(found, stages) if mark.strip()]
        lines.append("")
    lines += [MATRICES.lstrip(), "| entries of | make one each of |", "|---|---|"]
    lines += [f"| `{key}` | {shown} |" for key, shown in _matrices(names).items()]
    return "\n".join(lines) + "\n"


def _side_by_side(stages: Sequence[str]) -> list[list[str]]:
    """The stages cut into tables whose lines are short enough."""
    tables: list[list[str]] = [[]]
    for stage in stages:
        if sum(len(each) + 3 for each in ("", *tables[-1], stage)) > WIDTH - 4:
            tables.append([])
        tables[-1].append(stage)
    return tables


def _matrices(names: Sequence[str]) -> dict[str, str]:
    """Entries of the stage table by the parameter that spans them; all but a few by what they are not."""
    found: dict[str, list[str]] = {}
    for name, entry in (read_yaml(TABLE).get("stages") or {}).items():
        for axis in (entry.get("matrix") or {}).values():
            if isinstance(axis, str) and (key := re.fullmatch(r"\$\{(.+)\}", axis)):
                found.setdefault(key[1].strip(), []).append(name)
    others = {key: [name for name in names if name not in spanned] for key, spanned in found.items()}
    return {
        key: ", ".join(spanned) if len(spanned) < len(others[key]) else f"all but {', '.join(others[key])}"
        for key, spanned in found.items()
    }


def main() -> int:
    """Compare, or write."""
    return pages.main("invalidation", made, source="dvc.yaml and params.yaml", about=__doc__)


if __name__ == "__main__":
    sys.exit(main())
