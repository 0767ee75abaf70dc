"""Tests that start ScienceWorld's Java machine take most of this folder's time, so they are slow ones."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest drops the slow ones
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what names the environment, in its file or in its parameters."""
    for item in items:
        if item.path.is_relative_to(HERE) and "scienceworld" in f"{item.path.name}{item.name}":
            item.add_marker(pytest.mark.slow)
