"""In a control group of little memory an image is denoised, with smaller tiles, and not killed.

python -m pytest -m slow -rP tests/faults/test_memory.py     # prints what each one took
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


@contextlib.contextmanager
def group(size: int) -> Iterator[Path]:
    """A control group of version 1 or 2 with so much memory, for one process."""
    for parent, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        folder = parent / f"unnoise-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(size))
            yield folder
            return
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()
    pytest.skip("no control group with a limit of memory can be made here")


@pytest.mark.slow  # whole commands on large images
@pytest.mark.parametrize(
    ("gigabytes", "method", "side"),
    [(size, *what) for what in (("instant", 640), ("gaussian", 1600)) for size in (2.0, 1.0, 0.7)],
)
def test_an_image_is_denoised_within_a_limit_of_memory(
    tmp_path: Path, gigabytes: float, method: str, side: int
) -> None:
    """The verdict looks at the middle 1024 pixels, and took most where the image was larger."""
    x = np.random.default_rng(0).poisson(20, (side, side)).astype(np.uint16)
    np.save(tmp_path / "a.npy", x)
    command = [sys.executable, "-m", "unnoise", "denoise", "a.npy", "-o", "b.npy", "--method"]
    with group(int(gigabytes * 1e9)) as folder:

        def enter() -> None:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                [*command, method, "--no-report"],
                cwd=tmp_path,
                preexec_fn=enter,
                stdout=said,
                stderr=said,
            )
            _, status, took = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    megabytes, seconds = took.ru_maxrss / 1000, took.ru_utime + took.ru_stime
    print(f"{method} {side}: {megabytes:.0f} MB and {seconds:.0f} CPU s within {gigabytes} GB")
    assert np.load(tmp_path / "b.npy").shape == x.shape
