"""Files that a file names: only those beside it are opened, as strangers may have written it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from unnoise.errors import InputError

ABSOLUTE = re.compile(r"[\\/]|[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""How absolute names and addresses begin."""


def beside(path: Path, name: str) -> Path:
    """The file of a name that stands in another file: in its folder, or in one below.

    Links that lie there are followed: they are of whoever owns the folder.

    Parameters
    ----------
    path : Path
        The file that names it.
    name : str

    Raises
    ------
    InputError
        If the name leads out of the folder.

    Examples
    --------
    >>> beside(Path("scans/a.nhdr"), "a.raw").as_posix()
    'scans/a.raw'
    >>> beside(Path("scans/a.nhdr"), "../secret.raw")
    Traceback (most recent call last):
    unnoise.errors.InputError: a.nhdr names a file outside its folder, ../secret.raw, which is ...
    """
    parts = os.path.normpath(name.replace("\\", "/")).split("/")
    if ABSOLUTE.match(name) or PureWindowsPath(name).drive or ".." in parts or "\0" in name:
        raise InputError(
            f"{path.name} names a file outside its folder, {name}, which is not opened; put that "
            f"file beside it, and its bare name into the header"
        )
    return path.parent / name


def check_beside(path: Path, files: Iterable[Path]) -> None:
    """Refuse files that a reader found through another one, and that do not lie beside it.

    Raises
    ------
    InputError
        If one lies outside the folder.
    """
    folder = Path(os.path.abspath(path.parent))
    for file in files:
        if not Path(os.path.abspath(file)).is_relative_to(folder):
            beside(path, os.path.abspath(file))
