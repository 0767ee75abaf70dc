"""The report: Table 1, comparisons, tree quality, charts and one HTML page that needs nothing beside itself."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from w2sg import files
from w2sg.evaluation import claims, figures, metrics, viewer
from w2sg.evaluation.claims import Comparison, Settings, Standing
from w2sg.evaluation.figures import TrainingLog
from w2sg.records import DemonstrationPath, Episode, Pair
from w2sg.trees.tree import TrajectoryTree

TEMPLATES = Path(__file__).parent / "templates"
DIGITS = 6  # significant ones


@dataclass(frozen=True, slots=True)
class Exploration:
    """What one environment and seed gave to learn from.

    Attributes:
        quality: of its trees, as `trees.quality.summarize` returns it.
        pairs: N_p by kind of preference pair.
        paths: number of demonstration paths by kind, and of those certified by replay and recombined from samples.
    """

    environment: str
    seed: int
    quality: Mapping[str, Any]
    pairs: Mapping[str, int]
    paths: Mapping[str, int]
    certified: Mapping[str, int]
    recombined: Mapping[str, int]

    @classmethod
    def count(
        cls,
        environment: str,
        *,
        seed: int,
        quality: Mapping[str, Any],
        pairs: Iterable[Pair],
        paths: Sequence[DemonstrationPath],
    ) -> "Exploration":
        """Count pairs and paths of all kinds."""
        return cls(
            environment=environment,
            seed=seed,
            quality=quality,
            pairs=Counter(pair.kind for pair in pairs),
            paths=Counter(path.kind for path in paths),
            certified=Counter(path.kind for path in paths if path.certified),
            recombined=Counter(path.kind for path in paths if path.source_sample < 0),
        )


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything the report shows.

    Attributes:
        params: the configuration as plain values, shown as it is.
        settings: of the intervals.
        minimum_gap: delta of the pairs, from which on a divergence counts as informative.
        episodes: evaluation episodes of every environment, model, seed and split.
        explorations: one per environment and seed.
        trees: by environment and task id, of one seed; one of each environment is drawn.
        mcts_paths: e* of the same trees, to be highlighted; may be empty.
        logs: of every training run.
        stage_seconds: what each stage cost, where that is known.
    """

    params: Mapping[str, Any]
    settings: Settings
    minimum_gap: float
    episodes: Sequence[Episode]
    explorations: Sequence[Exploration]
    trees: Mapping[str, Mapping[str, TrajectoryTree]] = field(default_factory=dict)
    mcts_paths: Sequence[DemonstrationPath] = ()
    logs: Sequence[TrainingLog] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


