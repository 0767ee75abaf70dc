"""A second round, in which the student explores: `make iterate RUN=.study`.

Of a run in a workspace, each environment and seed gets a workspace of its own, .iterate/ENVIRONMENT-SEED, in which the
weak model is the student, what w2s_mcts has trained, and the strong one SFT strong, both as they are
(`sft.optimization: null`). The student explores the same tasks; SFT strong learns from its tree as it did from the weak
model's, and the student goes on from where it is: with its own tree, with the best of its samples, or with the
demonstrations again. Writes docs/iteration.

With `--explorer RUN` the explorer is another run's student, a middle model that the same weak one has taught
(params/middle.yaml): weak to middle to strong, beside weak to strong. Writes docs/chain.

Stopped, the same call goes on: the workspaces stay, and share the project's DVC cache.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import derived
import iterate_page
from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.command_line import NUMBERS, Once, Parser, cores, status
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling
from workspace import claimed

WORKSPACES = Path(".iterate")
STUDENT = "w2s_mcts"
FIRST = ("sft", "preference", "imitation")  # groups of models that are asked for
AGAIN, ALONE = "demonstrations", {"expert_share": 0.0}


@dataclass(frozen=True)
class Plan:
    """What is played with an explorer that an earlier round has taught.

    Attributes:
        kept: folder of the page.
        suffix: of the names of workspaces.
        methods: of imitation, each with its start and its paths; sft_weak is the explorer here.
        groups: of models that are asked for.
        first, second: what models of either round are called where both stand side by side; others are left out.
        before: the same of the run that the explorer comes from, where it is another one.
    """

    kept: Path
    suffix: str
    methods: Mapping[str, tuple[str, str]]
    groups: Sequence[str]
    first: Mapping[str, str]
    second: Mapping[str, str]
    before: Mapping[str, str]
    page: iterate_page.Page


ITERATION = Plan(
    kept=Path("docs/iteration"),
    suffix="",
    methods={
        "w2s_mcts": ("sft_strong", "mcts"),
        "student_mcts": ("sft_weak", "mcts"),
        "student_best": ("sft_weak", "best_of_m"),
        "student_sft": ("sft_weak", AGAIN),
    },
    groups=("preference", "imitation"),
    first={"sft_weak": "sft_weak", "sft_strong": "sft_strong", STUDENT: "student", "w2s_dpo": "first_dpo"},
    second={
        "w2s_mcts": "second_mcts",
        "w2s_dpo": "second_dpo",
        **{name: name for name in ("student_mcts", "student_best", "student_sft")},
    },
    before={},
    page=iterate_page.ITERATION,
)
CHAIN = Plan(
    kept=Path("docs/chain"),
    suffix="-chain",
    methods={"w2s_mcts": ("sft_strong", "mcts")},
    groups=FIRST,
    first={"sft_weak": "sft_weak", "sft_strong": "sft_strong", STUDENT: "direct", "w2s_dpo": "direct_dpo"},
    second={"sft_weak": "middle", "w2s_mcts": "chain", "w2s_dpo": "chain_dpo"},
    before={"sft_strong": "sft_middle"},
    page=iterate_page.CHAIN,
)


def main() -> int:
    """Parse the command line, play, write the tables."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--run", type=Path, default=Path(), help="workspace of a finished run; this folder")
    parser.add_argument("--explorer", type=Path, metavar="RUN", help="workspace of another run, whose student explores")
    parser.add_argument("--environments", nargs="+", action=Once, metavar="NAME", help="of the run; all")
    parser.add_argument("--seeds", **NUMBERS, help="that the run has played; its own")
    parser.add_argument("--cores", type=cores, default="all", help="as of snakemake")
    options = parser.parse_args()
    return status("iterate", lambda: follow(options))


