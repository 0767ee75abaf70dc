"""A few hundred hostile inputs, and whether this suite would notice."""

import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from w2sg.commands import __main__ as w2sg_command
from w2sg.config.environments import NAMES
from w2sg.config.params import Params
from w2sg.contracts.errors import UserError
from w2sg.contracts.rows import Row

from . import commands, parameters, running, tables
from .outcomes import ACCEPTED, BAD, HANG, REFUSED, SILENT, TRACEBACK, UNCLEAR, Case, outcome

SEED, COUNT = 17, 400
SOURCE = Path(__file__).parents[2] / "src/w2sg"
SHARES = running.shares(COUNT)


@pytest.mark.parametrize("kind", SHARES)
def test_hostile_inputs_are_read_or_refused_in_one_line(kind: str) -> None:
    found = list(running.here(kind, seed=SEED, first=0, count=SHARES[kind]))
    bad = [f"NUMBER={told.number} {told.what[:200]}\n{told.outcome.kind}: {told.outcome.said}" for told in found
           if told.outcome.kind in BAD]  # fmt: skip
    assert not bad, f"make fuzz N=1 SEED={SEED} KIND={kind} " + "\n".join(bad)
    assert {told.outcome.kind for told in found} == {ACCEPTED, REFUSED}, "inputs of one sort alone test nothing"


@pytest.mark.parametrize("kind", ["tables", "pickles", "games", "parameters"])
def test_an_input_is_the_same_whenever_it_is_asked_for(kind: str) -> None:
    once = [(told.what, told.outcome.kind) for told in running.here(kind, seed=3, first=0, count=6)]
    last = next(iter(running.here(kind, seed=3, first=5, count=1)))
    assert (last.what, last.outcome.kind) == once[5]
    assert [what for what, _ in once] != [told.what for told in running.here(kind, seed=4, first=0, count=6)]


@pytest.mark.parametrize(
    ("words", "file", "content", "line"),
    [
        (
            ["w2sg.commands", "play", "alfworld"],
            "params.yaml",
            b'{"embed": {"model": "\\ud83d"}}',
            "w2sg play: ",
        ),
        (
            ["w2sg.commands", "params", "x.yaml"],
            "x.yaml",
            b"[" * 3000,
            "w2sg params: x.yaml: ",
        ),
        (
            ["w2sg.commands", "show", "run"],
            "data/trees/a.pkl",
            b"\x80",
            "w2sg show: data/trees/a.pkl: not a file ",
        ),
        (["w2sg.stages.code"], "requirements.lock/a", b"", "code: requirements.lock: is a directory; name a file"),
    ],
)
def test_a_real_command_has_no_traceback(
    words: list[str], file: str, content: bytes, line: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(content)
    (tmp_path / "src").symlink_to(SOURCE.parent)
    environment = os.environ | {"PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and lines and all(each.isprintable() for each in lines), done.stderr
    assert lines[0].startswith(line) and not done.stdout


def without_end() -> None:
    while True:
        pass


def raising(error: BaseException) -> Case:
    def read() -> None:
        raise error

    return Case("planted", read, "file")


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (Case("planted", lambda: None, "file"), ACCEPTED),
        (raising(UserError("file: wrong; write it right")), REFUSED),
        (raising(FileNotFoundError(2, "No such file or directory", "file")), REFUSED),
        (raising(KeyError("grammar")), TRACEBACK),
        (raising(AssertionError()), TRACEBACK),
        (raising(SystemExit(2)), TRACEBACK),
        (raising(UserError("")), SILENT),
        (raising(UserError("another: wrong")), UNCLEAR),
        (raising(UserError("file: " + "x" * 999)), UNCLEAR),
        (raising(UserError("file: <w2sg.Thing object at 0x7f00>")), UNCLEAR),
        (Case("planted", lambda: time.sleep(9), "file"), HANG),
        (Case("planted", without_end, "file"), HANG),
    ],
)
def test_what_is_bad_is_called_so(case: Case, kind: str) -> None:
    assert outcome(case, seconds=0.2).kind == kind


def test_every_setting_is_drawn(tmp_path: Path) -> None:
    """A new one is found in the schema."""
    kind = parameters.Kind(tmp_path)
    rng = random.Random(0)
    drawn = {way[-1] for way in (kind.drawn(rng) for _ in range(6000)) if way}
    schema = Params.model_json_schema()
    wanted = {name for node in (schema, *schema["$defs"].values()) for name in node.get("properties", {})}
    assert wanted <= drawn, f"never drawn: {sorted(wanted - drawn)}"


def test_every_command_is_drawn() -> None:
    """A new one is found among the parsers, with the words of its own."""
    rng = random.Random(0)
    lines = [commands.drawn(rng, w2sg_command.parser()) for _ in range(2000)]
    for start, parser in _parsers((), w2sg_command.parser()):
        under = [line for line in lines if line[: len(start)] == list(start)]
        assert len(under) > 20, start
        wanted = {action.option_strings[-1] for action in parser._actions if action.option_strings} - {"--help"}
        assert wanted <= {word for line in under for word in line} | {"-n"}, start


def _parsers(start: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield start, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _parsers((*start, name), inner)


def test_a_command_that_leaves_its_folder_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "file").write_text("kept")
    with commands.Fence.around(tmp_path / "inside"):
        (tmp_path / "inside/file").write_text("made")
        (tmp_path / "file").read_text()
        for leave in (
            lambda: (tmp_path / "file").write_text("lost"),
            lambda: (tmp_path / "inside/../file").unlink(),
            lambda: (tmp_path / "inside/file").rename(tmp_path / "other"),
            lambda: shutil.rmtree(tmp_path / "inside/.."),
            lambda: subprocess.run(["true"]),
            lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        ):
            with pytest.raises(AssertionError):
                leave()
    assert (tmp_path / "file").read_text() == "kept" and (tmp_path / "inside/file").exists()


def test_every_table_is_read() -> None:
    """A new record is found among the classes; a new reader beside them must be named."""
    readers = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if "read_parquet(" in path.read_text()}
    assert readers == {"contracts/files.py", "contracts/rows.py", "contracts/trajectories.py", "trees/embeddings.py"}
    assert {kind.__name__ for kind in Row.__subclasses__()} < {table.name for table in tables.tables()}


def test_a_sound_table_of_every_kind_is_accepted(tmp_path: Path) -> None:
    """Or what is changed in one would not be what it is refused for."""
    kind = tables.Kind(tmp_path)
    for table in tables.tables():
        kind._written(tables.sound_rows(table, 2), table)


def test_every_environment_is_played(default_values: dict) -> None:
    """Those of the parameters, so all of them."""
    assert set(default_values["environments"]) == set(NAMES), "one has no section in params.yaml"


def test_no_reader_goes_its_own_way() -> None:
    """Files of others are read in `files`, where every error is a line; what else parses has its reason."""
    own = {
        "contracts/files.py", "agents/server.py", "commands/doctor.py", "training/adapters.py",
        "environments/alfworld/world/grammar.py", "environments/alfworld/tasks/floor_plans.py",
        "evaluation/report/explorer/packing.py", "evaluation/report/explorer/page.py",
    }  # fmt: skip
    found = {
        str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if re.search(r"json\.loads?\(", path.read_text())
    }
    assert found <= own, f"read with contracts.files: {sorted(found - own)}"
