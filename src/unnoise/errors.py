"""How a run ends badly, told apart by the exit code."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, those that turn the direction of writing, and bytes that are no text."""


def printable(text: object, *, lines: bool = False) -> str:
    r"""A text whose file names and metadata cannot command the terminal: escapes are spelled out.

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
        str(text),
    )


class UnnoiseError(Exception):
    """Something failed that the user did not cause; the command line exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """The message; names in it cannot command the terminal."""
        return printable(super().__str__())


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


def first_line(error: Exception) -> str:
    r"""What a library's error says, in one line: its first one, or else its kind.

    Examples
    --------
    >>> first_line(ValueError("no such layer\nat 0x7f")), first_line(KeyError())
    ('no such layer', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
