"""A model behind a server that speaks the OpenAI-compatible API of vLLM, SGLang and `transformers serve`."""

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import urllib3

from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message

# Waits of 0, 1, 2, 4, 8 and 16 times the pause: half a minute in all.
_RETRIES = 6
# What the servers answer where a conversation and the turn to be written do not fit (with status 400, 413 or 422).
_TOO_LONG = re.compile(r"context|too long|longer than|too large|max_new_tokens", re.IGNORECASE)
_SEEDS = 2**31  # of them, what every server takes
# What shows whether a server draws: the same question at the highest temperature that every server takes.
_PROBES, _PROBED = 6, {"temperature": 2.0, "top_p": 1.0, "max_tokens": 16}


class ServerPolicy:
    """See Policy. The server renders conversations with the model's chat template and draws the tokens.

    Args:
        url: where the API begins, mostly http://HOST:PORT/v1.
        model: name by which the server knows the model.
        concurrency: requests at the same time.
        timeout: seconds to wait for one answer.
        key: of the configuration, for messages.
        pause: unit of the waits between attempts, in seconds.

    Raises:
        UserError: a request is refused, or not answered after all attempts; the first turn does not fit the context;
            the server draws no tokens where it is asked to.
    """

    def __init__(
        self, *, url: str, model: str, concurrency: int, timeout: float, key: str = "backend", pause: float = 1.0
    ) -> None:
        self._url, self._model, self._key = url.rstrip("/"), model, key
        self._concurrency, self._timeout = concurrency, timeout
        self._pool = urllib3.PoolManager(
            maxsize=concurrency,
            timeout=urllib3.Timeout(connect=min(timeout, 10.0), read=timeout),
            retries=urllib3.Retry(
                _RETRIES,
                backoff_factor=pause / 2,
                # Answers depend on the request alone, so asking again is always sound.
                allowed_methods=None,
                status_forcelist=(429, *range(500, 600)),
                raise_on_status=False,
            ),
        )
        token = os.environ.get("OPENAI_API_KEY", "").strip()  # files of variables may end their lines otherwise
        if not (token.isascii() and token.isprintable()):
            raise UserError(f"{key}.url {self._url}: the environment's OPENAI_API_KEY has a sign that no key has")
        self._draws = False
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def start(self, rows: int, before: Sequence[Sequence[Message]] | None = None) -> "ServerBatch":
        """See Policy."""
        return ServerBatch(self, before=before or [()] * rows)

    def answer_all(self, requests: Sequence[tuple[Sequence[Message], dict[str, float]]]) -> list[str | None]:
        """The model's next turn in every conversation, None where it does not fit the context.

        Args:
            requests: conversations with their settings (see `_answer`).
        """
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            return list(pool.map(lambda request: self._answer(*request), requests))
        finally:
            pool.shutdown(cancel_futures=True)

    def check_draws(self) -> None:
        """See once that answers differ with their seed. `transformers serve` for one takes the likeliest tokens always.

        Raises:
            UserError: they do not.
        """
        if self._draws:
            return
        question = [Message(role="user", content="Write some words.")]
        answers = self.answer_all([(question, _PROBED | {"seed": seed}) for seed in range(_PROBES)])
        if answers[0] and set(answers) == {answers[0]}:
            raise UserError(
                f"{self._key}.url {self._url}: draws no tokens: {_PROBES} answers at temperature "
                f"{_PROBED['temperature']} are the same ({_line(answers[0], most=60)}); with `transformers serve`, the "
                'generation_config.json of what it serves must say "do_sample": true, "top_k": 0'
            )
        self._draws = True

    def _answer(self, messages: Sequence[Message], settings: dict[str, float]) -> str | None:
        """One request, retried; `settings` are temperature, top_p, max_tokens and seed."""
        body = json.dumps({"model": self._model, "messages": messages, "stream": False, **settings})
        try:
            response = self._pool.request("POST", f"{self._url}/chat/completions", body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"{self._key}.url {self._url}: no answer after {_RETRIES + 1} attempts ({_line(str(reason))}); "
                f"start the server, or set {self._key} to null to play here"
            ) from None
        if response.status == 200:
            return self._text(response.data)
        said = _said(response.data)
        if response.status in (400, 413, 422) and _TOO_LONG.search(said):
            if len(messages) == 1:
                raise UserError(
                    f"{self._key}.url {self._url}: the first turn does not fit ({said}); serve the model with a larger "
                    "context, or lower explore.max_new_tokens"
                )
            return None
        if response.status == 404:
            raise UserError(
                f"{self._key}.model {self._model}: {self._url} does not have it ({said}); serve the checkpoint under "
                f"this name, or correct {self._key}.url, which mostly ends with /v1"
            )
        if response.status in (401, 403):
            raise UserError(
                f"{self._key}.url {self._url}: access refused ({said}); set the environment's OPENAI_API_KEY"
            )
        raise UserError(f"{self._key}.url {self._url}: status {response.status} for {self._model} ({said})")

    def _text(self, data: bytes) -> str:
        """The content of the one choice."""
        try:
            text = files.loaded(data)["choices"][0]["message"]["content"]
            if text is None:
                return ""
            # Half of a character, which a server may cut off at the limit of tokens, is what the own loop writes too.
            return text.encode(errors="replace").decode()
        except (ValueError, LookupError, TypeError, AttributeError):
            raise UserError(
                f"{self._key}.url {self._url}: answers something else than a chat completion ({_said(data)})"
            ) from None


class ServerBatch:
    """See Batch. A conversation that outgrows the context which the server gives answers with empty texts from then on.

    The seed of a request comes from its first uniform number; what a server makes of it is its own.
    """

    def __init__(self, policy: ServerPolicy, *, before: Sequence[Sequence[Message]]) -> None:
        self._policy = policy
        self._messages: list[list[Message]] = [list(messages) for messages in before]
        self._full: set[int] = set()

    def respond(
        self,
        rows: Sequence[int],
        observations: Sequence[str],
        *,
        temperature: Sequence[float],
        top_p: Sequence[float],
        uniforms: np.ndarray,
    ) -> list[str]:
        """See Batch."""
        if any(temperature):
            self._policy.check_draws()
        # The own loop gives the last token of a turn at its limit to the end mark.
        most = uniforms.shape[1] - 1
        asked = [number for number, row in enumerate(rows) if row not in self._full] if most else []
        for number in asked:
            self._messages[rows[number]].append(Message(role="user", content=observations[number]))
        answers = self._policy.answer_all(
            [
                (
                    self._messages[rows[number]],
                    {
                        "temperature": temperature[number],
                        "top_p": top_p[number],
                        "max_tokens": most,
                        "seed": int(uniforms[number, 0] * _SEEDS),
                    },
                )
                for number in asked
            ]
        )
        texts = [""] * len(rows)
        for number, answer in zip(asked, answers, strict=True):
            if answer is None:
                self._full.add(rows[number])
            else:
                texts[number] = answer
                self._messages[rows[number]].append(Message(role="assistant", content=answer))
        return texts


def _said(data: bytes) -> str:
    """What a server says about its refusal, on one line."""
    text = data.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _line(text)
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return _line(value if isinstance(value, str) else json.dumps(value))


def _line(text: str, *, most: int = 200) -> str:
    """On one line, cut."""
    line = " ".join(text.split()) or "nothing said"
    return line if len(line) <= most else line[: most - 1] + "…"
