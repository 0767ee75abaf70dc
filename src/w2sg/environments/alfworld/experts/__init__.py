"""Demonstrations and exploratory play of ALFWorld."""

from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory as expert
from w2sg.environments.alfworld.experts.exploratory import play_trajectory as play

__all__ = ["expert", "play"]
