"""Warm jobs: a child of a parent that has imported what they need runs what a fresh interpreter would run."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from snakemake_dvc import parent, warm
from snakemake_dvc.stages import BridgeError, open_repo, read_stages
from toys import Toy, wait_until

# Says all of itself in which a child and a fresh interpreter could differ.
STAGE = """
import json, os, sys, time
preloaded = "sqlite3" in sys.modules
import helper
unlike = ("SNAKEMAKE_DVC_WARM", "SHLVL", "_")
name = sys.argv[1]
with open("started.log", "a") as log:
    log.write(f"{name} {os.getppid()} {os.getpid()} {preloaded}\\n")
print("hello from", name)
print("and to stderr", file=sys.stderr)
while os.path.exists(f"block-{name}"):
    time.sleep(0.05)
if os.path.exists(f"fail-{name}"):
    sys.exit(3)
here = {
    "argv": sys.argv, "path": sys.path, "folder": os.getcwd(), "name": __name__, "helper": helper.ANSWER,
    "env": {key: value for key, value in os.environ.items() if key not in unlike},
    "main": sys.modules["__main__"].__dict__ is globals(),
    "files": [os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in (0, 1, 2)],
    "open": sorted(os.listdir("/proc/self/fd")),
}
with open(f"out-{name}.json", "w") as file:
    json.dump(here, file)
"""


def stage(name: str, *deps: str, before: str = "PYTHONPATH=code", **meta: object) -> dict:
    command = f"{before} python -m project.stage {name} --said 'two words'"
    return {
        "cmd": command,
        "deps": ["raw.txt", *deps],
        "outs": [f"out-{name}.json"],
        "meta": {"warm": "warm.txt"} | meta,
    }


@pytest.fixture
def warmed(unbuilt: Toy) -> Toy:
    """A toy of two warm stages."""
    package = unbuilt.path / "code/project"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "stage.py").write_text(STAGE)
    (unbuilt.path / "code/helper.py").write_text("ANSWER = 1\n")
    # Of the standard library; multiprocessing gives the main file a second name.
    (unbuilt.path / "warm.txt").write_text("# what the stage imports\nsqlite3  # slow\n\njson\nmultiprocessing\n")
    write(unbuilt, one=stage("one"), two=stage("two", "out-one.json"))
    return unbuilt


def write(toy: Toy, **table: dict) -> None:
    (toy.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": table}, sort_keys=False))


def started(toy: Toy) -> dict[str, tuple[int, int, bool]]:
    """By stage, its parent's number and its own, and whether what it needs had been imported."""
    log = toy.path / "started.log"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return {name: (int(ppid), int(pid), preloaded == "True") for name, ppid, pid, preloaded in lines}


def said(toy: Toy, name: str) -> dict:
    return json.loads((toy.path / f"out-{name}.json").read_text())


