"""The report: Table 1, comparisons, tree quality, charts and one HTML page that needs nothing beside itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from w2sg.contracts import files
from w2sg.contracts.records import DemonstrationPath, Episode, Task
from w2sg.evaluation.measures import claims, explorations, learning, metrics, theorem, tree_gain
from w2sg.evaluation.measures.claims import Comparison, Recovered, Settings, Standing
from w2sg.evaluation.measures.explorations import Exploration
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.learning import Learning
from w2sg.evaluation.measures.theorem import Quantities, Reading
from w2sg.evaluation.measures.tree_gain import Point
from w2sg.evaluation.paper import paper_claims, verdicts
from w2sg.evaluation.paper.verdicts import Finding, Findings
from w2sg.evaluation.report import csv_rows, figures, tables, theorem_chart, viewer
from w2sg.evaluation.report.figures import TrainingLog
from w2sg.trees.tree import TrajectoryTree

TEMPLATES = Path(__file__).parent / "templates"
FIGURE4 = ("sft_weak", "sft_strong", "w2s_dpo", "w2s_mcts")


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
        merging: what each merge threshold does, rows of the stage merging with their environment and seed.
        tasks: the task tables of all environments.
        theorem: the quantities of theorem 1, one per environment and seed.
        experts: mean G of the demonstrations, by environment.
        spreads: best minus worst G in each explored task's tree, of all seeds, by environment.
        grid: rows of `make grid` that belong to this configuration; empty where it has not run.
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
    merging: Sequence[Mapping[str, Any]] = ()
    tasks: Sequence[Task] = ()
    theorem: Sequence[Quantities] = ()
    experts: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, Sequence[float]] = field(default_factory=dict)
    grid: Sequence[GridRow] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Results:
    """What `build` works out once and shows in several places."""

    standings: Sequence[Standing]
    learning: Sequence[Learning]
    compared: Sequence[Comparison]
    recovered: Sequence[Recovered]
    judged: Sequence[Finding]
    theorem: Sequence[Reading]
    points: Sequence[Point]
    binary: Sequence[str]
    task_counts: Mapping[str, Mapping[str, int]]


def build(inputs: ReportInputs, *, folder: Path) -> list[str]:
    """Write tables (CSV and Markdown), claims.md, figures/*.svg and report.html; equal inputs, equal bytes.

    Returns a line for every environment that left little to learn.

    Rewards and rates are fractions in the CSV files and 100 times that, the paper's task score, for people to read.

    Raises:
        UserError: there are no episodes, or models were not evaluated on the same tasks (`metrics.check`).
    """
    rows = metrics.table1(inputs.episodes)
    results = _results(inputs)
    drawn = _drawn_trees(inputs)
    charts = _charts(inputs, results)
    pictures = charts | {f"tree_{tree.environment}": svg for tree, svg in drawn}
    table1 = tables.table1_markdown(
        results.standings,
        settings=inputs.settings,
        binary=results.binary,
        after=[learning.table(results.learning)] if results.learning else [],
    )

    files.write_text(folder / "table1.csv", csv_rows.text([asdict(row) for row in rows]))
    files.write_text(folder / "table1.md", table1)
    files.write_text(folder / "learning.csv", csv_rows.text([learning.row(each) for each in results.learning]))
    files.write_text(folder / "tables.md", "\n".join(t.markdown() for t in _other_tables(inputs, results)))
    files.write_text(folder / "comparisons.csv", csv_rows.text([csv_rows.comparison(c) for c in results.compared]))
    files.write_text(folder / "recovered.csv", csv_rows.text([csv_rows.recovered(r) for r in results.recovered]))
    files.write_text(folder / "claims.md", paper_claims.markdown(results.judged))
    files.write_text(folder / "theorem.csv", csv_rows.text([theorem.row(r) for r in results.theorem]))
    files.write_text(folder / "tree_gain.csv", csv_rows.text([tree_gain.row(p) for p in results.points]))
    files.write_text(folder / "tree_quality.csv", csv_rows.text([explorations.row(e) for e in inputs.explorations]))
    with files.replacing(folder / "figures") as temporary:
        temporary.mkdir()
        for name, svg in sorted(pictures.items()):
            (temporary / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    files.write_text(folder / "report.html", _page(inputs, results, charts=charts, drawn=drawn))
    return learning.warnings(results.learning)


def _results(inputs: ReportInputs) -> _Results:
    episodes, settings = inputs.episodes, inputs.settings
    compared = claims.comparisons(episodes, settings=settings)
    recovered = claims.recovered(episodes, settings=settings)
    environments = metrics.environments(episodes)
    last = {e: metrics.splits(x for x in episodes if x.trajectory.environment == e)[-1] for e in environments}
    counts: dict[str, Counter[str]] = {}
    for task in inputs.tasks:
        counts.setdefault(task.environment, Counter())[task.split] += 1
    findings = Findings(
        compared=[c for c in compared if c.split == last[c.environment]],
        recovered=[r for r in recovered if r.split == last[r.environment]],
        grid=inputs.grid,
        repeats=[c for c in claims.repeats(episodes, settings=settings) if c.split == last[c.environment]],
        tasks=counts,
    )
    return _Results(
        standings=claims.standings(episodes, settings=settings),
        learning=learning.learning(episodes, experts=inputs.experts, spreads=inputs.spreads, settings=settings),
        compared=compared,
        recovered=recovered,
        judged=paper_claims.judge(findings),
        theorem=theorem.readings(inputs.theorem, episodes),
        points=tree_gain.points(
            {(each.environment, each.seed): explorations.row(each) for each in inputs.explorations},
            episodes,
            inputs.grid,
            breadth=inputs.params["tree"]["breadth"],
            beta=inputs.params["dpo"]["beta"],
        ),
        binary=[e for e in environments if metrics.binary(x for x in episodes if x.trajectory.environment == e)],
        task_counts=counts,
    )


def _other_tables(inputs: ReportInputs, results: _Results) -> list[tables.Table]:
    return [
        tables.recovered_table(results.recovered),
        tables.table2(),
        tables.table3(inputs.grid, results.standings),
        tables.table4(results.task_counts),
    ]


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


def _charts(inputs: ReportInputs, results: _Results) -> dict[str, str]:
    """Every chart that there are numbers for, by name."""
    charts = {"standings": figures.standing_chart(results.standings)}
    if results.compared:
        charts["differences"] = figures.difference_chart(results.compared)
    split = metrics.splits(inputs.episodes)[-1]
    charts["progress"] = figures.progress_chart(inputs.episodes, split=split)
    types = {task.task_id: task.task_type for task in inputs.tasks if task.environment == "scienceworld"}
    here = [e for e in inputs.episodes if (e.trajectory.environment, e.split) == ("scienceworld", split)]
    if types and any(episode.model in figures.FIGURE3 for episode in here):
        charts["task_types"] = figures.task_type_chart(here, task_types=types)
    betas = Counter(row.beta for row in inputs.grid if row.model == "w2s_mcts")
    splits = [row.split for row in inputs.grid]
    if betas:
        beta = max(betas, key=lambda value: (betas[value], -value))  # the one that breadth was varied at
        last = "unseen" if "unseen" in splits else splits[-1]
        charts["breadth"] = figures.breadth_chart([row for row in inputs.grid if (row.beta, row.split) == (beta, last)])
    if results.theorem:
        charts["theorem"] = theorem_chart.chart(results.theorem)
    if results.points:
        charts["tree_gain"] = tree_gain.chart(results.points)
    preference = [log for log in inputs.logs if any("margin" in row for row in log.rows)]
    if plain := [log for log in inputs.logs if log not in preference]:
        charts["learning_loss"] = figures.learning_curves(plain, columns=("loss",))
    if preference:
        charts["learning_preference"] = figures.learning_curves(preference, columns=("loss", "margin", "accuracy"))
    return charts


def _side_by_side(episodes: Sequence[Episode]) -> list[tuple[str, list[Episode]]]:
    """The paper's Figure 4: its four agents, on WebShop where it was run."""
    shown = [episode for episode in episodes if episode.model in FIGURE4] or list(episodes)
    shown = [episode for episode in shown if episode.trajectory.environment == "webshop"] or shown
    return [(split, viewer.episodes_side_by_side(shown, split=split)) for split in metrics.splits(shown)[-1:]]


def _page(
    inputs: ReportInputs,
    results: _Results,
    *,
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
    return environment.get_template("report.html.j2").render(
        headline=claims.headline(results.compared, confidence=inputs.settings.confidence),
        tables=tables.by_environment(results.standings),
        table1=tables.table1(results.standings, binary=results.binary),
        learning=learning.table(results.learning) if results.learning else None,
        other_tables=_other_tables(inputs, results),
        compared=results.compared,
        last_split=metrics.splits(inputs.episodes)[-1],
        judged=results.judged,
        verdicts=[(name, sum(f.verdict == name for f in results.judged)) for name in verdicts.VERDICTS],
        conduct=metrics.conduct(inputs.episodes),
        explorations=[(exploration, explorations.row(exploration)) for exploration in inputs.explorations],
        charts={name: Markup(svg) for name, svg in charts.items()},  # safe: our own drawing, texts are escaped there
        drawn=[(tree, Markup(svg)) for tree, svg in drawn],
        side_by_side=_side_by_side(inputs.episodes),
        seeds=sorted({episode.seed for episode in inputs.episodes}),
        several_environments=len(metrics.environments(inputs.episodes)) > 1,
        settings=inputs.settings,
        stage_seconds=inputs.stage_seconds,
        merging=inputs.merging,
        theorem=results.theorem,
        relations=tree_gain.relations(results.points),
        quality_figures=tree_gain.FIGURES,
        params=yaml.safe_dump(dict(inputs.params), sort_keys=False, allow_unicode=True),
    )
