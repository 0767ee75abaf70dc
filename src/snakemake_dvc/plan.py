"""The rules of one call of Snakemake: each wanted stage judged by DVC, and each verdict told to Snakemake as a stamp.

`dvc.yaml` is the only stage table. The Snakefile makes one rule per resolved stage; a rule's output is an empty stamp
file, which carries DVC's verdict (content hashes, not time stamps) to Snakemake. Two entry points:

* `open_pipeline(workflow)`, called by the Snakefile, runs what is `first`, judges every wanted stage, checks out of
  DVC's run cache what it can, and sets the stamps. When Snakemake only shows something, nothing is run or restored in
  the workspace, and no stamp on disk is touched.
* `python -m snakemake_dvc run STAGE STAMP`, the job of a rule (jobs.py), is `dvc repro --single-item STAGE` that waits
  for DVC's lock; DVC holds that lock for its bookkeeping only, so stages run side by side. A job also waits for what is
  left of an earlier run of its stage.
"""

import glob
import logging
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakemake_dvc.checks import check_parameters
from snakemake_dvc.command_line import Mode, Workflow, jobs_run_here, read_command
from snakemake_dvc.jobs import is_busy, log_of, run_stage_here, stamp_of, touch, wait_for_other_calls
from snakemake_dvc.leftovers import killed_experiment, remove_leftovers
from snakemake_dvc.patches import Repo, forget_stages
from snakemake_dvc.rehearsal import Rehearsal
from snakemake_dvc.stages import BridgeError, Stage, closure, find_stages, one_line_errors, open_repo, read_stages
from snakemake_dvc.verdicts import Verdict, Verdicts, judge, restore
from snakemake_dvc.warm import start_parent

CAPTIONS = Path("workflow/report")


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
    script: str = os.path.relpath(Path(__file__).with_name("__main__.py"))


def open_pipeline(workflow: Workflow) -> Pipeline:
    """The rules for this call of Snakemake; ends the process with one line when the user has to mend something."""
    mode, targets = read_command(workflow)
    logging.raiseExceptions = False  # a log file that takes nothing more is no news: the disk is full
    methods = workflow.deployment_settings.deployment_method if workflow.deployment_settings else ()
    # Under --use-conda the job's python is that of the rule's environment, first on PATH by then.
    python = "python" if any(method.name == "CONDA" for method in methods) else sys.executable
    if mode is Mode.EXECUTE and os.path.isdir(".dvc"):
        wait_for_other_calls()
    if set(folder := os.getcwd()) & set("{}"):
        sys.exit(f"Error: {folder}: Snakemake takes braces in a path for wildcards; call it in a folder without")
    try:
        pipeline = load_pipeline(mode, targets, scratch=workflow.snakemake_tmp_dir, python=python)
    except BridgeError as error:
        sys.exit(f"Error: {error}")
    warm = any(rule.stage.warm and not os.path.exists(rule.stamp) for rule in pipeline.rules)
    if warm and mode is Mode.EXECUTE and python == sys.executable and jobs_run_here():
        start_parent(workflow.snakemake_tmp_dir)
    return pipeline


def load_pipeline(mode: Mode, targets: Iterable[str], *, scratch: Path, python: str = sys.executable) -> Pipeline:
    """The rules for the dvc.yaml in the working folder; `scratch` is a folder that lives as long as this call.

    Only EXECUTE changes anything: it runs what is first, restores what the cache holds, and sets the stamps of the
    targets and all they depend on. Otherwise what would run first runs in `scratch`, and a stamp that would change lies
    there. Raises BridgeError.
    """
    with one_line_errors(), open_repo() as repo:
        if mode is not Mode.JOB:
            check_parameters()
        if mode is not Mode.JOB and (line := killed_experiment(repo)):
            print(f"Note: {line}", file=sys.stderr)
        with repo.lock:
            stages = read_stages(repo)
        makers = {target: (find_stages(target, stages) if target != "all" else tuple(stages)) for target in targets}
        scope = closure((name for names in makers.values() for name in names), stages) if makers else stages
        if mode is Mode.EXECUTE:
            with repo.lock:
                remove_leftovers(repo, stages.values(), busy=[name for name in stages if is_busy(name)])
            verdicts = _bring_up_to_date(repo, scope)
        elif mode is Mode.JOB:
            verdicts = {}
        else:
            verdicts = _foresee(repo, scope, scratch)
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