def gone(pid: int) -> bool:
    """Whether a process has ended; in a container nobody may collect it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def blocked(toy: Toy, name: str) -> subprocess.Popen[str]:
    """A call of Snakemake whose stage waits."""
    (toy.path / f"block-{name}").touch()
    call = toy.start("snakemake", "--cores", "2", screen="call")
    wait_until(lambda: name in started(toy))
    return call


@pytest.mark.slow
def test_a_child_is_what_a_fresh_interpreter_would_be(warmed: Toy) -> None:
    screen = warmed.snakemake()
    assert "hello from one" in screen and "not warm" not in screen
    runs = started(warmed)
    assert [preloaded for _, _, preloaded in runs.values()] == [True, True]
    assert runs["one"][0] == runs["two"][0], "one parent"
    wait_until(lambda: gone(runs["one"][0]))
    log = (warmed.path / "logs/one.log").read_text()
    assert "hello from one\nand to stderr\n" in log
    warm_says = said(warmed, "one")
    write(warmed, one={**stage("one"), "meta": {}})
    warmed.edit("raw.txt", "raw", "other")
    warmed.snakemake()
    assert not started(warmed)["one"][2]
    assert said(warmed, "one") == warm_says


@pytest.mark.slow
def test_a_failure_is_the_stage_s_own(warmed: Toy) -> None:
    (warmed.path / "fail-one").touch()
    assert "exited with 3" in warmed.snakemake(check=False)
    (warmed.path / "fail-one").unlink()
    warmed.snakemake()
    assert warmed.clean and warmed.nothing_to_do


@pytest.mark.slow
def test_code_that_changes_between_two_jobs_is_read_anew(warmed: Toy) -> None:
    call = blocked(warmed, "one")
    (warmed.path / "code/helper.py").write_text("ANSWER = 22\n")
    (warmed.path / "block-one").unlink()
    assert call.wait(120) == 0
    assert [said(warmed, name)["helper"] for name in ("one", "two")] == [1, 22]
    assert len({ppid for ppid, _, _ in started(warmed).values()}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["the job", "the parent", "snakemake"])
def test_what_is_killed_takes_the_right_ones_with_it(warmed: Toy, victim: str) -> None:
    """Of a killed Snakemake the job goes on, as ever; the parent waits for it, and ends."""
    call = blocked(warmed, "one")
    father, child, _ = started(warmed)["one"]
    job = next(each for each in warmed.processes() if {"run", "one"} < set(each.info["cmdline"] or ()))
    {"the job": job, "the parent": psutil.Process(father), "snakemake": psutil.Process(call.pid)}[victim].kill()
    if victim == "snakemake":
        call.wait(120)
        assert not gone(child)
        (warmed.path / "block-one").unlink()
    wait_until(lambda: gone(child))
    assert call.wait(120) == (-9 if victim == "snakemake" else 1)
    wait_until(lambda: not warmed.processes())
    (warmed.path / "block-one").unlink(missing_ok=True)
    assert (warmed.path / ".dvc/tmp/snakemake/one").exists() == (victim == "snakemake")
    warmed.snakemake()
    assert warmed.clean


@pytest.mark.slow
def test_what_cannot_be_warm_runs_all_the_same(warmed: Toy) -> None:
    """One line in the log says why."""
    write(
        warmed,
        one=stage("one"),
        other=stage("other", "out-one.json", before="LANG=C PYTHONPATH=code"),
        shell={**stage("shell", "out-one.json"), "cmd": stage("shell")["cmd"] + " && true"},
    )
    warmed.snakemake()
    assert [preloaded for _, _, preloaded in started(warmed).values()] == [True, False, False]
    logs = {name: (warmed.path / f"logs/{name}.log").read_text() for name in ("one", "other", "shell")}
    assert "in a fresh interpreter: its environment is another one (LANG)" in logs["other"]
    assert "in a fresh interpreter: only `[NAME=VALUE] python -m MODULE WORDS` can be" in logs["shell"]
    (warmed.path / "warm.txt").write_text("sqlite3\nno_such_module\n")
    warmed.edit("raw.txt", "raw", "other")
    assert "in a fresh interpreter: no_such_module: No module named 'no_such_module'" in warmed.snakemake()
    assert not started(warmed)["one"][2]


@pytest.mark.slow
def test_warm_jobs_side_by_side_see_different_cards(warmed: Toy) -> None:
    write(warmed, one=stage("one"), two=stage("two"))
    for name in ("one", "two"):
        (warmed.path / f"block-{name}").touch()
    own = {"CUDA_VISIBLE_DEVICES": "2,6", "TMPDIR": str(warmed.path)}  # whose locks no other test has
    process = warmed.start("snakemake", "--cores", "2", screen="cards", **own)
    wait_until(lambda: len(started(warmed)) == 2)
    for name in ("one", "two"):
        (warmed.path / f"block-{name}").unlink()
    assert process.wait(60) == 0
    assert all(preloaded for _, _, preloaded in started(warmed).values())
    assert sorted(said(warmed, name)["env"]["CUDA_VISIBLE_DEVICES"] for name in ("one", "two")) == ["2", "6"]


@pytest.mark.slow
def test_without_stale_warm_stages_there_is_no_parent(warmed: Toy) -> None:
    (warmed.path / "block-one").touch()
    looking = warmed.snakemake("-n")
    assert "one" in looking and not started(warmed)
    (warmed.path / "block-one").unlink()
    warmed.run("dvc", "repro")
    assert not any(preloaded for _, _, preloaded in started(warmed).values())
    assert "Nothing to be done" in warmed.snakemake()


COMMANDS = {
    "python -m project.stage one": ["project.stage", "one"],
    "A=1 PYTHONPATH=src python -m w2sg.stages sft --role 'a b'": ["w2sg.stages", "sft", "--role", "a b"],
    "python -m a > b": None,
    "python -m a $B": None,
    "python a.py": None,
    "python -P -m a": None,
    "python3 -m a": None,
    "python -m a; true": None,
    "python -m": None,
    "cat *": None,
}


@pytest.mark.parametrize(("command", "words"), COMMANDS.items())
def test_commands_that_need_no_shell(command: str, words: list[str] | None) -> None:
    env = {"PATH": str(Path(sys.executable).parent)}
    assert warm.read_command(command, env=env) == words
    if words and command.startswith("A"):
        assert env["A"] == "1" and env["PYTHONPATH"] == "src"


def test_the_python_of_a_command_is_that_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "python").touch(mode=0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent)])
    assert warm.read_command("python -m a", env={"PATH": path}) is None


UNFIT = {
    "": "",
    "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()": "start threads",
    "import mine": "mine is a module of the project",
}


@pytest.mark.parametrize(("code", "reason"), UNFIT.items())
def test_what_must_not_be_forked(tmp_path: Path, code: str, reason: str) -> None:
    (tmp_path / "mine.py").touch()
    package = Path(parent.__file__).parent
    check = f"import sys; sys.path[:0] = [{str(package)!r}]; import parent; del sys.path[0]\n{code}\n"
    check += f"print(parent.why_unfit({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True, env={}
    )
    assert (reason in done.stdout) if reason else done.stdout == "\n"


def test_an_open_device_is_no_parent(tmp_path: Path) -> None:
    """In a process of its own: this one may have threads."""
    check = (
        f"import sys; sys.path.insert(0, {str(Path(parent.__file__).parent)!r}); import parent; "
        "parent.DEVICES = ('/dev/full',); {before}; print(parent.why_unfit('.'))"
    )
    for before, reason in (("file = open('/dev/full')", "the imports open /dev/full\n"), ("file = None", "\n")):
        command = [sys.executable, "-c", check.replace("{before}", before)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env={})
        assert done.stdout == reason


def test_a_dead_parent_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imports = tmp_path / "warm.txt"
    imports.touch()
    env = {"PATH": str(Path(sys.executable).parent), "OMP_NUM_THREADS": "1"}

    def said(threads: int) -> str:
        assert warm.start("python -m a", imports=imports, folder=".", env=env, threads=threads) is None
        return capsys.readouterr().err

    monkeypatch.delenv(warm.SOCKET, raising=False)
    assert said(1) == "", "no parent was started"
    monkeypatch.setenv(warm.SOCKET, str(tmp_path / "gone"))
    assert said(1).startswith("not warm, so in a fresh interpreter: ") and said(1).count("\n") == 1
    assert "OMP_NUM_THREADS is 1, the stage declares 2" in said(2)


PARENT = """
import os, selectors, socket, sys, time
sys.path.insert(0, sys.argv.pop(1))
import parent

