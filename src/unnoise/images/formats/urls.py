"""Addresses of object stores and servers as paths, and what lies there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from unnoise.errors import InputError

ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+(?=[^/])")
"""A protocol has two letters at least: one is the drive of Windows."""
PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
"""Protocol -> the package that speaks it, none of which is installed with this one."""


class Url(type(Path())):  # type: ignore[misc]
    """An address like ``s3://bucket/cells.zarr``, which has a name and a parent like any path.

    A path joins the two slashes behind the protocol; here they come back.

    Examples
    --------
    >>> str(Url("s3://bucket/a.zarr") / "0"), Url("s3://bucket/a.zarr").with_name("b.zarr").name
    ('s3://bucket/a.zarr/0', 'b.zarr')
    """

    def __str__(self) -> str:
        text = ADDRESS.sub(r"\1://", super().__str__().replace(os.sep, "/"))
        return text.replace("file://", "file:///")

    def __fspath__(self) -> str:
        return str(self)

    def absolute(self) -> Url:
        """Itself: there is no folder that it is relative to."""
        return self


def place(path: str | os.PathLike[str]) -> Path:
    """The address or the path of a name; ``file://`` is a path.

    Examples
    --------
    >>> place("memory://a.npy"), place("file:///data/a.npy").as_posix()
    (Url('memory://a.npy'), '/data/a.npy')
    """
    if isinstance(path, Url) or not ADDRESS.match(os.fspath(path)):
        return Path(path)
    text = os.fspath(path)
    if text.startswith("file:"):
        return Path("/" + text.removeprefix("file:").lstrip("/"))
    return Url(text)


def lacking(path: Url) -> InputError:
    """The error where the package for a protocol is not installed."""
    protocol = str(path).split("://")[0]
    package = PACKAGES.get(protocol, "")
    remedy = f"pip install {package}" if package else "a package for fsspec that speaks it"
    return InputError(f"{path}: reading from {protocol}:// needs {remedy}")
