"""The stage table as Snakemake needs it: resolved stages, what their `meta:` says, the stages behind a target."""

import contextlib
import difflib
import getpass
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snakemake_dvc.patches import Repo, open_waiting_repo, patch_process

RESOURCES = ("mem_mb", "runtime", "gpu")
LOCK = "dvc.lock"
PARAMETERS = "params.yaml"  # DVC's own default


class BridgeError(ValueError):
    """A user's mistake; the message is one line that names the file or stage and what is wrong with it."""


@dataclass(frozen=True)
class Stage:
    """One resolved stage of the table: `upstream` are names of stages, `outs` paths relative to the working folder.

    A stage that is `first` has run before the others are judged; one that is `warm` names a file of modules.
    """

    name: str
    upstream: tuple[str, ...]
    outs: tuple[str, ...]
    threads: int
    resources: Mapping[str, int]
    report: tuple[str, ...]
    first: bool = False
    warm: str | None = None


def open_repo() -> Repo:
    if not os.path.exists("dvc.yaml"):
        raise BridgeError("dvc.yaml is not in this folder: call snakemake from the root of the repository")
    check_lock_file(LOCK)
    logging.getLogger("dvc").setLevel(logging.ERROR)
    patch_process()
    _name_the_user()
    repo = open_waiting_repo(".")
    repo.scm_context.quiet = True  # no `git add` hint from every job
    return repo


def _name_the_user() -> None:
    """In a container the user may have a number and no name, which DVC asks for."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        os.environ["USER"] = str(os.getuid())


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what DVC says about a user's mistake into a BridgeError."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import SCMError
    from dvc_data.hashfile.cache import DiskError

    try:
        yield
    except NotDvcRepoError as error:
        raise BridgeError("this is not a DVC repository: .dvc/ is missing (`dvc init` makes it)") from error
    except SCMError as error:
        raise BridgeError("this is not a git repository: `git init`, or `dvc config core.no_scm true`") from error
    except DvcException as error:
        raise BridgeError(_damage_of_lock_file(error) or one_line(error)) from error
    except (sqlite3.Error, DiskError) as error:
        raise BridgeError(
            f"DVC's own database: {one_line(error)}; free some space where `dvc doctor` says Repo.site_cache_dir is, "
            "or remove that folder, which costs only time"
        ) from error
    except OSError as error:  # a full disk, a file that may not be read
        raise BridgeError(one_line(error)) from error


def check_lock_file(path: str) -> None:
    """Raise BridgeError if the file was cut while it was written: it is empty, or its last line has no end."""
    if not os.path.isfile(path):
        return
    try:
        with open(path, "rb") as file:
            end = file.read()[-1:]
    except OSError as error:
        raise BridgeError(f"{path}: {error.strerror}") from error
    if end != b"\n":
        raise BridgeError(f"{path}: {'cut off in its last line' if end else 'empty'}; {_remedy(path)}")


def _damage_of_lock_file(error: BaseException) -> str | None:
    """The line about a lock file that DVC cannot read, if that is what stopped it."""
    from dvc.utils.serialize import ParseError
    from dvc.utils.strictyaml import YAMLValidationError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ParseError | YAMLValidationError) and os.path.basename(cause.path) == LOCK:
            path = os.path.normpath(cause.path)
            return f"{path}: not a lock file of DVC's ({one_line(cause)[:120]}); {_remedy(path)}"
        cause = cause.__cause__
    return None


def _remedy(path: str) -> str:
    return f"`git checkout {path}`, or remove it: what DVC's run cache holds is restored, the rest runs"


def one_line(error: BaseException) -> str:
    """What an error and those behind it say, nothing twice."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        if text and not any(text in part for part in parts):
            parts.append(text)
        cause = getattr(cause, "exc", None) or cause.__cause__
    return ": ".join(parts)


def _unfit_for_a_matrix() -> str | None:
    """The line about a parameter that a matrix runs over and that is no list, if there is one: DVC has none."""
    from dvc.utils.serialize import load_yaml

    values = load_yaml(PARAMETERS) if os.path.exists(PARAMETERS) else {}
    for name, entry in load_yaml("dvc.yaml").get("stages", {}).items():
        over = [*(entry.get("matrix") or {}).values(), entry.get("foreach")] if isinstance(entry, dict) else []
        for key in [text[2:-1] for text in over if isinstance(text, str) and text.startswith("${")]:
            value: Any = values
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if not isinstance(value, list | dict):
                found = f"{PARAMETERS}: {key} is {str(value)[:40]}"
                return f"{found}, but stage {name} is made for each of it: a list is needed"
    return None


