"""A second round, in which the student explores: `make iterate RUN=.study`.

Of a run in a workspace, each environment and seed gets a workspace of its own, .iterate/ENVIRONMENT-SEED, in which the
weak model is the student, what w2s_mcts has trained, and the strong one SFT strong, both as they are
(`sft.optimization: null`). The student explores the same tasks; SFT strong learns from its tree as it did from the weak
model's, and the student goes on from where it is: with its own tree, with the best of its samples, or with the
demonstrations again. Writes docs/iteration.

Stopped, the same call goes on: the workspaces stay, and share the project's DVC cache.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import derived
import iterate_page
from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError, told
from w2sg.evaluation.measures.comparisons import Resampling
from w2sg.evaluation.measures.episodes import GroupedEpisodes

KEPT, WORKSPACES = Path("docs/iteration"), Path(".iterate")
STUDENT = "w2s_mcts"
FIRST, SECOND = ("sft", "preference", "imitation"), ("preference", "imitation")  # groups of models that are asked for
# Who starts where and learns from what; sft_weak is the student here.
PREFERENCE = {"init": "sft_strong", "data": "tree", "reference": "sft_weak", "pairs": None, "dpo": None}
AGAIN, ALONE = "demonstrations", {"expert_share": 0.0}
METHODS = {
    "w2s_mcts": ("sft_strong", "mcts"),
    "student_mcts": ("sft_weak", "mcts"),
    "student_best": ("sft_weak", "best_of_m"),
    "student_sft": ("sft_weak", AGAIN),
}
# What models of either round are called where both stand side by side; others of the first are left out.
OF_FIRST = {"sft_weak": "sft_weak", "sft_strong": "sft_strong", STUDENT: "student", "w2s_dpo": "first_dpo"}
OF_SECOND = {name: name for name in METHODS} | {"w2s_mcts": "second_mcts", "w2s_dpo": "second_dpo"}


def main() -> int:
    """Parse the command line, play, write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--run", type=Path, default=Path(), help="workspace of a finished run; this folder")
    parser.add_argument("--environments", nargs="+", metavar="NAME", help="of the run; all")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="that the run has played; its own")
    parser.add_argument("--cores", default="all", help="as of snakemake")
    options = parser.parse_args()
    try:
        return follow(options)
    except (UserError, OSError) as error:
        for line in told(error):
            print(f"iterate: {line}", file=sys.stderr)
        return 2


def follow(options: argparse.Namespace) -> int:
    """Play the second rounds one after the other, and what the page says of all of them; Snakemake's code on failure.

    Raises:
        UserError: the run lacks an environment, a method or a model.
    """
    with contextlib.chdir(options.run):
        first = params.load()
    names = [name for name, _ in first.environments.items()]
    if unknown := [name for name in options.environments or () if name not in names]:
        raise UserError(f"--environments {unknown[0]}: the run has {', '.join(names)}")
    if WORKSPACES.absolute() in options.run.absolute().parents:
        raise UserError(f"--run {options.run}: is itself a second round; give the run that it was made of")
    values = read_yaml(options.run / "params.yaml")
    if STUDENT not in first.imitation:
        raise UserError(f"{options.run / 'params.yaml'}: imitation: no {STUDENT}, which is the student")
    rounds = [(name, seed) for name in options.environments or names for seed in options.seeds or first.seeds]
    for environment, seed in rounds:  # all of them before the first is played
        second(values, run=options.run, environment=environment, seed=seed)
    episodes: list[Episode] = []
    for environment, seed in rounds:
        folder = WORKSPACES / layout.run_name(environment, seed)
        made = second(values, run=options.run, environment=environment, seed=seed)
        targets = [f"evaluate-{group}" for group in SECOND]
        if code := derived.play(folder, made, targets=targets, cores=options.cores):
            print(f"iterate: {folder}: not complete; call again to go on from here", file=sys.stderr)
            return code
        of_rounds = [
            list(played(options.run, environment, seed, FIRST, OF_FIRST)),
            list(played(folder, environment, seed, SECOND, OF_SECOND)),
        ]
        before, after = ({(each.split, each.trajectory.task_id) for each in own} for own in of_rounds)
        if before != after:
            raise UserError(
                f"{options.run}: {environment}, seed {seed}: judged on other tasks than params.yaml says; run it anew"
            )
        episodes += [episode for own in of_rounds for episode in own]
    resampling = Resampling(first.report.resamples, first.report.confidence, first.seeds[0])
    iterate_page.write(
        KEPT,
        GroupedEpisodes(episodes),
        run=options.run,
        seeds=sorted({seed for _, seed in rounds}),
        explored=explored(options.run, rounds),
        resampling=resampling,
    )
    print(f"{KEPT}: {len(rounds)} second rounds")
    return 0


def second(values: dict[str, Any], *, run: Path, environment: str, seed: int) -> dict[str, Any]:
    """The parameters of a second round.

    Args:
        values: of the first.

    Raises:
        UserError: the first round has not trained a model that this one needs.
    """
    workspace = WORKSPACES / layout.run_name(environment, seed)
    models = {"weak": layout.imitation(environment, seed, STUDENT), "strong": layout.sft(environment, seed, "strong")}
    needed = [*models.values(), *(layout.episodes(environment, seed, group) for group in FIRST)]
    needed.append(layout.tree_quality(environment, seed))
    if missing := [path for path in needed if not (run / path).exists()]:
        raise UserError(f"{run / missing[0]}: missing; finish the run of seed {seed} first")
    places = {role: run / folder for role, folder in models.items()}
    made = derived.alone(values, run=run, workspace=workspace, environment=environment, seed=seed, models=places)
    made |= {
        "sft": {**values["sft"], "optimization": None},
        "explore": {**made["explore"], "roles": ["weak"], "diversity": None},
        "preference": {"w2s_dpo": {**PREFERENCE, **own_of(values["preference"].get("w2s_dpo") or {})}},
        "imitation": {
            name: {**values["imitation"][STUDENT], "init": init, "data": data, **(ALONE if data == AGAIN else {})}
            for name, (init, data) in METHODS.items()
        },
        "inference": {},
        "theorem": {**values["theorem"], "method": "w2s_dpo", "superior": "w2s_dpo"},
    }
    derived.check(made, run=run, workspace=workspace)
    return made


def own_of(method: dict[str, Any]) -> dict[str, Any]:
    """What a method of the first round says of pairs and training for itself."""
    return {key: method[key] for key in ("pairs", "dpo") if key in method}


def played(
    folder: Path, environment: str, seed: int, groups: Sequence[str], names: dict[str, str]
) -> Iterator[Episode]:
    """The episodes of some models of a workspace, by the names that they get here."""
    for group in groups:
        for episode in read_episodes(folder / layout.episodes(environment, seed, group)):
            if episode.model in names:
                yield replace(episode, model=names[episode.model])


def explored(run: Path, rounds: Sequence[tuple[str, int]]) -> list[iterate_page.Explored]:
    """What the explorer of either round found, tree by tree."""
    found = []
    for environment, seed in rounds:
        places = (("sft_weak", run), ("student", WORKSPACES / layout.run_name(environment, seed)))
        for explorer, folder in places:
            path = folder / layout.tree_quality(environment, seed)
            found.append(iterate_page.Explored(environment, seed, explorer, files.read_object(path)))
    return found


if __name__ == "__main__":
    sys.exit(main())
