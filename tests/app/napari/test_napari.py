"""What every test here needs: a real viewer, on a real screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.gui


def test_a_viewer_opens_and_draws(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.eye(64))
    shown = viewer.screenshot(flash=False)
    assert len(np.unique(shown[..., :3])) > 1
