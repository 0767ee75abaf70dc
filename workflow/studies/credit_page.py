"""docs/credit: the page, its tables, and the figures behind them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from credit_paths import KINDS
from keeping import commit
from w2sg.contracts import files
from w2sg.evaluation.measures import csv_files
from w2sg.evaluation.measures.credit import TOLERANCE, Credit, Measure, PathCredit
from w2sg.evaluation.measures.models import environment_label
from w2sg.evaluation.report.table import NO, Table

FILES = README, SUMMARY, DETAILS = "README.md", "credit.csv", "steps.csv"
STEPS: tuple[Measure, ...] = ("right", "by chance", "above chance", "strictly right", "strictly by chance")
GAINS: tuple[Measure, ...] = ("outcome", "start", "skill", "luck", "kind state")
PAGE = """# What steps are worth, and luck

Made by `make credit`: commit {commit}, options
`{words}`.

Tasks that the strong model fails by itself and the weak one solves in M samples, at most {tasks} an environment and
seed; from before and after every step of the paths {model} plays to the end, {samples} times (temperature
{temperature:g}, top-p {top_p:g}).
What the measures are and why: [method.md](../method.md#what-a-step-is-worth).
Figures: `credit.csv`, and each step's continuations in `steps.csv`.

{tables}"""
OF_STEPS = f"""\
Shares of a path's steps, percent, means of paths, with intervals over tasks.
Right: continuations after the step score no more than {TOLERANCE:g} below those before it; strictly: not below at all.
By chance: what the share would be for the same continuations if no step changed anything; above chance: what is left.
Criterion (f), registered without a tolerance, wants 85 or more; it cannot be judged where noise alone stays below that.
Recorded: in the hidden state of the run, where a lucky guess is right, too; redrawn: over those that agree with what
was seen."""
OF_GAINS = """\
Points of task score, over redrawn hidden states.
What a path has gained (outcome) over what the policy scores on its task (start) is what its steps are worth (skill)
and what their answers happened to be (luck).
Kind state: how much more the path's continuations score in the recorded hidden state than in redrawn ones."""


def write(folder: Path, found: Sequence[Credit], paths: Sequence[PathCredit], *, options: argparse.Namespace) -> None:
    """Write page and figures into a folder."""
    tables = [_table("Steps", OF_STEPS, found, STEPS)]
    gains = [each for each in found if each.states == "redrawn"]
    if gains:
        tables.append(_table("Skill and luck", OF_GAINS, gains, GAINS))
    words = f"--run RUN --tasks {options.tasks} --samples {options.samples} --model {options.model}"
    if options.environments:
        words += f" --environments {' '.join(options.environments)}"
    page = PAGE.format(
        **{name: getattr(options, name) for name in ("tasks", "model", "samples", "temperature", "top_p")},
        words=words,
        commit=commit(),
        tables="\n".join(table.markdown() for table in tables),
    )
    files.write_text(folder / README, page)
    csv_files.write(folder / SUMMARY, [_row(each) for each in found])
    steps = [
        {
            "environment": step.environment,
            "seed": step.seed,
            "task": step.task_id,
            "kind": step.kind,
            "states": step.states,
            "step": step.step,
            "before": " ".join(f"{score:g}" for score in step.before),
            "after": " ".join(f"{score:g}" for score in step.after),
            "worth": step.worth,
            "right": step.right(),
            "p_worse": step.p_worse,
        }
        for path in paths
        for step in path.steps
    ]
    csv_files.write(folder / DETAILS, steps)


def _row(each: Credit) -> dict[str, object]:
    return {
        "environment": each.environment,
        "kind": each.kind,
        "states": each.states,
        "measure": each.measure,
        "tasks": each.tasks,
        "paths": each.paths,
        "steps": each.steps,
        **csv_files.of_interval("value", each.value),
    }


def _table(title: str, note: str, found: Sequence[Credit], measures: Sequence[Measure]) -> Table:
    """A row for each environment, kind and states."""
    cells = {(each.environment, each.kind, each.states, each.measure): each for each in found}
    rows = []
    for environment, kind, states in dict.fromkeys(key[:3] for key in cells):
        own = [cells.get((environment, kind, states, measure)) for measure in measures]
        first = next(each for each in own if each)
        row = [environment_label(environment), KINDS[kind], states, str(first.tasks), str(first.steps)]
        row += [_figure(each) if each else NO for each in own]
        rows.append(row)
    return Table(title, note, ["environment", "path", "states", "tasks", "steps", *measures], rows)


def _figure(each: Credit) -> str:
    # A rounded -0.01 is no minus.
    value, low, high = (round(100 * number, 1) + 0.0 for number in (each.value.mean, each.value.low, each.value.high))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")
