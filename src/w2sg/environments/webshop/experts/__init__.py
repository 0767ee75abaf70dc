"""Demonstrations and exploratory play of WebShop."""

from w2sg.environments.webshop.experts.demonstrations import expert_trajectory as expert
from w2sg.environments.webshop.experts.exploratory import play_trajectory as play

__all__ = ["expert", "play"]
