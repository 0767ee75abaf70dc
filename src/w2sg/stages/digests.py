"""What a stage's outputs depend on besides its inputs and parameters, as text: one ingredient a line.

The ingredients are the modules that the stage imports, directly or not, imports inside functions included; the runner;
files beside a module that names them; and the pinned versions of the libraries that these modules import.
A module counts by its syntax tree without comments and docstrings, so that reformatting changes nothing.
The configuration layer is left out: it hands the values of params.yaml on as they are, which a test holds.

Nothing is imported to find this out.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from w2sg.contracts.errors import UserError
from w2sg.stages.launch import TRAINING
from w2sg.stages.outside import bytes_hash

PACKAGE = "w2sg"
ENVIRONMENTS = f"{PACKAGE}.environments"
CONFIGURATION = (f"{PACKAGE}.config",)
RUNNER = (f"{PACKAGE}.stages.__main__", f"{PACKAGE}.config.threads")
LAUNCHER = f"{PACKAGE}.stages.launch"  # of the stages that may be several processes
# The one module that imports by a name made up at run time: a part of an environment. Who wants a part names it in a
# text, f"w2sg.environments.{name}.world", which is read here.
PARTS = f"{ENVIRONMENTS}.parts"
# Import names that are not their distribution's, for example `import yaml` of pyyaml.
DISTRIBUTIONS = {"fast_downward": "fast-downward-textworld", "yaml": "pyyaml"}


@dataclass(frozen=True)
class Module:
    """What a digest says of one module; nothing of it is run.

    Attributes:
        imports: names in import statements, and the packages above; some are no modules.
        opens: parts of an environment that it imports by name, for example "world".
        data: hashes of files and folders by path.
        empty: it holds nothing but text.
    """

    hash: str
    imports: tuple[str, ...]
    opens: tuple[str, ...]
    libraries: frozenset[str]
    data: dict[str, str]
    empty: bool


class Source:
    """The source of the package below one folder, each module read once.

    Args:
        folder: holds the package, for example src.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Modules are read once, however many stages import them.
        self.module = cache(self._module)
        self.environments = cache(self._environments)

    def path(self, module: str) -> Path:
        """The file of a module or package."""
        base = self.folder.joinpath(*module.split("."))
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")

    def _module(self, name: str) -> "Module":
        path = self.path(name)
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError as error:
            raise UserError(f"{path}: line {error.lineno}: {error.msg}") from None
        imports = _imports(tree, path)
        above = {each.rsplit(".", n)[0] for each in (name, *imports) for n in range(1, each.count(".") + 1)}
        if name not in (PARTS, *RUNNER) and _imports_by_name(tree, imports):
            raise UserError(f"{path}: imports by a name made up at run time, which the digests would miss")
        tops = {each.partition(".")[0] for each in imports} - {PACKAGE} - sys.stdlib_module_names
        return Module(
            hash=tree_hash(tree),
            imports=tuple(each for each in imports | above if _below(each, (PACKAGE,))),
            opens=tuple(_opens(tree)),
            libraries=frozenset(_normal(DISTRIBUTIONS.get(top, top)) for top in tops),
            data={str(each.relative_to(self.folder)): bytes_hash(each) for each in _data(tree, path)},
            empty=all(map(_is_text, tree.body)),
        )

    def _environments(self) -> list[str]:
        """Names of the environments: the packages below `environments` that have a world."""
        folder = self.folder.joinpath(*ENVIRONMENTS.split("."))
        return sorted(
            each.name for each in folder.iterdir() if (each / "world").is_dir() or (each / "world.py").exists()
        )

    def stages(self) -> dict[str, str | None]:
        """Stages by name, each with the option for whose values it has a digest each: environment, role or none.

        A stage is a module with a `main` that takes the parameters.
        """
        found: dict[str, str | None] = {}
        for file in sorted(self.folder.joinpath(PACKAGE, "stages").glob("[!_]*.py")):
            for node in ast.parse(file.read_bytes()).body:
                if isinstance(node, ast.FunctionDef) and node.name == "main" and node.args.args:
                    options = {argument.arg for argument in node.args.kwonlyargs}
                    found[file.stem] = next((name for name in ("environment", "role") if name in options), None)
        return found

    def closure(self, module: str, environment: str | None = None) -> set[str]:
        """Modules that `module` imports, directly or not, itself included, empty ones and the configuration left out.

        Args:
            environment: the one that the stage is for; modules of the others are left out. All count if None.

        Raises:
            UserError: a module imports by a name that is made up at run time.
        """
        chosen = [environment] if environment else self.environments()
        others = [f"{ENVIRONMENTS}.{name}" for name in self.environments() if name not in chosen]
        seen: set[str] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            outside = _below(name, (*CONFIGURATION, *others)) or _is_settings(name) or not self.path(name).exists()
            if name not in seen and not outside:
                seen.add(name)
                waiting += self.module(name).imports
                opened = self.module(name).opens
                waiting += [f"{ENVIRONMENTS}.{each}.{part}" for each in chosen for part in opened]
        return {name for name in seen if not self.module(name).empty}


