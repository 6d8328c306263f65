"""How a job ends badly, in one sentence with the remedy, whoever shows it."""

from __future__ import annotations

from unnoise.errors import UnnoiseError


def sentence(error: BaseException) -> str:
    """What went wrong and what to do.

    Examples
    --------
    >>> sentence(MemoryError())
    'not enough memory; close other programs or use a smaller image'
    """
    if isinstance(error, UnnoiseError):
        return str(error)
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return f"the system refused{where}: {error.strerror or error}; choose another file or place"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "not enough memory; close other programs or use a smaller image"
    return (
        f"unexpected {type(error).__name__}: {error}; please report this with the output of the "
        f"same command with --debug"
    )


def exit_code(error: BaseException) -> int:
    """2 where the input, the options or a place cannot be used, and 1 for all else.

    Examples
    --------
    >>> exit_code(FileNotFoundError("a.tif")), exit_code(ZeroDivisionError())
    (2, 1)
    """
    if isinstance(error, UnnoiseError):
        return error.exit_code
    return 2 if isinstance(error, OSError) else 1
