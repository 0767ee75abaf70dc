"""Which charts and trees a report draws."""

from collections import Counter
from collections.abc import Sequence

from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report import viewer
from w2sg.evaluation.report.figures import progress, scores, theorem, training, tree_gain
from w2sg.evaluation.report.figures.canvas import Chart
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.results import Results
from w2sg.trees.tree import TrajectoryTree


def drawn_trees(inputs: ReportInputs) -> list[tuple[TrajectoryTree, str]]:
    """One tree of each environment that has one worth drawing, with its <svg> element; the smallest tree first."""
    paths = {(path.environment, path.task_id): path for path in inputs.mcts_paths if path.kind == "mcts"}
    gap, aggregate = inputs.pairs.minimum_gap, inputs.pairs.aggregate
    drawn = []
    for environment in paper.in_order(inputs.trees):
        tree = viewer.choose_tree(inputs.trees[environment], minimum_gap=gap, aggregate=aggregate)
        if tree is not None:
            path = paths.get((environment, tree.task_id))
            nodes = viewer.path_nodes(tree, path) if path else frozenset[int]()
            drawn.append((tree, viewer.tree_svg(tree, path=nodes, minimum_gap=gap, aggregate=aggregate)))
    return sorted(drawn, key=lambda each: len(each[0].nodes))


def charts(inputs: ReportInputs, results: Results) -> dict[str, Chart]:
    """Every chart that there are numbers for, by name."""
    drawn = {"standings": scores.table1_chart(results.cells)}
    if results.compared:
        drawn["differences"] = scores.difference_chart(results.compared)
    drawn["progress"] = progress.progress_chart(results.episodes)
    types = {task.task_id: task.task_type for task in inputs.tasks if task.environment == "scienceworld"}
    here = results.episodes.by_model("scienceworld", REPORTED)
    if types and any(model in progress.FIGURE3 for model in here):
        drawn["task_types"] = progress.task_type_chart(here, task_types=types)
    if chart := breadth(inputs.grid):
        drawn["breadth"] = chart
    if results.theorem:
        drawn["theorem"] = theorem.chart(results.theorem)
    if results.points:
        drawn["tree_gain"] = tree_gain.chart(results.points)
    preference = [curve for curve in inputs.curves if any("margin" in row for row in curve.rows)]
    if plain := [curve for curve in inputs.curves if curve not in preference]:
        drawn["learning_loss"] = training.learning_curves(plain, columns=("loss",))
    if preference:
        drawn["learning_preference"] = training.learning_curves(preference, columns=("loss", "margin", "accuracy"))
    return drawn


def breadth(grid: Sequence[GridRow]) -> Chart | None:
    """Figure 5 from the rows of one configuration; None where breadth was not varied."""
    betas = Counter(row.beta for row in grid if row.model == "w2s_mcts")
    if not betas:
        return None
    beta = max(betas, key=lambda value: (betas[value], -value))  # the one that breadth was varied at
    return scores.breadth_chart([row for row in grid if (row.beta, row.split) == (beta, REPORTED)])
