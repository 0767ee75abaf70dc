"""`w2sg play`: in the terminal, watch an agent on one task or act oneself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.contracts.turns import format_response, parse_response
from w2sg.environments.demonstrations import expert
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt

# What answers an observation on a turn (from 0) with "Thought: … Action: …"; None when it wants to stop.
Agent = Callable[[str, int], str | None]

HELP = "Type an action; ? lists those that would do something now; an empty line or Ctrl-D ends the episode."


def run(name: str, *, split: str, number: int, model: Path | None, human: bool, temperature: float, seed: int) -> int:
    """Play task `number` of a split: by the expert, by the model in a folder, or by whoever sits at the keyboard.

    Raises:
        UserError: no such environment, task or model; no tasks yet.
    """
    settings = params.load()
    task = choose(name, settings, split=split, number=number)
    world = opener(name, settings)()
    try:
        if human:
            print(f"{HELP}\n")
            score = follow(world, task, lambda _, __: ask(world))
        elif model is not None:
            score = follow(world, task, model_agent(model, settings, task, temperature=temperature, seed=seed))
        else:
            score = show(expert(name, settings, world, task, rng=np.random.default_rng(seed)))
    finally:
        world.close()
    print(f"\nscore {score:g}")
    return 0


def choose(name: str, settings: Params, *, split: str, number: int) -> Task:
    """The task asked for, from the table that the stage `tasks` wrote."""
    settings.environment(name)
    table = layout.tasks(name)
    if not table.exists():
        raise UserError(f"{table}: missing; `snakemake --cores all tasks@{name}` makes it")
    tasks = [task for task in Task.read(table) if task.split == split]
    if not 0 <= number < len(tasks):
        raise UserError(f"--number {number}: split {split} of {name} has the tasks 0 to {len(tasks) - 1}")
    return tasks[number]


def follow(world: Environment, task: Task, agent: Agent) -> float:
    """Let the agent act until the episode ends, printing all that is said; return G reached."""
    from w2sg.agents.rollout import NO_ACTION  # imports torch, which the expert's play does without

    observation, _ = world.reset(task)
    score, turn, over, gained = 0.0, 0, False, ""
    while not over:
        print(observation + gained)
        if (response := agent(observation, turn)) is None:
            return score
        parsed = parse_response(response)
        print(f"\n[{turn + 1}/{task.max_steps}] {response}\n")
        result = world.step(parsed[1] if parsed else "")
        observation = result.observation if parsed else NO_ACTION
        gained = f"\n(score {score:g} -> {result.score:g})" if result.score != score else ""
        score, turn, over = result.score, turn + 1, result.terminated or result.truncated
    print(observation + gained)
    return score


def ask(world: Environment) -> str | None:
    """The action that a person types; None to stop."""
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            return None
        if text != "?":
            return format_response("", text) if text else None
        print("  " + "\n  ".join(world.admissible()))


def model_agent(folder: Path, settings: Params, task: Task, *, temperature: float, seed: int) -> Agent:
    """The model of a checkpoint folder, prompted as in exploration and evaluation.

    Raises:
        UserError: the folder holds no model.
    """
    from w2sg.agents.policies import TransformersPolicy
    from w2sg.agents.rollout import Request, uniforms
    from w2sg.training import bases

    batch = TransformersPolicy(*bases.load(folder)).start(1)
    text = prompt(task.environment, style=settings.environment(task.environment).prompt)
    request = Request(task, 0, temperature, 1.0)

    def respond(observation: str, turn: int) -> str:
        draws = uniforms(seed=seed, request=request, turn=turn, count=settings.explore.max_new_tokens)
        heard = f"{text}\n{observation}" if text and turn == 0 else observation
        (answer,) = batch.respond([0], [heard], temperature=[temperature], top_p=[1.0], uniforms=draws[None])
        return answer

    return respond


def show(trajectory: Trajectory) -> float:
    """Print a finished episode; return its score."""
    for number, step in enumerate(trajectory.steps):
        print(f"{step.observation}\n\n[{number + 1}] {step.response}\n")
    print(trajectory.steps[-1].next_observation)
    return trajectory.score
