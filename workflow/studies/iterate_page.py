"""docs/iteration and docs/chain: the pages of second rounds, their tables, and the figures behind them."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keeping import commit, over
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, shown
from w2sg.evaluation.measures import csv_files
from w2sg.evaluation.measures.comparisons import Comparison, TableCell, rewards_compared, table_cells
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.models import environment_label
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.statistics import Interval, Resampling
from w2sg.evaluation.measures.wording import p_value, points, score
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.table import NO, Table

HEAD = """# {title}

Made by `make iterate` of the run in `{run}`: commit {commit}, seeds {seeds}.
{about}
Figures: `scores.csv`, `comparisons.csv`, `explored.csv`.

{tables}"""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says.

    Attributes:
        labels: of models, in the order of the table.
        contrasts: models, each with what it is held against.
        explorers: of the first round and of the second, by the names that labels have.
    """

    title: str
    about: str
    labels: Mapping[str, str]
    contrasts: Sequence[tuple[str, str]]
    explorers: tuple[str, str]


ITERATION = Page(
    title="A second round",
    about=(
        "The student, what W2S MCTS has trained in the first round, explores the same tasks in the weak model's place\n"
        "([what is done](../studies.md#the-second-round))."
    ),
    labels={
        "sft_weak": "SFT weak",
        "sft_strong": "SFT strong",
        "first_dpo": "W2S TreeDPO",
        "student": "The student (W2S MCTS)",
        "second_mcts": "SFT strong, from the student's tree: MCTS",
        "second_dpo": "SFT strong, from the student's tree: TreeDPO",
        "student_mcts": "The student, from its own tree: MCTS",
        "student_best": "The student, from its own best of M",
        "student_sft": "The student, from demonstrations again",
    },
    contrasts=(
        ("second_mcts", "student"),
        ("second_mcts", "sft_strong"),
        ("second_dpo", "sft_strong"),
        ("student_mcts", "student"),
        ("student_mcts", "student_best"),
        ("student_mcts", "student_sft"),
    ),
    explorers=("sft_weak", "student"),
)
CHAIN = Page(
    title="Weak to middle to strong",
    about=(
        "The weak model teaches a middle one by W2S MCTS, and this one, exploring the same tasks, the strong one\n"
        "([what is done](../studies.md#the-second-round))."
    ),
    labels={
        "sft_weak": "SFT weak",
        "sft_middle": "SFT middle",
        "middle": "SFT middle, from the weak model's tree: MCTS",
        "sft_strong": "SFT strong",
        "direct": "SFT strong, from the weak model's tree: MCTS",
        "direct_dpo": "SFT strong, from the weak model's tree: TreeDPO",
        "chain": "SFT strong, from the middle model's tree: MCTS",
        "chain_dpo": "SFT strong, from the middle model's tree: TreeDPO",
    },
    contrasts=(
        ("middle", "sft_weak"),
        ("middle", "sft_middle"),
        ("direct", "sft_strong"),
        ("chain", "sft_strong"),
        ("chain", "middle"),
        ("chain", "direct"),
        ("chain_dpo", "direct_dpo"),
    ),
    explorers=("sft_weak", "middle"),
)
OF_SCORES = "Task score (100 x average reward), {tasks} {split} tasks, {level:g}% intervals over {over}."
OF_COMPARISONS = "Paired by task{and_seed}; p of the stricter test, corrected for all rows and environments (Holm)."
OF_EXPLORED = (
    "Explored tasks: mean score of the samples, of each task's best, and the share of tasks with both outcomes."
)
MEANS = ("mean_score", "best_score", "mixed", "merge_rate", "nodes")  # of the explorers' trees; the first three shown


@dataclass(frozen=True, slots=True)
class Explored:
    """What an explorer found: `means` over the tasks, those of MEANS."""

    environment: str
    seed: int
    explorer: str
    means: Mapping[str, float]


def means_of(path: Path) -> dict[str, float]:
    """Those of a file of trees' quality.

    Raises:
        UserError: it has not all of them.
    """
    found: Any = files.read_object(path)
    for key in ("summary", "mean"):
        found = found.get(key) if isinstance(found, dict) else None
    means = found if isinstance(found, dict) else {}
    for name in MEANS:
        value = means.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            what = f"summary.mean.{name} is {shown(value)}, expected a number"
            raise UserError(f"{path}: {what}; {files.STAGE}")
    return {name: float(means[name]) for name in MEANS}


