"""Run a DVC pipeline with Snakemake: DVC says what is stale, Snakemake says what runs when.

`dvc.yaml` is the only stage table. The Snakefile makes one rule per resolved stage; a rule's output is an empty stamp
file, which carries DVC's verdict (content hashes, not time stamps) to Snakemake. Two entry points:

* `open_pipeline(workflow)`, called by the Snakefile, judges every wanted stage, checks out of DVC's run cache what it
  can, and sets the stamps. When Snakemake only shows something, nothing is restored and no stamp on disk is touched.
* `python dvc_bridge.py run STAGE STAMP`, the job of a rule, is `dvc repro --single-item STAGE` that waits for DVC's
  lock; DVC holds that lock for its bookkeeping only, so stages run side by side. A job also waits for what is left of
  an earlier run of its stage.

Nothing in the three dvc_*.py knows this project: put them beside any dvc.yaml. `meta:` of a stage may say
`threads`, `mem_mb`, `runtime`, `gpu` (resources of its rule) and `report` (globs of the files a report shows, each
with the text that `find_caption` finds for it).
"""

import contextlib
import fcntl
import functools
import glob
import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from dvc_speed import hashing_unlocked
from dvc_stages import (
    BridgeError,
    Stage,
    Verdict,
    closure,
    find_stages,
    inputs_as_at_the_start,
    judge,
    one_line_errors,
    open_repo,
    read_stages,
    restore,
)

STAMPS = Path(".dvc/tmp/snakemake")
LOCKS = Path(".dvc/tmp/snakemake-locks")
LOGS = Path("logs")
CAPTIONS = Path("workflow/report")

Workflow: TypeAlias = Any  # Snakemake publishes no types.


class Mode(Enum):
    """What Snakemake was called for. JOB is a job's own Snakemake on another machine, which judges nothing."""

    EXECUTE = "execute"
    SHOW = "show"
    REPORT = "report"
    JOB = "job"


@dataclass(frozen=True)
class Rule:
    """What the Snakefile needs to know to make the rule of a stage."""

    stage: Stage
    inputs: tuple[str, ...]
    stamp: str
    figures: tuple[str, ...]
    log: str
    message: str


@dataclass(frozen=True)
class Pipeline:
    """All rules, the stamps behind each target that is not itself a stage, and the interpreter and script of a job."""

    rules: tuple[Rule, ...]
    aliases: Mapping[str, tuple[str, ...]]
    python: str
    script: str = os.path.relpath(__file__)


def open_pipeline(workflow: Workflow) -> Pipeline:
    """The rules for this call of Snakemake; ends the process with one line when the user has to mend something."""
    mode, targets = _read_command(workflow)
    methods = workflow.deployment_settings.deployment_method if workflow.deployment_settings else ()
    # Under --use-conda the job's python is that of the rule's environment, first on PATH by then.
    python = "python" if any(method.name == "CONDA" for method in methods) else sys.executable
    if mode is Mode.EXECUTE and os.path.isdir(".dvc"):
        _wait_for_other_calls()
    try:
        return load_pipeline(mode, targets, scratch=workflow.snakemake_tmp_dir, python=python)
    except BridgeError as error:
        sys.exit(f"Error: {error}")


def load_pipeline(mode: Mode, targets: Iterable[str], *, scratch: Path, python: str = sys.executable) -> Pipeline:
    """The rules for the dvc.yaml in the working folder; `scratch` is a folder that lives as long as this call.

    Only EXECUTE changes anything: it restores what the cache holds and sets the stamps of the targets and all they
    depend on. Otherwise a stamp that would change lies in `scratch`. Raises BridgeError.
    """
    with one_line_errors(), open_repo() as repo, repo.lock:
        stages = read_stages(repo)
        makers = {target: (find_stages(target, stages) if target != "all" else tuple(stages)) for target in targets}
        scope = closure((name for names in makers.values() for name in names), stages) if makers else stages
        busy = [name for name in scope if _is_busy(name)]
        verdicts = judge(repo, scope, busy=busy) if mode is not Mode.JOB else {}
        cached = [name for name, (verdict, _) in verdicts.items() if verdict is Verdict.RESTORE]
        if cached and mode is Mode.EXECUTE:
            cached = restore(repo, cached)
            verdicts = judge(repo, scope, busy=busy)
    if cached:
        done = "restored" if mode is Mode.EXECUTE else "would be restored"
        print(f"{done} from DVC's run cache: {', '.join(cached)}", file=sys.stderr)
    stamps = _place_stamps(stages, verdicts, mode, scratch)
    return Pipeline(
        rules=tuple(_rule(stage, stamps, verdicts, mode) for stage in stages.values()),
        aliases={
            target: tuple(stamps[name] for name in names)
            for target, names in makers.items()
            if target != "all" and target not in stages
        },
        python=python,
    )


def _rule(stage: Stage, stamps: Mapping[str, str], verdicts: Mapping[str, tuple[Verdict, str]], mode: Mode) -> Rule:
    # Only a report names them, and as inputs: Snakemake deletes a rule's outputs before it runs, and has no times of
    # these, which it would warn of. With stage outputs among the inputs of any other call, time stamps would decide.
    patterns = stage.report if mode is Mode.REPORT else ()
    reason = verdicts[stage.name][1] if stage.name in verdicts else "as asked for by the main process"
    return Rule(
        stage=stage,
        inputs=tuple(stamps[name] for name in stage.upstream),
        stamp=stamps[stage.name],
        figures=tuple(path for pattern in patterns for path in sorted(glob.glob(pattern, recursive=True))),
        log=str(LOGS / f"{_file_name(stage.name)}.log"),
        message=f"{stage.name}: {reason}".replace("{", "{{").replace("}", "}}"),
    )


