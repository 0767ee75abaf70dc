"""Keep docs/invalidation.md equal to the stage table: `python workflow/upkeep/invalidation.py [--write]`.

The page says what a change of each parameter makes stale, as the stages say that DVC has resolved. Without --write
nothing is changed; the exit code is 1 where the page differs (a test runs this).
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from snakemake_dvc.patches import Repo
from snakemake_dvc.stages import BridgeError, one_line_errors, open_repo

PAGE = Path("docs/invalidation.md")
PARAMS = Path("params.yaml")
TABLE = Path("dvc.yaml")

HEAD = """# What a change makes stale

Made from dvc.yaml and params.yaml by `python workflow/upkeep/invalidation.py --write`.
Tests compare it with both files, and with what `snakemake` and `dvc repro` run after a parameter was changed.

*Names it*: the stage depends on the parameter, and runs. *After these*: the stage takes an output of such a stage,
directly or not; it runs unless what it takes comes out as the same bytes.
"""
MATRICES = """
Some parameters also say which stages there are. A new entry adds stages; those that take the folder of all their
outputs are stale then, and when an entry is removed.
"""

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


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of all values that are no sections."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _names(stage: Any) -> Iterator[str]:
    """The parameters that a stage names; "" is the whole file."""
    from dvc.dependency.param import ParamsDependency

    for dep in stage.deps:
        if isinstance(dep, ParamsDependency) and Path(dep.fs_path).resolve() == PARAMS.resolve():
            yield from dep.params or [""]


def _covers(name: str, key: str) -> bool:
    return name in ("", key) or key.startswith(f"{name}.")


def rows(found: Mapping[str, Effect]) -> dict[Effect, list[str]]:
    """Parameters by effect, in the file's order, as Markdown; a section stands for its parameters if most agree."""
    table: dict[Effect, list[str]] = {}
    for key, effect in found.items():
        labels = table.setdefault(effect, [])
        if (label := _section(key, found)) not in labels:
            labels.append(label)
    return table


def _section(key: str, found: Mapping[str, Effect]) -> str:
    """The largest section around `key` most of whose parameters have its effect, and the others; or `key` itself."""
    for depth in range(1, key.count(".") + 1):
        section = ".".join(key.split(".")[:depth])
        inside = [other for other in found if _covers(section, other)]
        others = [other.removeprefix(f"{section}.") for other in inside if found[other] != found[key]]
        if len(others) < len(inside) / 2:
            exceptions = f" except {', '.join(f'`{other}`' for other in others)}" if others else ""
            return f"`{section}`{exceptions}"
    return f"`{key}`"


def page(repo: Repo) -> str:
    """The text of docs/invalidation.md."""
    found = effects(repo, yaml.safe_load(PARAMS.read_text(encoding="utf-8")))
    stages = [stage.addressing for stage in repo.index.stages]
    always = frozenset.intersection(*(effect.direct for effect in found.values()))
    lines = [HEAD]
    if always:
        lines += [f"Left out below: {_show(always, stages)} names all parameters, so it runs after every change.", ""]
    lines += ["| parameter | names it | after these |", "|---|---|---|"]
    for effect, labels in rows(found).items():
        direct, after = (_show(names - always, stages) for names in (effect.direct, effect.after))
        lines.append(f"| {'; '.join(labels)} | {direct} | {after} |")
    lines += [MATRICES, "| entries of | make one each of |", "|---|---|"]
    lines += [f"| `{key}` | {', '.join(names)} |" for key, names in _matrices().items()]
    return "\n".join(lines) + "\n"


def _show(names: Iterable[str], stages: Iterable[str]) -> str:
    """Stages in the table's order, a whole matrix by its name alone."""
    wanted, shown = set(names), list[str]()
    for name in stages:
        entry = name.partition("@")[0]
        whole = all(other in wanted for other in stages if other.partition("@")[0] == entry)
        if name in wanted and (label := entry if whole else name) not in shown:
            shown.append(label)
    return ", ".join(shown) or "-"


def _matrices() -> dict[str, list[str]]:
    """Entries of the stage table by the parameter that spans them."""
    found: dict[str, list[str]] = {}
    for name, entry in yaml.safe_load(TABLE.read_text(encoding="utf-8"))["stages"].items():
        for axis in (entry.get("matrix") or {}).values():
            if isinstance(axis, str) and (key := re.fullmatch(r"\$\{(.+)\}", axis)):
                found.setdefault(key[1].strip(), []).append(name)
    return found


def main() -> int:
    """Compare, or write."""
    try:
        with one_line_errors(), open_repo() as repo:
            text = page(repo)
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if "--write" in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(
            f"{PAGE}: differs from dvc.yaml and params.yaml; run `python workflow/upkeep/invalidation.py --write`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
