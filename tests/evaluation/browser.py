"""A headless Chromium driven by its own protocol over a pipe: real keys and clicks, and no package beside Python's."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 30.0  # for anything that a page is waited for
SERVER_ERROR = -32000  # of the protocol: among others, that the page is gone


def find_browser() -> str | None:
    """The browser that W2SG_BROWSER names, or the first one on the path."""
    return os.environ.get("W2SG_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


class Navigated(Exception):
    """The page that was asked has made way for another."""


class Page:
    """One tab.

    Attributes:
        errors: exceptions and complaints of the browser since the start.
        requests: addresses that the page has asked for.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._rest, self._number = commands, answers, b"", 0
        self._session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._number:
                if got.get("error", {}).get("code") == SERVER_ERROR and method == "Runtime.evaluate":
                    raise Navigated(got["error"]["message"])
                assert "error" not in got, got["error"]
                return got["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser is gone"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        got = json.loads(text)
        event, params = got.get("method"), got.get("params", {})
        if event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return got

    def size(self, width: int, height: int, *, dark: bool = False, media: str = "") -> None:
        """Width and height in pixels, colours, and "print" for paper."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)

    def open(self, file: Path, address: str = "") -> None:
        """Open a file from disk, anew, and wait until its view is drawn."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=file.resolve().as_uri() + address)
        self.wait("document.documentElement?.dataset.drawn")

    def go(self, address: str) -> None:
        """Follow an address within the page."""
        before = self.value("document.documentElement?.dataset.drawn")
        self.value(f"location.hash = {json.dumps(address)}; 0")
        self.wait(f"document.documentElement.dataset.drawn !== {json.dumps(before)}")

    def value(self, expression: str) -> Any:
        """What an expression is in the page; promises are waited for."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true, on this page or the one that it leads to."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(Navigated):
                if self.value(f"Boolean({expression})"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"never came true: {expression}; errors: {self.errors}")

    def text(self, selector: str = "main") -> str:
        """What a person reads in an element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def name(self, selector: str) -> str:
        """What a screen reader says of an element."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        told = self.call("Accessibility.getPartialAXTree", objectId=found["objectId"], fetchRelatives=False)
        return " ".join(str(told["nodes"][0]["name"]["value"]).split())

    def count(self, selector: str) -> int:
        """Number of elements."""
        return int(self.value(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str, number: int = 0) -> None:
        """Click where an element is, as a mouse does, after scrolling it into sight."""
        element = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        self.value(f"{element}.scrollIntoView({{block: 'center', inline: 'center'}}); 0")
        box = self.value(f"{element}.getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and release a key, such as "ArrowRight" or "d"."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def choose(self, field: str, value: str) -> None:
        """Choose an option of the select that is labelled so."""
        found = (
            f"[...document.querySelectorAll('.field')].find((f) => f.firstChild.textContent === {json.dumps(field)})"
        )
        act = f"select.value = {json.dumps(value)}; select.dispatchEvent(new Event('change'))"
        self.value(f"{{ const select = {found}.querySelector('select'); {act}; }} 0")

    def screenshot(self, path: Path) -> None:
        """A picture of what is in sight."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self) -> bytes:
        """The page on paper."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])


@contextmanager
def opened(browser: str) -> Iterator[Page]:
    """A tab of a browser of its own, which is closed at the end."""
    inward, outward = os.pipe(), os.pipe()
    # bash moves them to 3 and 4, where the browser looks for them; beyond 9 they cannot be in the way.
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (inward[0], outward[1])]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        move = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
        words = ["bash", "-c", move, "-", browser, *options, f"--user-data-dir={folder}"]
        process = subprocess.Popen(words, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (*ends, inward[0], outward[1]):
            os.close(fd)
        try:
            yield Page(inward[1], outward[0])
        finally:
            process.kill()
            process.wait()
            os.close(inward[1])
            os.close(outward[0])
