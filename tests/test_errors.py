"""Scripts read of parameters, the command line of options; names in messages command nothing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise import errors
from unnoise.errors import InputError, for_scripts, naming_options, printable

SOURCE = Path(errors.__file__).parent


@pytest.fixture
def in_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script sees messages; all other tests see them as they are written."""
    monkeypatch.setattr(errors, "_in_shell", False)


def messages() -> list[str]:
    """Every text of a message that a script may see, with X where a value stands."""
    found = []
    for path in SOURCE.rglob("*.py"):
        if {"cli", "web", "napari"} & set(path.parts) or path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                for text in ast.walk(node.exc):
                    if isinstance(text, ast.JoinedStr):
                        parts = (getattr(part, "value", "") for part in text.values)
                        found.append("".join(p if isinstance(p, str) else "X" for p in parts))
                    elif isinstance(text, ast.Constant) and isinstance(text.value, str):
                        found.append(text.value)
    return found


def test_no_error_of_the_package_names_an_option_to_a_script() -> None:
    named = [text for text in messages() if re.search(r"--[a-z]|\s-o\b", text)]
    assert len(named) > 20
    for text in named:
        without_commands = re.sub(r"unnoise (train|predict|denoise) .*", "", for_scripts(text))
        assert not re.search(r"--[a-z]|\s-o\b", without_commands), for_scripts(text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("use --device cpu or --device auto", "use device='cpu' or device='auto'"),
        ("leave out --device or --backend", "leave out device or backend"),
        ("use --nan fill (in Python unnoise.fill)", "use unnoise.fill"),
        ("use --nan fill to fill them", "use nan='fill' to fill them"),
        ("choose a longer --minutes 0.5", "choose a longer minutes=0.5"),
        ("leave out --3d", "leave out ndim=3"),
        ("say --axes ZYX or --axes TYX", "say axes='ZYX' or axes='TYX'"),
        ("on: unnoise train --resume m, or -o", "on: unnoise train --resume m, or -o"),
        ("add --overwrite or another name with -o", "add overwrite=True or another name"),
        ("use --method n2v, or", "use method='n2v', or"),
        ("a-b c -- d", "a-b c -- d"),
    ],
)
def test_options_become_parameters(written: str, said: str) -> None:
    assert for_scripts(written) == said


def test_a_script_reads_parameters_and_the_command_line_options(in_a_script: None) -> None:
    with pytest.raises(InputError, match="axes='ZYX' or axes='TYX'") as caught:
        unnoise.denoise(np.zeros((4, 32, 32)))
    assert "--" not in str(caught.value)
    with naming_options():
        assert "--axes ZYX" in str(caught.value)
    assert "--" not in str(caught.value)


def test_names_in_messages_are_spelled_out() -> None:
    assert str(InputError("no \x1b[2J\n\udcff\u202e.tif")) == r"no \x1b[2J\n\udcff\u202e.tif"
    assert printable("plain: µ é 日本 \U0001f600") == "plain: µ é 日本 \U0001f600"


@pytest.mark.parametrize("address", ["https://lab.org", "HTTPS://lab.org", "https:/lab.org"])
def test_passwords_are_hidden_however_an_address_is_written(address: str) -> None:
    lab = address.replace("lab.org", "ann:se:cr@et@lab.org/a.zarr")
    hidden = address.replace("lab.org", "ann:***@lab.org/a.zarr")
    assert errors.without_passwords(f"{lab} is gone") == f"{hidden} is gone"
    assert errors.printable(Path(lab)) == str(Path(hidden))
    for text in ("C:/ann:x", "a:/b c:d@e", "1:2/3@4"):
        assert errors.without_passwords(text) == text