real_fork, real_select, forks = os.fork, selectors.EpollSelector.select, []

def fork():
    forks.append(1)
    if len(forks) == 2:
        raise OSError(11, "Resource temporarily unavailable")
    return real_fork()

def select(self, timeout=None):
    time.sleep(0.5)  # so that what happens meanwhile comes at once
    return real_select(self, timeout)

os.fork, selectors.EpollSelector.select = fork, select
own = parent.Parent(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
if (job := own.serve()) is not None:
    own.become(job)
"""


def test_one_job_s_trouble_is_not_the_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """No room for a second child; a child that ends as whoever asked for it goes."""
    monkeypatch.chdir(tmp_path)
    Path("warm.txt").touch()
    Path("waits.py").write_text("import os, sys, time\nwhile os.path.exists(sys.argv[1]): time.sleep(0.02)\n")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("warm")
    listener.listen()
    reading, writing = os.pipe()
    command = [sys.executable, "-c", PARENT, str(Path(parent.__file__).parent), str(listener.fileno()), str(reading)]
    env = {"PATH": str(Path(sys.executable).parent), "OMP_NUM_THREADS": "1", "LC_CTYPE": "C.UTF-8"}
    process = subprocess.Popen(command, pass_fds=(listener.fileno(), reading), env=env)
    request.addfinalizer(process.wait)
    request.addfinalizer(process.kill)
    listener.close()
    os.close(reading)
    monkeypatch.setenv(warm.SOCKET, "warm")

    def start(name: str) -> warm.Warm | None:
        Path(name).touch()
        line = f"PYTHONPATH=. python -m waits {name}"
        return warm.start(line, imports=Path("warm.txt"), folder=str(tmp_path), env=env, threads=1)

    first = start("first")
    assert first is not None, capsys.readouterr().err
    assert start("second") is None
    said = capsys.readouterr().err
    assert said == ("not warm, so in a fresh interpreter: no child can be started: Resource temporarily unavailable\n")
    third = start("third")
    assert third is not None
    Path("third").unlink()
    third._connection.close()
    fourth = start("fourth")
    assert fourth is not None
    for name, job in (("first", first), ("fourth", fourth)):
        Path(name).unlink()
        job.communicate()
        assert job.returncode == 0, name
    os.close(writing)
    assert process.wait(60) == 0


# DVC uses something its dependency pygtrie deprecates.
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")
@pytest.mark.parametrize("value", [True, "no-such-file", ["torch"]])
def test_warm_names_a_file(here: Toy, value: object) -> None:
    here.edit("dvc.yaml", "meta: {threads: 2,", f"meta: {{warm: {json.dumps(value)}, threads: 2,")
    with open_repo() as repo, pytest.raises(BridgeError, match=r"meta\.warm must be a file of module names"):
        read_stages(repo)
