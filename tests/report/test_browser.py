"""The report in a real browser, driven through its DevTools pipe with no further dependency.

Skipped where no Chromium or Chrome is installed. The pipe (file descriptors 3 and 4, messages that
end with a zero byte) is described at https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unnoise.report.page import write
from unnoise.report.page_parts import Chart, HeatMap, Number, Page, Picture, Section, Series

fcntl = pytest.importorskip("fcntl", reason="the DevTools pipe needs POSIX file descriptors")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = (
    "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run "
    "--disable-dev-shm-usage --disable-extensions --disable-background-networking --mute-audio"
)


class Browser:
    """A headless browser with one page."""

    def __init__(self, program: str, profile: Path) -> None:
        command_out, self._commands = os.pipe()
        self._answers, answer_in = os.pipe()
        # Above the two numbers they are to get, so that neither overwrites the other.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (command_out, answer_in)]

        def connect() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (command_out, answer_in, *high):
            os.close(fd)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come between are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _read(self, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select(
                [self._answers], [], [], max(0, deadline - time.monotonic())
            )
            data = os.read(self._answers, 1 << 20) if ready else b""
            assert data, "the browser does not answer"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, path: Path, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Load a file in a window of this size."""
        self.events.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])
        self.send("Page.navigate", url=path.as_uri())
        for _ in range(600):
            if self.run("document.readyState") == "complete" and self.run("location.protocol") == (
                "file:"
            ):
                break
            time.sleep(0.02)
        self.frame()

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def frame(self) -> None:
        """Wait until what was asked for is painted."""
        self.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)
        self.frame()

    def key(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)
        self.frame()

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self.frame()

    def box(self, selector: str) -> dict[str, float]:
        """Where an element lies in the window."""
        return self.run(
            f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        )

    def clip(self) -> float:
        """Share of the width that is shown noisy."""
        return self.run(
            """(() => {
              const layer = document.querySelector('.view:not([hidden]) [data-layer="noisy"]');
              const cut = /inset\\(0(?:px)? ([\\d.]+)px/.exec(getComputedStyle(layer).clipPath);
              return 1 - Number(cut[1]) / layer.offsetWidth;
            })()"""
        )

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[Any]:
        """What the console, the log (also of the security policy) and scripts complained about."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [event for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """What was loaded apart from embedded data."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith("data:")]

    def close(self) -> None:
        self._session = ""
        try:
            self.send("Browser.close")
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._commands)
            os.close(self._answers)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = [path for path in (*map(shutil.which, NAMES), MAC) if path and os.path.exists(path)]
    if not found:
        pytest.skip("no Chromium or Chrome is installed on this machine")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(found[0], Path(profile))
        try:
            yield browser
        finally:
            browser.close()


def page(size: int = 96) -> Page:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    clean = 100 + 60 * np.sin(x / 5) * np.cos(y / 7)
    noisy = rng.poisson(clean).astype(np.uint16)
    picture = Picture(
        "cells <img src=x onerror=alert(1)>",
        noisy,
        clean,
        uncertainty=np.sqrt(clean),
        novelty=np.abs(x - y) / size,
        leak=np.sin(x / 9.0),
        pixel_size=(0.1, "micron"),
    )
    chart = Chart("Noise", "signal", "variance", (Series("fit", (0, 1, 2), (1, 2, 3)),))
    section = Section(
        "cells.tif",
        (picture,),
        (Number("PSNR", "31.2 dB", "30.9 to 31.5", "higher is better"),),
        (chart, HeatMap("Autocorrelation", np.eye(9))),
        ("</script><script>alert(2)</script>",),
    )
    return Page(
        "cells.tif",
        "Noise fell by half.",
        (section,),
        settings=(("Settings", "a: 1"),),
        command="unnoise denoise --seed 3 -o 'a  b.tif'",
    )


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Browser:
    write(tmp_path / "report.html", page())
    browser.open(tmp_path / "report.html")
    return browser


def test_loads_nothing_and_complains_about_nothing(opened: Browser, tmp_path: Path) -> None:
    assert opened.requests() == [(tmp_path / "report.html").as_uri()]
    assert opened.complaints() == []
    assert opened.run("document.querySelectorAll('script').length") == 1
    assert opened.run("document.querySelectorAll('img[src=x]').length") == 0
    assert opened.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_policy_stops_foreign_scripts_and_requests(opened: Browser) -> None:
    opened.run("window.ran = 0, window.failed = 0")
    opened.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'window.ran = 1'}))"
    )
    opened.run("fetch('https://example.org/').catch(() => { window.failed = 1; })")
    opened.frame()
    assert opened.run("[window.ran, window.failed]") == [0, 1]


def test_slider_moves_the_clip(opened: Browser) -> None:
    assert opened.clip() == pytest.approx(0.5, abs=0.01)
    box = opened.box(".stage")
    middle = box["y"] + box["height"] / 2
    opened.drag(
        (box["x"] + box["width"] / 2, middle), (box["x"] + box["width"] * 0.5 + 100, middle)
    )
    image = opened.box(".view:not([hidden])")
    expected = (box["x"] + box["width"] / 2 + 100 - image["x"]) / image["width"]
    assert opened.clip() == pytest.approx(expected, abs=0.01)
    # The same by keyboard, through the range below the picture.
    opened.run("document.querySelector('.split input').focus()")
    before = opened.clip()
    opened.key("ArrowLeft", 37)
    assert opened.clip() < before
    opened.key("Home", 36)
    assert opened.clip() == pytest.approx(0, abs=0.01)


