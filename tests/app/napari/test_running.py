"""The files of a job as images, whatever their formats tell of their axes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.app.napari import results
from unnoise.app.napari.choices import FILES
from unnoise.app.napari.running import Running
from unnoise.app.session.request import Request


@pytest.mark.parametrize("end", [".npy", ".tif"])
@pytest.mark.parametrize(("axes", "shape"), [("TYX", (5, 32, 40)), ("YXC", (32, 40, 5))])
def test_what_was_made_is_read_with_the_axes_of_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, shape: tuple[int, ...], end: str
) -> None:
    """NumPy files tell none, and those of three dimensions are ambiguous."""
    noisy = unnoise.Image.from_array(
        np.arange(np.prod(shape), dtype=np.float32).reshape(shape), axes
    )
    paths = [tmp_path / f"{name}{end}" for name in ("denoised", "uncertainty")]
    for path in paths:
        unnoise.save(path, noisy.data, axes=axes)
    shown: list[unnoise.Image] = []

    def show(
        viewer: Any, made: Any, source: Any, image: unnoise.Image, **options: Any
    ) -> list[Any]:
        shown.append(image)
        return []

    for name in ("add_result", "add_uncertainty"):
        monkeypatch.setattr(results, name, show)
    request = Request(("a.npy",), axes=axes)
    job = SimpleNamespace(
        results=(paths[0],), uncertainty=paths[1], request=request, verdict="", judged=()
    )
    running = Running(None, job, FILES, noisy)  # type: ignore[arg-type]
    running.show_results()
    running.add_uncertainty()
    assert len(shown) == 2
    for image in shown:
        assert np.array_equal(image.original(), noisy.original())
