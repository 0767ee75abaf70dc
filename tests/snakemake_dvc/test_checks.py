"""A command of the stage table says whether the parameters are right, before anything is planned."""

import pytest

from snakemake_dvc.checks import check_parameters
from snakemake_dvc.stages import BridgeError
from toys import Toy

TWO_LINES = 'sh -c "echo params.yaml: beta: too small >&2; echo params.yaml: count: missing >&2; exit 2"'


def checked_by(toy: Toy, command: str) -> None:
    meta = f"meta: {{threads: 2, mem_mb: 100, gpu: 0, check: '{command}'}}"
    toy.edit("dvc.yaml", "meta: {threads: 2, mem_mb: 100, gpu: 0}", meta)


@pytest.mark.parametrize("words", [("-n",), ("--cores", "2"), ("--list",), ("--cores", "2", "prepare")])
def test_every_mistake_is_a_line_whatever_was_asked(toy: Toy, words: tuple[str, ...]) -> None:
    before = toy.snapshot()
    checked_by(toy, TWO_LINES)
    toy.edit("params.yaml", "count: 10", "count: 11")
    said = toy.snakemake(*words, check=False)
    assert said.splitlines()[-2:] == ["Error: params.yaml: beta: too small", "Error: params.yaml: count: missing"]
    assert toy.ran() == []
    assert {name for name, each in toy.snapshot().items() if each != before.get(name)} <= {"dvc.yaml", "params.yaml"}


def test_it_comes_before_dvc_looks_for_what_no_stage_makes(unbuilt: Toy) -> None:
    """An empty list in params.yaml leaves a loop without stages, and others without their inputs."""
    unbuilt.edit("params.yaml", "envs: [a, b]", "envs: []")
    assert "is missing; stage report needs it and none makes it" in unbuilt.snakemake("-n", check=False)
    checked_by(unbuilt, 'echo "params.yaml: envs: is empty" >&2; exit 2')
    assert unbuilt.snakemake("-n", check=False).splitlines()[-1] == "Error: params.yaml: envs: is empty"


def test_one_that_is_content_changes_nothing(here: Toy) -> None:
    checked_by(here, 'test "$(command -v python)" = "$(dirname "$(command -v snakemake)")/python"')
    check_parameters()
    assert "nothing to be done" in here.snakemake("-n").lower()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 1", "exit code 1"),
        ("echo Traceback >&2; echo KeyError: 3 >&2; exit 1", "KeyError: 3"),
        ("exit 2", "exit code 2"),
        ("no-such-program", "not found"),
    ],
)
def test_one_that_cannot_say_is_named(here: Toy, command: str, said: str) -> None:
    checked_by(here, command)
    with pytest.raises(BridgeError, match=f"^dvc.yaml: stage train: meta.check: `{command}` has failed: .*{said}$"):
        check_parameters()


@pytest.mark.parametrize("text", ["stages: [1]", "stages: {a: 1}", "stages: {a: {meta: 3}}", "stages: {a: {do: 3}}"])
def test_a_table_that_is_none_is_left_to_dvc(here: Toy, text: str) -> None:
    (here.path / "dvc.yaml").write_text(text)
    check_parameters()
