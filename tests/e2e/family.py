"""Every method of the family, and small images of every kind to run it on."""

from __future__ import annotations

import pytest

from .commands import PACKAGES, TINY, Write

TRAINED: dict[str, tuple[str, ...]] = {
    "n2v": (),
    "n2v2": ("--method", "n2v2"),
    "structn2v": ("--struct", "horizontal:3"),
    "n2n": ("--method", "n2n", "--targets", "again.tif"),
    "n2n along T": ("--pairs", "T"),
    "n2v beside T": ("--method", "n2v", "--context", "T:1"),
    "care": ("--method", "care", "--targets", "clean.tif"),
    "b2u": ("--method", "b2u"),
    "r2r": ("--method", "r2r"),
    "refined": ("--method", "refined"),
}
MOVIES = ("n2n along T", "n2v beside T")
"""Those that need several frames."""
CLASSICAL = {name: ("--method", name) for name in ("gaussian", "nlm", "tv", "wavelet", "bm3d")}

KINDS: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {
    "2D": ("YX", (24, 28), ()),
    "3D": ("ZYX", (6, 20, 24), ("--3d",)),
    "RGB": ("YXS", (20, 24, 3), ()),
    "two channels": ("CYX", (2, 20, 24), ()),
}
"""Axes, shape and options."""

POSSIBLE = [
    (name, kind)
    for name in (*TRAINED, *CLASSICAL)
    for kind in KINDS
    if kind != "RGB" or name not in MOVIES
    if (name, kind) not in (("bm3d", "3D"), ("refined", "3D"))
]
"""Methods and the kinds of images that they take: RGB has no T; some work on planes."""


def options(name: str) -> tuple[str, ...]:
    """What chooses the method, and a length that is over at once."""
    if name in CLASSICAL:
        if name in PACKAGES:
            pytest.importorskip(PACKAGES[name])
        return CLASSICAL[name]
    return (*TRAINED[name], *TINY, "--steps", "2")


def scene(write: Write, name: str, kind: str) -> tuple[str, ...]:
    """Write x.tif and what the method learns from; returns the options of the kind of image."""
    axes, shape, more = KINDS[kind]
    dtype = "uint8" if kind == "RGB" else "uint16"
    if name in MOVIES:
        axes, shape = f"T{axes}", (3, *shape)
    write("x.tif", shape, axes, dtype=dtype)
    write("again.tif", shape, axes, seed=1, dtype=dtype)
    write("clean.tif", shape, axes, seed=2, dtype=dtype if kind == "RGB" else "float32")
    return more