def _bring_up_to_date(repo: Repo, scope: Mapping[str, Stage]) -> Verdicts:
    """Verdicts on all stages, having run the stale ones that are first and restored what the cache holds."""
    ran: list[str] = []
    if first := {name: stage for name, stage in scope.items() if stage.first}:
        verdicts = _judge_and_restore(repo, first, done=ran)
        for name, (verdict, reason) in verdicts.items():
            if verdict is not Verdict.FRESH:
                print(f"running first: {name}: {reason}", file=sys.stderr, flush=True)
                run_stage_here(name)
                ran.append(name)
        if ran:
            forget_stages(repo)
    return _judge_and_restore(repo, scope, done=ran)


def _judge_and_restore(repo: Repo, scope: Mapping[str, Stage], *, done: Collection[str]) -> Verdicts:
    with repo.lock:
        busy = [name for name in scope if is_busy(name)]
        verdicts = judge(repo, scope, busy=busy, done=done)
        if cached := [name for name, (verdict, _) in verdicts.items() if verdict is Verdict.RESTORE]:
            cached = restore(repo, cached)
            verdicts = judge(repo, scope, busy=busy, done=done)
    if cached:
        print(f"restored from DVC's run cache: {', '.join(cached)}", file=sys.stderr)
    return verdicts


def _foresee(repo: Repo, scope: Mapping[str, Stage], scratch: Path) -> Verdicts:
    """Verdicts on all stages, as they would be after what would run first and what would be restored."""
    with repo.lock:
        busy = [name for name in scope if is_busy(name)]
        verdicts = judge(repo, scope, busy=busy, rehearse=Rehearsal(scratch / "first"))
    for name, (verdict, reason) in verdicts.items():
        if verdict is Verdict.FIRST:
            print(f"would run first: {name}: {reason}", file=sys.stderr)
    if cached := [name for name, (verdict, _) in verdicts.items() if verdict is Verdict.RESTORE]:
        print(f"would be restored from DVC's run cache: {', '.join(cached)}", file=sys.stderr)
    return verdicts


def _rule(stage: Stage, stamps: Mapping[str, str], verdicts: Verdicts, mode: Mode) -> Rule:
    # Only a report names them, and as inputs: Snakemake deletes a rule's outputs before it runs, and has no times of
    # these, which it would warn of. With stage outputs among the inputs of any other call, time stamps would decide.
    patterns = stage.report if mode is Mode.REPORT else ()
    reason = verdicts[stage.name][1] if stage.name in verdicts else "as asked for by the main process"
    return Rule(
        stage=stage,
        inputs=tuple(stamps[name] for name in stage.upstream),
        stamp=stamps[stage.name],
        figures=tuple(path for pattern in patterns for path in sorted(glob.glob(pattern, recursive=True))),
        log=log_of(stage.name),
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


def _place_stamps(stages: Iterable[str], verdicts: Verdicts, mode: Mode, scratch: Path) -> dict[str, str]:
    """Where the stamp of each stage lies, having made the stamps of fresh stages and removed those of stale ones."""
    stamps = {name: stamp_of(name) for name in stages}
    for name, (verdict, _) in verdicts.items():
        # What Snakemake need not run: it is up to date, or an executing call brings it up to date before.
        ready = {Verdict.FRESH} if mode is Mode.EXECUTE else {Verdict.FRESH, Verdict.RESTORE, Verdict.FIRST}
        if (verdict in ready) == os.path.exists(stamps[name]):
            continue
        if mode is not Mode.EXECUTE:
            stamps[name] = str(scratch / "stamps" / os.path.basename(stamps[name]))
        if verdict in ready:
            touch(stamps[name])
        else:
            Path(stamps[name]).unlink(missing_ok=True)
    return stamps
