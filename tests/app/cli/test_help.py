"""Help: every option has its heading, examples are real and fit, the common ones come first."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import pytest
import typer

from unnoise.app.cli import help as helps
from unnoise.app.cli.main import app, main

PROGRAM: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = PROGRAM.commands


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["unnoise", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return capsys.readouterr().out


def test_every_parameter_and_command_has_its_heading() -> None:
    headings = " ".join(helps.PANELS.values()).split()
    assert len(headings) == len(set(headings))
    for command in COMMANDS.values():
        for param in command.params:
            known = helps.ARGUMENTS if param.param_type_name == "argument" else headings
            assert param.name in [*known, *headings], (command.name, param.name)
    assert set(" ".join(helps.TASKS.values()).split()) <= set(COMMANDS)
    for name, common in helps.COMMON.items():
        assert set(common.split()) <= {param.name for param in COMMANDS[name].params}


@pytest.mark.parametrize("name", helps.EXAMPLES)
def test_examples_are_commands_whose_options_exist(name: str) -> None:
    for line, _ in helps.EXAMPLES[name]:
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "unnoise"
        command = COMMANDS[words[1]]
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_common_options_come_first_and_all_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in helps.COMMON:
        short = printed(monkeypatch, capsys, name, "--help")
        whole = printed(monkeypatch, capsys, name, "--help-all")
        assert "--help-all" in short
        options = [option for param in COMMANDS[name].params for option in param.opts[:1]]
        told = [option for option in options if f"{option} " in short]
        assert 8 <= sum(option.startswith("-") for option in told) <= 15
        assert all(f"{option} " in whole for option in options if option.startswith("-"))


def test_nothing_is_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], *([name] for name in COMMANDS)):
        text = printed(monkeypatch, capsys, *arguments, "--help")
        assert max(map(len, text.splitlines())) <= 80, arguments
        assert "Traceback" not in text
