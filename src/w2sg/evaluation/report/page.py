"""The report as one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import behaviour, explorations, tree_gain
from w2sg.evaluation.measures.comparisons import MARGIN
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.wording import MINUS
from w2sg.evaluation.paper import verdicts
from w2sg.evaluation.report import headline, tables, viewer
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.results import Results, other_tables
from w2sg.trees.tree import TrajectoryTree

TEMPLATES = Path(__file__).parent / "templates"
FIGURE4 = ("sft_weak", "sft_strong", "w2s_dpo", "w2s_mcts")


def page(
    inputs: ReportInputs,
    results: Results,
    *,
    charts: Mapping[str, str],
    drawn: Sequence[tuple[TrajectoryTree, str]],
) -> str:
    """report.html, which needs nothing beside itself."""
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
        "signed": lambda value: f"{100 * value:+.1f}".replace("-", MINUS),
        "label": label,
    }
    environment.tests["refused"] = behaviour.refused
    return environment.get_template("report.html.j2").render(
        headline=headline.headline(results.compared, confidence=inputs.resampling.confidence),
        tables=tables.by_environment(results.cells),
        table1=tables.table1(results.cells, binary=results.binary, served=results.served),
        learning=tables.learning_table(results.learning) if results.learning else None,
        other_tables=other_tables(inputs, results),
        compared=results.compared,
        last_split=results.episodes.splits[-1],
        judged=results.judged,
        verdicts=verdicts.tally(results.judged),
        behaviours=behaviour.behaviours(results.episodes),
        explorations=[(exploration, explorations.row(exploration)) for exploration in inputs.explorations],
        charts={name: Markup(svg) for name, svg in charts.items()},  # safe: our own drawing, texts are escaped there
        drawn=[(tree, Markup(svg)) for tree, svg in drawn],
        side_by_side=_side_by_side(inputs.episodes),
        seeds=sorted({episode.seed for episode in inputs.episodes}),
        several_environments=len(results.episodes.environments) > 1,
        resampling=inputs.resampling,
        margin=MARGIN,
        merging=inputs.merging,
        theorem=results.theorem,
        relations=tree_gain.relations(results.points),
        quality_figures=tree_gain.FIGURES,
        params=yaml.safe_dump(dict(inputs.params), sort_keys=False, allow_unicode=True),
    )


def _side_by_side(episodes: Sequence[Episode]) -> list[tuple[str, list[Episode]]]:
    """The paper's Figure 4: its four agents, on WebShop where it was run."""
    shown = [episode for episode in episodes if episode.model in FIGURE4] or list(episodes)
    shown = [episode for episode in shown if episode.trajectory.environment == "webshop"] or shown
    last = GroupedEpisodes(shown).splits[-1]
    return [(last, viewer.episodes_side_by_side(shown, split=last))]
