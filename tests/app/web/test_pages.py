"""The page in a browser: from a file to its saved result, and what can go wrong on the way."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from synthetic import between

from .test_settings import certificate

pytestmark = pytest.mark.gui
DONE = 240_000
"""Milliseconds within which a job must end, on a busy machine."""


def noisy(path: Path, side: int = 128, seed: int = 0) -> Path:
    """A small noisy image with a scale."""
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(between(200, 1200, (side, side), seed=seed)).astype(np.uint16)
    about = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(path, pixels, ome=True, metadata=about)
    return path


def upload(page: Any, *files: Path | dict) -> None:
    """Choose files and wait for their page."""
    page.set_input_files("input[type=file]", list(files))
    page.wait_for_url("**/image?**")
    page.wait_for_selector(".verdict")


def denoise(page: Any, budget: str = "instant") -> None:
    """Press the button, and wait for the page of the job."""
    page.check(f"input[value={budget}]")
    page.wait_for_selector(".verdict")
    page.click("button:has-text('Denoise')")
    page.wait_for_url("**/job/**")


def test_from_a_file_to_its_saved_result(serve: Callable, visit: Callable, tmp_path: Path) -> None:
    server = serve()
    page = visit(server)
    upload(page, noisy(tmp_path / "z\u00e9lle <b>.ome.tif"))
    read = page.inner_text("section:has-text('As read')")
    assert "YX" in read
    assert "0.2" in read
    assert page.locator("h1 b").count() == 0  # a name is text
    denoise(page)
    page.wait_for_selector("text=Download", timeout=DONE)
    with page.expect_download() as started:
        page.click("text=Download")
    saved = tmp_path / "saved.ome.tif"
    started.value.save_as(saved)
    command = shlex.split(page.inner_text(".command pre"))
    place = command.index("-o") + 1
    command[place] = str(tmp_path / "same.ome.tif")
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    assert started.value.suggested_filename.endswith("_denoised.ome.tif")
    assert saved.read_bytes() == (tmp_path / "same.ome.tif").read_bytes()
    with page.context.expect_page() as opened:
        page.click("text=Open the report")
    opened.value.wait_for_selector("h1")
    assert opened.value.evaluate("self.origin") == "null"


def test_a_large_upload_and_one_above_the_limit(
    serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    server = serve("--upload-limit", "150MB")
    page = visit(server)
    large, larger = tmp_path / "large.npy", tmp_path / "larger.npy"
    np.save(large, np.zeros((5000, 10_000), np.uint16))
    with larger.open("wb") as file:
        file.truncate(160_000_000)
    page.set_input_files("input[type=file]", str(larger))
    page.wait_for_selector("text=above the limit")
    page.set_input_files("input[type=file]", str(large))
    page.wait_for_url("**/image?**", timeout=DONE)
    kept = server.workspace / "unnoise-app" / "uploads"
    assert [path.name for path in kept.iterdir()] == ["large.npy"]
    assert (kept / "large.npy").stat().st_size == large.stat().st_size
    assert list((kept.parent / ".incoming").iterdir()) == []


def test_a_broken_file_is_told_in_a_sentence(
    serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    page = visit(serve())
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 no TIFF at all")
    page.set_input_files("input[type=file]", str(broken))
    page.wait_for_url("**/image?**")
    page.wait_for_selector("[role=alert]")
    assert "broken.tif" in page.inner_text("[role=alert]")
    assert page.is_disabled("button:has-text('Denoise')")
    page.click("text=Images and jobs")
    notes = tmp_path / "notes.txt"
    notes.write_text("hello")
    page.wait_for_selector(".drop")
    page.set_input_files("input[type=file]", str(notes))
    page.wait_for_selector(".status.bad:has-text('suffix')")


def test_axes_that_a_file_does_not_tell_are_a_press_away(
    serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    server = serve()
    frames = np.random.default_rng(0).poisson(between(200, 900, (5, 64, 64)))
    tifffile.imwrite(server.workspace / "a.tif", frames.astype(np.uint16))
    page = visit(server, "/image?place=a.tif")
    page.wait_for_selector("[role=alert]:has-text('--axes ZYX')")
    page.click("button:has-text('TYX')")
    page.wait_for_selector(".verdict")
    assert "TYX" in page.inner_text("section:has-text('As read')")
    assert "--axes TYX" in page.inner_text(".command pre")


def test_a_run_is_followed_reloaded_and_stopped_with_its_model(
    serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    page = visit(serve())
    upload(page, noisy(tmp_path / "a.ome.tif"))
    page.click("text=More options")
    page.select_option("label:has-text('Method') select", "n2v")
    page.wait_for_selector(".verdict:has-text('n2v')")
    denoise(page, "five")
    page.wait_for_selector("text=left", timeout=DONE)
    page.wait_for_selector("figcaption:has-text('So far')", timeout=DONE)
    page.reload()
    page.wait_for_selector("figcaption:has-text('So far')", timeout=DONE)
    page.click("button:has-text('Stop')")
    page.wait_for_selector("text=/^Stopped/", timeout=DONE)
    page.click("text=Denoise with the model so far")
    page.wait_for_selector(".verdict:has-text('with the model')", timeout=DONE)
    page.click("button:has-text('Denoise')")
    page.wait_for_selector("text=Download", timeout=DONE)


def test_two_browsers_see_one_queue(serve: Callable, visit: Callable, tmp_path: Path) -> None:
    server = serve()
    one, two = visit(server), visit(server)
    upload(one, noisy(tmp_path / "a.ome.tif"))
    upload(two, noisy(tmp_path / "b.ome.tif", seed=1))
    denoise(one)
    denoise(two)
    for page in (one, two):
        page.wait_for_selector("text=Download", timeout=DONE)
    one.goto(server.origin)
    one.wait_for_selector("table")
    for name in ("a.ome.tif", "b.ome.tif"):
        assert one.locator(f"th:has-text('{name}')").count() == 1


def test_what_waits_goes_on_after_a_restart(
    serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    server = serve()
    noisy(server.workspace / "a.ome.tif")
    noisy(server.workspace / "b.ome.tif", seed=1)
    page = visit(server, "/image?place=a.ome.tif&place=b.ome.tif")
    page.wait_for_selector(".verdict")
    page.check("input[value=five]")
    page.click("button:has-text('Denoise')")
    page.wait_for_selector(".state.running")
    page.wait_for_selector(".state.waiting")
    printed = server.stop()
    assert "closed" in printed
    assert server.process.returncode == 0
    again = serve(workspace=server.workspace)
    page = visit(again)
    page.wait_for_selector(".state.stopped, .state.interrupted")
    page.wait_for_selector(".state.running")
    page.click("button:has-text('Stop')")
    page.wait_for_selector(".state.running", state="detached", timeout=DONE)
    again.stop()
    records = (server.workspace / "unnoise-app" / ".queue" / "jobs").glob("*.json")
    states = {json.loads(path.read_text())["state"] for path in records}
    assert states <= {"stopped", "interrupted"}


def test_the_keyboard_alone_suffices(serve: Callable, visit: Callable, tmp_path: Path) -> None:
    server = serve()
    noisy(server.workspace / "a.ome.tif")
    page = visit(server)

    def to(selector: str) -> None:
        """Press Tab until the focus is there."""
        for _ in range(80):
            if page.evaluate("s => document.activeElement?.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {selector}")

    page.wait_for_selector(".files a")
    to("a[href*='a.ome.tif']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict")
    to("input[type=radio]")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("input[value=instant]")
    page.wait_for_selector(".verdict:has-text('instant')")
    to("button.primary")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Download", timeout=DONE)
    to("a.primary")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_an_encrypted_server_asks_for_its_password(
    serve: Callable, browser: Any, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    options = ("--host", "0.0.0.0", "--password", "a long password", "--allow-host", "localhost")
    server = serve(*options, "--tls-cert", str(cert), "--tls-key", str(key))
    assert server.origin.startswith("https://localhost:")
    assert "token" not in server.address
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(server.address)
    page.fill("input[name=secret]", "a long password")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Nothing yet")
    cookie = context.cookies()[0]
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    noisy(server.workspace / "a.ome.tif")
    page.goto(f"{server.origin}/image?place=a.ome.tif")
    page.wait_for_selector(".verdict", timeout=DONE)  # it came through the websocket
    context.close()