def write(
    folder: Path,
    episodes: GroupedEpisodes,
    *,
    page: Page,
    run: Path,
    seeds: Sequence[int],
    explored: Sequence[Explored],
    resampling: Resampling,
) -> None:
    """Write the page and its figures."""
    found = compared(episodes, page.contrasts, resampling=resampling)
    cells = [
        cell
        for cell in table_cells(episodes, resampling=resampling)
        if cell.measure == "average_reward" and cell.split == REPORTED
    ]
    text = _text(
        page, cells, found, explored, run=run, seeds=seeds, environments=episodes.environments, resampling=resampling
    )
    files.write_text(folder / "README.md", text)
    csv_files.write(folder / "scores.csv", [_scores(cell) for cell in cells])
    csv_files.write(folder / "comparisons.csv", [_row(each) for each in found])
    csv_files.write(folder / "explored.csv", [_means(each) for each in explored])


def _text(
    page: Page,
    cells: Sequence[TableCell],
    found: Sequence[Comparison],
    explored: Sequence[Explored],
    *,
    run: Path,
    seeds: Sequence[int],
    environments: Iterable[str],
    resampling: Resampling,
) -> str:
    columns = paper.in_order(environments)
    scores = {(cell.model, cell.environment): cell.value for cell in cells}
    tasks = " or ".join(map(str, sorted({cell.tasks for cell in cells})))
    about = {"tasks": tasks, "split": REPORTED, "level": 100 * resampling.confidence, "over": over(seeds)}
    and_seed = " and seed" if len(seeds) > 1 else ""
    tables = [
        _table("Scores", OF_SCORES.format(**about), columns, [
            [label, *(_score(scores.get((model, each))) for each in columns)] for model, label in page.labels.items()
        ]),
        _table("Differences", OF_COMPARISONS.format(and_seed=and_seed), columns, [
            [
                f"{page.labels[model]} − {page.labels[baseline]}",
                *(_difference(found, each, model, baseline) for each in columns),
            ]
            for model, baseline in page.contrasts
        ]),
        _table("What the explorers found", OF_EXPLORED, columns, [
            [page.labels[explorer], *(_found(explored, each, explorer) for each in columns)]
            for explorer in page.explorers
        ]),
    ]  # fmt: skip
    return HEAD.format(
        title=page.title,
        about=page.about,
        run=run.name or ".",
        commit=commit(),
        seeds=", ".join(map(str, seeds)),
        tables="\n".join(table.markdown() for table in tables),
    )


def _scores(cell: TableCell) -> dict[str, object]:
    return {
        "environment": cell.environment,
        "model": cell.model,
        "tasks": cell.tasks,
        **csv_files.of_interval("value", cell.value),
    }


def _means(each: Explored) -> dict[str, object]:
    return {"environment": each.environment, "seed": each.seed, "explorer": each.explorer, **each.means}


def compared(
    episodes: GroupedEpisodes, contrasts: Sequence[tuple[str, str]], *, resampling: Resampling
) -> list[Comparison]:
    """Contrasts in every environment on the reported split, corrected for their number (Holm)."""
    found = [
        each
        for environment in episodes.environments
        for model, baseline in contrasts
        if (
            each := rewards_compared(
                episodes,
                environment=environment,
                model=model,
                baseline=baseline,
                resampling=resampling,
            )
        )
    ]
    adjusted = holm([each.result.strict_p for each in found])
    return [replace(each, adjusted=p_value) for each, p_value in zip(found, adjusted, strict=True)]


def _row(each: Comparison) -> dict[str, object]:
    return {
        "environment": each.environment,
        "model": each.model,
        "baseline": each.baseline,
        "tasks": each.result.tasks,
        "seeds": each.result.seeds,
        **csv_files.of_interval("difference", each.result.difference),
        "wins": each.result.wins,
        "losses": each.result.losses,
        "p": each.result.strict_p,
        "p_corrected": each.adjusted,
        "verdict": each.wording,
    }


def _table(title: str, note: str, environments: Iterable[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(title, note, ["", *map(environment_label, environments)], rows)


def _score(value: Interval | None) -> str:
    return NO if value is None else score(value)


def _difference(found: Sequence[Comparison], environment: str, model: str, baseline: str) -> str:
    for each in found:
        if (each.environment, each.model, each.baseline) == (environment, model, baseline):
            assert each.adjusted is not None
            return f"{points(each.result.difference)}, p {p_value(each.adjusted)}: {each.wording}"
    return NO


def _found(explored: Sequence[Explored], environment: str, explorer: str) -> str:
    own = [each for each in explored if (each.environment, each.explorer) == (environment, explorer)]
    means = [100 * sum(each.means[name] for each in own) / len(own) for name in MEANS[:3]]
    return "mean {:.1f}, best {:.1f}, both {:.1f} %".format(*means)
