"""What can be denoised in a viewer: its image layers, the channels of a file, files on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unnoise.app.napari import layers as la
from unnoise.app.session.request import Request
from unnoise.errors import InputError
from unnoise.images.image import Image

SHOWS = "unnoise_shows"
"""Layers whose metadata have this are results, residuals and the like, and no recordings."""


@dataclass(frozen=True)
class Choice:
    """Something that can be denoised.

    Attributes
    ----------
    name : str
        For people.
    layers : tuple of napari.layers.Image
        A layer, or those of all channels of an image; nothing for files on disk.
    """

    name: str
    layers: tuple[Any, ...] = ()

    def axes(self) -> str:
        """The letters of its dimensions, with those of its channels.

        Raises
        ------
        AxesError
            If they are ambiguous.
        """
        whole = la.joined(self.layers)
        return la.axes_of(self.layers[0]) if whole is None else whole.axes

    def image(self, axes: str | None = None) -> Image:
        """Its image, whose pixels are read when they are asked for.

        Raises
        ------
        AxesError
            If the axes are ambiguous or do not fit.
        """
        whole = la.joined(self.layers)
        if whole is None:
            return la.image_of(self.layers[0], axes)
        return whole.with_axes(axes) if axes and axes != whole.axes else whole

    def channel(self, layer: Any) -> int | None:
        """Which channel of the image a layer shows, where there are several layers."""
        return layer.metadata[la.KEY].channel if len(self.layers) > 1 else None

    def request(self, axes: str | None = None) -> tuple[Request, list[Image] | None]:
        """What to ask of the queue, and its images where they are in no file.

        A layer that still has the pixels of its file is denoised from there, in a process of its
        own; the axes are told where they are not those of the file.

        Raises
        ------
        AxesError
            As `image`.
        InputError
            If layers of one file were changed, so that they are its channels no more.
        """
        if len(self.layers) > 1 and not self._as_read():
            raise InputError(
                "layers of the file were changed after it was opened, so they are no longer its "
                "channels; denoise them one by one, or save them as one file and open that"
            )
        source = self.layers[0].metadata.get(la.KEY)
        if not isinstance(source, la.Source) or source.image.path is None or not self._as_read():
            return Request((stem(self.name),)), [self.image(axes)]
        own = self.axes() if source.is_certain else None
        edited = axes is not None and axes != own
        if edited and own not in (None, source.image.axes):  # another order, or one axis more
            return Request((stem(self.name),)), [self.image(axes)]
        known: dict[str, Any] = {"axes": axes} if edited else {}
        if source.channel is not None and len(self.layers) == 1:
            known["channels"] = str(source.channel)
        if source.series is not None:
            known["series"] = str(source.series)
        return Request((os.fspath(source.image.path),), **known), None

    def _as_read(self) -> bool:
        """Whether the layers show what was read of the file, and nothing else."""
        sources = [layer.metadata[la.KEY] for layer in self.layers]
        pixels = zip(sources, self.layers, strict=True)
        return all(source.has(la.pixels_of(layer)) for source, layer in pixels)


FILES = Choice("files on the disk ...")
"""The choice that is no layer."""


def choices(viewer_layers: Iterable[Any]) -> list[Choice]:
    """What can be chosen: layers from the topmost down, files with several channels before them."""
    images = [one for one in viewer_layers if type(one).__name__ == "Image" and _is_own(one)]
    found: list[Choice] = []
    groups: dict[int, list[Any]] = {}
    for layer in images:
        source = layer.metadata.get(la.KEY)
        if isinstance(source, la.Source) and source.channel is not None:
            groups.setdefault(id(source.image), []).append(layer)
    for members in groups.values():
        members.sort(key=lambda layer: layer.metadata[la.KEY].channel)
        whole = la.joined(members)
        if whole is not None and len(members) > 1:
            name = str(members[0].name).rpartition(": ")[0] or whole.name
            found.append(Choice(f"{name} ({len(members)} channels)", tuple(members)))
    found += [Choice(str(layer.name), (layer,)) for layer in reversed(images)]
    return [*found, FILES]


def _is_own(layer: Any) -> bool:
    """Whether a layer is a recording, and not something that this plugin shows."""
    return not layer.metadata.get(SHOWS)


def stem(name: str) -> str:
    """The name of a layer as that of the file it could be saved as, without its end.

    Examples
    --------
    >>> stem("cells: DAPI"), stem("a/b.tif"), stem("...")
    ('cells_DAPI', 'a_b', 'layer')
    """
    bare = re.sub(r"[^\w.+-]+", "_", re.sub(r"\.(ome\.)?(tiff?|zarr)$", "", name))
    return bare.strip("._") or "layer"


def files_request(paths: Sequence[str], out: str, axes: str | None) -> Request:
    """What to ask of the queue for files on the disk."""
    return Request(tuple(map(str, map(Path, paths))), out=out or None, axes=axes or None)


def as_typed(request: Request, *, in_memory: bool) -> Request:
    """The request as a person would type it: without the places that only the plugin needs."""
    inputs = tuple(f"{name}.ome.tif" for name in request.inputs) if in_memory else request.inputs
    return replace(request, inputs=inputs, preview=None)
