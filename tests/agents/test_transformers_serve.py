"""`transformers serve` itself plays a tiny checkpoint: greedy turns are the own loop's, sampled ones its generate's.

Skipped where the packages of `pip install "transformers[serving]"` are not installed (docs/server.md).
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import urllib3

from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.rollout import play, uniforms
from w2sg.agents.server import ServerPolicy
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import conversation
from w2sg.training import bases

from .test_rollout import Letters, contents, requests

for needed in ("fastapi", "uvicorn", "openai"):
    pytest.importorskip(needed, reason=f'{needed} is not here: pip install "transformers[serving]" (docs/server.md)')

pytestmark = pytest.mark.slow
NAME, NEW = "models/sft/letters-0/weak", 8
SAMPLED = {"temperature": 1.0, "top_p": 0.9}


@contextmanager
def serving(project, log):
    """The server in a project's folder: where it listens, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
    with log.open("a") as said:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--device", "cpu"], cwd=project, stdout=said, stderr=said,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120.0
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            try:
                if urllib3.request("GET", f"http://127.0.0.1:{port}/health", retries=False, timeout=5.0).status == 200:
                    break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def project(letters_pair, tmp_path_factory):
    """A folder with the checkpoint where the stages keep it, drawing from all tokens as docs/server.md says."""
    folder = tmp_path_factory.mktemp("project")
    bases.save(*letters_pair, folder / NAME)
    settings = folder / NAME / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_sample": True, "top_k": 0}))
    return folder


@pytest.fixture(scope="module")
def served(project, tmp_path_factory):
    with serving(project, tmp_path_factory.mktemp("log") / "serve.log") as (url, _):
        yield url


def policy(url, **settings):
    settings = {"model": NAME, "concurrency": 4, "timeout": 60.0, "key": "explore.backend", "pause": 0.01} | settings
    return ServerPolicy(url=url, **settings)


def run(player, store, *, temperature=0.0, top_p=1.0):
    asked = [request.__class__(request.task, request.sample, temperature, top_p) for request in requests(7)]
    return play(
        player, Letters, asked, name="sft_weak", prompt="Spell.", seed=0, cohort=3, max_new_tokens=NEW, store=store
    )


def test_greedy_episodes_are_those_of_the_own_loop(served, letters_pair, tmp_path):
    here = run(TransformersPolicy(*letters_pair), tmp_path / "here")
    assert run(policy(served), tmp_path / "there") == here
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    turns = [step.response for each in here for step in each.steps]
    assert len(turns) > 14 and len(set(turns)) > 7, "the model listens"


def test_sampled_turns_are_those_of_generate_from_our_seed(served, letters_pair, tmp_path):
    """One request at a time: the server has one generator for all."""
    model, tokenizer = letters_pair
    played = run(policy(served, concurrency=1), tmp_path / "there", **SAMPLED)
    assert run(policy(served, concurrency=1), tmp_path / "again", **SAMPLED) == played
    turns = 0
    for request, each in zip(requests(7), played, strict=True):
        talk = conversation(each.steps, prompt="Spell.")
        for number, step in enumerate(each.steps):
            text = tokenizer.apply_chat_template(talk[: 2 * number + 1], tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
            first = uniforms(seed=0, request=request, turn=number, count=NEW)[0]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(first * 2**31))
                new = model.generate(**ids, do_sample=True, top_k=0, max_new_tokens=NEW - 1, pad_token_id=1, **SAMPLED)
            said = tokenizer.decode(new[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
            assert step.response == said, (each.task_id, number)
            turns += 1
    assert turns > 10


def test_a_run_goes_on_where_the_server_was_killed(project, served, tmp_path):
    whole = run(policy(served, concurrency=1), tmp_path / "whole", **SAMPLED)
    log, begun = tmp_path / "serve.log", []
    with serving(project, log) as (url, process):

        class Killed(ServerPolicy):
            """Its server is gone when the second cohort begins."""

            def start(self, rows, before=None):
                if begun:
                    process.kill()
                    process.wait()
                begun.append(rows)
                return super().start(rows, before)

        with pytest.raises(UserError, match=r"^explore\.backend\.url .*/v1: no answer after 7 attempts"):
            run(
                Killed(url=url, model=NAME, concurrency=1, timeout=60.0, key="explore.backend", pause=0.01),
                tmp_path / "store",
                **SAMPLED,
            )
    assert begun == [3, 3] and Letters.opened == 0
    kept = contents(tmp_path / "store")
    assert list(kept) == ["cohort-0000.parquet"]
    # The other server draws the rest; one request at a time, so that it is what an undisturbed run draws.
    assert run(policy(served, concurrency=1), tmp_path / "store", **SAMPLED) == whole
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    assert contents(tmp_path / "store").items() >= kept.items()


def ask(url, texts, *, temperature=0.0, seed=0, **settings):
    """What one conversation is answered, turn by turn."""
    batch = policy(url, **settings).start(1)
    drawn = np.random.default_rng(seed).random((1, NEW))
    return [batch.respond([0], [text], temperature=[temperature], top_p=[1.0], uniforms=drawn)[0] for text in texts]


def test_it_does_not_draw_from_a_checkpoint_as_the_stages_write_it(letters_pair, project, served):
    """The temperature alone does not make it; docs/server.md says what does."""
    bases.save(*letters_pair, project / "models/as_saved")
    with pytest.raises(UserError, match=r"^explore\.backend\.url .*: draws no tokens: 6 answers at temperature 2\.0"):
        ask(served, ["go"], temperature=1.0, model="models/as_saved")
    assert len({ask(served, ["go"], temperature=1.0, seed=seed)[0] for seed in range(9)}) > 4


def test_it_knows_no_end_of_the_context(served, letters_pair):
    """The own loop answers nothing from there on, and so do servers that refuse; this one writes on."""
    _, tokenizer = letters_pair
    long = "go " * (tokenizer.model_max_length // 4)
    assert all(ask(served, [long] * 3))


def test_a_checkpoint_that_is_not_there_is_told_in_one_line(served):
    with pytest.raises(UserError) as told:
        ask(served, ["go"], model="models/none")
    assert str(told.value) == (f"explore.backend.url {served}: status 500 for models/none (Internal Server Error)"), (
        "no 404, so that it is asked seven times"
    )
