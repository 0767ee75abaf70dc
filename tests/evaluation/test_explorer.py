"""The explorer: its data, its bytes, what it may run, and what it carries of others."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from w2sg.contracts.trajectories import Step
from w2sg.evaluation.measures.tree_marks import deciding
from w2sg.evaluation.report.explorer import page
from w2sg.evaluation.report.explorer.packing import Texts, packed, unpacked
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.results import work_out
from w2sg.trees.quality import tree_quality

from .builders import SKILL, inputs, step, tree

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><!-- \u2028 \x00"


def written(folder: Path, given: ReportInputs, **settings: int) -> str:
    page.write(given, work_out(given), folder=folder, **settings)
    return (folder / "explorer.html").read_text(encoding="utf-8")


def data(text: str) -> dict[str, Any]:
    """What the page holds, by name."""
    found = re.findall(r'<script type="text/plain" data-name="([^"]+)">([^<]*)</script>', text)
    return {name: unpacked(value) for name, value in found}


@pytest.fixture(scope="module")
def given() -> ReportInputs:
    return inputs(tasks=6, seeds=(0, 1), resamples=50)


@pytest.fixture(scope="module")
def text(given: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("results"), given)


def test_every_tree_and_every_episode_is_there(given: ReportInputs, text: str) -> None:
    found = data(text)
    assert set(found) == {
        "index",
        "trees/alfworld-0-weak",
        "trees/alfworld-0-strong",
        "episodes/alfworld-0",
        "episodes/alfworld-1",
    }
    assert set(found["trees/alfworld-0-weak"]["trees"]) == {"t1", "t2", "t3"}
    played = found["episodes/alfworld-1"]["episodes"]
    assert len(played) == 12 and all(set(by_model) == set(SKILL) for by_model in played.values())
    assert {(run["seed"], len(run["tasks"])) for run in found["index"]["runs"]} == {(0, 12), (1, 12)}
    assert len(found["index"]["cells"]) == len(SKILL) * 2 * 3
    assert len(found["index"]["comparisons"]) == len(work_out(given).compared)


def test_a_tree_can_be_read_back(given: ReportInputs, text: str) -> None:
    whole = given.forests[0].trees["t1"]
    chunk = data(text)["trees/alfworld-0-weak"]
    raw, texts = chunk["trees"]["t1"], chunk["texts"]
    assert [(p, d, tuple(m), bool(s)) for p, d, m, s in raw["nodes"]] == [
        (node.parent, node.depth, node.members, node.stop) for node in whole.nodes
    ]
    for sample, known in zip(raw["samples"], whole.trajectories, strict=True):
        assert (sample["policy"], sample["number"], sample["score"]) == (known.policy, known.sample, known.score)
        for (observation, thought, action, answer, score, sign, *response), taken in zip(
            sample["steps"], known.steps, strict=True
        ):
            assert [texts[number] for number in (observation, thought, action, answer)] == [
                taken.observation,
                taken.thought,
                taken.action,
                taken.next_observation,
            ]
            assert score == taken.score and sign == int(taken.next_observation == "Nothing happens.") and not response
    assert [visits for visits, *_ in raw["search"]] == given.forests[0].statistics["t1"].visits
    assert raw["paths"][0]["nodes"] and raw["paths"][0]["certified"]
    assert {pair["method"] for pair in raw["pairs"]} == {"w2s_dpo"} and len(raw["pairs"]) == 3
    assert raw["divergences"]["6"]["decided"] == deciding(whole, minimum_gap=0.0, aggregate="mean").parent
    assert set(raw["divergences"]) == {"2", "3", "4", "5", "6"}
    assert [len(raw["expert"]["nodes"]), len(raw["expert"]["steps"])] == [7, 8]


def test_the_list_says_what_the_tree_quality_says(given: ReportInputs, text: str) -> None:
    own, strong = data(text)["index"]["forests"]
    for row, known in zip(own["trees"], given.forests[0].trees.values(), strict=True):
        quality = tree_quality(known, minimum_gap=0.0, aggregate="mean")
        assert (row["nodes"], row["informative"], row["ends"]) == (
            quality.nodes,
            quality.informative,
            quality.terminals,
        )
        assert row["path"] == ("found" if row["task"] != "t3" else "")
    decided = own["trees"][0]["decided"]
    assert decided["best"] == {"action": "go to sinkbasin 1", "score": 1.0, "samples": 2}
    assert decided["worst"] == {"action": "go to cabinet 1", "score": 0.0, "samples": 1}
    assert (decided["step"], decided["gap"]) == (4, 1.0)
    last = strong["trees"][2]["decided"]
    assert (last["step"], last["gap"], last["explained"]) == (4, 1.0, 0.5)
    assert (strong["role"], strong["rule"], strong["gap"]) == ("strong", "equal texts", 0.0)


def test_a_recombined_path_is_told_from_one_that_a_sample_took(given: ReportInputs, tmp_path: Path) -> None:
    weak = given.forests[0]
    paths = [replace(path, source_sample=-1) for path in weak.paths["w2s_mcts"][:1]]
    found = data(written(tmp_path, replace(given, forests=[replace(weak, paths={"w2s_mcts": paths})])))
    assert [row["path"] for row in found["index"]["forests"][0]["trees"]] == ["recombined", "", ""]


def test_equal_inputs_equal_bytes(given: ReportInputs, text: str, tmp_path: Path) -> None:
    again = inputs(tasks=6, seeds=(0, 1), resamples=50)
    assert written(tmp_path, replace(again, episodes=list(reversed(again.episodes)))) == text


def hostile(given: ReportInputs) -> ReportInputs:
    """The same with a first tree and a first episode whose every text tries to break out."""
    bad = Step(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1.0)
    grown = tree()
    samples = tuple(replace(sample, steps=(bad, *sample.steps[1:])) for sample in grown.trajectories)
    broken = replace(given.forests[0], trees={"t1": replace(grown, trajectories=samples)})
    first = given.episodes[0]
    other = replace(first, trajectory=replace(first.trajectory, steps=(bad, *first.trajectory.steps[1:])))
    asked = [*given.tasks, replace(given.tasks[0], task_id="t1", split="train")]
    table = [replace(task, instruction=HOSTILE, task_type=HOSTILE) for task in asked]
    return replace(given, forests=[broken], episodes=[other, *given.episodes[1:]], tasks=table)


def test_texts_of_models_stay_within_their_data(given: ReportInputs, tmp_path: Path) -> None:
    text = written(tmp_path, hostile(given))
    assert "broken" not in text
    assert HOSTILE in data(text)["trees/alfworld-0-weak"]["texts"]
    assert HOSTILE in data(text)["episodes/alfworld-0"]["texts"]


def test_the_policy_allows_the_page_s_own_scripts_alone(text: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = re.findall(r"script-src ([^;]+);", policy)[0].split()
    assert allowed == [f"'sha256-{each}'" for each in hashes] and len(hashes) == 1 + len(page.ORDER)
    assert {file.stem for file in page.SCRIPTS.iterdir()} == set(page.ORDER)
    assert "default-src 'none'" in policy
    assert not re.search(r"\son\w+=|javascript:", text.split("<script>")[0])


def test_the_page_needs_nothing_from_outside(text: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text.split('<script type="text/plain"')[0])
    assert {address.partition("#")[0] for address in addresses} == {"", "report.html"}
    css = (page.TEMPLATES / "explorer.css").read_text()
    assert not re.search(r"@import|url\(", css)
    own = "".join(file.read_text() for file in page.SCRIPTS.iterdir())
    assert not re.search(r"fetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|document\.write|eval\(", own)
    assert "https://" not in own.replace("https://www.w3.org", "") and own.count("http://") == 1, "a namespace"


def test_a_large_run_links_files_beside_the_page(given: ReportInputs, text: str, tmp_path: Path) -> None:
    linked = written(tmp_path, given, largest=10)
    inside = data(text)
    assert set(data(linked)) == {"index"}
    for name, address in data(linked)["index"]["linked"].items():
        match = re.fullmatch(r'explorerData\("(.+)", "(.+)"\);\n', (tmp_path / address).read_text())
        assert match and match[1] == name and unpacked(match[2]) == inside[name]
    assert len(list((tmp_path / "explorer").iterdir())) == len(inside) - 1
    assert re.search(r"script-src [^;]* file:;", linked)
    assert written(tmp_path, given) == text
    assert list((tmp_path / "explorer").iterdir()) == [], "of an older run"


ORIGINS = sorted(page.THIRD_PARTY.glob("*/origin.json"))


@pytest.mark.parametrize("file", ORIGINS, ids=lambda file: file.parent.name)
def test_foreign_code_is_the_published_file_with_its_licence(file: Path, text: str) -> None:
    origin = json.loads(file.read_text())
    code = (file.parent / Path(origin["file"]).name).read_bytes()
    assert hashlib.sha256(code).hexdigest() == origin["sha256"]
    licence = (file.parent / "LICENSE").read_text()
    assert origin["licence"] == "ISC" and licence.startswith("Copyright") and licence in text
    assert code.decode() in text and f"{origin['name']} {origin['version']}" in text
    assert {each.name for each in file.parent.iterdir()} == {"LICENSE", "origin.json", Path(origin["file"]).name}


def test_packing_is_exact() -> None:
    texts = Texts()
    assert [texts(each) for each in ("a", "b", "a", "")] == [0, 1, 0, 2] and texts.all == ["a", "b", ""]
    value = {"α": [1, 0.25, None, HOSTILE], "b": {}}
    assert unpacked(packed(value)) == value and packed(value) == packed(value)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed(value))


def test_steps_without_an_action_keep_their_response(given: ReportInputs, tmp_path: Path) -> None:
    grown = tree(ways=[(("look",), 0.0)])
    strange = replace(grown.trajectories[0], steps=(step("what?", valid=False),))
    broken = replace(given.forests[0], trees={"t1": replace(grown, trajectories=(strange,))}, paths={}, pairs={})
    chunk = data(written(tmp_path, replace(given, forests=[broken])))["trees/alfworld-0-weak"]
    (found,) = chunk["trees"]["t1"]["samples"][0]["steps"]
    assert found[5] == 2 and chunk["texts"][found[6]] == "what?"
    assert chunk["trees"]["t1"]["divergences"] == {}, "of one sample"
