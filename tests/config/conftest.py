"""params.yaml with sizes of its own, and what is said of values that are wrong."""

import pytest
import yaml

from w2sg.config import params
from w2sg.contracts.errors import UserError


class NoAliases(yaml.CSafeDumper):
    def ignore_aliases(self, data):
        return True


@pytest.fixture
def values(values: dict) -> dict:
    """params.yaml with sizes of its own, so that a change of the default changes no test."""
    values["environments"]["alfworld"]["tasks"] = {"train": 5000, "seen": 500, "unseen": 600}
    values["explore"]["samples"] = values["tree"]["breadth"] = 6
    return values


@pytest.fixture
def problems(tmp_path):
    """A function: the lines about some values, without the file's name."""

    def load(values):
        path = tmp_path / "params.yaml"
        path.write_text(values if isinstance(values, str) else yaml.dump(values, Dumper=NoAliases))
        with pytest.raises(UserError) as caught:
            params.load(path)
        lines = str(caught.value).splitlines()
        assert all(line.startswith(f"{path}: ") for line in lines)
        return [line.removeprefix(f"{path}: ") for line in lines]

    return load
