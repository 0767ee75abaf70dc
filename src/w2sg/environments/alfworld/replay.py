"""`w2sg replay alfworld`: play games in the official layout again and compare what the engine says."""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, told, within
from w2sg.environments.alfworld.shipped_experts import as_move, as_put, check_installed, plan, play_handcoded
from w2sg.environments.alfworld.tasks.official import GAME_FILE, GOAL_FILE, REMEDY, game_folders, playable, read_game
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.environment import answer, opening
from w2sg.environments.alfworld.world.translation import Game

EXPERTS = ("recorded", "handcoded", "planner")
TRANSCRIPT = "gt_traj.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--games", type=Path, required=True, help="folder that holds game.tw-pddl files at any depth")
    parser.add_argument("--expert", choices=EXPERTS, default="recorded")
    parser.add_argument("--jobs", type=int, default=1, help="processes")


def run(arguments: argparse.Namespace) -> int:
    """What the command does; see compare."""
    return compare(arguments.games, arguments.expert, jobs=arguments.jobs)


def compare(games: Path, expert: str, *, jobs: int = 1) -> int:
    """Replay every game below `games`, print how many were won and how many observations agreed; 0 if all is well.

    "recorded" plays the transcripts beside the games (ETO's gt_traj.json, older or current grammar) and fails unless
    every observation is theirs and every game is won. "handcoded" and "planner" let that expert play each game, and
    compare two runs of the same commands; a game that the expert loses is counted, not held against the engine.
    A game that is broken is named and left out, and not all is well.

    Raises:
        UserError: no game is found, or the expert is unknown or lacks a package.
    """
    if expert not in EXPERTS:
        raise UserError(f"--expert {expert}: allowed are {', '.join(EXPERTS)}")
    folders = game_folders(games)
    if expert == "recorded":
        folders = [folder for folder in folders if (folder / TRANSCRIPT).exists()]
    if not folders:
        wanted = f"game.tw-pddl with {TRANSCRIPT}" if expert == "recorded" else "game.tw-pddl"
        raise UserError(f"{games}: no folder with {wanted} below it")
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: allowed is 1 or more")
    check_installed(expert)
    play = partial(_outcome, expert=expert)
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            outcomes = list(pool.map(play, folders, chunksize=4))
    else:
        outcomes = [play(folder) for folder in folders]
    played = [
        (folder, *outcome) for folder, outcome in zip(folders, outcomes, strict=True) if not isinstance(outcome, str)
    ]
    won, identical = sum(w for _, w, _ in played), sum(same for *_, same in played)
    skipped = [outcome for outcome in outcomes if isinstance(outcome, str)]
    print(
        f"games won: {won} of {len(played)}; observations identical: {identical} of {len(played)}"
        + (f"; skipped: {len(skipped)}" if skipped else "")
    )
    for folder, game_won, same in played:
        if not same or (expert == "recorded" and not game_won):
            print(f"{folder}: {'observations differ' if not same else 'not won'}", file=sys.stderr)
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    well = identical == len(played) and (expert != "recorded" or won == len(played))
    return 0 if well and not skipped else 1


def _outcome(folder: Path, *, expert: str) -> tuple[bool, bool] | str:
    """See replay; of a game that is broken, why it is."""
    try:
        return replay(folder, expert=expert)
    except UserError as error:
        return told(error)[0]


def replay(folder: Path, *, expert: str) -> tuple[bool, bool]:
    """Replay one game: was it won, and were all observations as before?"""
    game = playable(folder, *read_game(folder))
    if expert == "recorded":
        with within(folder / GAME_FILE):
            verb = game.rules.put_verb
        observations, commands = _transcript(folder / TRANSCRIPT, verb=verb)
        heard, won = _play(game, commands)
        return won, heard[: len(observations)] == observations
    if expert == "handcoded":
        if not game.parameters:
            raise UserError(f"{folder}: no traj_data.json, which the handcoded expert needs")
        with files.reading(folder / GOAL_FILE, "a goal that the handcoded expert knows", remedy=REMEDY):
            episode = play_handcoded(game, seed=0)
        heard, won = _play(game, [command for command, _ in episode])
        return won, heard[1:] == [answer(text) for _, text in episode]
    commands = plan(game)
    heard, won = _play(game, commands)
    return won, heard == _play(game, commands)[0]


def _play(game: Game, commands: Iterable[str]) -> tuple[list[str], bool]:
    engine = Engine(game)
    heard = [opening(engine.intro())]
    heard += [answer(engine.act(command)) for command in commands]
    return heard, engine.won()


def _transcript(path: Path, *, verb: str) -> tuple[list[str], list[str]]:
    """Observations and commands of a recorded dialogue, in the words of the game's own grammar.

    Raises:
        UserError: the file is not a dialogue of human (environment) and gpt (agent) turns.
    """
    words = as_move if verb == "move" else as_put
    try:
        turns = files.read_json(path, remedy=REMEDY)
        observations = [answer(words(turn["value"])) for turn in turns[2::2]]
        return [opening(turns[0]["value"]), *observations], [words(turn["value"]) for turn in turns[1::2]]
    except (KeyError, TypeError, IndexError, AttributeError):
        raise UserError(f"{path}: not a dialogue, expected a list of turns with from and value") from None
