"""What the report shows, gathered from what the other stages have written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from w2sg.config.data import ROLES, Pairs
from w2sg.config.params import Params
from w2sg.config.rosters import ImitationMethod, PreferenceMethod
from w2sg.contracts import layout
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.files import read_json
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories
from w2sg.evaluation.measures import grid, study
from w2sg.evaluation.measures.complement import Attempts, attempts
from w2sg.evaluation.measures.explorations import Exploration
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.evaluation.measures.study import Study
from w2sg.evaluation.measures.supervision import Supervision, ledger
from w2sg.evaluation.measures.theorem import Quantities
from w2sg.evaluation.report.explorer.forests import Forest, gather_forests
from w2sg.evaluation.report.figures.training import LearningCurve
from w2sg.evaluation.report.lessons import lessons
from w2sg.trees.tree import TrajectoryTree, load


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything the report shows.

    Attributes:
        params: the configuration as plain values, shown as it is.
        resampling: how intervals are made.
        pairs: which divergences are informative.
        episodes: evaluation episodes of every environment, model, seed and split.
        explorations: one per environment and seed.
        trees: by environment and task id, of one seed; one of each environment is drawn.
        mcts_paths: e* of the same trees, to be highlighted; may be empty.
        curves: of every training run.
        merging: what each merge threshold does, rows of the stage merging with their environment and seed.
        tasks: the task tables of all environments.
        theorem: the quantities of theorem 1, one per environment and seed.
        experts: mean G of the demonstrations, by environment.
        spreads: best minus worst G in each explored task's tree, of all seeds, by environment.
        grid: rows of `make grid` that belong to this configuration; empty where it has not run.
        grid_of_another: rows of the grid that there is where it belongs to another configuration.
        attempts: what the weak and the strong model made of the explored tasks; of the strong one where it explored.
        supervision: what every model has been taught with, of all seeds.
        study: what several seeds gave, of whatever configuration; None where that is not to be shown.
        forests: the trees of every environment, seed and role, for the explorer.
    """

    params: Mapping[str, Any]
    resampling: Resampling
    pairs: Pairs
    episodes: Sequence[Episode]
    explorations: Sequence[Exploration]
    trees: Mapping[str, Mapping[str, TrajectoryTree]] = field(default_factory=dict)
    mcts_paths: Sequence[DemonstrationPath] = ()
    curves: Sequence[LearningCurve] = ()
    merging: Sequence[Mapping[str, Any]] = ()
    tasks: Sequence[Task] = ()
    theorem: Sequence[Quantities] = ()
    experts: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, Sequence[float]] = field(default_factory=dict)
    grid: Sequence[GridRow] = ()
    grid_of_another: Sequence[GridRow] = ()
    attempts: Sequence[Attempts] = ()
    supervision: Sequence[Supervision] = ()
    study: Study | None = None
    forests: Sequence[Forest] = ()


def gather(params: Params) -> ReportInputs:
    """Read everything that the parameters name, and nothing else.

    Raises:
        UserError: a file is missing or is not what its stage writes.
    """
    environments = params.environments.names
    runs = [(name, seed) for name in environments for seed in params.seeds]
    first = params.seeds[0]
    values = params.model_dump(mode="json")
    curves = _curves(params, runs)
    own, gridded = grid.configuration(values), grid.read(layout.GRID)
    paths = {run: _paths(params, *run) for run in runs}
    trees: dict[str, dict[str, TrajectoryTree]] = {}
    spreads: dict[str, list[float]] = {name: [] for name in environments}
    explored: list[Attempts] = []
    forests: list[Forest] = []
    for name, seed in runs:
        here = load(layout.trees(name, seed))
        forests += gather_forests(params, name, seed, trees=here)
        spreads[name] += map(_spread, here.values())
        explored += _attempts(params, name, seed, trees=here)
        if seed == first:
            trees[name] = here
    return ReportInputs(
        params=values,
        resampling=Resampling(params.report.resamples, params.report.confidence, first),
        pairs=params.pairs,
        episodes=[
            episode
            for run in runs
            for group in layout.EVALUATION_GROUPS
            for episode in read_episodes(layout.episodes(*run, group))
        ],
        explorations=[_exploration(params, *run, paths=paths[run]) for run in runs],
        trees=trees,
        mcts_paths=[path for name in environments for path in paths[name, first] if path.kind == "mcts"],
        curves=curves,
        merging=[
            {"environment": name, "seed": seed, **row}
            for name, seed in runs
            for row in read_json(layout.merging(name, seed))["rows"]
        ],
        tasks=[task for name in environments for task in Task.read(layout.tasks(name))],
        theorem=[Quantities.read(layout.theorem(*run)) for run in runs],
        experts={
            name: fmean(expert.score for expert in read_trajectories(layout.experts(name))) for name in environments
        },
        spreads=spreads,
        grid=[row for row in gridded if row.configuration == own],
        grid_of_another=[row for row in gridded if row.configuration != own],
        attempts=explored,
        supervision=[line for run in runs for line in _ledger(params, *run, curves=curves)],
        study=Study.read(study.KEPT),
        forests=forests,
    )


