"""The pipeline through a real Slurm: munged, slurmctld and slurmd on this machine, stopped again afterwards.

Needs root, and Slurm either installed or installable by apt-get (not tried if W2SG_TEST_SLURM_INSTALL is "0").
Otherwise, or when the daemons themselves do not come up, the tests are skipped and say why; once a plain Slurm job
has run, nothing is forgiven. The configuration goes to the system's place for it, because jobs drop SLURM_CONF on
their way; one that is there already belongs to somebody and is left alone.
"""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).parent / "slurm/slurm.conf"
CONFIGURATION = Path("/etc/slurm/slurm.conf")
PLUGINS = ("snakemake-executor-plugin-slurm==2.8.0", "snakemake-executor-plugin-slurm-jobstep==0.6.1")
LATER = "self.next_seconds_between_status_checks + 10,\n"
DAEMONS = ("munged", "slurmctld", "slurmd")
# This cluster keeps no accounts for sacct to ask, and a test need not wait long before it asks after a job.
OPTIONS = {
    "--profile": "profiles/slurm",
    "--slurm-status-command": "squeue",
    "--slurm-init-seconds-before-status-checks": "1",
}
SNAKEMAKE = ["snakemake", *(word for option in OPTIONS.items() for word in option)]


def install_plugin(folder: Path) -> None:
    """Snakemake's plugins for Slurm, beside the environment: each one there slows every start of Snakemake."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *PLUGINS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"pip install {' '.join(PLUGINS)}: {last_line(done.stdout + done.stderr)}")
    # It looks after jobs ten seconds later each time that none has ended, which is all that the tests would wait for.
    source = folder / "snakemake_executor_plugin_slurm/__init__.py"
    text = source.read_text(encoding="utf-8")
    assert text.count(LATER) == 1
    source.write_text(text.replace(LATER, LATER.replace("10", "1")), encoding="utf-8")


def install() -> None:
    """Skip, unless Slurm is there or can be had."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    if all(shutil.which(name) for name in (*DAEMONS, "sbatch", "srun")):
        return
    if os.environ.get("W2SG_TEST_SLURM_INSTALL") == "0" or not shutil.which("apt-get"):
        pytest.skip("Slurm is not installed")
    for command in ("update", "install --yes --no-install-recommends slurm-wlm munge"):
        done = subprocess.run(
            ["apt-get", "--quiet", *command.split()],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            pytest.skip(f"apt-get {command}: {last_line(done.stdout + done.stderr)}")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


@contextmanager
def configuration(folder: Path) -> Iterator[None]:
    """Our slurm.conf in the system's place, locked for as long as it is used; skip if there is one already."""
    mark = TEMPLATE.read_text().splitlines()[0]
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(mark):
        pytest.skip(f"{CONFIGURATION} belongs to a cluster")
    slurmctld_port, slurmd_port = free_ports(2)
    host = socket.gethostname().partition(".")[0]
    CONFIGURATION.parent.mkdir(exist_ok=True)
    with CONFIGURATION.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip(f"{CONFIGURATION} is in use by another run of these tests")
        file.truncate(0)
        file.write(
            TEMPLATE.read_text().format(
                host=host, folder=folder, slurmctld_port=slurmctld_port, slurmd_port=slurmd_port
            )
        )
        file.flush()
        try:
            yield
        finally:
            CONFIGURATION.unlink()


@contextmanager
def daemon(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in the foreground, its output in FOLDER/NAME.log; stopped at the end."""
    with open(folder / f"{command[0]}.screen", "wb") as screen:
        process = subprocess.Popen(command, cwd=folder, stdout=screen, stderr=screen, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(folder: Path, name: str, process: subprocess.Popen[bytes], *probe: str, expected: str = "") -> None:
    """Until the probe answers; skip with the daemon's last words if it never does."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and process.poll() is None:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=60)
        if done.returncode == 0 and expected in done.stdout:
            return
        time.sleep(0.2)
    said = "".join(file.read_text(errors="replace") for file in sorted(folder.glob(f"{name}.[ls]*")))
    pytest.skip(f"{name} does not come up here: {last_line(said)}")


def squeue(fields: str) -> list[list[str]]:
    """The given fields of every job so far, finished ones included."""
    command = ["squeue", "--states=all", "--noheader", f"--format={fields}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split() for line in out.splitlines()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Path]:
    """A Slurm of one node that has run a job; the folder holds Snakemake's plugins for it."""
    install()
    plugins = tmp_path_factory.mktemp("plugins")
    install_plugin(plugins)
    with ExitStack() as stack:
        # Not pytest's own folder: munged wants one that others may look into, and a short name for its socket.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        (folder / "state").mkdir()
        (folder / "spool").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        stack.enter_context(configuration(folder))
        files = (f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed"))
        munge = f"--socket={folder}/munge.socket"
        commands = {
            "munged": (["munged", "--foreground", *files, munge], ["munge", "--no-input", munge], ""),
            "slurmctld": (["slurmctld", "-D", "-c"], ["scontrol", "ping"], "UP"),
            "slurmd": (["slurmd", "-D", "-c"], ["sinfo", "--noheader", "--format=%T"], "idle"),
        }
        for name, (command, probe, expected) in commands.items():
            process = stack.enter_context(daemon(folder, *command))
            wait_for(folder, name, process, *probe, expected=expected)
        subprocess.run(["sbatch", "--quiet", "--output=/dev/null", "--wrap=srun true"], check=True, timeout=60)
        wait_for(folder, "slurmd", process, "squeue", "--states=COMPLETED", "--noheader", expected="wrap")
        yield plugins
        subprocess.run(["scancel", "--user=root"], check=False, timeout=60)


@pytest.fixture
def slurm_toy(cluster, toy):
    """A built toy with another parameter and command for `train`, which now notes its Slurm job in slurm.log."""
    toy.env["PYTHONPATH"] += f":{cluster}"
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    toy.edit("dvc.yaml", "cmd: sh stage.sh train", "cmd: echo $SLURM_JOB_ID >> slurm.log && sh stage.sh train")
    return toy


def test_a_failure_then_the_rest_then_nothing(slurm_toy):
    (slurm_toy.path / "fail-score-a").touch()
    failed = slurm_toy.run(*SNAKEMAKE, check=False)
    assert failed.returncode == 1
    assert "SLURM status is: 'FAILED'" in failed.stdout
    assert slurm_toy.ran() == ["score-a", "score-b", "train-a", "train-b"]
    (slurm_toy.path / "fail-score-a").unlink()
    slurm_toy.run(*SNAKEMAKE)
    assert slurm_toy.ran() == ["report", "score-a"]
    assert slurm_toy.clean

    jobs = {job: (rule, *asked) for job, rule, *asked in squeue("%i %k %C %m %l %P")}
    # Processors, memory and time: the stage table's, else the profile's.
    trained = [jobs[job] for job in (slurm_toy.path / "slurm.log").read_text().split()]
    assert sorted(trained) == [(f"rule_train@{env}", "2", "100M", "2:00:00", "first") for env in "ab"]
    assert list(jobs.values()).count(("rule_score@a", "1", "4000M", "2:00:00", "first")) == 2
    assert ("rule_report", "1", "4000M", "2:00:00", "first") in jobs.values()

    assert "Nothing to be done" in slurm_toy.run(*SNAKEMAKE).stdout
    assert slurm_toy.ran() == []
    assert len(squeue("%i")) == len(jobs), "what is up to date is not submitted"


def test_a_gpu_that_is_not_there_and_another_partition(slurm_toy):
    slurm_toy.edit("dvc.yaml", "gpu: 0", "gpu: 1")
    refused = slurm_toy.run(*SNAKEMAKE, "train@a", check=False)
    assert refused.returncode == 1
    assert "Invalid generic resource" in refused.stdout
    assert slurm_toy.ran() == []
    choice = "--set-resources train@a:gpu=0 --default-resources slurm_partition=other mem_mb=200 runtime=5"
    slurm_toy.run(*SNAKEMAKE, "train@a", *choice.split())
    assert slurm_toy.ran() == ["train-a"]
    (job,) = (slurm_toy.path / "slurm.log").read_text().split()
    assert [job, "2", "100M", "5:00", "other"] in squeue("%i %C %m %l %P")


def test_the_first_stages_of_the_project(cluster, tmp_path, fresh_toy):
    folder = tmp_path / "smoke"
    subprocess.run([sys.executable, "workflow/studies/workspace.py", "params/smoke.yaml", folder], cwd=ROOT, check=True)
    project = type(fresh_toy)(folder, Path(fresh_toy.env["HOME"]))
    project.env["PYTHONPATH"] += f":{cluster}"
    plan = project.run(*SNAKEMAKE, "-n").stdout
    assert "report: it has not run before" in plan
    project.run(*SNAKEMAKE, "play")
    assert (folder / "data/play/alfworld.parquet").exists()
    assert "up to date" in project.run("dvc", "status", "tasks@alfworld", "play@alfworld").stdout
    assert ["rule_tasks@alfworld", "2"] in squeue("%k %C")
    assert "Nothing to be done" in project.run(*SNAKEMAKE, "play").stdout
