"""Kill a pipeline again and again and compare what it then makes with an undisturbed run.

    python tests/snakemake_dvc/chaos.py UNDISTURBED DISTURBED --kills 100 --seed 0

Both folders are workspaces in which `snakemake` has not run; they share nothing, DVC's state and caches included.
In the second each call is killed with all its processes: half of them at random moments, half when something is written
to dvc.lock, to DVC's rwlock, to its run cache, its cache or an output, which inotify tells from outside.
After each kill whatever has a final name must be whole. A call that nobody kills must succeed. When a round is complete
it is compared, and the next one begins: from nothing, or without outputs and dvc.lock, which DVC then restores.
Nothing is repaired. Ends with 1 if anything is not as it should be.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
import yaml

KINDS = ("dvc.lock", "rwlock", "run cache", "cache", "outputs")
SPAN = 20.0  # seconds within which a random kill comes
EVENTS = 12  # an aimed one comes with one of so many events
CREATED, MODIFIED, CLOSED, MOVED = 0x100, 0x2, 0x8, 0x80
IS_FOLDER = 0x40000000
# Not compared: what tells of calls rather than of results.
OWN = (".git", ".snakemake", ".dvc/tmp", "logs", "runs.log")


class Watch:
    """What is written below some folders of a workspace, as it happens."""

    def __init__(self, folder: Path, below: list[str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._root, self._below, self._folders = folder, {".dvc", *below}, dict[int, Path]()
        self._add(folder)
        for name in (".dvc", *below):
            self._add_all(folder / name)

    def _add(self, folder: Path) -> None:
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), CREATED | MODIFIED | CLOSED | MOVED)
        if number >= 0:
            self._folders[number] = folder

    def _add_all(self, folder: Path) -> None:
        for top, _, _ in os.walk(folder):
            self._add(Path(top))

    def events(self, seconds: float) -> Iterator[str]:
        """The kind of each event that has come within so many seconds; as soon as there is one."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return
        with contextlib.suppress(BlockingIOError):
            text = os.read(self._fd, 1 << 16)
            while text:
                number, mask, _, size = struct.unpack_from("iIII", text)
                name, text = text[16 : 16 + size].rstrip(b"\0"), text[16 + size :]
                if number not in self._folders:
                    continue
                path = self._folders[number] / os.fsdecode(name)
                if mask & IS_FOLDER:
                    if path.relative_to(self._root).parts[0] in self._below:
                        self._add_all(path)
                elif kind := kind_of(path.relative_to(self._root)):
                    yield kind

    def close(self) -> None:
        os.close(self._fd)


def kind_of(path: Path) -> str | None:
    """Which of KINDS a file is, under its own or a temporary name."""
    if path.parts[:3] == (".dvc", "cache", "runs"):
        return "run cache"
    if path.parts[:2] == (".dvc", "cache"):
        return "cache"
    if path.parts[:2] == (".dvc", "tmp"):
        return "rwlock" if path.name in ("rwlock", ".rwlock.tmp") else None
    if len(path.parts) == 1:
        return "dvc.lock" if path.name in ("dvc.lock", ".dvc.lock.tmp") else None
    return "outputs"


