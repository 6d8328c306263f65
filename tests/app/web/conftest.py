"""Servers of their own for tests, and a browser that may go nowhere else."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
START = 90.0


class Server:
    """``unnoise app`` in a process of its own."""

    def __init__(self, workspace: Path, *options: str) -> None:
        workspace.mkdir(exist_ok=True)
        self.workspace = workspace
        command = [sys.executable, "-m", "unnoise", "app", "--workspace", str(workspace)]
        command += ["--no-browser", *options]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Stop with Ctrl-C" in line:
                break
        else:
            raise RuntimeError("".join(self.lines))
        self.address = re.search(r"https?://\S+", "".join(self.lines))[0]
        self.origin = self.address.partition("/?")[0].rstrip("/")

    def stop(self, number: int = signal.SIGINT) -> str:
        """End it, and give what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        rest = self.process.communicate(timeout=90)[0]
        return "".join(self.lines) + rest


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, which end with the test."""
    started: list[Server] = []

    def start(*options: str, workspace: Path | None = None) -> Server:
        started.append(Server(workspace or tmp_path / "work", "--port", "0", *options))
        return started[-1]

    yield start
    for server in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.stop()
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser of the system."""
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"there is no {CHROMIUM}; make test-gui installs it")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield found
        found.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server in a browser of its own.

    At the end: no request went to another server, and no script failed.
    """
    contexts, problems = [], []

    def open_page(server: Server, path: str = "", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        followed = (server.origin, server.origin.replace("http", "ws"), "data:", "blob:")

        def check(request: Any) -> None:
            if not request.url.startswith(followed):
                problems.append(request.url)

        page.on("request", check)
        page.on("websocket", check)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("h1:has-text('Denoise images')")
        if path:
            page.goto(server.origin + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def viewers() -> Iterator[str]:
    script = Path(__file__).with_name("viewer_page.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
        server.terminate()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose scripts must not fail, and which asks nobody but its server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    problems: list[str] = []
    found.on("pageerror", lambda error: problems.append(f"{error}"))
    found.on(
        "console",
        lambda m: problems.append(m.text) if m.type == "error" and "503" not in m.text else None,
    )
    found.on(
        "request",
        lambda r: (
            None
            if r.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
            else problems.append(r.url)
        ),
    )
    yield found
    context.close()
    assert problems == []
