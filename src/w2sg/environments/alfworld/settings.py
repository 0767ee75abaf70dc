"""The section `environments.alfworld` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from w2sg.config.fields import Count, EnvironmentSettings

AlfworldTask = Literal[
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
]
Room = Literal["kitchen", "living_room", "bedroom", "bathroom"]


class Settings(EnvironmentSettings):
    """ALFWorld games: official folders when `data_dir` is set, else generated from the floor plans in the wheel."""

    data_dir: str | None
    """Folder of official games, as `alfworld-download` makes it; null generates games."""
    max_steps: Count
    """Actions of an episode at most (A24)."""
    task_types: tuple[AlfworldTask, ...] = Field(min_length=1)
    """Kinds of tasks that are played."""
    rooms: tuple[Room, ...] = Field(min_length=1)
    """Rooms of generated games."""
    max_receptacles: Annotated[int, Field(ge=3)]
    """Receptacles of a generated game at most."""
    distractors: Annotated[int, Field(ge=0)]
    """Objects of a generated game besides those of its goal."""
    goal_texts: Literal["one", "all"]
    """Wordings of the goals of generated games: `one`, or `all` that the grammar has."""