def digest(source: Source, stage: str, *, environment: str | None = None, pins: dict[str, str]) -> str:
    """The ingredients of a stage, one a line.

    Args:
        pins: version by distribution (`read_pins`).
    """
    runner = {*RUNNER, LAUNCHER} if stage in TRAINING else set(RUNNER)
    code = sorted(source.closure(f"{PACKAGE}.stages.{stage}", environment) | runner)
    modules = {name: source.module(name) for name in code}
    data = {path: content for module in modules.values() for path, content in module.data.items()}
    libraries = frozenset[str]().union(*(module.libraries for module in modules.values()))
    lines = [f"module {name} {module.hash}" for name, module in modules.items()]
    lines += [f"data {path} {data[path]}" for path in sorted(data)]
    lines += [f"library {name} {pins.get(name, 'not pinned')}" for name in sorted(libraries)]
    return "\n".join(lines) + "\n"


def read_pins(lock: Path) -> dict[str, str]:
    """Versions by distribution, as the lock file pins them.

    Raises:
        UserError: there is no such file, or it is no text.
    """
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{lock}: no such file; run this in the folder of the project") from None
    except UnicodeDecodeError:
        raise UserError(f"{lock}: not a text in UTF-8; restore it from git") from None
    found = (re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", line) for line in lines)
    return {_normal(pin[1]): pin[2] for pin in found if pin}


def tree_hash(tree: ast.AST) -> str:
    """Hash of a syntax tree without comments, docstrings and positions; the same for all versions of Python where they
    parse alike."""
    return _short(repr(_plain(tree)).encode())


def _short(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _plain(node: object) -> object:
    """Nested tuples of a tree's meaning; fields that are empty, which Python's versions disagree on, are left out."""
    if isinstance(node, ast.AST):
        fields = [
            (name, _plain(value)) for name, value in ast.iter_fields(node) if name not in ("kind", "type_comment")
        ]
        return (type(node).__name__, *(field for field in fields if field[1] not in (None, ())))
    if isinstance(node, list):
        return tuple(_plain(each) for each in node if not _is_text(each))
    return node if node is None else f"{type(node).__name__} {node!r}"


def _is_text(node: object) -> bool:
    """Whether a statement is a text alone, as docstrings are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.Module, path: Path) -> set[str]:
    """All names in import statements; `from a import b` names a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise UserError(f"{path}: line {node.lineno}: a relative import; write the whole name")
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _imports_by_name(tree: ast.Module, imports: set[str]) -> bool:
    """Whether a module names import_module, __import__ or run_module, or calls exec or eval."""
    named = {name.rpartition(".")[2] for name in imports}
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            named.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
    return bool((named | called) & {"import_module", "__import__", "run_module"} or called & {"exec", "eval"})


def _opens(tree: ast.Module) -> Iterator[str]:
    """Parts in texts such as f"w2sg.environments.{name}.world"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and len(node.values) == 3:
            before, _, after = node.values
            if (
                isinstance(before, ast.Constant)
                and before.value == f"{ENVIRONMENTS}."
                and isinstance(after, ast.Constant)
            ):
                yield str(after.value).lstrip(".")


def _data(tree: ast.Module, path: Path) -> Iterator[Path]:
    """Files and folders without code beside a module that uses `__file__` and names them in a string."""
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Name) and node.id == "__file__" for node in nodes):
        named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        beside = {Path(name).parts[0] for name in named if Path(name).parts}
        for each in sorted(path.parent.iterdir()):
            if each.name in beside and each.suffix != ".py" and not any(each.rglob("*.py")):
                yield each


def _normal(name: str) -> str:
    """A distribution's name as the lock file writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _is_settings(name: str) -> bool:
    """Whether a module belongs to the configuration layer although it lies in an environment's package."""
    return name.startswith(f"{ENVIRONMENTS}.") and name.endswith(".settings")
