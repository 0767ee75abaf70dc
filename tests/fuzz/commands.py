"""Command lines, drawn from the parsers, in a project with what stages write, some of it damaged.

Nothing leaves the project's folder: programs are not started but answered for, and an audit hook of Python's refuses
what would be written elsewhere or asked of a network.
"""

import argparse
import contextlib
import importlib
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.commands import __main__ as w2sg_command
from w2sg.commands import new_environment
from w2sg.commands.run import schedule, stage_table
from w2sg.commands.run.stage_table import Stage
from w2sg.config import params
from w2sg.config.fields import Splits
from w2sg.contracts import layout
from w2sg.contracts.episodes import Episode, write_episodes
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.tasks import make_tasks
from w2sg.stages import __main__ as stage_command
from w2sg.stages.__main__ import STAGES
from w2sg.trees import tree as trees

from . import hostile
from .outcomes import Case
from .pickles import grown

ROOT = Path(__file__).parents[2]
# Those that need no model; the others load torch before they look at their inputs.
LIGHT = ("tasks", "trees", "pairs", "paths", "merging", "report")
WORDS = (
    "alfworld", "webshop", "train-0000", "unseen-0000", "task", "0", "1", "params.yaml", "params/smoke.yaml", "weak",
    "w2s_dpo", "w2s_mcts", "run", "tree", "episode", "data", "absent", "nan", "1e9", "--", "--help", "-x", "trees",
    "report", "code",
)  # fmt: skip
REPLAYED = ("alfworld", "webshop")  # the third starts a Java machine
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")
OUTWARDS = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")


