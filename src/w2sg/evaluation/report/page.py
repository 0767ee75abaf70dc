"""The report as one HTML page."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import behaviour, grid, tree_gain
from w2sg.evaluation.measures.comparisons import MARGIN, Comparison, Family
from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.models import environment_label, label
from w2sg.evaluation.measures.wording import MINUS
from w2sg.evaluation.paper import paper, verdicts
from w2sg.evaluation.report import exploration_tables, markup, opening, pictures, seed_tables, signs, tables, viewer
from w2sg.evaluation.report.figures.canvas import Chart
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.results import Results, other_tables
from w2sg.evaluation.report.table import Table
from w2sg.trees.tree import TrajectoryTree

TEMPLATES = Path(__file__).parent / "templates"
FIGURE4 = ("sft_weak", "sft_strong", "w2s_dpo", "w2s_mcts")


def page(
    inputs: ReportInputs,
    results: Results,
    *,
    charts: Mapping[str, Chart],
    drawn: Sequence[tuple[TrajectoryTree, str]],
) -> str:
    """report.html, which needs nothing beside itself; its policy lets no other script run and nothing be loaded."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    shown = [c for c in results.compared if c.measure == "average_reward" and c.split == REPORTED]
    order = paper.in_order(results.episodes.environments)
    others = {name: table.ordered(order) for name, table in other_tables(inputs, results).items()}
    others["recovered"] = others["recovered"].across(1, order)
    grid_rows = inputs.grid or inputs.grid_of_another
    if not inputs.grid:
        others["table3"] = tables.table3(grid_rows, [])  # this run's SFT strong is no row of another's grid
    quality = inputs.explorations
    return _templates().render(
        contents=_contents(inputs, results, charts=charts, drawn=drawn),
        script=Markup(script),  # safe: our own file
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        opening=opening.opening(results.compared, results.cells),
        legend=signs.LEGEND,
        by_environment=tables.by_environment(results.cells),
        table1=tables.table1(results.cells, binary=results.binary, served=results.served),
        seed_table=_seed_table(inputs, results),
        learning=tables.learning_table(results.learning).ordered(order) if results.learning else None,
        little_to_learn=[e for name in order for e in results.learning if e.environment == name and e.failed],
        tables=others,
        breadth=charts.get("breadth") or pictures.breadth(grid_rows),
        whose_grid="" if inputs.grid else _whose_grid(inputs),
        environments=order,
        families=[
            ("TreeDPO and MCTS against the two SFT models", _by_pair(shown, family="headline")),
            ("all others", _by_pair(shown, family="other")),
        ],
        compared=sorted(shown, key=lambda each: (each.family != "headline", order.index(each.environment))),
        reach=markup.reach(shown),
        reported=REPORTED,
        judged=results.judged,
        verdicts=verdicts.tally(results.judged),
        verdict_order=verdicts.VERDICTS,
        behaviours=sorted(behaviour.behaviours(results.episodes), key=lambda each: order.index(each.environment)),
        quality=exploration_tables.quality_table(quality) if quality else None,
        policies=exploration_tables.policy_table(quality),
        merging=exploration_tables.merging_table(inputs.merging) if inputs.merging else None,
        charts=charts,
        drawn=[(tree, Markup(svg)) for tree, svg in drawn],  # safe: our own drawing, texts are escaped there
        side_by_side=_side_by_side(inputs.episodes),
        seeds=sorted({episode.seed for episode in inputs.episodes}),
        resampling=inputs.resampling,
        margin=MARGIN,
        theorem=sorted(results.theorem, key=lambda each: order.index(each.quantities.environment)),
        relations=exploration_tables.relation_table(tree_gain.relations(results.points)),
        params=yaml.safe_dump(dict(inputs.params), sort_keys=False, allow_unicode=True),
    )


def _templates() -> jinja2.Template:
    environment = markup.templates(TEMPLATES)
    environment.filters |= {
        "points": lambda value: f"{100 * value:.1f}",
        "signed": lambda value: f"{100 * value:+.1f}".replace("-", MINUS),
        "label": label,
        "place": environment_label,
        "named": markup.named,
        "ranged": markup.ranged,
        "parted": viewer.parted,
        "interval": markup.interval,
        "sign": signs.of_comparison,
    }
    environment.globals["verdict_sign"] = signs.of_verdict
    environment.tests["refused"] = behaviour.refused
    return environment.get_template("report.html.j2")


def _contents(
    inputs: ReportInputs, results: Results, *, charts: Mapping[str, Chart], drawn: Sequence[object]
) -> dict[str, str]:
    """The sections that there is something for, in their order: by id their titles."""
    sections = {
        "opening": ("At a glance", True),
        "tree": ("Where success and failure part", bool(drawn)),
        "table1": ("Table 1: reward, success, completion", True),
        "comparisons": ("Paired comparisons", True),
        "claims": ("The paper's claims", True),
        "tables": ("Other tables", True),
        "grid": ("Tree breadth and β", True),
        "exploration": ("What exploration gave", bool(inputs.explorations)),
        "gain": ("Better trees, better students?", "tree_gain" in charts),
        "theorem": ("Theorem 1 with our figures", bool(results.theorem)),
        "learning": ("Learning curves", any(name.startswith("learning") for name in charts)),
        "episodes": ("The models side by side", True),
        "settings": ("Settings", True),
    }
    return {name: title for name, (title, there) in sections.items() if there}


def _by_pair(compared: Sequence[Comparison], *, family: Family) -> dict[tuple[str, str], dict[str, Comparison]]:
    """By model and baseline, in their order, the comparisons of every environment."""
    found: dict[tuple[str, str], dict[str, Comparison]] = {}
    for each in compared:
        if each.family == family:
            found.setdefault((each.model, each.baseline), {})[each.environment] = each
    return found


def _seed_table(inputs: ReportInputs, results: Results) -> Table | None:
    """Seed by seed where there are several; where there is one, beside the study's."""
    if len(inputs.params["seeds"]) > 1:
        return seed_tables.by_seed(results.table1)
    table = seed_tables.study_table(results.table1, inputs.study, inputs.params) if inputs.study else None
    return table if table and table.rows else None


def _whose_grid(inputs: ReportInputs) -> str:
    """In words, where the grid that there is is not this configuration's; empty where there is none."""
    if not inputs.grid_of_another:
        return ""
    digits = inputs.grid_of_another[0].configuration
    for seed in inputs.params["seeds"]:
        if grid.configuration({**inputs.params, "seeds": [seed]}) == digits:
            return f"This grid is of seed {seed} alone."
    return f"This grid belongs to another configuration ({digits}): it stands beside the run, and is not of it."


def _side_by_side(episodes: Sequence[Episode]) -> list[tuple[str, list[Episode]]]:
    """The paper's Figure 4: its four agents, on WebShop where it was run."""
    shown = [episode for episode in episodes if episode.model in FIGURE4] or list(episodes)
    shown = [episode for episode in shown if episode.trajectory.environment == "webshop"] or shown
    return [(REPORTED, viewer.episodes_side_by_side(shown, split=REPORTED))]
