"""Stage explore: M trajectories per training task by an SFT model, over a spread of (T, top-p) (section 3.1).

An entry of the schedule may let the weak base (A13) or the policy of eq. 5 play in place of SFT weak. The strong
model's samples are all its own: they are what eto and ceiling set against the best.
"""

from w2sg.agents import rollout
from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, write_trajectories
from w2sg.stages.rollouts import playing


def requests(params: Params, tasks: list[Task]) -> list[rollout.Request]:
    """The episodes to play: the last `explore.tasks` training tasks, sample by sample within a task."""
    train = [task for task in tasks if task.split == "train"][-params.explore.tasks :]
    schedule = params.explore.schedule
    return [
        rollout.Request(
            task=task,
            sample=sample,
            temperature=schedule[sample % len(schedule)].temperature,
            top_p=schedule[sample % len(schedule)].top_p,
        )
        for task in train
        for sample in range(params.explore.samples)
    ]


def player(params: Params, *, role: Role, sample: int) -> str:
    """Who plays a sample: "sft", "base" or "diverse"."""
    schedule = params.explore.schedule
    return schedule[sample % len(schedule)].model if role == "weak" else "sft"


def main(params: Params, *, environment: str, role: Role, seed: int) -> None:
    """Read the tasks and the checkpoints that the schedule asks for, write the trajectories."""
    wanted = requests(params, Task.read(layout.tasks(environment)))
    checkpoints = {
        "sft": layout.sft(environment, seed, role),
        "base": layout.base(seed, role),
        "diverse": layout.diverse(environment, seed),
    }
    of_player: dict[str, list[rollout.Request]] = {}
    for request in wanted:
        of_player.setdefault(player(params, role=role, sample=request.sample), []).append(request)
    cohort = params.explore.cohort
    with playing(params, stage="explore", environment=environment, seed=seed, cohort=cohort) as rollouts:
        played: dict[tuple[str, int], Trajectory] = {}
        for name, own in of_player.items():
            play = rollouts.player(checkpoints[name], name=f"{name}_{role}")
            played |= {(each.task_id, each.sample): each for each in play(own)}
            del play  # its model, before the next one is loaded
        in_order = [played[request.task.task_id, request.sample] for request in wanted]
        write_trajectories(layout.explore(environment, seed, role), in_order)
