"""Keep dvc.yaml's code dependencies equal to what each stage imports: `python workflow/upkeep/code_deps.py [--write]`.

Without --write nothing is changed; the exit code is 1 where they differ (a test runs this). Imports are read from the
source, those inside functions included, and followed through the package; a text that names a part of whichever
environment (environments/parts.py) imports that part of all. A folder beside a module that is no package,
such as the report's templates, is read by the modules that write its name after `__file__`.

What lies in the package of one environment concerns the stages of that environment alone. So in a stage with one job
for each environment, such files become the folder they lie in, under the name of whichever environment it is:
`src/w2sg/environments/${item.environment}/world`. A folder must not hold more than the stage imports, save for `world`,
where others find what they share.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

SOURCE = Path("src")
TABLE = Path("dvc.yaml")
ENVIRONMENTS = SOURCE / "w2sg/environments"


@cache
def imported(module: str) -> frozenset[str]:
    """Modules of the package that `module` names in its import statements, with the packages above them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.JoinedStr):
            found |= parts_of_environments(node)
    found |= {name.rsplit(".", 1)[0] for name in list(found) if "." in name}
    parents = {module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)}
    return frozenset(name for name in found | parents if name.startswith("w2sg") and path_of(name).exists())


def parts_of_environments(text: ast.JoinedStr) -> set[str]:
    """The modules that a text such as f"w2sg.environments.{name}.world" names, one for each environment."""
    match text.values:
        case [ast.Constant(value="w2sg.environments."), ast.FormattedValue(), ast.Constant(value=str(part))]:
            return {f"w2sg.environments.{file.parent.name}{part}" for file in ENVIRONMENTS.glob("*/settings.py")}
    return set()


def path_of(module: str) -> Path:
    """The file of a module or package."""
    base = SOURCE.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def closure(module: str) -> list[str]:
    """Files that `module` imports, directly or not, itself included; empty ones left out."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting += imported(name)
    files = [path_of(name) for name in seen]
    folders = {folder for file in files for folder in data_folders(file)}
    return sorted([str(file) for file in files if file.stat().st_size] + [str(folder) for folder in folders])


def data_folders(file: Path) -> list[Path]:
    """Folders without code beside a module that uses `__file__` and names them in a string."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    if not any(isinstance(node, ast.Name) and node.id == "__file__" for node in nodes):
        return []
    named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    beside = [folder for folder in file.parent.iterdir() if folder.is_dir() and folder.name in named]
    return [folder for folder in beside if not any(folder.rglob("*.py"))]


def by_environment(files: list[str]) -> list[str]:
    """The files with those of single environments replaced by templates, which every environment must fill alike."""
    parts: dict[str, set[str]] = {}
    common = []
    for file in files:
        inside = Path(file).relative_to(ENVIRONMENTS).parts if Path(file).is_relative_to(ENVIRONMENTS) else ()
        if len(inside) > 1:
            parts.setdefault(inside[0], set()).add(inside[1])
        else:
            common.append(file)
    for environment, names in parts.items():
        folders = [ENVIRONMENTS / environment / name for name in names - {"world"} if not name.endswith(".py")]
        written = {str(path) for folder in folders for path in folder.rglob("*.py") if path.stat().st_size}
        if unused := sorted(written - set(files)):
            sys.exit(f"{unused[0]}: not imported by a stage that imports others in its folder; move it elsewhere")
    names = set[str]().union(*parts.values())
    for path in (ENVIRONMENTS / environment / name for environment in parts for name in names):
        if not path.exists():
            sys.exit(f"{path}: missing; other environments have it, and the stage table names it for all")
    return sorted(common + [str(ENVIRONMENTS / "${item.environment}" / name) for name in names])


def updated(table: str) -> str:
    """The text of dvc.yaml with the code dependencies that the source asks for."""
    lines = [line for line in table.splitlines() if not line.startswith("      - src/")]
    result: list[str] = []
    for line in lines:
        if line.startswith(("    params:", "    outs:")) and (stage := _stage(result)) is not None:
            header = [] if "    deps:" in _block(result) else ["    deps:"]
            files = closure(f"w2sg.stages.{stage}")
            if "      environment: ${environments}" in _block(result):
                files = by_environment(files)
            result += header + [f"      - {path}" for path in files]
        result.append(line)
    return "\n".join(result) + "\n"


def _block(lines: list[str]) -> list[str]:
    start = max(n for n, line in enumerate(lines) if re.match(r"  [\w-]+:$", line))
    return lines[start:]


def _stage(lines: list[str]) -> str | None:
    """The module of the stage being read, None once its code is listed."""
    block = _block(lines)
    if any(line.startswith("      - src/") for line in block):
        return None
    command = next(line for line in block if line.startswith("    cmd:"))
    found = re.search(r"-m w2sg\.stages (\w+)", command)
    assert found is not None, command
    return found[1]


def main() -> int:
    """Compare, or write."""
    before = TABLE.read_text(encoding="utf-8")
    after = updated(before)
    if "--write" in sys.argv:
        TABLE.write_text(after, encoding="utf-8")
    elif before != after:
        print(
            "dvc.yaml: code dependencies differ from the imports; run `python workflow/upkeep/code_deps.py --write`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
