"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from unnoise.errors import InputError


def write_whole(path: Path, content: bytes, remedy: str) -> None:
    """Write a file beside its place and move it there.

    Parameters
    ----------
    path : Path
        The file; an existing one is replaced.
    content : bytes
    remedy : str
        What to do where it cannot be written, for the message.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; {remedy}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
