"""A browser without a window, driven through its DevTools protocol: what a page looks like to those who open it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter",
    "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
SLICE = 4096  # pixels: of a page that is drawn at a time
PATIENCE = 120.0  # seconds; a machine may be busy


class CannotStartError(Exception):
    """What is installed is no browser that works here."""


def find() -> str | None:
    """Return the path of a Chromium, or None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


@dataclass
class Browser:
    """A running Chromium; ``problems`` are the console's errors, blocked contents and exceptions of the open page."""

    to: int
    back: int
    problems: list[str] = field(default_factory=list)
    session: str = ""
    _rest: bytes = b""
    _number: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    def open(self, page: Path, *, width: int, dark: bool, height: int = 900) -> None:
        """Open a page in a window of ``width`` CSS pixels, and wait until all of it is there."""
        if not self.session:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Log", "Runtime", "Audits"):
                self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.problems.clear()
        self._events.clear()
        answer = self.call("Page.navigate", url=page.resolve().as_uri())
        assert "errorText" not in answer, answer["errorText"]
        self._wait_for("Page.loadEventFired")
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def evaluate(self, script: str) -> Any:
        """Return what a script finds; the page's content policy does not keep it out."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self) -> np.ndarray[Any, Any]:
        """Return the whole page as (height, width, 3) numbers of 0 to 255."""
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        parts = []
        for top in range(0, height, SLICE):
            clip = {"x": 0, "y": top, "width": width, "height": min(SLICE, height - top), "scale": 1}
            answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
            with Image.open(io.BytesIO(base64.b64decode(answer["data"]))) as image:
                parts.append(np.asarray(image.convert("RGB")))
        return np.concatenate(parts)

    def call(self, method: str, **words: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": words}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer}"
                result: dict[str, Any] = answer["result"]
                return result

    def _wait_for(self, event: str) -> None:
        while not any(one["method"] == event for one in self._events):
            self._read()

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.back], [], [], max(end - time.monotonic(), 0))
            assert ready, f"the browser said nothing for {PATIENCE:g} s"
            part = os.read(self.back, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message)
            self.problems += _problem(message)
        return message


def _problem(event: dict[str, Any]) -> list[str]:
    words = event.get("params", {})
    match event["method"]:
        case "Log.entryAdded" if words["entry"]["level"] in ("error", "warning"):
            return [words["entry"]["text"]]
        case "Runtime.exceptionThrown":
            return [words["exceptionDetails"]["text"]]
        case "Runtime.consoleAPICalled" if words["type"] in ("error", "warning", "assert"):
            return [str(words["args"])]
        case "Audits.issueAdded" if "ContentSecurityPolicy" in words["issue"]["code"]:
            return [json.dumps(words["issue"])]
        case _:
            return []


@contextlib.contextmanager
def running(program: str, folder: Path) -> Iterator[Browser]:
    """Run a browser whose files lie in ``folder``, but for a socket, whose path must be short.

    Raises:
        CannotStartError: the program ends at once, as one without its libraries does, or may not read ``folder``.
    """
    for name in ("profile", "home"):
        (folder / name).mkdir()
    page = folder / "empty.html"
    page.touch()
    low_read, to = os.pipe()
    back, low_write = os.pipe()
    theirs, answers = (fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in (low_read, low_write))  # out of the way of 3, 4
    words = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    short = tempfile.mkdtemp(prefix="browser-", dir="/tmp" if os.access("/tmp", os.W_OK) else None)
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            # The protocol's two pipes are the descriptors 3 and 4.
            ["bash", "-c", f'exec 3<&{theirs} 4>&{answers} {theirs}<&- {answers}>&-; exec "$@"', "-", *words],
            pass_fds=(theirs, answers),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "HOME": str(folder / "home"), "TMPDIR": short},
        )
    for end in (low_read, low_write, theirs, answers):
        os.close(end)
    browser = Browser(to, back)
    try:
        try:
            browser.open(page, width=400, dark=False)
        except (AssertionError, OSError) as error:
            said_last = (folder / "said.txt").read_text(errors="replace").strip().splitlines()[-1:]
            raise CannotStartError(f"{program} does not start: {error}; {' '.join(said_last)}") from error
        yield browser
    finally:
        os.close(to)
        os.close(back)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(short, ignore_errors=True)
