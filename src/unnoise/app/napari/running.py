"""A job of a viewer: its preview, and the layers that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unnoise.app.events import Preview
from unnoise.app.napari import results
from unnoise.app.napari.choices import Choice
from unnoise.app.napari.readers import read_images
from unnoise.app.session.job import Job
from unnoise.images import formats
from unnoise.images.image import Image

MOST = 8
"""Results of files on the disk that are opened as layers."""


class Running:
    """A job, and what of it is shown in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    job : Job
    choice : Choice
        What is denoised.
    noisy : Image or None
        Its image; None for files on the disk.

    Attributes
    ----------
    results : list of napari.layers.Image
        The layers that show the result, once they are there.
    """

    def __init__(self, viewer: Any, job: Job, choice: Choice, noisy: Image | None) -> None:
        self._viewer, self.job, self._noisy = viewer, job, noisy
        self._targets = [] if noisy is None else results.targets(choice, noisy)
        self.results: list[Any] = []
        self._shown: Preview | None = None
        self._previews: dict[int, Any] = {}

    def show_preview(self) -> None:
        """Show the latest preview, where there is a new one."""
        preview = self.job.preview
        if preview is None or preview is self._shown:
            return
        self._shown = preview
        for i, target in enumerate(self._targets):
            before = self._previews.get(i)
            if before is not None and before not in self._viewer.layers:
                continue  # the user took it away
            self._previews[i] = results.show_preview(
                self._viewer, target, preview, before, is_first=i == 0
            )

    def remove_preview(self) -> None:
        """Take the preview away."""
        for layer in self._previews.values():
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._previews.clear()

    def show_results(self) -> None:
        """Show the results as layers.

        Raises
        ------
        InputError
            If their files cannot be read.
        """
        if self._noisy is None:
            for path in self.job.results[:MOST]:
                self._open(path)
        elif self.job.results:
            result = self._opened(self.job.results[0], labels=True)
            said = {
                "unnoise_command": self.job.request.command(),
                "unnoise_verdict": self.job.verdict,
                "unnoise_method": ", ".join(one["method"] for one in self.job.judged),
            }
            self.results = results.add_result(
                self._viewer, self._targets, self._noisy, result, about=said
            )

    def add_residual(self) -> None:
        """Show what was taken away."""
        results.add_residual(self._viewer, self._targets, self.results)

    def add_uncertainty(self) -> None:
        """Show the standard deviation of every pixel."""
        if self._noisy is not None and self.job.uncertainty is not None:
            spread = self._opened(self.job.uncertainty)
            results.add_uncertainty(self._viewer, self._targets, self._noisy, spread)

    def _opened(self, path: Path, **options: Any) -> Image:
        """A file that was made of the image; NumPy files tell no axes, so they are its own."""
        assert self._noisy is not None
        axes = self._noisy.axes if path.suffix == ".npy" else None
        return formats.open(path, axes=axes, **options)

    def _open(self, path: Path) -> None:
        for data, about, kind in read_images(str(path)):
            getattr(self._viewer, f"add_{kind}")(data, **about)
