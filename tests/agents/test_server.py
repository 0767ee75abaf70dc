"""A server that plays, over real connections: the answers of the own loop where both can give the same."""

import json
import re
import socket

import numpy as np
import pytest

from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.rollout import play
from w2sg.agents.server import ServerPolicy
from w2sg.contracts.errors import UserError

from .serving import Served
from .test_rollout import Letters, contents, requests

NAME = "models/sft/weak"


@pytest.fixture(scope="module")
def pair(letters_pair):
    return letters_pair


@pytest.fixture
def served(pair):
    with Served(*pair, name=NAME) as server:
        yield server


def policy(server, **settings):
    settings = {"model": NAME, "concurrency": 4, "timeout": 30.0, "key": "explore.backend", "pause": 0.01} | settings
    return ServerPolicy(**{"url": server.url} | settings)


def run(player, store, *, temperature=0.0, cohort=3):
    asked = [request.__class__(request.task, request.sample, temperature, 0.95) for request in requests(7)]
    return play(
        player, Letters, asked, name="sft_weak", prompt="Spell.", seed=0, cohort=cohort, max_new_tokens=8, store=store
    )


def test_greedy_episodes_are_those_of_the_own_loop(served, pair, tmp_path):
    here = run(TransformersPolicy(*pair), tmp_path / "here")
    there = run(policy(served), tmp_path / "there")
    assert there == here
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert len({step.response for each in here for step in each.steps}) > 7, "the model listens"
    assert any(len(each.steps) > 1 for each in here)


def test_sampled_episodes_do_not_depend_on_the_order_of_the_answers(served, tmp_path):
    """The seed of a request is that of its episode and turn."""
    one = run(policy(served, concurrency=1), tmp_path / "1", temperature=1.0)
    many = run(policy(served, concurrency=7), tmp_path / "7", temperature=1.0, cohort=7)
    assert one == many
    assert len({each.steps[0].response for each in one}) > 4
    asked = [body["seed"] for body in served.asked if body["temperature"] == 1.0]
    assert len(set(asked)) == sum(len(each.steps) for each in one)


def test_a_server_that_does_not_draw_is_refused_before_anything_is_played(served, tmp_path):
    """It is asked once for each policy, and not where nothing is to be drawn."""
    run(policy(served), tmp_path / "greedy")
    assert all(body["temperature"] == 0.0 for body in served.asked)
    drawing = policy(served)
    for number in range(2):
        run(drawing, tmp_path / f"{number}", temperature=1.0)
    asked = [body for body in served.asked if body["temperature"] == 2.0]
    assert len({body["seed"] for body in asked}) == len(asked) == 6
    served.greedy = True
    with pytest.raises(UserError) as told:
        run(policy(served), tmp_path / "none", temperature=1.0)
    assert str(told.value).startswith(
        f"explore.backend.url {served.url}: draws no tokens: 6 answers at temperature 2.0 are the same ("
    )
    assert str(told.value).endswith('must say "do_sample": true, "top_k": 0')
    assert not (tmp_path / "none").exists()


