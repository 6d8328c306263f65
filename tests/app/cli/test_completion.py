"""Completion as the shells do it: the keys are typed into a real one, where it is installed."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unnoise.app.cli import completion
from unnoise.config.methods import known

PACKAGE = Path(__file__).resolve().parents[3] / "src"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with model folders and files; the program lies in ``bin`` beside it."""
    program = tmp_path / "bin" / "unnoise"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unnoise "$@"\n')
    program.chmod(0o755)
    place = tmp_path / "here"
    for model in ("cells.model", "deep/other.model"):
        (place / model).mkdir(parents=True)
        (place / model / "config.yaml").touch()
    for name in ("run.yaml", "two words.tif"):
        (place / name).touch()
    return place


def environment(folder: Path) -> dict[str, str]:
    """Of a shell without settings of its own."""
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(PACKAGE), "HOME": str(folder.parent), "TERM": "dumb"}
    return {**os.environ, **own, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


def script(folder: Path, shell: str) -> str:
    """What the program prints for a shell."""
    command = ["unnoise", "--show-completion", shell]
    own = environment(folder)
    found = subprocess.run(
        [str(folder.parent / "bin" / command[0]), *command[1:]],
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


@pytest.fixture
def typed(folder: Path) -> Iterator[Callable[[str], str]]:
    """What stands in the line of a real bash after keys and a tab."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    pty = pytest.importorskip("pty")
    rc = folder.parent / "rc"
    quiet = "bind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\nPS1='@'\n"
    rc.write_text(f"{script(folder, 'bash')}\n{quiet}")
    line = [bash, "--noprofile", "--rcfile", str(rc), "-i"]
    main, other = pty.openpty()
    shell = subprocess.Popen(
        line, cwd=folder, env=environment(folder), stdin=other, stdout=other, stderr=other
    )
    os.close(other)

    def read(until: str) -> str:
        text, end = "", time.monotonic() + 60
        while until not in text and time.monotonic() < end:
            if select.select([main], [], [], 0.2)[0]:
                text += os.read(main, 4096).decode()
        return text

    def press(keys: str) -> str:
        os.write(main, f"\x01\x0b{keys}\t".encode())
        os.write(main, b"\x01echo \x05 END\n")  # read when the completion is done
        return read("END\r\n@").splitlines()[-2].removesuffix("END").rstrip()

    read("@")
    yield press
    shell.kill()
    shell.wait()
    os.close(main)


def test_what_bash_makes_of_a_tab(typed: Callable[[str], str]) -> None:
    for keys, line in (
        ("unnoise den", "unnoise denoise"),
        ("unnoise denoise --metho", "unnoise denoise --method"),
        ("unnoise denoise --method b2", "unnoise denoise --method b2u"),
        ("unnoise denoise --config ru", "unnoise denoise --config run.yaml"),
        ("unnoise denoise tw", "unnoise denoise two words.tif"),  # quoted, as echo shows
        ("unnoise predict ce", "unnoise predict cells.model"),
        ("unnoise predict deep/o", "unnoise predict deep/other.model"),
    ):
        assert typed(keys) == line


def test_what_fish_offers(folder: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    (folder.parent / "c.fish").write_text(script(folder, "fish"))
    code = f"source {folder.parent}/c.fish; complete -C 'unnoise denoise --method n2v'"
    found = subprocess.run(
        [fish, "--no-config", "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
    )
    assert [line.split("\t")[0] for line in found.stdout.splitlines()] == ["n2v", "n2v2"]


def test_values_fit_what_is_typed() -> None:
    assert [name for name, _ in completion.methods("n2v")] == ["n2v", "n2v2"]
    assert {name for name, _ in completion.methods("")} == {"auto", *known()}
    assert completion.files("anything") == []
    assert [name for name, _ in completion.settings("mask.pe")] == ["mask.percent="]
    assert completion.settings("mask.percent=") == []
    assert [name for name, _ in completion.samples("c")] == ["cells", "correlated"]


def test_only_model_folders_are_offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert completion.model_folders("") == [("cells.model", "model")]
    assert completion.model_folders("deep/") == [("deep/other.model", "model")]
    assert completion.model_folders("nowhere/x") == []
