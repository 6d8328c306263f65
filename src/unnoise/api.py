"""The calls of a script or a notebook: arrays or images in, arrays or models out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image, as_image
from unnoise.images.missing import checked
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.nets.device import pick
from unnoise.noise.inspect import NoiseReport
from unnoise.training.auto import Auto
from unnoise.training.held_out import finished, of_camera
from unnoise.training.plan import plan
from unnoise.training.runs import start


def train(
    images: Image | NDArray | Sequence[Image | NDArray],
    targets: Image | NDArray | Sequence[Image | NDArray] | None = None,
    *,
    axes: str | None = None,
    method: str | None = None,
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
    targets : Image, ndarray or sequence of them, optional
        The second images of pairs, one per image: noisy for the method ``n2n``, clean for
        ``care``.
    axes : str, optional
        Axes of arrays, e.g. ``"ZYX"``, where they are ambiguous.
    method : str, optional
        ``auto`` by default: the noise is measured and the method chosen (`unnoise.inspect` shows
        how). ``unnoise methods`` lists all.
    minutes, steps : number, optional
        Length of the training, one or the other; by default one to two minutes on two cores. With
        ``auto``, up to half a minute is the instant road, without training.
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
    settings: Config | Auto
    if config is None and method in (None, "auto"):
        settings = Auto(minutes=minutes, steps=steps, seed=seed)
        budget(None, minutes, steps, seed)  # refuses what cannot be before any image is read
    else:
        settings = budget(of_method(config, method), minutes, steps, seed)
    opened = [checked(as_image(image, axes)) for image in _several(images)]
    partners = None
    if targets is not None:
        partners = [checked(as_image(image, axes)) for image in _several(targets)]
    reports: tuple[NoiseReport, ...] = ()
    if isinstance(settings, Auto):
        if not opened or partners is not None:
            plan(opened, settings.provisional, partners)  # says what is missing or superfluous
        choice = settings.resolve(opened)
        settings, reports = choice.config, choice.reports
    planned = plan(opened, settings, partners, reports)
    of_camera(planned, opened[0].alpha)  # refuses a camera that does not fit before any training
    run = start(opened, planned, pick(device), partners)
    for _ in run:
        pass
    return finished(run.model(), opened, reports, run.device)[0]


def denoise(
    image: Image | NDArray,
    targets: Image | NDArray | None = None,
    *,
    axes: str | None = None,
    method: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    config: Config | None = None,
    device: str = "auto",
) -> NDArray:
    """Denoise an image with a net trained on the image itself.

    Parameters are those of `train`.

    Returns
    -------
    ndarray
        Clean image with the shape, axes and dtype of the input; with the method ``care``, of the
        clean target.

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
    >>> unnoise.denoise(noisy, method="gaussian").shape
    (64, 64)
    """
    opened = as_image(image, axes)
    target = None if targets is None else as_image(targets, axes)
    model = train(
        opened,
        target,
        method=method,
        minutes=minutes,
        steps=steps,
        seed=seed,
        config=config,
        device=device,
    )
    dtype = opened.dtype if target is None or model.target_affine is None else target.dtype
    return model.predict(opened, device=device, dtype=dtype, tta=True)


def _several(images: Any) -> list[Any]:
    if isinstance(images, Sequence) and not isinstance(images, str):
        return list(images)
    return [images]


def load(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder.

    Raises
    ------
    ModelError
        If it is no model folder or is damaged.
    """
    return checkpoint.load(folder)


def of_method(config: Config | None, method: str | None) -> Config:
    """Settings of a method, or given ones, which must not contradict it.

    Raises
    ------
    InputError
        For an unknown method, or settings made for another one.
    """
    if config is None:
        return Config.preset(method=method or "n2v")
    if method is not None and method != config.method:
        raise InputError(
            f"the settings are for the method {config.method}, not {method}; leave out one of "
            f"the two"
        )
    return config


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
    if minutes is not None and steps is not None:
        raise InputError("a budget is either minutes or steps; give one of the two")
    changes: dict[str, Any] = {"seed": seed}
    config = config or Config()
    if minutes is not None or steps is not None:
        training = config.training.model_dump() | {"minutes": minutes, "steps": steps}
        config = Config.parse({**config.model_dump(), "training": training})
    return config.replace(training=changes)
