"""A small real HTTP server with the endpoint of the OpenAI-compatible API, played by a model in this process."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from w2sg.agents.generation import Conversations


class Served(ThreadingHTTPServer):
    """Answers with a model on a free port; a context manager.

    Attributes:
        asked: the bodies of all requests, in the order of their arrival.
        most: the most requests that were answered at the same time.
        faults: what happens to the next requests in the place of an answer: a status, or "drop", or "sleep".
        context: tokens that fit.
        greedy: takes the likeliest tokens, whatever it is asked.
    """

    daemon_threads = True

    def __init__(self, model, tokenizer, *, name="models/sft/weak"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.asked, self.faults, self.busy, self.most, self.context = [], [], Counter(), 0, 10_000
        self.delay, self.closing, self.greedy = 0.0, threading.Event(), False
        self.counting, self.playing = threading.Lock(), threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def play(self, body):
        """Status and answer to one request."""
        if body["model"] != self.name:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}
        text = self.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) + body["max_tokens"] > self.context:
            said = f"This model's maximum context length is {self.context} tokens. However, you requested more."
            return 400, {"object": "error", "message": said, "type": "BadRequestError", "code": 400}
        end = self.tokenizer.eos_token_id
        with self.playing:
            (turn,) = Conversations(self.model, rows=1, pad=end, end=[end]).respond(
                [ids],
                temperature=[0.0 if self.greedy else body["temperature"]],
                top_p=[body["top_p"]],
                uniforms=np.random.default_rng(body["seed"]).random((1, body["max_tokens"] + 1)),
            )
        message = {"role": "assistant", "content": self.tokenizer.decode(turn, skip_special_tokens=True)}
        return 200, {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.counting:
            server.asked.append(body | {"path": self.path, "token": self.headers.get("Authorization")})
            fault = server.faults.pop(0) if server.faults else None
            server.busy["now"] += 1
            server.most = max(server.most, server.busy["now"])
        try:
            time.sleep(server.delay)
            if fault == "drop":
                self.close_connection = True
                return
            if fault == "sleep":
                server.closing.wait()
            status, answer = (fault, {"error": "busy"}) if isinstance(fault, int) else server.play(body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.counting:
                server.busy["now"] -= 1

    def log_message(self, *_):
        pass
