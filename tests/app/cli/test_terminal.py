"""Nothing that stands in a name or in a file commands the terminal; signals end work cleanly."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rich.console import Console

from synthetic import photons
from unnoise.app.cli import terminal
from unnoise.app.cli.main import main
from unnoise.app.events import stopping_signals

HOSTILE = "x\x1b]0;owned\x07\x1b[31m\u202etxt[bold]:warning:\n.tif"
"""A title for the window, a colour, letters that turn round, markup, an emoji and a line break."""


def output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["unnoise", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    text = capsys.readouterr()
    return int(stop.value.code or 0), text.out + text.err


def is_plain(text: str) -> bool:
    return not any(c in text for c in ("\x1b", "\x07", "\u202e"))


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of a hostile name, with channels of hostile names."""
    monkeypatch.chdir(tmp_path)
    names = ["\x1b[2J[/]red", "\x1b]0;x\x07"]
    x = photons((2, 24, 28))
    tifffile.imwrite("ok.ome.tif", x, metadata={"axes": "CYX"})
    tifffile.imwrite("c.tif", x, imagej=True, metadata={"axes": "CYX", "Labels": names})
    np.save("x.npy", x[0])
    os.rename("x.npy", HOSTILE.replace(".tif", ".npy"))
    return HOSTILE.replace(".tif", ".npy")


@pytest.mark.usefixtures("few_steps")
def test_names_never_reach_the_terminal_raw(
    hostile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = ("--method", "gaussian", "--no-report")
    for code, *arguments in (
        (0, "denoise", hostile, *method),
        (2, "denoise", hostile, *method),
        (2, "denoise", f"{hostile}.gone.tif"),
        (2, "denoise", "c.tif", "--method", "\x1b[31mred"),
        (2, "denoise", "c.tif", "--\x1b[31mred"),
        (2, "denoise", "c.tif", "--steps", "\x1b[31mred"),
        (2, "denoise", f"{hostile}.gone.tif", "--debug"),
        (2, "predict", "\x1b[31m.model", "c.tif"),
        (0, "train", hostile, "-o", "a\x1b[31m.model", *method),
        (2, "train", hostile, "-o", "a\x1b[31m.model", *method),
        (0, "plot-history", "a\x1b[31m.model"),
        (0, "inspect", hostile),
        (0, "inspect", "c.tif"),
        (0, "inspect", hostile, "--json"),
    ):
        found, text = output(monkeypatch, capsys, *arguments)  # type: ignore[arg-type]
        assert is_plain(text), arguments
        assert found == code, text


def test_bars_and_lines_show_names_as_they_are_spelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unnoise.app.cli import progress
    from unnoise.app.events import Message, Predicting

    for is_terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=300, emoji=False)
        monkeypatch.setattr("rich.console.Console", lambda console=console, **options: console)
        with progress.reporter(False) as report:
            report(Message(HOSTILE))
            report(Predicting(Path(HOSTILE), 1, 2))
        text = stream.getvalue()
        assert "\x1b]0;" not in text
        assert "\x1b[31m" not in text
        assert r"x\x1b]0;owned\x07\x1b[31m\u202etxt[bold]:warning:\n.tif" in text


def test_warnings_and_logs_of_libraries_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with terminal.guarded():
            warnings.warn("\x1b[31mred", UserWarning, stacklevel=1)
            record = logging.LogRecord("l", logging.ERROR, "", 0, "%s", ("\x1b[31mred",), None)
            assert logging.lastResort is not None
            logging.lastResort.handle(record)
    assert capsys.readouterr().err == "warning: \\x1b[31mred\n\\x1b[31mred\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_signal_to_stop_is_an_exception_that_cleans_up(name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip("this system has no such signal")
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with terminal.guarded() as came, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert came == [name]
    assert signal.getsignal(number) == before
    assert number in stopping_signals()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal.guarded() as came:
            signal.raise_signal(signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is used cannot be removed there")
def test_a_current_folder_that_is_gone_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["unnoise", "info", str(tmp_path / "a.tif")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = "unnoise: the current folder is there no longer; change to another one and run again\n"
    assert capsys.readouterr().err == said