def build(inputs: ReportInputs, *, folder: Path) -> None:
    """Write table1.{csv,md}, comparisons.csv, tree_quality.csv, figures/*.svg, report.html; equal inputs, equal bytes.

    Rewards and rates are fractions in the CSV files and 100 times that, the paper's task score, for people to read.

    Raises:
        UserError: there are no episodes, or models were not evaluated on the same tasks (`metrics.check`).
    """
    rows = metrics.table1(inputs.episodes)
    standings = claims.standings(inputs.episodes, settings=inputs.settings)
    compared = claims.comparisons(inputs.episodes, settings=inputs.settings)
    drawn = _drawn_trees(inputs)
    charts = _charts(inputs, standings=standings, compared=compared)
    pictures = charts | {f"tree_{tree.environment}": svg for tree, svg in drawn}

    files.write_text(folder / "table1.csv", _csv([asdict(row) for row in rows]))
    files.write_text(folder / "table1.md", table_markdown(standings, settings=inputs.settings))
    files.write_text(folder / "comparisons.csv", _csv([_comparison_row(c) for c in compared]))
    files.write_text(folder / "tree_quality.csv", _csv([_quality_row(e) for e in inputs.explorations]))
    with files.replacing(folder / "figures") as temporary:
        temporary.mkdir()
        for name, svg in sorted(pictures.items()):
            (temporary / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    files.write_text(
        folder / "report.html", _page(inputs, standings=standings, compared=compared, charts=charts, drawn=drawn)
    )


def table_markdown(standings: Sequence[Standing], *, settings: Settings) -> str:
    """Table 1 for people: per environment one row per model; task scores and rates times 100, intervals in brackets."""
    lines = [
        "# Table 1",
        "",
        "Task score is 100 times the average reward.",
        f"In brackets: {settings.confidence:.0%} bootstrap intervals over tasks.",
        "Completion is the share of the episodes that the environment ended by itself, in per cent.",
    ]
    for environment, splits, models in _tables(standings):
        heads = [f"{split}: {name}" for split in splits for name in ("task score", "success", "completion", "tasks")]
        lines += ["", f"## {environment}", "", f"| model | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
        for model, cells in models.items():
            shown = [text for split in splits for text in _markdown_cells(cells, split=split)]
            lines.append(f"| {metrics.label(model)} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


_Cells = dict[tuple[str, str], Standing]


def _tables(standings: Sequence[Standing]) -> list[tuple[str, list[str], dict[str, _Cells]]]:
    """Per environment: its splits, and the cells of every model by split and measure."""
    tables = []
    for environment in sorted({cell.environment for cell in standings}):
        here = [cell for cell in standings if cell.environment == environment]
        models: dict[str, _Cells] = {}
        for cell in here:
            models.setdefault(cell.model, {})[cell.split, cell.measure] = cell
        tables.append((environment, list(dict.fromkeys(cell.split for cell in here)), models))
    return tables


def _markdown_cells(cells: _Cells, *, split: str) -> list[str]:
    if (split, "average_reward") not in cells:
        return ["", "", "", ""]
    reward, *rates = (cells[split, measure].value for measure in metrics.MEASURES)
    score = f"{100 * reward.mean:.1f} [{100 * reward.low:.1f}, {100 * reward.high:.1f}]"
    return [score, *(f"{100 * rate.mean:.1f}" for rate in rates), str(cells[split, "average_reward"].tasks)]


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    result = comparison.result
    return {
        "environment": comparison.environment,
        "split": comparison.split,
        "measure": comparison.measure,
        "model": comparison.model,
        "baseline": comparison.baseline,
        "tasks": result.tasks,
        "difference": result.difference.mean,
        "low": result.difference.low,
        "high": result.difference.high,
        "wins": result.wins,
        "losses": result.losses,
        "p_value": result.p_value,
        "smallest_detectable": result.detectable,
        "verdict": comparison.verdict,
    }


def _quality_row(exploration: Exploration) -> dict[str, Any]:
    """One line of tree_quality.csv (M7) with what was learnt from it."""
    quality = exploration.quality
    mean, total, mixed, tasks = quality["mean"], quality["total"], quality["mixed"], quality["tasks"]
    counts = {f"pairs_{kind}": number for kind, number in sorted(exploration.pairs.items())}
    for kind, number in sorted(exploration.paths.items()):
        counts[f"paths_{kind}"] = number
        counts[f"certified_{kind}"] = exploration.certified.get(kind, 0)
        counts[f"recombined_{kind}"] = exploration.recombined.get(kind, 0)
    return {
        "environment": exploration.environment,
        "seed": exploration.seed,
        "tasks": tasks,
        "samples_per_task": mean["samples"],
        "mixed_share": mixed["tasks"] / tasks if tasks else 0.0,
        "informative_per_mixed_task": mixed["informative_mean"],
        "informative_total": total["informative"],
        "branchings_total": total["branchings"],
        "branchings_possible": total["branchings_possible"],
        "branching_factor": mean["branching_factor"],
        "terminals": mean["terminals"],
        "depth_mean": mean["depth_mean"],
        "depth_max": mean["depth_max"],
        "nodes": mean["nodes"],
        "merge_rate": mean["merge_rate"],
        "mean_score": mean["mean_score"],
        "best_score": mean["best_score"],
        **counts,
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, columns in the order of their first use: floats to six digits, None empty, a missing count 0."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    writer = csv.DictWriter(text, columns, restval=0, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for name, v in row.items()})
    return text.getvalue()


def _drawn_trees(inputs: ReportInputs) -> list[tuple[TrajectoryTree, str]]:
    paths = {(path.environment, path.task_id): path for path in inputs.mcts_paths if path.kind == "mcts"}
    drawn = []
    for environment in sorted(inputs.trees):
        tree = viewer.choose_tree(inputs.trees[environment], minimum_gap=inputs.minimum_gap)
        if tree is not None:
            path = paths.get((environment, tree.task_id))
            nodes = viewer.path_nodes(tree, path) if path else frozenset[int]()
            drawn.append((tree, viewer.tree_svg(tree, path=nodes, minimum_gap=inputs.minimum_gap)))
    return drawn


def _charts(inputs: ReportInputs, *, standings: Sequence[Standing], compared: Sequence[Comparison]) -> dict[str, str]:
    """Every chart that there are numbers for, by name."""
    charts = {"standings": figures.standing_chart(standings)}
    if compared:
        charts["differences"] = figures.difference_chart(compared)
    split = metrics.splits(inputs.episodes)[-1]
    charts["progress"] = figures.progress_chart(inputs.episodes, split=split)
    preference = [log for log in inputs.logs if any("margin" in row for row in log.rows)]
    if plain := [log for log in inputs.logs if log not in preference]:
        charts["learning_loss"] = figures.learning_curves(plain, columns=("loss",))
    if preference:
        charts["learning_preference"] = figures.learning_curves(preference, columns=("loss", "margin", "accuracy"))
    return charts


def _page(
    inputs: ReportInputs,
    *,
    standings: Sequence[Standing],
    compared: Sequence[Comparison],
    charts: Mapping[str, str],
    drawn: Sequence[tuple[TrajectoryTree, str]],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "points": lambda value: f"{100 * value:.1f}",
        "signed": lambda value: f"{100 * value:+.1f}".replace("-", claims.MINUS),
        "label": metrics.label,
    }
    environment.tests["refused"] = metrics.refused
    return environment.get_template(
        "report.html.j2"
    ).render(
        headline=claims.headline(compared, confidence=inputs.settings.confidence),
        tables=_tables(standings),
        compared=compared,
        conduct=metrics.conduct(inputs.episodes),
        explorations=[(exploration, _quality_row(exploration)) for exploration in inputs.explorations],
        charts={name: Markup(svg) for name, svg in charts.items()},  # safe: our own drawing, texts are escaped there
        drawn=[(tree, Markup(svg)) for tree, svg in drawn],
        side_by_side=[
            (split, viewer.episodes_side_by_side(inputs.episodes, split=split))
            for split in metrics.splits(inputs.episodes)[-1:]
        ],
        seeds=sorted({episode.seed for episode in inputs.episodes}),
        several_measures=len({comparison.measure for comparison in compared}) > 1,
        several_environments=len(metrics.environments(inputs.episodes)) > 1,
        settings=inputs.settings,
        stage_seconds=inputs.stage_seconds,
        params=yaml.safe_dump(dict(inputs.params), sort_keys=False, allow_unicode=True),
    )
