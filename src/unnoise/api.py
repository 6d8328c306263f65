"""The calls of a script or a notebook: arrays or images in, arrays or models out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from unnoise import checkpoint
from unnoise.config import Config
from unnoise.device import pick
from unnoise.image import Image, as_image
from unnoise.missing import checked
from unnoise.model import Model
from unnoise.plan import plan
from unnoise.training import Run


def train(
    images: Image | NDArray | Sequence[Image | NDArray],
    *,
    axes: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    config: Config | None = None,
    device: str = "auto",
) -> Model:
    """Train a denoiser on noisy images.

    Parameters
    ----------
    images : Image, ndarray or sequence of them
        Noisy images with the same channels.
    axes : str, optional
        Axes of arrays, e.g. ``"ZYX"``, where they are ambiguous.
    minutes, steps : number, optional
        Length of the training, one or the other; by default about two minutes on two cores.
        Only a budget in steps gives the same result again.
    seed : int, optional
        Seed of everything random; 0 by default.
    config : Config, optional
        All other settings.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Returns
    -------
    Model
        The model with the best held-out loss.

    Raises
    ------
    InputError
        If the images cannot be used; the message says what to do.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(3, 64, 64)).astype(np.uint16)
    >>> model = unnoise.train(list(noisy), steps=2)
    >>> model.predict(noisy[0]).shape
    (64, 64)
    """
    several: list[Any] = [images]
    if isinstance(images, Sequence) and not isinstance(images, str):
        several = list(images)
    opened = [checked(as_image(image, axes)) for image in several]
    run = Run(opened, plan(opened, budget(config, minutes, steps, seed)), pick(device))
    for _ in run:
        pass
    return run.model()


def denoise(
    image: Image | NDArray,
    *,
    axes: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    config: Config | None = None,
    device: str = "auto",
) -> NDArray:
    """Denoise an image with a net trained on the image itself (Noise2Void).

    Parameters are those of `train`.

    Returns
    -------
    ndarray
        Clean image with the shape, axes and dtype of the input.

    Raises
    ------
    InputError
        If the image cannot be used; the message says what to do.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> unnoise.denoise(noisy, steps=2).dtype
    dtype('float32')
    """
    opened = as_image(image, axes)
    model = train(opened, minutes=minutes, steps=steps, seed=seed, config=config, device=device)
    return model.predict(opened, device=device, tta=True)


def load(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder.

    Raises
    ------
    ModelError
        If it is no model folder or is damaged.
    """
    return checkpoint.load(folder)


def budget(
    config: Config | None,
    minutes: float | None,
    steps: int | None,
    seed: int | None,
) -> Config:
    """Settings with a budget and a seed put in.

    Raises
    ------
    InputError
        If both minutes and steps are given.
    """
    from unnoise.errors import InputError

    if minutes is not None and steps is not None:
        raise InputError("a budget is either minutes or steps; give one of the two")
    changes: dict[str, Any] = {"seed": seed}
    config = config or Config()
    if minutes is not None or steps is not None:
        training = config.training.model_dump() | {"minutes": minutes, "steps": steps}
        config = Config.parse({**config.model_dump(), "training": training})
    return config.replace(training=changes)