def find_caption(figure: str) -> str | None:
    """The text about a figure or table, if there is one: workflow/report/NAME.rst.

    NAME is the file's without its ending or, where there is no such text, what remains of it without its last `_word`s:
    tree_alfworld.svg is explained by tree_alfworld.rst or by tree.rst.
    """
    name = Path(figure).stem
    while name:
        if (caption := CAPTIONS / f"{name}.rst").exists():
            return str(caption)
        name = name.rpartition("_")[0]
    return None


def _file_name(stage: str) -> str:
    """A file name that is readable and unlike that of any other stage."""
    return quote(stage, safe="@")


def _place_stamps(
    stages: Iterable[str], verdicts: Mapping[str, tuple[Verdict, str]], mode: Mode, scratch: Path
) -> dict[str, str]:
    """Where the stamp of each stage lies, having made the stamps of fresh stages and removed those of stale ones."""
    stamps = {name: str(STAMPS / _file_name(name)) for name in stages}
    for name, (verdict, _) in verdicts.items():
        fresh = verdict is Verdict.FRESH or (verdict is Verdict.RESTORE and mode is not Mode.EXECUTE)
        if fresh == os.path.exists(stamps[name]):
            continue
        if mode is not Mode.EXECUTE:
            stamps[name] = str(scratch / "stamps" / _file_name(name))
        if fresh:
            _touch(stamps[name])
        else:
            Path(stamps[name]).unlink(missing_ok=True)
    return stamps


def _touch(stamp: str) -> None:
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    Path(stamp).touch()


def _lock(name: str, waiting: str) -> int:
    """A file descriptor with a lock that nobody else has until all copies of it are closed or their processes ended.

    Prints `waiting` if it has to wait. On a file system that knows no such locks, there is none.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = os.open(LOCKS / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{waiting} (`fuser {LOCKS / name}` shows who has it)", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        pass
    return lock


@functools.cache  # once per process, which holds it until its end
def _wait_for_other_calls() -> int:
    """Two calls at once would take each other's stamps away."""
    return _lock("all", "waiting for the snakemake that is at work in this folder")


@contextlib.contextmanager
def _only_run(name: str) -> Iterator[None]:
    """Wait for what is left of an earlier run of the stage, and let a later run wait for what is left of this one.

    The lock is our standard input, as that is what the stage's command inherits: when we are killed, its orphan has it.
    """
    lock = _lock(f"{_file_name(name)}.run", f"{name}: waiting for the end of an earlier run of it")
    stdin = os.dup(0)
    os.dup2(lock, 0)
    os.close(lock)
    try:
        yield
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)


def _is_busy(name: str) -> bool:
    """Whether something of a run of the stage is still alive."""
    try:
        with open(LOCKS / f"{_file_name(name)}.run") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no earlier run, or no such locks here
        return False
    return False


# The options of Snakemake with which it executes nothing; a test compares them with snakemake.cli.args_to_api.
SHOWING = """
    lint list_rules list_target_rules print_compilation containerize reporter report generate_unit_tests dag rulegraph
    filegraph d3dag unlock cleanup_metadata conda_cleanup_envs conda_create_envs_only list_conda_envs cleanup_shadow
    container_cleanup_images list_changes list_input_changes list_params_changes list_untracked summary
    detailed_summary archive delete_all_output delete_temp_output deploy_sources dryrun touch
"""


def _read_command(workflow: Workflow) -> tuple[Mode, list[str]]:
    """What Snakemake was called for and the targets named, as Snakemake itself reads its command line."""
    if not workflow.is_main_process:
        return Mode.JOB, []
    from snakemake.cli import parse_args

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            options = vars(parse_args(None)[1])
    except SystemExit:
        return Mode.SHOW, []  # called through the API: SHOW is right, only slower, even if this call executes
    targets = set(options["targets"] or ())
    if targets:  # Snakemake adds these to the targets
        targets.update(name for key in ("forcerun", "until", "prioritize") for name in options[key] or ())
    if options["report_after_run"] or not any(options[name] for name in SHOWING.split()):
        return Mode.EXECUTE, sorted(targets)
    return (Mode.REPORT if options["report"] else Mode.SHOW), sorted(targets)


def run_stage(name: str, stamp: str) -> None:
    """Have DVC bring one stage up to date, then set its stamp. Raises BridgeError, leaving no stamp.

    DVC decides once more: it runs the command, restores the outputs or, when the inputs came out as they were, does
    nothing. The command's output goes where ours goes, and its `python` is the one that runs us.
    """
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # or a stage's prints would show only at its end
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    with _only_run(name), one_line_errors(), inputs_as_at_the_start(), hashing_unlocked(), open_repo() as repo:
        logging.getLogger("dvc").setLevel(logging.INFO)
        repo.reproduce(name, single_item=True)
    _touch(stamp)


def main(arguments: list[str]) -> int:
    if len(arguments) != 3 or arguments[0] != "run":
        print("usage: dvc_bridge.py run STAGE STAMP", file=sys.stderr)
        return 2
    try:
        run_stage(arguments[1], arguments[2])
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
