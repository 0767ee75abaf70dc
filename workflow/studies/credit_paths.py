"""The paths whose steps are judged, where playing on from them begins, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from w2sg.agents.continuation import Start, check_heard
from w2sg.config.data import ROLES
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.messages import Message
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.samples import best_sample
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.contracts.turns import parse_response
from w2sg.environments.alfworld.redraw import Redraws
from w2sg.environments.prompts import prompt
from w2sg.evaluation.measures.complement import attempts
from w2sg.evaluation.measures.credit import PathCredit, States, StepOutcomes

KINDS = {"best_of_m": "best of M", "mcts": "e*"}


@dataclass(frozen=True)
class Recorded:
    """A path as the run has it.

    Attributes:
        kind: of KINDS.
        messages: user and assistant in turn, the last one the assistant's.
        outcome: G.
    """

    seed: int
    kind: str
    task: Task
    messages: Sequence[Message]
    outcome: float

    @property
    def said(self) -> tuple[str, ...]:
        """The agent's turns."""
        return tuple(message["content"] for message in self.messages[1::2])

    @property
    def actions(self) -> list[str]:
        """What they did, "" where a turn has no action."""
        parsed = map(parse_response, self.said)
        return ["" if turn is None else turn[1] for turn in parsed]


def chosen(settings: Params, *, environment: str, seed: int, most: int) -> list[Recorded]:
    """The best of M and e* of at most so many tasks that the strong model fails and the weak one solves in M samples.

    They are the first ones that were explored, among which all kinds of tasks are; by name one kind would come first.
    M are the samples that the trees take. Of e* those are left out whose replay came out otherwise (A6).

    Raises:
        UserError: a table is missing, or is not what its stage writes.
    """
    text = prompt(environment, style=settings.environment(environment).prompt)
    tasks = {task.task_id: task for task in Task.read(layout.tasks(environment))}
    breadth = settings.tree.breadth
    explored = {role: read_trajectories(layout.explore(environment, seed, role)) for role in ROLES}
    solved = {
        role: {
            each.task_id: each for each in attempts(own, environment=environment, seed=seed, role=role, samples=breadth)
        }
        for role, own in explored.items()
    }
    in_order = [
        name for name in dict.fromkeys(sample.task_id for sample in explored["weak"]) if name in solved["strong"]
    ]
    only = [name for name in in_order if solved["weak"][name].ever and not solved["strong"][name].once][:most]
    found = []
    for name, group in groupby(explored["weak"], key=lambda sample: sample.task_id):
        if name in only:
            # As the stage paths chooses it.
            best = best_sample(sample for sample in group if sample.sample < breadth)
            found.append(Recorded(seed, "best_of_m", tasks[name], best.messages(prompt=text), best.score))
    methods = [name for name, method in settings.imitation.items() if method.data == "mcts"]
    for path in DemonstrationPath.read(layout.paths(environment, seed, methods[0])) if methods else ():
        if path.task_id in only and path.certified:
            found.append(Recorded(seed, "mcts", tasks[path.task_id], path.messages, path.replay_score))
    return found


@dataclass(frozen=True)
class Around:
    """Where playing on from around one step begins, with as many starts without the step as with it.

    Attributes:
        after: None where the step ends the path, whose outcome then stands for all of them.
    """

    path: Recorded
    states: States
    step: int
    before: Sequence[Start]
    after: Sequence[Start] | None


def plan(paths: Sequence[Recorded], *, samples: int, redraws: Redraws | None) -> Iterator[Around]:
    """Every step of every path, in the recorded hidden state and, with `redraws`, in `samples` others."""
    for path in paths:
        last = len(path.said) - 1
        own = [redraws.own(path.task) if redraws else path.task] * samples
        for step in range(len(path.said)):
            after = _starts(path, own, step + 1) if step < last else None
            yield Around(path, "recorded", step, _starts(path, own, step), after)
        if redraws is None:
            continue
        drawn = [redraws.along(path.task, path.actions, number=number) for number in range(samples)]
        for step, tasks in enumerate(zip(*drawn, strict=True)):
            yield Around(path, "redrawn", step, _starts(path, tasks, step), _starts(path, tasks, step + 1))


def _starts(path: Recorded, tasks: Sequence[Task], turns: int) -> list[Start]:
    return [Start(task, path.said[:turns], sample) for sample, task in enumerate(tasks)]


def starts(planned: Sequence[Around]) -> list[Start]:
    """Of all of them, each once."""
    return list(dict.fromkeys(start for around in planned for start in (*around.before, *(around.after or ()))))


def outcomes(planned: Sequence[Around], played: Mapping[Start, Trajectory], *, prompt: str) -> list[PathCredit]:
    """What came of it, path by path.

    Raises:
        UserError: an environment answered what was said before a step otherwise than it is recorded.
    """
    found = []
    for _, group in groupby(planned, key=lambda around: (id(around.path), around.states)):
        steps = []
        for around in group:
            path, samples = around.path, len(around.before)
            for start in around.before:
                check_heard(played[start], path.messages[: 2 * around.step + 1], prompt=prompt)
            after = [played[start].score for start in around.after] if around.after else [path.outcome] * samples
            steps.append(
                StepOutcomes(
                    environment=path.task.environment,
                    seed=path.seed,
                    task_id=path.task.task_id,
                    kind=path.kind,
                    states=around.states,
                    step=around.step,
                    before=tuple(played[start].score for start in around.before),
                    after=tuple(after),
                )
            )
        found.append(PathCredit(path.outcome, tuple(steps)))
    return found
