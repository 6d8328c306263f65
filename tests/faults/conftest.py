"""The process that makes the trials of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from faults.trials import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """It starts once for all tests."""
    if not hasattr(os, "fork"):
        pytest.skip("trials are forks of one process, which this system has not")
    process = Zygote()
    try:
        yield process
    finally:
        process.close()
