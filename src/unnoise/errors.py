"""How a run ends badly, told apart by the exit code, and how a script is warned."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, those that turn the direction of writing, and bytes that are no text."""


PASSWORD = re.compile(r"(:/+[^/\s:@]*):[^/\s]+@")
"""In an address, with what is before it; paths join its slashes."""
HIDDEN = "***"
"""What stands for a password."""


def without_passwords(text: str) -> str:
    """A text with addresses in it, for all that is printed or written.

    Examples
    --------
    >>> without_passwords("https://ann:secret@lab.org/a.zarr cannot be reached")
    'https://ann:***@lab.org/a.zarr cannot be reached'
    """
    return PASSWORD.sub(rf"\1:{HIDDEN}@", text) if ":/" in text else text


def printable(text: object, *, lines: bool = False) -> str:
    r"""A text whose file names and metadata cannot command the terminal: escapes are spelled out.

    Passwords in addresses are hidden.

    Parameters
    ----------
    text : object
        Its ``str`` is taken.
    lines : bool
        Whether line breaks stay what they are.

    Examples
    --------
    >>> printable("cells\x1b[2J.tif"), printable("a\nb"), printable("a\nb", lines=True)
    ('cells\\x1b[2J.tif', 'a\\nb', 'a\nb')
    """
    return UNPRINTABLE.sub(
        lambda found: (
            "\n" if lines and found[0] == "\n" else found[0].encode("unicode_escape").decode()
        ),
        without_passwords(str(text)),
    )


_SHELL = r"unnoise [a-z-]+ [^,;()]*"
"""A command to type stays what it is."""
_VALUES = {
    "axes": "[A-Z]+",
    "nan": "keep|fill|refuse",
    "device": "auto|cpu|cuda|mps",
    "backend": "torch|onnx|bfloat16",
    "dtype": r"[a-z]+\d+",
    "method": r"[a-z\d]*[a-z\d](?=[,;)]|$)",
    "minutes|steps|seed": r"[\d.]+\d|\d",
}
"""Options whose values are named with them."""
_WORDS: dict[str, Callable[[re.Match[str]], str]] = {
    _SHELL: lambda found: found[0],
    r"--\S+(?: [a-z]+)? \(in Python ([^)]+)\)": lambda found: found[1],
    "--overwrite": lambda found: "overwrite=True",
    r"--([23])d\b": lambda found: f"ndim={found[1]}",
    r"--set ([^\s,;)]+)": lambda found: f"config.set('{found[1]}')",
    "--pairs ([STZ])": lambda found: f"pairs.axis={found[1]}",
    "--targets FOLDER": lambda found: "targets",
    "--noise-model": lambda found: "config.noise_model",
    **{
        f"--({name}) ({value})": lambda found: (
            f"{found[1]}={found[2] if found[2][0].isdigit() else repr(found[2])}"
        )
        for name, value in _VALUES.items()
    },
    "--([a-z][a-z-]*)": lambda found: found[1].replace("-", "_"),
    r" with (?:a different |different )?-o\b(?: [^\s,;)]+)?": lambda found: "",
}
"""Options of the command line, and what scripts call the same; the first that fits counts."""
_in_shell = False


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """While this lasts, messages name the options of the command line, as they are written."""
    global _in_shell
    before, _in_shell = _in_shell, True
    try:
        yield
    finally:
        _in_shell = before


def for_scripts(text: str) -> str:
    """A message with parameters where it names options of the command line.

    Examples
    --------
    >>> for_scripts("x.tif exists; add --overwrite or choose another name with -o")
    'x.tif exists; add overwrite=True or choose another name'
    >>> for_scripts("are ambiguous; say which they are with --axes ZYX or --axes TYX")
    "are ambiguous; say which they are with axes='ZYX' or axes='TYX'"
    """
    return _ANY.sub(lambda found: _word(found[0]), text)


_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in _WORDS))


def _word(option: str) -> str:
    """What a script says for one option, as it stands in a message."""
    for pattern, word in _WORDS.items():
        found = re.fullmatch(pattern, option)
        if found:
            return word(found)
    return option


class UnnoiseError(Exception):
    """Something failed that the user did not cause; the command line exits with 1.

    Messages are written with the options of the command line; a script reads its parameters.
    """

    exit_code = 1

    def __str__(self) -> str:
        """The message; names in it cannot command the terminal."""
        text = super().__str__()
        return printable(text if _in_shell else for_scripts(text))


class Interrupted(UnnoiseError):
    """The user stopped a job; shells expect 128 + SIGINT."""

    exit_code = 130


class InputError(UnnoiseError, ValueError):
    """The input, the options or the output place cannot be used; the command line exits with 2.

    The message is one sentence that says what was found, what was expected and what to do.
    """

    exit_code = 2


class AxesError(InputError):
    """The axes of an image are unknown, ambiguous or do not fit its shape."""


class ModelError(InputError):
    """A model folder cannot be read, or the model does not fit the image."""


class NotFiniteError(ModelError):
    """A model makes NaN or infinities of finite pixels."""


def warn(text: str) -> None:
    """Warn a script at the line of its own that led here, through whatever lies between.

    Python shows a text once for each line: at one of this package it would come once in all.
    """
    frame: FrameType | None = sys._getframe()
    level = caller = 1
    while frame is not None:
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        # A context manager that decorates a function is called in its place.
        if name == __package__ or (name == "contextlib" and caller == level):
            caller = level + 1
        frame, level = frame.f_back, level + 1
    warnings.warn(text if _in_shell else for_scripts(text), stacklevel=caller)


def expect(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Refuse what is of another kind than a parameter takes.

    Raises
    ------
    InputError

    Examples
    --------
    >>> expect("method", 3, str, "a name like 'n2v'")
    Traceback (most recent call last):
    unnoise.errors.InputError: method is 3 (int), which cannot be; give a name like 'n2v'
    """
    if not isinstance(value, kinds):
        raise InputError(f"{name} is {kind_of(value)}, which cannot be; give {wanted}")


def kind_of(value: object) -> str:
    """What a value is, in a few words."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{value!r} ({kind})" if isinstance(value, int | float | str | bytes) else f"a {kind}"


def first_line(error: Exception) -> str:
    r"""What a library's error says, in one line: its first one, or else its kind.

    Examples
    --------
    >>> first_line(ValueError("no such layer\nat 0x7f")), first_line(KeyError())
    ('no such layer', 'KeyError')
    """
    return without_passwords((str(error).strip().splitlines() or [type(error).__name__])[0])