def _attempts(params: Params, environment: str, seed: int, *, trees: Mapping[str, TrajectoryTree]) -> list[Attempts]:
    """Of the weak model, and of the strong one where it explored too."""
    of = {"weak": [trajectory for tree in trees.values() for trajectory in tree.trajectories]}
    if "strong" in params.explore.roles:
        of["strong"] = read_trajectories(layout.explore(environment, seed, "strong"))
    return [
        each
        for role, own in of.items()
        for each in attempts(own, environment=environment, seed=seed, role=role, samples=params.tree.breadth)
    ]


def _ledger(params: Params, environment: str, seed: int, *, curves: Sequence[LearningCurve]) -> list[Supervision]:
    """Bases are trained once a seed, for all environments."""
    updates = {
        curve.model: int(curve.rows[-1]["step"])
        for curve in curves
        if curve.rows and curve.seed == seed and (curve.model.startswith("base") or curve.name == environment)
    }
    learned = lessons(params, environment=environment, seed=seed)
    return ledger(learned, updates=updates, environment=environment, seed=seed)


def _paths(params: Params, environment: str, seed: int) -> list[DemonstrationPath]:
    methods = _one_each(params.imitation)
    return [path for method in methods for path in DemonstrationPath.read(layout.paths(environment, seed, method))]


def _exploration(params: Params, environment: str, seed: int, *, paths: Sequence[DemonstrationPath]) -> Exploration:
    grown = read_json(layout.tree_quality(environment, seed))
    methods = _one_each(params.preference)
    return Exploration.count(
        environment,
        seed=seed,
        quality=grown["summary"],
        by_policy=grown["by_policy"],
        pairs=[pair for method in methods for pair in Pair.read(layout.pairs(environment, seed, method))],
        paths=paths,
    )


def _curves(params: Params, runs: Sequence[tuple[str, int]]) -> list[LearningCurve]:
    """Of the bases, then run by run of SFT, preference methods and imitation."""

    def curve(stage: str, file: str, environment: str, model: str, seed: int) -> LearningCurve:
        return LearningCurve(name=environment, model=model, seed=seed, rows=read_json(layout.log(stage, file)))

    found = [
        curve("pretrain", f"{seed}-{role}", "all environments", f"base_{role}", seed)
        for seed in params.seeds
        for role in ROLES
    ]
    for name, seed in runs:
        run = layout.run_name(name, seed)
        found += [curve("sft", f"{run}-{role}", name, f"sft_{role}", seed) for role in ROLES]
        found += [curve("preference", f"{run}-{method}", name, method, seed) for method in params.preference]
        found += [curve("imitation", f"{run}-{method}", name, method, seed) for method in params.imitation]
    return found


def _spread(tree: TrajectoryTree) -> float:
    """Best minus worst G."""
    scores = [trajectory.score for trajectory in tree.trajectories]
    return max(scores) - min(scores)


def _one_each(roster: Mapping[str, PreferenceMethod] | Mapping[str, ImitationMethod]) -> list[str]:
    """Of the methods that learn from one kind of data the first whose pairs or paths are the sections' own, if any."""
    first: dict[str, str] = {}
    for method in sorted(roster, key=lambda name: _makes_its_own(roster[name])):
        first.setdefault(roster[method].data, method)
    return [method for method in roster if method in first.values()]


def _makes_its_own(entry: PreferenceMethod | ImitationMethod) -> bool:
    return (entry.pairs if isinstance(entry, PreferenceMethod) else entry.mcts) is not None
