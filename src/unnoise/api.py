"""The calls of a script or a notebook: arrays or images in, arrays or models out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.config.config import Config
from unnoise.errors import InputError, NotFiniteError, expect, warn
from unnoise.images import labels
from unnoise.images.image import Image, as_image, masked_as
from unnoise.models import folder as model_folder
from unnoise.models import model as data
from unnoise.models.predict import predict_array, predict_with_uncertainty
from unnoise.nets.device import select_device
from unnoise.nets.own_state import own_state
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.image_noise import inspect_images
from unnoise.quality.verdict import verdict
from unnoise.report.middle_plane import show_training
from unnoise.training.auto import Auto, MethodChoice
from unnoise.training.finish import finish
from unnoise.training.levels import planned
from unnoise.training.plan import plan
from unnoise.training.start import start


@dataclass(frozen=True, repr=False)
class Model(data.Model):
    """A trained denoiser: what `train` and `load` return.

    Its settings, statistics, weights and noise are the attributes of `unnoise.models.model.Model`.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
    >>> model = unnoise.train([noisy], steps=2)
    >>> model
    <unnoise model: method n2v, 2D, 1 channel, ... weights, 2 steps>
    >>> model.predict(noisy).dtype
    dtype('uint16')
    """

    @classmethod
    def of(cls, model: data.Model) -> Model:
        """The same model with these calls, e.g. that of a run that was driven step by step."""
        return cls(**{name: getattr(model, name) for name in data.Model.__dataclass_fields__})

    @own_state()
    def predict(
        self,
        image: Image | NDArray,
        *,
        axes: str | None = None,
        mask: Image | NDArray | None = None,
        device: str = "auto",
        dtype: DTypeLike | None = None,
        tta: bool | None = False,
        backend: str = "torch",
    ) -> NDArray:
        """Denoise an image in memory.

        Parameters
        ----------
        image : Image or ndarray
            Noisy image.
        axes : str, optional
            Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
        mask : Image or ndarray, optional
            Nonzero where pixels are measurements; the others come back as they are. Padding, NaN
            and outliers are found without it (`unnoise.with_mask`).
        device : str
            ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype : dtype, optional
            Type of the result; by default that of the image, rounded and clipped to its range.
        tta : bool
            Average over the eight flips and rotations in YX: slightly better, eight times slower.
        backend : str
            ``torch``, ``bfloat16`` where the processor computes with it, or ``onnx`` for ONNX
            Runtime on the CPU (``pip install 'unnoise[export]'``).

        Returns
        -------
        ndarray
            Clean image with the shape and axes of the input; a masked array for a masked array.

        Raises
        ------
        ModelError
            If the model does not fit the image.
        """
        expect("tta", tta, (bool, np.bool_, type(None)), "True, False or None")
        return predict_array(
            self,
            image,
            axes=axes,
            mask=mask,
            device=device,
            dtype=dtype,
            tta=tta,
            backend=backend,
        )

    @own_state()
    def uncertainty(
        self,
        image: Image | NDArray,
        *,
        axes: str | None = None,
        mask: Image | NDArray | None = None,
        device: str = "auto",
        tta: bool | None = False,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Denoise an image in memory, with a standard deviation for every pixel.

        It is the spread of noisy pixels (clean ones with CARE) around the prediction: the noise
        together with what the net cannot know. ``coverage`` says how it compares with the held-out
        pixels.

        Parameters are those of `predict`.

        Returns
        -------
        tuple of ndarray
            Clean image, with the type of the input, and standard deviation, float32, in its units.

        Raises
        ------
        ModelError
            If the model does not fit the image or predicts no uncertainty.

        Examples
        --------
        >>> import unnoise
        >>> config = unnoise.Config().set("training.loss=gaussian")
        >>> noisy = np.random.default_rng(0).normal(size=(64, 64))
        >>> model = unnoise.train(noisy, steps=2, config=config)
        >>> clean, std = model.uncertainty(noisy)
        >>> std.shape, bool((std > 0).all())
        ((64, 64), True)
        """
        expect("tta", tta, (bool, np.bool_, type(None)), "True, False or None")
        return predict_with_uncertainty(self, image, axes=axes, mask=mask, device=device, tta=tta)

    @own_state()
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder.

        Raises
        ------
        InputError
            If the place cannot be written or is not a model folder.
        """
        model_folder.save(folder, self)


@own_state()
def train(
    images: Image | NDArray | Sequence[Image | NDArray],
    targets: Image | NDArray | Sequence[Image | NDArray] | None = None,
    *,
    axes: str | None = None,
    mask: Image | NDArray | Sequence[Image | NDArray] | None = None,
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
    mask : Image, ndarray or sequence of them, optional
        Nonzero where pixels are measurements: nothing is learned from the others. One for all
        images, or one for each. Padding, NaN and outliers are found without it
        (`unnoise.with_mask`).
    method : str, optional
        ``auto`` by default: the noise is measured and the method chosen (`unnoise.inspect` shows
        how). ``unnoise methods`` lists all.
    minutes, steps : number, optional
        Length of the training, one or the other; by default one to two minutes on two cores. With
        ``auto``, up to half a minute takes the method ``instant``, without training.
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
        With the weights of the least held-out loss or, where the learning rate falls, with later
        ones that are not significantly worse.

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
    where = select_device(device)
    settings: Config | Auto
    if config is None and (method is None or (isinstance(method, str) and method == "auto")):
        settings = Auto(minutes=minutes, steps=steps, seed=seed)
    else:
        settings = Config.of_method(config, method).with_budget(minutes, steps, seed)
    opened = _opened(images, mask, axes, "images")
    for image in opened:
        text = labels.warning(image)
        if text:
            warn(f"{image.name}: {text}")
    partners = None if targets is None else _opened(targets, mask, axes, "targets")
    if isinstance(settings, Auto) and (not opened or partners is not None):
        plan(opened, settings.provisional, partners)  # says what is missing or superfluous
    choices, model = planned(opened, settings, partners)
    reports = choices[0].reports
    run = start(opened, model, where, partners)
    for _ in run:
        pass
    return Model.of(finish(run.model(), opened, reports, run.device, partners)[0])


@own_state()
def denoise(
    image: Image | NDArray,
    targets: Image | NDArray | None = None,
    *,
    axes: str | None = None,
    mask: Image | NDArray | None = None,
    method: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    config: Config | None = None,
    device: str = "auto",
) -> NDArray:
    """Denoise an image with a net trained on the image itself.

    Parameters are those of `train`. With ``auto``, where a result is clearly farther from the clean
    image than the noisy one, the next method is tried, and at last the image comes back unchanged,
    with a warning. Pixels that are no measurement (padding, NaN, what a mask
    excludes) come back as they are; outliers such as hot pixels are replaced.

    Returns
    -------
    ndarray
        Clean image with the shape, axes and dtype of the input; with the method ``care``, of the
        clean target. A masked array for a masked array.

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
    opened = with_mask(as_image(image, axes), mask)
    target = None if targets is None else with_mask(as_image(targets, axes, "targets"), mask)
    options: dict[str, Any] = {"minutes": minutes, "steps": steps, "seed": seed}
    named = method is not None and not (isinstance(method, str) and method == "auto")
    if config is not None or named or target is not None:
        model = train(opened, target, method=method, config=config, device=device, **options)
        other = target is not None and model.target_affine is not None
        dtype = target.dtype if target is not None and other else opened.dtype
        return model.predict(opened, device=device, dtype=dtype, tta=None)
    auto, choice, tried = Auto(**options), None, list[str]()
    while True:
        try:
            if choice is None:
                model = train(opened, device=device, **options)
            else:
                model = train(opened, config=choice.config, device=device)
            if _helps(model, opened, device):
                return model.predict(opened, device=device, tta=None)
            choice = MethodChoice(model.config, tuple(inspect_images([opened])), "")
        except NotFiniteError:
            choice = choice or auto.resolve([opened])
        tried.append(choice.config.method)
        choice = auto.after(choice, [opened])
        if choice is None:
            warn(
                f"{opened.name}: no method helped ({', '.join(tried)} took it farther from the "
                f"clean image), so it comes back unchanged"
            )
            return masked_as(opened, np.array(opened.data[...]))


def _helps(model: Model, image: Image, device: str) -> bool:
    """Whether the middle of an image is not clearly worse for being denoised."""
    try:
        shown = show_training(model, image, device, copies=False)
    except NotFiniteError:
        raise
    except Exception:  # what cannot be judged is a result all the same
        return True
    return verdict(shown.assessments) != "worse"


def _opened(images: Any, mask: Any, axes: str | None, name: str) -> list[Image]:
    """One image or several, which know which of their pixels are no measurement."""
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        opened = [as_image(image, axes, f"{name}[{i}]") for i, image in enumerate(images)]
    else:
        opened = [as_image(images, axes, name)]
    masks = list(mask) if isinstance(mask, (list, tuple)) else [mask] * len(opened)
    if len(masks) != len(opened):
        raise InputError(
            f"there are {len(opened)} images but {len(masks)} masks; give one for all or for each"
        )
    return [with_mask(image, one) for image, one in zip(opened, masks, strict=True)]


@own_state()
def load(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder.

    Raises
    ------
    ModelError
        If it is no model folder or is damaged.
    """
    return Model.of(model_folder.load(folder))
