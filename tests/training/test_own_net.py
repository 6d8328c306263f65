"""The settings of the net that `adapted` trains beside the shipped one."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.training import own_net

from .adapted_runs import made


def movie(kind: str) -> np.ndarray:
    """A still scene, each frame with noise of its own, or each frame twice."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    frames = 100 + 60 * np.sin(y / 9) * np.cos(x / 11) + rng.normal(0, 40, (12, 96, 96))
    return np.repeat(frames[:6], 2, axis=0) if kind == "copies" else frames


@pytest.mark.parametrize(
    ("kinds", "sees"),
    [(("still", "still"), True), (("still", "copies"), False), (("copies", "still"), False)],
)
def test_frames_that_are_copies_in_any_channel_are_not_looked_at(kinds, sees: bool) -> None:
    run = made(np.stack([movie(kind) for kind in kinds], axis=1), axes="TCYX")
    assert (own_net.neighbours(run._images, run._planned) is not None) == sees
