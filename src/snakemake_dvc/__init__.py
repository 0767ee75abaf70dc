"""Snakemake and DVC over one stage table: DVC says what is stale, Snakemake says what runs when (README.md)."""

from snakemake_dvc.plan import find_caption, open_pipeline
from snakemake_dvc.stages import BridgeError

__all__ = ["BridgeError", "find_caption", "open_pipeline"]
