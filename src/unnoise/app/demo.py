"""The demonstration: a simulated camera picture, denoised from itself alone."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Facts, Message, Saved
from unnoise.app.samples import camera
from unnoise.config.config import Config
from unnoise.errors import InputError, UnnoiseError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.nets.device import select_device
from unnoise.quality.metrics import psnr
from unnoise.training.plan import plan
from unnoise.training.start import start

STEPS = 700
"""About a minute on two cores."""
FILES = ("coins_noisy.tif", "coins_denoised.tif", "before_after.png")


def run(
    folder: Path, *, steps: int | None = None, device: str = "auto", overwrite: bool = False
) -> Generator[Event]:
    """Denoise the sample, tell its PSNR before and after, write pictures and the TIFF files.

    What an earlier demonstration left in the folder is replaced: its noisy picture is the same.

    Raises
    ------
    InputError
        If the folder cannot be written, or other files have those names and `overwrite` is not set.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder} ({error.strerror}); choose another with -o"
        ) from error
    noisy, truth = noisy_and_truth()
    there = [folder / name for name in FILES if os.path.lexists(folder / name)]
    if there and not overwrite and not _is_picture(folder / FILES[0], noisy):
        raise InputError(f"{there[0]} exists; add --overwrite or choose another folder with -o")
    image = Image.from_array(noisy)
    yield Message(
        "a simulated camera sees scikit-image's coins: 1 to 31 photons a pixel, gain 2, read "
        "noise 2 electrons, offset 100"
    )
    training = start(
        [image], plan([image], Config().with_budget(steps=steps or STEPS)), select_device(device)
    )
    yield from training
    clean = predict_array(training.model(), noisy, dtype=np.float32, device=device, tta=True)
    pictures: list[NDArray] = [noisy, clean, _side_by_side(noisy, clean, truth)]
    for name, pixels in zip(FILES, pictures, strict=True):
        formats.save(folder / name, pixels, overwrite=True)
        yield Saved(folder / name)
    peak = float(truth.max() - truth.min())
    before, after = (psnr(x, truth, data_range=peak) for x in (noisy, clean))
    yield Facts("psnr", {"before": round(before, 3), "after": round(after, 3)})
    yield Message(
        f"PSNR before {before:.2f} dB, after {after:.2f} dB: gain {after - before:.2f} dB"
    )


def _is_picture(place: Path, pixels: NDArray) -> bool:
    """Whether a file holds just these pixels."""
    try:
        image = formats.open(place)
        return image.shape == pixels.shape and np.array_equal(np.asarray(image.data[...]), pixels)
    except (UnnoiseError, OSError):
        return False


def _side_by_side(*pictures: NDArray) -> NDArray[np.uint8]:
    """Pictures in one row, all with the grey scale of the last."""
    low, high = float(pictures[-1].min()), float(pictures[-1].max())
    gap = np.full((pictures[-1].shape[0], 8), 255, np.uint8)
    scaled = (np.clip((p.astype(np.float64) - low) / (high - low), 0, 1) * 255 for p in pictures)
    row = [part for p in scaled for part in (np.rint(p).astype(np.uint8), gap)]
    return np.hstack(row[:-1])


def noisy_and_truth(seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """The demo picture: scikit-image's coins in dim light, and its noiseless counts.

    Returns
    -------
    noisy : ndarray of uint16, shape (303, 384)
    truth : ndarray of float64, shape (303, 384)
        Expected counts.
    """
    from skimage import data

    photons = 1.0 + np.asarray(data.coins()) / 255.0 * 30.0  # type: ignore[no-untyped-call]
    noisy = camera(photons, rng=np.random.default_rng(seed))
    return noisy, 2.0 * photons + 100.0