class Fence:
    """Of the whole process, as audit hooks stay; it stands while `folder` is set."""

    folder: Path | None = None
    hooked = False

    @classmethod
    @contextlib.contextmanager
    def around(cls, folder: Path) -> Iterator[None]:
        """Let the block change nothing but what lies in the folder, and ask nobody."""
        if not cls.hooked:
            sys.addaudithook(cls._seen)
            cls.hooked = True
        cls.folder = folder
        try:
            yield
        finally:
            cls.folder = None

    @classmethod
    def _seen(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.folder is None:
            return
        if event in OUTWARDS:
            raise AssertionError(f"{event} {arguments}")
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (writes or event in CHANGING) and isinstance(arguments[0], str | bytes | os.PathLike):
            ends = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
            for path in [os.path.realpath(os.fsdecode(end)) for end in ends]:
                made = event == "os.mkdir" and os.path.isdir(path)  # is there already
                inside = path.startswith(f"{cls.folder}{os.sep}") or path == os.devnull or "__pycache__" in path
                if not made and not inside:
                    raise AssertionError(f"{event} {path}")


def drawn(rng: random.Random, parser: argparse.ArgumentParser) -> list[str]:
    """Words for a parser and, where it has some, one of its commands; some are wrong, some too many."""
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            name = rng.choice(list(action.choices)) if rng.random() < 0.95 else _word(rng)
            words.append(name)
            if name in action.choices:
                words += drawn(rng, action.choices[name])
        elif not action.option_strings:
            words += [_word(rng, action.choices)] if rng.random() < (0.4 if action.nargs == "*" else 0.9) else []
        elif rng.random() < (0.01 if action.dest == "help" else 0.3):
            words.append(rng.choice(action.option_strings))
            words += [] if action.nargs == 0 else [_word(rng, action.choices)]
    if words[:2] == ["replay", "scienceworld"]:
        words[1] = rng.choice(REPLAYED)
    if words[:1] == ["replay"] and len(words) > 1 and words[1] in REPLAYED:
        own = argparse.ArgumentParser()
        importlib.import_module(f"w2sg.environments.{words[1]}.replay").add_arguments(own)
        return [*words[:2], *drawn(rng, own)]
    return [*words, _word(rng)] if rng.random() < 0.05 else words


def _word(rng: random.Random, choices: Any = None) -> str:
    if choices and rng.random() < 0.7:
        return str(rng.choice(list(choices)))
    word = rng.choice(WORDS) if rng.random() < 0.7 else rng.choice(hostile.TEXTS)
    return os.fsdecode(os.fsencode(word.encode(errors="replace").decode())).replace("\0", "")


def _write(path: Path) -> None:
    """Something at a path of the stage table: a file, or a folder with one."""
    file = path if path.suffix else path / "file"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("made\n")


class Kind:
    """See the package."""

    weight = 1

    def __init__(self, folder: Path) -> None:
        self._sound, self._folder = folder / "sound", folder / "project"
        shutil.copytree(ROOT / "params", self._sound / "params")
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / name, self._sound)
        settings = params.load(ROOT / "params.yaml")
        few = settings.environments.alfworld.model_copy(update={"tasks": Splits(train=1, seen=1, unseen=1)})
        few = settings.model_copy(update={"environments": settings.environments.model_copy(update={"alfworld": few})})
        alone = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        alone["environments"] = {"alfworld": alone["environments"]["alfworld"]}
        self._alfworld_alone = yaml.safe_dump(alone, sort_keys=False)
        with contextlib.chdir(self._sound):
            Task.write(layout.tasks("alfworld"), make_tasks("alfworld", few, folder=layout.games("alfworld")))
            tree = grown(random.Random(2))
            layout.trees("alfworld", 0).parent.mkdir(parents=True)
            trees.dump(layout.trees("alfworld", 0), {"task": tree})
            episodes = [Episode("sft_weak", 0, "unseen", trajectory) for trajectory in tree.trajectories[:1]]
            write_episodes(layout.episodes("alfworld", 0, "sft"), episodes)
            table = stage_table.read()
            self._read = {Path(path) for stage in table for path in stage.deps}
            made = {Path(path) for stage in table for path in stage.outs}
            for path in self._read - made:
                if made.isdisjoint(path.parents) and not path.exists():
                    _write(path)
        shutil.copytree(self._sound, self._folder)
        (self._folder / "params.yaml").write_text(self._alfworld_alone)
        with contextlib.redirect_stdout(io.StringIO()):
            self._called(w2sg_command.main, ["run"])
        shutil.copy(self._folder / "dvc.lock", self._sound)

    def case(self, rng: random.Random) -> Case:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._sound, self._folder)
        damage = ""
        if rng.random() < 0.4:
            file = rng.choice(
                sorted(path for path in self._folder.rglob("*") if path.is_file() and "params/" not in str(path))
            )
            damage = f", {file.relative_to(self._folder)} damaged"
            file.write_bytes(rng.choice([hostile.damaged(rng, file.read_bytes()), b""]))
        if rng.random() < 0.3:
            words = [rng.choice([*STAGES, "absent"])]
            for option in ("environment", "seed", "method", "role", "group", "threads"):
                if rng.random() < 0.6:
                    words += [f"--{option}", _word(rng)]
            if words[0] not in LIGHT:  # with an option that is refused
                words += ["--seed", "x"]
            return Case(f"stages {words}{damage}", lambda: self._called(stage_command.main, words), "")
        words = drawn(rng, w2sg_command.parser())
        # These open each environment, and write dvc.lock after each stage: for seconds.
        if words[:1] in (["doctor"], ["run"]) and "params.yaml" not in damage:
            (self._folder / "params.yaml").write_text(self._alfworld_alone)
        status, said = rng.choice([0, 0, 1, 2, -9]), rng.choice(["", "ERROR: no such package\n", "a\n\x1b[2Jb\n"])
        what = f"w2sg {words}{damage}; programs end with {status}, {said!r}"
        return Case(what, lambda: self._called(w2sg_command.main, words, status=status, said=said), "w2sg")

    def _called(self, main: Any, words: list[str], *, status: int = 0, said: str = "") -> None:
        """Call a command as from a terminal; what it refuses is raised, as it was printed.

        Args:
            status, said: exit code and standard error of every program that it starts.
        """
        heard = io.StringIO()
        execute = schedule._execute

        def answered(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, status, "", said)

        def executed(stage: Stage, cards: Sequence[str], lock: int) -> int:
            code = execute(stage, cards, lock)
            for out in map(Path, stage.outs) if code == 0 else ():
                for path in (out, *(dep for dep in self._read if out in dep.parents)):
                    _write(path)
            return code

        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.chdir(self._folder),
            Fence.around(self._folder),
        ):
            (self._folder / "tmp").mkdir(exist_ok=True)
            patched.setattr(sys, "argv", ["command", *words])
            patched.setattr(sys, "stdin", io.StringIO("?\nlook\n\n"))
            patched.setattr(sys, "stderr", heard)
            patched.setattr(new_environment, "FOLDER", self._folder)
            patched.setattr(tempfile, "tempdir", str(self._folder / "tmp"))
            patched.setattr(subprocess, "run", answered)
            patched.setattr(schedule, "_execute", executed)
            patched.setenv("HOME", str(self._folder))
            patched.setenv("XDG_CACHE_HOME", str(self._folder / "cache"))
            environment = dict(os.environ)
            try:
                code = main()
            except SystemExit as exit:
                code = exit.code
            finally:
                os.environ.clear()
                os.environ.update(environment)
        if code not in (0, 1):
            lines = heard.getvalue().splitlines()
            assert code == 2 and all(line.isprintable() for line in lines), (code, lines)
            # Before it is refused a command may say what it is about to do.
            raise UserError("\n".join([line for line in lines if line.startswith("w2sg")] or lines))