def read_stages(repo: Repo) -> dict[str, Stage]:
    """All stages with a command, by name, every stage after those it depends on."""
    import networkx as nx

    try:
        graph = repo.index.graph
    except (TypeError, AttributeError, KeyError, ValueError) as error:  # while it fills in a matrix
        raise BridgeError(_unfit_for_a_matrix() or f"dvc.yaml: {type(error).__name__}: {one_line(error)}") from error
    if not graph:
        raise BridgeError("dvc.yaml: it names no stage")
    stages = {
        stage.addressing: Stage(
            name=stage.addressing,
            upstream=tuple(sorted(up.addressing for up in graph.successors(stage) if up.cmd)),
            outs=tuple(os.path.relpath(out.fs_path) for out in stage.outs),
            **_read_meta(stage.addressing, stage.meta or {}),
        )
        for stage in nx.dfs_postorder_nodes(graph)
        if stage.cmd
    }
    for stage in stages.values():
        if stage.first and (later := [up for up in stage.upstream if not stages[up].first]):
            raise BridgeError(
                f"dvc.yaml: stage {stage.name}: meta.first is true, but it depends on {later[0]}, which is not first"
            )
    return stages


def _read_meta(name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    known = ("threads", *RESOURCES, "report", "first", "warm", "check")
    for key, value in meta.items():
        if key not in known:
            raise BridgeError(f"dvc.yaml: stage {name}: meta.{key} is unknown; known are {', '.join(known)}")
        if key == "report":
            if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
                raise BridgeError(f"dvc.yaml: stage {name}: meta.report must be a list of file patterns, not {value!r}")
        elif key == "first":
            if not isinstance(value, bool):
                raise BridgeError(f"dvc.yaml: stage {name}: meta.first must be true or false, not {value!r}")
        elif key == "warm":
            if not isinstance(value, str) or not os.path.isfile(value):
                raise BridgeError(
                    f"dvc.yaml: stage {name}: meta.warm must be a file of module names, one a line, not {value!r}"
                )
        elif key == "check":
            if not isinstance(value, str):
                raise BridgeError(f"dvc.yaml: stage {name}: meta.check must be a command, not {value!r}")
        elif type(value) is not int or value < (key != "gpu"):
            raise BridgeError(f"dvc.yaml: stage {name}: meta.{key} must be a positive whole number, not {value!r}")
    # `gpu: 0` is left out: an executor takes the mere presence of the resource for a request.
    resources = {key: meta[key] for key in RESOURCES if meta.get(key)}
    return {
        "threads": meta.get("threads", 1),
        "resources": resources,
        "report": tuple(meta.get("report", ())),
        "first": meta.get("first", False),
        "warm": meta.get("warm"),
    }


def find_stages(target: str, stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """The stages behind a target: a stage, a whole matrix, an output, a file in an output, or a folder of outputs.

    Raises BridgeError, naming close matches, when there are none.
    """
    if target in stages:
        return (target,)
    if matrix := tuple(name for name in stages if name.startswith(f"{target}@")):
        return matrix
    path = os.path.relpath(target)
    if makers := tuple(name for name, stage in stages.items() if any(overlap(path, out) for out in stage.outs)):
        return makers
    known = {*stages, *(name.partition("@")[0] for name in stages), *(out for s in stages.values() for out in s.outs)}
    close = difflib.get_close_matches(target, sorted(known), n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "`snakemake --list` names all stages"
    raise BridgeError(f"no stage or output is called {target!r}; {hint}")


def closure(names: Iterable[str], stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The named stages and all they depend on, in the table's order."""
    wanted, todo = set[str](), list(names)
    while todo:
        if (name := todo.pop()) not in wanted:
            wanted.add(name)
            todo.extend(stages[name].upstream)
    return {name: stage for name, stage in stages.items() if name in wanted}


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same or one lies in the other."""
    return one == other or one.startswith(other + os.sep) or other.startswith(one + os.sep)
