"""What exploration gave to learn from, as tables: a column per environment and seed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from w2sg.evaluation.measures import explorations
from w2sg.evaluation.measures.comparisons import OURS
from w2sg.evaluation.measures.explorations import Exploration
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.tree_gain import FIGURES, Relation
from w2sg.evaluation.measures.wording import MINUS
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.table import NO, Table

Figures = Mapping[str, Any]
ROWS: Mapping[str, Sequence[tuple[str, Callable[[Figures], str]]]] = {
    "explored training tasks": (
        ("number", lambda f: f"{f['tasks']}"),
        ("samples of each", lambda f: f"{f['samples_per_task']:.3g}"),
        ("mixed, %", lambda f: f"{100 * f['mixed_share']:.1f}"),
        ("mean score", lambda f: f"{100 * f['mean_score']:.1f}"),
        ("mean of the best sample", lambda f: f"{100 * f['best_score']:.1f}"),
    ),
    "where ways part": (
        ("informative divergences", lambda f: f"{f['informative_total']:,}"),
        ("in a mixed task", lambda f: f"{f['informative_per_mixed_task']:.2f}"),
        ("most in one task", lambda f: f"{f['informative_max']}"),
        ("branching nodes", lambda f: f"{f['branchings_total']:,}"),
        ("possible ones", lambda f: f"{f['branchings_possible']:,}"),
    ),
    "a tree, in the mean": (
        ("nodes", lambda f: f"{f['nodes']:.1f}"),
        ("ends", lambda f: f"{f['terminals']:.1f}"),
        ("branching factor", lambda f: f"{f['branching_factor']:.2f}"),
        ("depth, steps", lambda f: f"{f['depth_mean']:.1f}"),
        ("steps merged, %", lambda f: f"{100 * f['merge_rate']:.1f}"),
    ),
}
POLICY: Sequence[tuple[str, Callable[[Figures], str]]] = (
    ("samples", lambda f: f"{f['samples']:.0f}"),
    ("ends", lambda f: f"{f['terminals']:.2f}"),
    ("branching nodes", lambda f: f"{f['branchings']:.2f}"),
    ("informative", lambda f: f"{f['informative']:.2f}"),
    ("merged, %", lambda f: f"{100 * f['merge_rate']:.1f}"),
    ("mixed tasks, %", lambda f: f"{100 * f['mixed']:.1f}"),
    ("mean score", lambda f: f"{100 * f['mean_score']:.1f}"),
    ("best score", lambda f: f"{100 * f['best_score']:.1f}"),
)


def in_order(found: Sequence[Exploration]) -> list[Exploration]:
    """The paper's environments in its order, then others, each by seed."""
    environments = paper.in_order(each.environment for each in found)
    return sorted(found, key=lambda each: (environments.index(each.environment), each.seed))


def quality_table(found: Sequence[Exploration]) -> Table:
    """One column for every environment and seed, and below the trees what was taken from them."""
    shown = in_order(found)
    figures = [explorations.row(each) | {"informative_max": each.quality["mixed"]["informative_max"]} for each in shown]
    rows: list[list[str]] = []
    for heading, own in ROWS.items():
        rows += [[heading], *([name, *(text(f) for f in figures)] for name, text in own)]
    if pairs := sorted({kind for each in shown for kind in each.pairs}):
        rows.append(["preference pairs"])
        rows += [[f"“{kind}”", *_counts([each.pairs for each in shown], kind)] for kind in pairs]
    if paths := sorted({kind for each in shown for kind in each.paths}):
        rows.append(["paths to imitate"])
    for kind in paths:
        rows.append([f"“{kind}”", *_counts([each.paths for each in shown], kind)])
        rows.append(["of them certified", *_counts([each.certified for each in shown], kind)])
        rows.append(["of them recombined", *_counts([each.recombined for each in shown], kind)])
    note = (
        "What the weak model's exploration gave to learn from. A task is mixed when its samples hold a success and a "
        "failure. A divergence is informative when its best and worst action differ in mean score. At most samples − 1 "
        "nodes of a tree can branch. A path is certified when its replay in the environment gave the same observations "
        "and the expected score, and a recombination when no single sample holds its words."
    )
    head = ["seed", *(f"{each.environment}: {each.seed}" for each in shown)]
    return Table("What exploration gave", note, head, rows)


def _counts(found: Sequence[Mapping[str, int]], kind: str) -> list[str]:
    return [f"{counts.get(kind, 0):,}" for counts in found]


def policy_table(found: Sequence[Exploration]) -> Table | None:
    """By who explored; None where one policy did everywhere."""
    rows = []
    for each in in_order(found):
        rows += [
            [f"{each.environment}, seed {each.seed}", label(policy), *(text(summary["mean"]) for _, text in POLICY)]
            for policy, summary in each.by_policy.items()
        ]
    note = "Equally many samples of each policy; “together” takes as many from all in turn. Means over tasks."
    head = ["trees of", "policy", *(name for name, _ in POLICY)]
    return Table("By who explored", note, head, rows) if rows else None


def merging_table(counts: Sequence[Mapping[str, Any]]) -> Table:
    """What every merge threshold does."""
    columns = ("steps", "merged", "differing", "paths", "recombined", "other_observation", "other_score")
    rows = [
        [
            f"{row['environment']}, seed {row['seed']}",
            "exact" if row["similarity"] is None else f"{row['similarity']:g}",
            *(f"{row[name]:,}" for name in columns),
        ]
        for row in counts
    ]
    note = (
        "The samples of every tree, merged again at each threshold ξ, searched, and each e* replayed. Merged: steps "
        "that fell onto a node which was there. Differing: those among them whose observation is another text than the "
        "node's. A recombined e* holds words of several samples; its replay fails when it sees another text, or ends "
        "with another score, than the tree promised."
    )
    head = ["trees of", "ξ", "steps", "merged", "differing", "e*", "recombined", "other text", "other score"]
    return Table("What the merge threshold does", note, head, rows or [[NO] * len(head)])


def relation_table(found: Sequence[Relation]) -> Table:
    """Spearman's rho of every figure of the trees with every method's gain, or why there is none."""
    shown = [method for method in OURS if any(each.method == method for each in found)]
    of = {(each.figure, each.method): each for each in found}
    rows = [[name, *(_relation(of[figure, method]) for method in shown)] for figure, name in FIGURES.items()]
    note = (
        "Each dot is one environment, seed and tree breadth (other breadths: make grid). Related within environments "
        "only: Spearman's ρ of the departures from each environment's mean. Trees of several breadths share their "
        "samples, so the points are not independent, and ρ is a description, not a test."
    )
    if len({text for row in rows for text in row[1:]}) == 1 and found[0].rho is None:
        rows, note = [], f"{note} Not related here: {found[0].reason}."
    return Table("Tree quality against gain", note, ["figure of the trees", *map(label, shown)], rows)


def _relation(each: Relation) -> str:
    if each.rho is None:
        return f"not related: {each.reason}"
    several = "s" if each.environments != 1 else ""
    rho = f"{each.rho:+.2f}".replace("-", MINUS)
    return f"ρ = {rho} over {each.points} points in {each.environments} environment{several}"
