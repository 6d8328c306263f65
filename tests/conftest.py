"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; tests that use it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the real images of ../shared/data are not on this machine")
    return SHARED