def test_what_is_asked(served, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    batch = policy(served).start(2)
    settings = {"temperature": [0.0, 0.7], "top_p": [1.0, 0.9], "uniforms": np.array([[0.25, 0.5], [0.5, 0.0]])}
    first = batch.respond([0, 1], ["one", "two"], **settings)
    batch.respond([1], ["three"], temperature=[0.7], top_p=[0.9], uniforms=np.array([[0.5, 0.0]]))
    assert served.asked[-1] == {
        "model": NAME,
        "messages": [
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": first[1]},
            {"role": "user", "content": "three"},
        ],
        "stream": False,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 1,
        "seed": 2**30,
        "path": "/v1/chat/completions",
        "token": "Bearer secret",
    }


def test_a_conversation_goes_on_from_the_middle(served):
    """What was said before is sent along, and answered as where it was played."""
    settings = {"temperature": [0.0], "top_p": [1.0], "uniforms": np.zeros((1, 8))}
    whole = policy(served).start(1)
    said = [whole.respond([0], [heard], **settings)[0] for heard in ("one", "two", "three")]
    before = [[
        {"role": "user", "content": "one"}, {"role": "assistant", "content": said[0]},
        {"role": "user", "content": "two"}, {"role": "assistant", "content": said[1]},
    ]]  # fmt: skip
    assert policy(served).start(1, before=before).respond([0], ["three"], **settings) == [said[2]]
    assert served.asked[-1] == served.asked[-2]
    assert len(before[0]) == 4, "what was given is left as it was"


def test_as_many_requests_at_a_time_as_are_allowed(served, tmp_path):
    served.delay = 0.2
    run(policy(served, concurrency=3), tmp_path, cohort=7)
    assert served.most == 3


@pytest.mark.parametrize("fault", [429, 500, 503, "drop", "sleep"])
def test_faults_that_pass_change_nothing(served, tmp_path, fault):
    """Too many requests, errors, lost connections and late answers are asked again."""
    whole = run(policy(served), tmp_path / "whole")
    before = len(served.asked)
    served.faults = [None, fault, None, None, fault, fault]
    assert run(policy(served, timeout=3.0 if fault == "sleep" else 30.0), tmp_path / "again") == whole
    assert len(served.asked) - before == before + 3


def test_a_run_goes_on_where_the_server_went_away(pair, tmp_path):
    with Served(*pair, name=NAME) as server:
        whole = run(policy(server), tmp_path / "whole")
        server.asked.clear()
        server.faults = [None] * (sum(len(each.steps) for each in whole[:3]) + 1) + [503] * 99
        with pytest.raises(UserError, match=r"^explore\.backend\.url http://127\.0\.0\.1:\d+/v1: status 503 for"):
            run(policy(server), tmp_path / "store")
        assert list(contents(tmp_path / "store")) == ["cohort-0000.parquet"]
        assert Letters.opened == 0
        server.faults.clear()
        server.asked.clear()
        assert run(policy(server), tmp_path / "store") == whole
        assert len(server.asked) == sum(len(each.steps) for each in whole[3:]), "the first cohort is not played again"
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_conversation_beyond_the_context_answers_nothing_from_then_on(served):
    """As in the own loop, and the others go on undisturbed."""
    served.context = 60
    batch = policy(served).start(2)
    settings = {"temperature": [0.0] * 2, "top_p": [1.0] * 2, "uniforms": np.zeros((2, 8))}
    first = batch.respond([0, 1], ["go", "go"], **settings)
    assert first[0] == first[1] != ""
    texts = batch.respond([0, 1], ["mug " * 30, "x"], **settings)
    assert texts[0] == ""
    assert texts[1] != ""
    served.context, asked = 10_000, len(served.asked)
    assert batch.respond([0, 1], ["go", "x"], **settings)[0] == ""
    assert len(served.asked) == asked + 1, "nothing is asked for it any more"


@pytest.mark.parametrize(
    ("said", "full"),
    [
        ("This model's maximum context length is 4096 tokens.", True),  # vLLM
        ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", True),  # SGLang
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", True),  # TGI
        ("temperature must be non-negative", False),
    ],
)
def test_what_servers_say_about_the_context(served, monkeypatch, said, full):
    status = 422 if "Input validation" in said else 400
    monkeypatch.setattr(served, "play", lambda body: (status, {"error": {"message": said}}))
    asked = {"temperature": [0.0], "top_p": [1.0], "uniforms": np.zeros((1, 8))}
    if full:
        before = [[{"role": "user", "content": "go"}, {"role": "assistant", "content": "ok"}]]
        assert policy(served).start(1, before=before).respond([0], ["go"], **asked) == [""]
        with pytest.raises(
            UserError, match=rf"the first turn does not fit \({re.escape(said)}\); serve the model with a"
        ):
            policy(served).start(1).respond([0], ["go"], **asked)
    else:
        with pytest.raises(UserError, match=rf"^explore\.backend\.url .*: status 400 for {NAME} \({said}\)$"):
            policy(served).start(1).respond([0], ["go"], **asked)


def answers(server, **settings):
    asked = {"temperature": [0.0] * 9, "top_p": [1.0] * 9, "uniforms": np.zeros((9, 8))}
    return policy(server, **settings).start(9).respond(list(range(9)), ["go"] * 9, **asked)


@pytest.mark.parametrize(("key", "sent"), [(" sk-1\r\n", "Bearer sk-1"), ("\n", None), ("", None)])
def test_a_key_from_a_file_of_variables_is_sent_without_its_line_end(served, monkeypatch, key, sent):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert policy(served)._headers.get("Authorization") == sent
    assert answers(served)


@pytest.mark.parametrize("key", ["sk-\r\n1", "sk-\u20ac", "sk-\x01"])
def test_a_key_that_is_none_is_refused_without_being_told(served, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UserError, match=r"the environment's OPENAI_API_KEY has a sign that no key has$") as told:
        policy(served)
    assert "sk-" not in str(told.value)


def test_refusals_are_one_line(served, monkeypatch):
    with pytest.raises(UserError) as unknown:
        answers(served, model="gpt")
    assert str(unknown.value) == (
        f"explore.backend.model gpt: {served.url} does not have it (The model `gpt` does not exist.); serve the "
        "checkpoint under this name, or correct explore.backend.url, which mostly ends with /v1"
    )
    monkeypatch.setattr(served, "play", lambda body: (401, {"error": "Unauthorized\nno key"}))
    with pytest.raises(UserError, match=r"/v1: access refused \(Unauthorized no key\); set .* OPENAI_API_KEY$"):
        answers(served)
    monkeypatch.setattr(served, "play", lambda body: (200, b"<html>hello</html>"))
    with pytest.raises(UserError, match=r"answers something else than a chat completion \(<html>hello</html>\)$"):
        answers(served)
    monkeypatch.setattr(served, "play", lambda body: (200, json.dumps({"choices": []}).encode()))
    with pytest.raises(UserError, match=r"something else than a chat completion"):
        answers(served)


def test_a_server_that_is_not_there(served):
    with socket.socket() as taken:  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as absent:
            answers(served, url=f"http://127.0.0.1:{port}/v1")
    assert str(absent.value).startswith(f"explore.backend.url http://127.0.0.1:{port}/v1: no answer after 7 attempts (")
    assert str(absent.value).endswith("); start the server, or set explore.backend to null to play here")
    assert "\n" not in str(absent.value)