@dataclass
class Workspace:
    """A folder in which snakemake runs, with caches, temporary files and a screen of its own beside it."""

    folder: Path
    cores: str
    seen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.beside = self.folder.with_name(f"{self.folder.name}.beside")
        (self.beside / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"DVC_SITE_CACHE_DIR": "dvc", "XDG_CACHE_HOME": "cache", "TMPDIR": "tmp"}
        self.env = os.environ | {name: str(self.beside / place) for name, place in own.items()}

    def start(self) -> subprocess.Popen[bytes]:
        with (self.beside / "screen").open("wb") as screen:
            command = ["snakemake", "--cores", self.cores]
            return subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=screen, stderr=screen, start_new_session=True
            )

    def says(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=600)
        return done.stdout + done.stderr

    def screen(self) -> str:
        return (self.beside / "screen").read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All that a call has started and that live, wherever they have put themselves."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("DVC_SITE_CACHE_DIR") == self.env["DVC_SITE_CACHE_DIR"]
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self, call: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(call.pid, signal.SIGKILL)
        call.wait()
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)

    def files(self) -> dict[str, Path]:
        """All files, less what tells of calls rather than of results."""
        paths = {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if not path.is_dir()}
        return {
            name: path
            for name, path in paths.items()
            if "__pycache__" not in name and not any(name == own or name.startswith(f"{own}/") for own in OWN)
        }

    def temporaries(self) -> list[str]:
        """Files of a temporary name, the locks of Snakemake and its marks of unfinished jobs."""
        unfinished = [path for path in self.folder.glob(".dvc/tmp/**/*") if path.suffix == ".tmp"]
        unfinished += self.folder.glob(".snakemake/incomplete/*")
        unfinished += self.folder.glob(".snakemake/locks/*")
        names = {str(path.relative_to(self.folder)) for path in unfinished}
        resumed = {name for name in self.files() if name.endswith(".tmp") or name.startswith(".resume/")}
        return sorted(names | resumed)

    def damaged(self) -> list[str]:
        """Files that are not whole, though they have their final names; those looked at before are left out."""
        found = []
        for name, path in self.files().items():
            if name.startswith(".dvc/cache/") and name.endswith(".tmp"):
                continue
            if name != "dvc.lock" and not name.startswith(".dvc/cache/"):
                continue
            stamp = path.stat().st_mtime_ns
            if self.seen.get(name) != stamp and not is_whole(name, path.read_bytes()):
                found.append(name)
            self.seen[name] = stamp
        rwlock = self.folder / ".dvc/tmp/rwlock"
        if rwlock.exists() and not is_whole("rwlock", rwlock.read_bytes()):
            found.append("rwlock")
        return found

    def locked(self) -> list[str]:
        """What still counts as used: notes in rwlock, and locks that somebody holds."""
        rwlock = self.folder / ".dvc/tmp/rwlock"
        found = ["rwlock"] if rwlock.exists() and any(json.loads(rwlock.read_bytes()).values()) else []
        for path in (self.folder / ".dvc/tmp/lock", *self.folder.glob(".dvc/tmp/snakemake-locks/*")):
            with path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(path.name)
        return found

    def outputs(self) -> dict[str, str]:
        """The digest of each output of dvc.lock, and those of the files that are in its place."""
        entries = yaml.load((self.folder / "dvc.lock").read_bytes(), Loader=yaml.CSafeLoader)["stages"]
        found = {out["path"]: out["md5"] for entry in entries.values() for out in entry.get("outs", ())}
        for out in list(found):
            place = self.folder / out
            for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if path.is_file():
                    found[f"file {path.relative_to(self.folder)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def recorded(self) -> dict[str, object]:
        """What dvc.lock says, in whatever order."""
        return dict(yaml.load((self.folder / "dvc.lock").read_bytes(), Loader=yaml.CSafeLoader)["stages"])


def is_whole(name: str, content: bytes) -> bool:
    """Whether a file of either tool can be taken for what its name says."""
    try:
        if name == "rwlock":
            return isinstance(json.loads(content), dict)
        if name == "dvc.lock":
            return content.endswith(b"\n") and "stages" in yaml.load(content, Loader=yaml.CSafeLoader)
        if name.startswith(".dvc/cache/runs/"):
            return content.endswith(b"\n") and "outs" in yaml.load(content, Loader=yaml.CSafeLoader)
    except (ValueError, yaml.YAMLError, TypeError):
        return False
    *_, first, second = Path(name).parts
    return hashlib.md5(content).hexdigest() == f"{first}{second}".removesuffix(".dir")


@dataclass
class Report:
    """What has been seen."""

    kills: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    rounds: list[str] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    calls: int = 0
    faults: list[str] = field(default_factory=list)

    def table(self) -> str:
        rows = ["| killed | times | of these with a file left half-written beside its place |", "|---|---:|---:|"]
        names = {"random": "at a random moment", **{kind: f"at a write of {kind}" for kind in KINDS}}
        rows += [f"| {text} | {self.kills[name]} | {self.within[name]} |" for name, text in names.items()]
        rows += [f"| in all | {self.kills.total()} | {self.within.total()} |", ""]
        rounds = ", ".join(f"{count} {name}" for name, count in Counter(self.rounds).items())
        rows += [f"{self.calls} calls of snakemake, rounds: {rounds}."]
        outputs = sum(not name.startswith("file ") for name in self.compared)
        rows += [f"{outputs} outputs, {len(self.compared) - outputs} files compared with the undisturbed run."]
        return "\n".join([*rows, "", *(f"FAULT: {fault}" for fault in self.faults), f"{len(self.faults)} faults."])


def compare(disturbed: Workspace, undisturbed: Workspace, report: Report) -> None:
    """What a complete round has left, beside what the undisturbed run has."""
    deadline = time.monotonic() + 20  # a warm parent ends a moment after the call that it was for
    while (left := disturbed.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    report.faults += [f"process {process.pid} is left" for process in left]
    report.faults += [f"{name}: still locked" for name in disturbed.locked()]
    report.faults += [f"{name}: a temporary file is left" for name in disturbed.temporaries()]
    status = disturbed.says("dvc", "status")
    if "up to date" not in status:
        report.faults.append(f"dvc status: {status.strip()}")
    if "Nothing to be done" not in (plan := disturbed.says("snakemake", "-n")):
        report.faults.append(f"snakemake -n: {plan.strip()[-300:]}")
    report.compared |= disturbed.outputs().keys()
    report.faults += [f"{name}: differs" for name in differing(disturbed.outputs(), undisturbed.outputs())]
    report.faults += [f"dvc.lock: {name}: differs" for name in differing(disturbed.recorded(), undisturbed.recorded())]
    report.faults += [f"{name}: not in both" for name in sorted(disturbed.files().keys() ^ undisturbed.files().keys())]


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("undisturbed", type=Path)
    parser.add_argument("disturbed", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", default="2")
    options = parser.parse_args()
    undisturbed = Workspace(options.undisturbed, options.cores)
    disturbed = Workspace(options.disturbed, options.cores)
    report = run(undisturbed, disturbed, kills=options.kills, rng=random.Random(options.seed))
    print(report.table())
    return 1 if report.faults else 0


def run(undisturbed: Workspace, disturbed: Workspace, *, kills: int, rng: random.Random) -> Report:
    """All kills, and what was found."""
    report = Report()
    start = time.monotonic()
    call = undisturbed.start()
    if call.wait():
        report.faults.append(f"the undisturbed run failed: {undisturbed.screen()[-2000:]}")
        return report
    span = min(SPAN, time.monotonic() - start)
    print(f"undisturbed: {time.monotonic() - start:.0f} s", flush=True)
    tops = sorted({Path(name).parts[0] for name in undisturbed.outputs() if not name.startswith("file ")})
    pristine = disturbed.beside / "pristine"
    shutil.copytree(disturbed.folder, pristine, symlinks=True)
    plan = [kind for number in range(kills) for kind in [KINDS[number // 2 % len(KINDS)] if number % 2 else "random"]]
    rng.shuffle(plan)
    report.rounds.append("from nothing")
    while True:
        moment = rng.random() * span, rng.randint(1, EVENTS)
        end = one_call(disturbed, plan[0] if plan else None, report, tops=tops, moment=moment)
        if end == "killed":
            plan.pop(0)
        elif end == "done":
            compare(disturbed, undisturbed, report)
            if not plan:
                break
            begin_again(disturbed, pristine, tops, report)
        else:
            report.faults.append(f"a call failed by itself: {disturbed.screen()[-2000:]}")
            break
    return report


def one_call(
    workspace: Workspace, kind: str | None, report: Report, *, tops: list[str], moment: tuple[float, int]
) -> Literal["killed", "done", "failed"]:
    """A call of snakemake, which is killed after so many seconds or events, and how it ended."""
    started, left = time.monotonic(), moment[1]
    watch = Watch(workspace.folder, tops)
    report.calls += 1
    call = workspace.start()
    try:
        while call.poll() is None:
            if kind == "random" and time.monotonic() - started >= moment[0]:
                break
            for event in watch.events(0.02):
                left -= event == kind
                if not left:
                    break
            if not left:
                break
    finally:
        watch.close()
        done = call.poll()
        workspace.kill(call)
    if done is not None:
        return "failed" if done else "done"
    assert kind
    temporaries = [name for name in workspace.temporaries() if name.endswith(".tmp")]
    kinds = Counter(kind_of(Path(name)) for name in temporaries)
    report.kills[kind] += 1
    report.within[kind] += bool(temporaries)
    report.faults += [f"{name}: not whole after a kill at {kind}" for name in workspace.damaged()]
    stages = len(workspace.recorded()) if (workspace.folder / "dvc.lock").exists() else 0
    about = ", ".join(f"{count} {name}" for name, count in kinds.items())
    seconds = time.monotonic() - started
    print(f"{report.kills.total():3}  {kind:10}  {seconds:5.1f} s  {stages:2} stages  {about}", flush=True)
    return "killed"


def begin_again(workspace: Workspace, pristine: Path, tops: list[str], report: Report) -> None:
    """The next round: from nothing, or with what DVC's caches hold alone."""
    if len(report.rounds) % 2:
        report.rounds.append("from the caches")
        for top in tops:
            shutil.rmtree(workspace.folder / top)
            if (pristine / top).exists():
                shutil.copytree(pristine / top, workspace.folder / top)
        (workspace.folder / "dvc.lock").unlink()
    else:
        report.rounds.append("from nothing")
        shutil.rmtree(workspace.folder)
        shutil.copytree(pristine, workspace.folder, symlinks=True)
    workspace.seen.clear()


if __name__ == "__main__":
    sys.exit(main())
