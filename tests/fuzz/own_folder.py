"""Where a process that fuzzes has its files."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

FOLDER = "UNNOISE_FUZZ_FOLDER"
"""Environment variable: where a process that libFuzzer ends leaves its files to its parent."""


@cache
def folder() -> Path:
    """A folder of this process."""
    return Path(tempfile.mkdtemp(prefix="unnoise-fuzz-", dir=os.environ.get(FOLDER) or in_memory()))


def in_memory() -> Path | None:
    """Where temporary files are in memory, on Linux."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


def clean() -> None:
    """Take the folder away."""
    shutil.rmtree(folder(), ignore_errors=True)
    folder.cache_clear()
