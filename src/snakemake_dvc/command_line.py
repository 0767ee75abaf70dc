"""What Snakemake was called for, as Snakemake itself reads its command line."""

import contextlib
import io
from enum import Enum
from typing import Any, TypeAlias

Workflow: TypeAlias = Any  # Snakemake publishes no types.


class Mode(Enum):
    """What Snakemake was called for. JOB is a job's own Snakemake on another machine, which judges nothing."""

    EXECUTE = "execute"
    SHOW = "show"
    REPORT = "report"
    JOB = "job"


# The options of Snakemake with which it executes nothing; a test compares them with snakemake.cli.args_to_api.
SHOWING = """
    lint list_rules list_target_rules print_compilation containerize reporter report generate_unit_tests dag rulegraph
    filegraph d3dag unlock cleanup_metadata conda_cleanup_envs conda_create_envs_only list_conda_envs cleanup_shadow
    container_cleanup_images list_changes list_input_changes list_params_changes list_untracked summary
    detailed_summary archive delete_all_output delete_temp_output deploy_sources dryrun touch
"""


def jobs_run_here() -> bool:
    """Whether the jobs of this call run on this machine, as its own processes."""
    from snakemake.cli import parse_args

    return vars(parse_args(None)[1])["executor"] in (None, "local")


def read_command(workflow: Workflow) -> tuple[Mode, list[str]]:
    """The mode and the targets named."""
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
