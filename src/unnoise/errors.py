"""How a run ends badly, told apart by the exit code."""

from __future__ import annotations


class UnnoiseError(Exception):
    """Something failed that the user did not cause; the command line exits with 1."""

    exit_code = 1


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


def first_line(error: Exception) -> str:
    r"""What a library's error says, in one line: its first one, or else its kind.

    Examples
    --------
    >>> first_line(ValueError("no such layer\nat 0x7f")), first_line(KeyError())
    ('no such layer', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
