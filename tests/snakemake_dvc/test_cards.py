"""Jobs side by side see different GPUs."""

import glob
from pathlib import Path

import pytest
import yaml

from snakemake_dvc.cards import present, shared_out
from toys import Toy


def test_the_cards_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glob, "glob", lambda pattern: ["/dev/nvidia0", "/dev/nvidia3"])
    assert present({}) == ["0", "1"], "CUDA counts what it sees from 0"
    assert present({"CUDA_VISIBLE_DEVICES": "4, GPU-8f,"}) == ["4", "GPU-8f"]
    assert present({"CUDA_VISIBLE_DEVICES": ""}) == []


def test_places_are_taken_evenly_and_given_back(tmp_path: Path) -> None:
    def one(count: int = 1, visible: str = "4,7") -> object:
        return shared_out({"A": "b", "CUDA_VISIBLE_DEVICES": visible}, count=count, locks=tmp_path / "locks")

    with one() as first, one() as second:
        with one() as third:
            seen = [env["CUDA_VISIBLE_DEVICES"] for env in (first, second, third)]
            assert seen == ["4", "7", "4"] and first["A"] == "b"
        with one(count=2, visible="4,5,7") as pair:
            assert pair["CUDA_VISIBLE_DEVICES"] == "4,5", "5 is free, and the first place of 4 is not"
    with one() as again:
        assert again["CUDA_VISIBLE_DEVICES"] == "4"
    for count, visible in ((2, "4,7"), (0, "4,7"), (1, "4"), (1, "")):
        with one(count=count, visible=visible) as unchanged:
            assert unchanged == {"A": "b", "CUDA_VISIBLE_DEVICES": visible}


@pytest.mark.slow
def test_jobs_side_by_side_are_spread_over_the_cards(unbuilt: Toy) -> None:
    """Each waits until the other has written which card it sees."""
    waits = "while ! test -s a.txt || ! test -s b.txt; do sleep 0.05; done"
    stages = {
        name: {"cmd": f"echo $CUDA_VISIBLE_DEVICES > {name}.txt; {waits}", "deps": ["raw.txt"], "outs": [f"{name}.txt"]}
        for name in "ab"
    } | {"c": {"cmd": "echo $CUDA_VISIBLE_DEVICES > c.txt", "deps": ["a.txt"], "outs": ["c.txt"], "meta": {"gpu": 2}}}
    (unbuilt.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    unbuilt.run("snakemake", "--cores", "2", CUDA_VISIBLE_DEVICES="2,6")
    seen = [(unbuilt.path / f"{name}.txt").read_text().strip() for name in "abc"]
    assert sorted(seen[:2]) == ["2", "6"] and seen[2] == "2,6"
