"""What tests of formats share: files that are cut off or filled with noise end in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "formats"


def shared(name: str) -> Path:
    """A file of the shared data, or the test is skipped."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    return path.resolve()


def refusal(path: Path, **options: object) -> str:
    """The sentence with which a file is refused, at the latest when its pixels are read."""
    with pytest.raises(InputError) as caught:
        formats.open(path, **options).read()  # type: ignore[arg-type]
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


def check_damage(path: Path, content: bytes, *, end: int = 1) -> None:
    """Assert that a file is refused when it is cut off, empty, or begins with noise.

    Of the last `end` bytes all but the first tell nothing.

    Noise in the middle may be pixels, so there it is enough that nothing but InputError comes.
    """
    rng = np.random.default_rng(0)
    for size in (0, 3, 60, len(content) // 2, len(content) - end):
        path.write_bytes(content[:size])
        refusal(path)
    path.write_bytes(rng.bytes(len(content)))
    refusal(path)
    for at in rng.integers(0, min(len(content), 4096), 20):
        path.write_bytes(content[:at] + rng.bytes(8) + content[at + 8 :])
        try:
            formats.open(path, labels=True).read()
        except InputError as error:
            assert path.name in str(error) or "axes" in str(error)  # noqa: PT017