def test_zoom_by_buttons_keys_and_wheel(opened: Browser, tmp_path: Path) -> None:
    start = opened.box(".view:not([hidden])")["width"]
    opened.click('[data-zoom="in"]')
    assert opened.box(".view:not([hidden])")["width"] == pytest.approx(1.5 * start, rel=0.01)
    box = opened.box(".stage")
    spot = (box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    opened.mouse("mouseWheel", *spot, deltaX=0, deltaY=-100)
    opened.frame()
    assert opened.box(".view:not([hidden])")["width"] == pytest.approx(1.5 * start, rel=0.01)
    opened.run("document.querySelector('.stage').focus({preventScroll: true})")
    opened.mouse("mouseWheel", *spot, deltaX=0, deltaY=-100)
    opened.frame()
    zoomed = opened.box(".view:not([hidden])")
    assert zoomed["width"] > 1.6 * start
    opened.drag(spot, (spot[0] + 20, spot[1] + 10))
    moved = opened.box(".view:not([hidden])")
    assert moved["y"] - zoomed["y"] == pytest.approx(10, abs=1)
    opened.screenshot(tmp_path / "zoomed.png")
    assert (tmp_path / "zoomed.png").stat().st_size > 10_000
    opened.key("0", 48)
    assert opened.box(".view:not([hidden])")["width"] == pytest.approx(start, rel=0.01)
    opened.key("+", 187)
    assert opened.box(".view:not([hidden])")["width"] > start
    assert opened.complaints() == []


def test_fingers_move_the_slider_and_pinch(browser: Browser, tmp_path: Path) -> None:
    write(tmp_path / "report.html", page())
    browser.open(tmp_path / "report.html", 390, 800)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    browser.run("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    browser.frame()
    image = browser.box(".view:not([hidden])")
    x, y = image["x"] + image["width"] / 2, image["y"] + image["height"] / 3

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(places)]
        browser.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", (x, y))
    touch("touchMove", (x + 30, y))
    touch("touchMove", (x + 60, y))
    touch("touchEnd")
    browser.frame()
    assert browser.clip() == pytest.approx(0.5 + 60 / image["width"], abs=0.02)
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    browser.frame()
    assert browser.box(".view:not([hidden])")["width"] > 1.5 * image["width"]
    browser.send("Emulation.setTouchEmulationEnabled", enabled=False)


def test_without_scripts_and_on_paper_all_images_are_there(
    browser: Browser, tmp_path: Path
) -> None:
    write(tmp_path / "report.html", page())
    browser.open(tmp_path / "report.html")
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    shown = "[...document.querySelectorAll('.layer')].filter(l => l.offsetWidth > 50)"
    names = f"{shown}.map(l => l.dataset.layer)"
    everything = ["noisy", "clean", "residual", "uncertainty", "leak", "novelty"]
    assert browser.run(names) == everything
    assert browser.run("document.querySelector('.tools').offsetHeight") == 0
    browser.send("Emulation.setEmulatedMedia", media="", features=[])
    plain = re.sub(
        "<script>.*?</script>", "", (tmp_path / "report.html").read_text("utf-8"), flags=re.S
    )
    (tmp_path / "plain.html").write_text(plain, "utf-8")
    browser.open(tmp_path / "plain.html")
    browser.screenshot(tmp_path / "plain.png", whole=True)
    assert browser.run(names) == everything
    assert browser.run("document.querySelector('.viewer.live')") is None


def test_command_is_copied_as_it_is(opened: Browser) -> None:
    assert opened.run("document.getElementById('command').textContent") == page().command
    said = opened.run(
        "new Promise(r => { const b = document.querySelector('[data-copy]');"
        "new MutationObserver(() => r(b.textContent)).observe(b, {childList: true}); b.click(); })"
    )
    assert said in ("Copied", "Press Ctrl+C")


@pytest.mark.parametrize("mode", ["residual", "uncertainty", "leak", "novelty"])
def test_maps_are_shown_alone(opened: Browser, mode: str) -> None:
    opened.click(f'[data-mode="{mode}"]')
    shown = "[...document.querySelectorAll('.layer')].filter(l => l.offsetWidth)"
    assert opened.run(f"{shown}.map(l => l.dataset.layer)") == [mode]
    assert opened.run(f"document.querySelector('[data-mode={mode}]').ariaPressed") == "true"
    keys = "[...document.querySelectorAll('.key')].filter(k => k.offsetWidth)"
    assert opened.run(f"{keys}.map(k => k.dataset.layer)") == [mode]
    opened.click('[data-mode="noisy"]')
    assert sorted(opened.run(f"{shown}.map(l => l.dataset.layer)")) == ["clean", "noisy"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    write(tmp_path / "report.html", page())
    browser.open(tmp_path / "report.html", width, 800, scheme)
    assert browser.run("document.documentElement.scrollWidth") <= width
    dark = browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (scheme == "dark")
    browser.screenshot(tmp_path / "page.png", whole=True)


def test_large_pictures_have_a_detail_in_full_resolution(browser: Browser, tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).normal(size=(1200, 1500)).astype(np.float32)
    noisy[300:600, 800:1100] += np.indices((300, 300)).sum(axis=0) // 10 % 2 * 9
    large = Section("large", (Picture("large", noisy, np.clip(noisy, 0, 9)),))
    write(tmp_path / "report.html", Page("large", "", (large,)))
    browser.open(tmp_path / "report.html")
    browser.click('[data-show="detail"]')
    shown = "[...document.querySelectorAll('.view')].filter(v => v.offsetWidth)"
    assert browser.run(f"{shown}.map(v => v.dataset.view)") == ["detail"]
    assert browser.run(f"{shown}[0].dataset.factor") == "1"
