"""Which modules are mutated, and which tests may see it."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DIGITS = 8
"""Of a digest: enough to tell one version of a file from another."""

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "blind spots": (
        ("training.masks.blind_spots", "training.masks.neighborhoods"),
        ("training/masks", "training/methods/test_n2v*"),
    ),
    "tiles": (("models.tiles",), ("models/test_tiles*", "models/test_stream*")),
    "axes": (
        ("images.axes",),
        ("images/test_axes*", "images/test_image*", "images/test_selection*"),
    ),
    "folder": (
        (
            "models.folder",
            "models.claim",
            "models.integrity",
            "models.migration",
            "images.together",
        ),
        (
            "models/test_folder*",
            "models/test_claim*",
            "models/test_model*",
            "models/test_integrity*",
            "models/test_migration*",
            "images/test_together*",
        ),
    ),
    "noise models": (
        ("noise.noise_models", "noise.density", "noise.simulation"),
        ("noise/test_noise_models*", "noise/test_simul*", "models/test_posterior*"),
    ),
    "validity masks": (
        ("images.pixel_mask", "noise.excluded_pixels", "noise.lazy_mask"),
        ("images/test_pixel_mask*", "noise/test_excluded*", "noise/test_lazy*"),
    ),
    "streaming": (
        ("models.stream", "models.overlap"),
        ("models/test_stream*", "models/test_overlap*"),
    ),
}
"""Modules of a group, and the files of tests that may see their faults."""


def path(module: str) -> Path:
    """Where a module lies."""
    return SRC / "unnoise" / (module.replace(".", "/") + ".py")


def digest(content: bytes) -> str:
    """Content as a few letters."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def digest_of(files: list[Path]) -> str:
    """What files hold, as a few letters."""
    return digest(b"".join(file.read_bytes() for file in files))
