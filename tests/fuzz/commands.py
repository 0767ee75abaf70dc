"""Command lines, drawn from the parsers, in a project with what stages write, some of it damaged."""

import argparse
import contextlib
import io
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from w2sg.commands import __main__ as w2sg_command
from w2sg.commands import new_environment
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
# `doctor` looks into the machine for seconds, `run` starts stages, `models --fetch` asks the registry.
LEFT_OUT = ("doctor", "run", "models")
# Those that need no model; the others load torch before they look at their inputs.
LIGHT = ("tasks", "trees", "pairs", "paths", "merging", "report")
WORDS = (
    "alfworld", "webshop", "train-0000", "unseen-0000", "task", "0", "1", "params.yaml", "params/smoke.yaml", "weak",
    "w2s_dpo", "w2s_mcts", "run", "tree", "episode", "data", "absent", "nan", "1e9", "--", "--help", "-x",
)  # fmt: skip


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
        with contextlib.chdir(self._sound):
            Task.write(layout.tasks("alfworld"), make_tasks("alfworld", few, folder=layout.games("alfworld")))
            tree = grown(random.Random(2))
            layout.trees("alfworld", 0).parent.mkdir(parents=True)
            trees.dump(layout.trees("alfworld", 0), {"task": tree})
            episodes = [Episode("sft_weak", 0, "unseen", trajectory) for trajectory in tree.trajectories[:1]]
            write_episodes(layout.episodes("alfworld", 0, "sft"), episodes)

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
                    words += [f"--{option}", self._word(rng)]
            if words[0] not in LIGHT:  # with an option that is refused
                words += ["--seed", "x"]
            return Case(f"stages {words}{damage}", lambda: self._called(stage_command.main, words), "")
        words = self.drawn(rng, w2sg_command.parser())
        return Case(f"w2sg {words}{damage}", lambda: self._called(w2sg_command.main, words), "w2sg")

    def drawn(self, rng: random.Random, parser: argparse.ArgumentParser) -> list[str]:
        """Words for a parser and, where it has some, one of its commands; some are wrong, some too many."""
        words: list[str] = []
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                names = [name for name in action.choices if name not in LEFT_OUT]
                name = rng.choice(names) if rng.random() < 0.95 else self._word(rng)
                words.append(name)
                if name in action.choices:
                    words += self.drawn(rng, action.choices[name])
            elif not action.option_strings:
                words += [self._word(rng)] if rng.random() < 0.9 else []
            elif rng.random() < 0.3:
                words.append(rng.choice(action.option_strings))
                words += [] if action.nargs == 0 else [self._word(rng, action.choices)]
        return [*words, self._word(rng)] if rng.random() < 0.05 else words

    def _word(self, rng: random.Random, choices: Any = None) -> str:
        if choices and rng.random() < 0.7:
            return str(rng.choice(list(choices)))
        word = rng.choice(WORDS) if rng.random() < 0.7 else rng.choice(hostile.TEXTS)
        return os.fsdecode(os.fsencode(word.encode(errors="replace").decode())).replace("\0", "")

    def _called(self, main: Any, words: list[str]) -> None:
        """Call a command as from a terminal; what it refuses is raised, as it was printed."""
        heard = io.StringIO()
        with pytest.MonkeyPatch.context() as patched, contextlib.chdir(self._folder):
            patched.setattr(sys, "argv", ["command", *words])
            patched.setattr(sys, "stdin", io.StringIO("?\nlook\n\n"))
            patched.setattr(sys, "stderr", heard)
            patched.setattr(new_environment, "FOLDER", self._folder)
            environment = dict(os.environ)
            try:
                status = main()
            except SystemExit as exit:
                status = exit.code
            finally:
                os.environ.clear()
                os.environ.update(environment)
        if status not in (0, 1):
            said = heard.getvalue()
            assert status == 2 and all(line.isprintable() for line in said.splitlines()), (status, said)
            raise UserError(said)
