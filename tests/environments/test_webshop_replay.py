"""Recordings are done again: the original's where they are at hand, and one of our own that is then damaged."""

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.webshop.replay import compare
from w2sg.environments.webshop.world.catalogue import load
from w2sg.environments.webshop.world.goals import draw_goals, draw_prices
from w2sg.environments.webshop.world.nouns import rule
from w2sg.environments.webshop.world.reward import reward
from w2sg.environments.webshop.world.session import Session, Shop

from .webshop_examples import write_catalogue

SAME = "goals identical: 1 of 1; steps identical: 4 of 4; searches identical: 1 of 1; rewards identical: 1 of 1\n"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """One goal, one episode of three steps, one search and one reward."""
    catalogue = load(write_catalogue(tmp_path))
    rng = random.Random(5)
    prices = draw_prices(catalogue, rng)
    (goal,) = draw_goals(catalogue, prices, rng, human=True)
    shop = Shop(catalogue, seed=5, nouns=rule)
    session = Session(shop, goal)
    episode: dict[str, Any] = {
        "mode": "hum",
        "session": 0,
        "goal": goal.record(),
        "first_obs": session.observation,
        "first_available": {"has_search_bar": True, "clickables": ["search"]},
        "steps": [],
    }
    for action in ("search[shirt]", "click[B00SHIRT01]", "click[buy now]"):
        observation, got, done = session.act(action)
        step = {"action": action, "obs": observation, "reward": got, "done": done, "clickables": session.clickables}
        episode["steps"].append(step)
    episode |= {"reward": got, "reward_info": session.reward_info}
    got, parts = reward(catalogue.products[0], goal, price=9.0, options={"size": "s"}, nouns=rule)
    bought = {"asin": "B00SHIRT01", "options": {"size": "s"}, "price": 9.0, "reward": got, "info": parts}
    hits = shop.index.search("red shirt", 50)
    found = {"query": "red shirt", "asins": [a for a, _ in hits], "scores": [round(s, 4) for _, s in hits]}
    (tmp_path / "goals_hum.json").write_text(json.dumps({"seed": 5, "goals": [goal.record()], "prices": prices}))
    (tmp_path / "episodes.jsonl").write_text(json.dumps(episode) + "\n")
    (tmp_path / "search.jsonl.gz").write_bytes(gzip.compress(json.dumps(found).encode()))
    (tmp_path / "rewards.jsonl").write_text(json.dumps({"mode": "hum", "goal": 0, **bought}))
    return tmp_path


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    packed = path.suffix == ".gz"
    content = json.loads(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    edit(content)
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if packed else data)


def test_a_recording_is_replayed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(recording) == 0
    assert capsys.readouterr() == (SAME, "")


@pytest.mark.parametrize(
    ("name", "edit", "kind", "hint"),
    [
        ("goals_hum.json", lambda g: g["goals"][0].update(weight=2), "goals identical: 0 of 1", "hum 0, weight"),
        ("goals_hum.json", lambda g: g["goals"].append(g["goals"][0]), "goals identical: 1 of 2", "hum 1"),
        ("goals_hum.json", lambda g: g["prices"].update(B00SHIRT01=1), "goals identical: 0 of 1", "price"),
        ("episodes.jsonl", lambda e: e["steps"][1].update(obs="x"), "steps identical: 3 of 4", "line 1, step 1, obs"),
        ("episodes.jsonl", lambda e: e["steps"][0].update(done=True), "steps identical: 3 of 4", "step 0, done"),
        ("episodes.jsonl", lambda e: e["steps"][0]["clickables"].reverse(), "steps identical: 3 of 4", "clickables"),
        ("episodes.jsonl", lambda e: e["reward_info"].update(r_type=0), "steps identical: 3 of 4", "reward_info"),
        ("episodes.jsonl", lambda e: e.update(first_obs="x"), "steps identical: 3 of 4", "start, obs"),
        ("search.jsonl.gz", lambda s: s["scores"].__setitem__(0, 9.9), "searches identical: 0 of 1", "scores"),
        ("search.jsonl.gz", lambda s: s["asins"].append("A"), "searches identical: 0 of 1", "asins"),
        ("rewards.jsonl", lambda r: r["info"].update(r_att=0.5), "rewards identical: 0 of 1", "line 1, r_att"),
    ],
)
def test_differences_are_counted_and_told(
    recording: Path, capsys: pytest.CaptureFixture[str], name: str, edit: Callable[[Any], Any], kind: str, hint: str
) -> None:
    change(recording / name, edit)
    assert compare(recording) == 1
    out, err = capsys.readouterr()
    assert kind in out and out.count("\n") == 1
    assert hint in err and err.startswith(kind.split()[0])


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rewards.jsonl", "{", r"rewards\.jsonl: line 1: not a recording of WebShop \(JSONDecodeError"),
        ("rewards.jsonl", '{"mode": "other"}', r"rewards\.jsonl: line 1: not a recording of WebShop"),
        ("rewards.jsonl", "\ufeff{}", r"rewards\.jsonl: line 1: not a recording of WebShop \(KeyError: 'mode'"),
        ("goals_hum.json", "[", r"goals_hum\.json: not a JSON file"),
        ("goals_hum.json", "[]", r"goals_hum\.json: not a recording of WebShop"),
    ],
)
def test_damaged_records_are_named_and_left_out(
    recording: Path, name: str, content: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(recording)
    whole = capsys.readouterr().out
    (recording / name).write_text(content)
    assert compare(recording) == 1
    out, err = capsys.readouterr()
    assert re.search(rf"^skipped: {re.escape(str(recording))}/{line}", err, re.MULTILINE), err
    assert re.search(r"; skipped: \d+$", out.strip()) and whole.split(";")[0 if name != "goals_hum.json" else 2] in out


def test_an_action_that_is_none_leaves_out_its_episode(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(recording / "episodes.jsonl", lambda episode: episode["steps"][0].update(action=None))
    assert compare(recording) == 1
    out, err = capsys.readouterr()
    assert "; skipped: 1" in out and "steps identical: 0 of 0" in out
    assert err.startswith(f"skipped: {recording}/episodes.jsonl: line 1: not a recording of WebShop (")


def test_a_file_that_cannot_be_unpacked_is_refused(recording: Path) -> None:
    (recording / "search.jsonl.gz").write_text("plain")
    with pytest.raises(UserError, match=r"search\.jsonl\.gz: not readable \("):
        compare(recording)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_recording_is_named(recording: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (recording / "rewards.jsonl").write_text(content)
    assert compare(recording) == 1
    out, err = capsys.readouterr()
    assert "rewards identical: 0 of 0; skipped: 1" in out and "searches identical: 1 of 1" in out
    assert err == f"skipped: {recording}/rewards.jsonl: empty; record it again, or remove it\n"


def test_a_link_that_leads_nowhere_is_refused(recording: Path) -> None:
    (recording / "rewards.jsonl").unlink()
    (recording / "rewards.jsonl").symlink_to("gone")
    with pytest.raises(UserError, match=r"rewards\.jsonl: no such file; record it again, or remove it$"):
        compare(recording)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        compare(write_catalogue(tmp_path))


def test_the_originals_recordings_are_replayed(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_data / "webshop"
    if not folder.is_dir():
        pytest.skip("no recordings of WebShop in the shared data")
    assert compare(folder) == 0
    out, err = capsys.readouterr()
    assert "0 of 0" not in out and err == ""
