"""Files that unpack to far more than they say end in one sentence, soon, and in little memory."""

from __future__ import annotations

import contextlib
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from unnoise.errors import InputError
from unnoise.images import formats

from .bombs import BOMBS

MOST, SECONDS = 96e6, 3
"""A quarter of what a bomb unpacks to."""
NEEDS = {".h5": "h5py", ".dcm": "pydicom", ".nii": "nibabel", ".fits": "astropy", ".nrrd": "nrrd"}
NEEDS[".ser"] = "rsciio"
HARMLESS = ("x.mrc.gz", "x.nii.gz", "x.nrrd", "x.fits.gz", "lzma.tif")
"""What is behind the pixels is not looked at."""
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak() -> int:
    """Bytes that this process has taken at most since the last reset."""
    (line,) = (one for one in STATUS.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def refused(path: Path) -> None:
    """Open and read it, which is harmless or ends in one sentence, and soon."""
    started = time.process_time()
    if path.name in HARMLESS:
        formats.open(path).read()
    else:
        with pytest.raises(InputError) as caught:
            formats.open(path).read()
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, tmp_path: Path) -> None:
    for suffix, module in NEEDS.items():
        if suffix in name and not find_spec(module):
            pytest.skip(f"{module} is not installed")
    path = BOMBS[name](tmp_path / name)
    refused(path)  # the first time imports the reader, which takes up to 50 MB of its own
    with contextlib.suppress(OSError):  # where that cannot be measured, time is
        RESET.write_text("5")
        before = peak()
    refused(path)
    with contextlib.suppress(OSError, UnboundLocalError):
        assert peak() - before < MOST
