"""Demonstrations and exploratory play of ScienceWorld."""

from w2sg.environments.scienceworld.experts.demonstrations import expert_trajectory as expert
from w2sg.environments.scienceworld.experts.exploratory import play_trajectory as play

__all__ = ["expert", "play"]
