"""Where a model comes from: its images, versions, and how long it was trained."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from unnoise.images.image import Image
from unnoise.models.record import checked, plain


@dataclass(frozen=True)
class Source:
    """An image that was trained on; `path` is None for arrays."""

    path: str | None
    axes: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from. Nothing in the computation depends on it.

    Attributes
    ----------
    axes, dtype, scale, units
        Of the first training image.
    data, targets : tuple of Source
        The training images and, of pairs, the second images.
    target_dtype : str or None
        Type of the second images.
    fingerprint : str
        Of all of them, see `fingerprint`.
    versions : mapping of str to str
        Of unnoise, PyTorch and Python.
    steps : int
        Steps that were made.
    held_out : float or None
        Loss on the held-out pixels.
    reading : mapping
        How files were read, so that a training can go on.
    loggers : tuple of str
        Where its history goes besides the folder.
    """

    axes: str = ""
    dtype: str = ""
    scale: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    data: tuple[Source, ...] = ()
    targets: tuple[Source, ...] = ()
    target_dtype: str | None = None
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0
    held_out: float | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    loggers: tuple[str, ...] = ()

    @classmethod
    def of(cls, images: Sequence[Image], targets: Sequence[Image] | None) -> Provenance:
        """What is known before the first step."""
        first = images[0]
        return cls(
            axes=first.axes,
            dtype=str(first.dtype),
            scale={k: float(v) for k, v in first.scale.items()},
            units=dict(first.units),
            data=tuple(map(_source, images)),
            targets=tuple(map(_source, targets or ())),
            target_dtype=str(targets[0].dtype) if targets else None,
            fingerprint=fingerprint([*images, *(targets or [])]),
            versions={
                "unnoise": version("unnoise"),
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file; what is empty is left out."""
        return {k: v for k, v in plain(asdict(self)).items() if v not in (None, [], {}, "")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` wrote."""
        return checked(cls, values)


def fingerprint(images: Sequence[Image]) -> str:
    """A short hash of axes, shapes, types and a sample of the pixels of training images."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.axes} {image.shape} {image.dtype.str};".encode())
        line = image.middle() | {"Y": image.sizes["Y"] // 2}
        digest.update(np.ascontiguousarray(image.original(line)).tobytes())
    return digest.hexdigest()[:16]


def _source(image: Image) -> Source:
    """Where an image lies; of a dataset of HDF5 as it is named, as ``a.h5:/raw``."""
    which = str(image.metadata.get("which", ""))
    inside = f":{which[2:-1]}" if which.startswith(" (/") else ""
    path = f"{image.path.absolute()}{inside}" if image.path else None
    return Source(path, image.axes, image.shape)