def follow(options: argparse.Namespace) -> int:
    """Play the second rounds one after the other, and what the page says of all of them; Snakemake's code on failure.

    Raises:
        UserError: the run lacks an environment, a method or a model.
    """
    with contextlib.chdir(options.run):
        first = params.load()
    names = first.environments.names
    if unknown := [name for name in options.environments or () if name not in names]:
        raise UserError(f"--environments {unknown[0]}: the run has {', '.join(names)}")
    if WORKSPACES.absolute() in options.run.absolute().parents:
        raise UserError(f"--run {options.run}: is itself a second round; give the run that it was made of")
    values = read_yaml(options.run / "params.yaml")
    if STUDENT not in first.imitation:
        raise UserError(f"{options.run / 'params.yaml'}: imitation: no {STUDENT}, which is the student")
    rounds = [(name, seed) for name in options.environments or names for seed in options.seeds or first.seeds]
    plan = CHAIN if options.explorer else ITERATION
    made = {round_: second(values, plan, options.run, options.explorer, *round_) for round_ in rounds}
    episodes: list[Episode] = []
    for round_, parameters in made.items():
        folder = workspace(plan, *round_)
        targets = [f"evaluate-{group}" for group in plan.groups]
        with claimed(folder) as lock:
            if code := derived.play(folder, parameters, targets=targets, cores=options.cores, lock=lock):
                print(f"iterate: {folder}: not complete; call again to go on from here", file=sys.stderr)
                return code
            second_round = list(played(folder, *round_, plan.groups, plan.second))
        of_rounds = [list(played(options.run, *round_, FIRST, plan.first)), second_round]
        if plan.before:
            of_rounds.append(list(played(options.explorer, *round_, ("sft",), plan.before)))
        judged = [{(each.split, each.trajectory.task_id) for each in own} for own in of_rounds]
        if any(tasks != judged[0] for tasks in judged):
            environment, seed = round_
            raise UserError(
                f"{options.run}: {environment}, seed {seed}: judged on other tasks than params.yaml says; run it anew"
            )
        episodes += [episode for own in of_rounds for episode in own]
    # Of what is played alone: the run's own seeds are those that it was last called with.
    resampling = Resampling(first.report.resamples, first.report.confidence, min(seed for _, seed in rounds))
    iterate_page.write(
        plan.kept,
        GroupedEpisodes(episodes),
        page=plan.page,
        run=options.run,
        seeds=sorted({seed for _, seed in rounds}),
        explored=explored(plan, options.run, rounds),
        resampling=resampling,
    )
    print(f"{plan.kept}: {len(rounds)} second rounds")
    return 0


def workspace(plan: Plan, environment: str, seed: int) -> Path:
    """Where a second round is played."""
    return WORKSPACES / f"{layout.run_name(environment, seed)}{plan.suffix}"


def second(
    values: dict[str, Any], plan: Plan, run: Path, explorer: Path | None, environment: str, seed: int
) -> dict[str, Any]:
    """The parameters of a second round.

    Args:
        values: of the first.
        explorer: the run whose student explores; the first where it is None.

    Raises:
        UserError: a run has not trained or played what this one needs, or the explorer was taught by another model.
    """
    folder, source = workspace(plan, environment, seed), explorer or run
    models = {
        "weak": source / layout.imitation(environment, seed, STUDENT),
        "strong": run / layout.sft(environment, seed, "strong"),
    }
    needed = [*models.values(), *(run / layout.episodes(environment, seed, group) for group in FIRST)]
    needed += [source / layout.episodes(environment, seed, "sft"), run / layout.tree_quality(environment, seed)]
    teachers = [each / layout.sft(environment, seed, "weak") for each in (run, source)] if explorer else []
    if missing := [path for path in (*needed, *teachers) if not path.exists()]:
        raise UserError(f"{missing[0]}: missing; finish the run of seed {seed} first")
    if len({files.digest(teacher) for teacher in teachers}) > 1:
        wanted = "--explorer wants a run with the same weak base and sft settings"
        raise UserError(f"{teachers[1]}: another weak model than {teachers[0]}; {wanted}")
    made = derived.alone(values, run=run, folder=folder, environment=environment, seed=seed, models=models)
    made |= {
        "sft": {**values["sft"], "optimization": None},
        "explore": {**made["explore"], "roles": ["weak"], "diversity": None},
    }
    imitation = {
        name: {**values["imitation"][STUDENT], "init": init, "data": data, **(ALONE if data == AGAIN else {})}
        for name, (init, data) in plan.methods.items()
    }
    made = derived.only(made, preference={"w2s_dpo": derived.tree_dpo(values)}, imitation=imitation)
    derived.check(made, run=run, workspace=folder)
    return made


def played(
    folder: Path, environment: str, seed: int, groups: Sequence[str], names: Mapping[str, str]
) -> Iterator[Episode]:
    """The episodes of some models of a workspace, by the names that they get here."""
    for group in groups:
        for episode in read_episodes(folder / layout.episodes(environment, seed, group)):
            if episode.model in names:
                yield replace(episode, model=names[episode.model])


def explored(plan: Plan, run: Path, rounds: Sequence[tuple[str, int]]) -> list[iterate_page.Explored]:
    """What the explorer of either round found, in the mean over trees.

    Raises:
        UserError: a file does not say so.
    """
    found = []
    for environment, seed in rounds:
        places = (run, workspace(plan, environment, seed))
        for explorer, folder in zip(plan.page.explorers, places, strict=True):
            means = iterate_page.means_of(folder / layout.tree_quality(environment, seed))
            found.append(iterate_page.Explored(environment, seed, explorer, means))
    return found


if __name__ == "__main__":
    sys.exit(main())
