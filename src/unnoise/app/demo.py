"""The demonstration: a simulated camera picture, denoised from itself alone."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Message, Saved
from unnoise.app.sample import noisy_and_truth
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.nets.device import select_device
from unnoise.quality.metrics import psnr
from unnoise.training.plan import plan
from unnoise.training.runs import start

STEPS = 700
"""About a minute on two cores."""


def run(folder: Path, *, steps: int | None = None, device: str = "auto") -> Generator[Event]:
    """Denoise the sample, tell its PSNR before and after, write pictures and the TIFF files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder} ({error.strerror}); choose another with -o"
        ) from error
    noisy, truth = noisy_and_truth()
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
    for name, pixels in (("noisy", noisy), ("denoised", clean)):
        path = folder / f"coins_{name}.tif"
        formats.save(path, pixels, overwrite=True)
        yield Saved(path)
    picture = folder / "before_after.png"
    formats.save(picture, _side_by_side(noisy, clean, truth), overwrite=True)
    yield Saved(picture)
    peak = float(truth.max() - truth.min())
    before, after = (psnr(x, truth, data_range=peak) for x in (noisy, clean))
    yield Message(
        f"PSNR before {before:.2f} dB, after {after:.2f} dB: gain {after - before:.2f} dB"
    )


def _side_by_side(*pictures: NDArray) -> NDArray[np.uint8]:
    """Pictures in one row, all with the grey scale of the last."""
    low, high = float(pictures[-1].min()), float(pictures[-1].max())
    gap = np.full((pictures[-1].shape[0], 8), 255, np.uint8)
    row: list[NDArray] = []
    for picture in pictures:
        scaled = np.clip((picture.astype(np.float64) - low) / (high - low), 0, 1) * 255
        row += [np.rint(scaled).astype(np.uint8), gap]
    return np.hstack(row[:-1])
