"""A model: settings, statistics and weights; what `train` returns and `predict` applies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.images.image import Image, as_image, cast
from unnoise.images.missing import checked
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.posterior import Centre
from unnoise.nets import PerChannel, UNet
from unnoise.nets import pretrained as shipped
from unnoise.nets.classical import Filter
from unnoise.nets.device import place
from unnoise.nets.variance_stabilized import Stabilised

if TYPE_CHECKING:
    import os

DenoisingNet = UNet | PerChannel | Filter | Stabilised
"""What turns noisy patches into clean ones."""


@dataclass(frozen=True)
class Partner:
    """A second model, whose results are averaged in.

    Attributes
    ----------
    model : Model
        For the same channels, dimensions and units; it has no partner of its own. Its net has the
        same grid, as that decides by how much an image is mirrored at its borders.
    share : float
        Weight of its results, 0 to 1; those of the first model have the rest.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(size=(48, 48)).astype(np.float32)
    >>> one, two = (unnoise.train(noisy, steps=2, method="n2v", seed=s) for s in (0, 1))
    >>> both = replace(one, partner=Partner(two, 0.25)).predict(noisy)
    >>> bool(np.allclose(both, 0.75 * one.predict(noisy) + 0.25 * two.predict(noisy), atol=1e-5))
    True
    """

    model: Model
    share: float


@dataclass(frozen=True)
class Model:
    """A trained denoiser.

    Attributes
    ----------
    config : Config
        Every setting, with ``ndim`` and ``training.steps`` or ``training.minutes`` resolved.
    affine : ChannelStatistics
        Per-channel statistics of the training data.
    channels : tuple of int
        The channels that are denoised; the others (constant, transparency) are copied.
    patch : tuple of int
        Shape of the training patches, (y, x) or (z, y, x).
    weights : mapping of str to Tensor
        Weights of the net, on the CPU.
    target_affine : ChannelStatistics, optional
        Statistics of the clean images (CARE), whose units the result has.
    origin : mapping
        Where the model comes from: axes, pixel size, files, versions, steps, held-out loss.
    centre : Centre, optional
        How the pixel itself is brought back after its blind prediction.
    partner : Partner, optional
        A second model; the result is the weighted mean of the two.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
    >>> model = unnoise.train([noisy], steps=2)
    >>> model.predict(noisy).dtype
    dtype('uint16')
    """

    config: Config
    affine: ChannelStatistics
    channels: tuple[int, ...]
    patch: tuple[int, ...]
    weights: Mapping[str, Tensor]
    target_affine: ChannelStatistics | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    centre: Centre | None = None
    partner: Partner | None = None

    @property
    def ndim(self) -> int:
        """Space dimensions of the net."""
        return len(self.patch)

    @property
    def is_one_by_one(self) -> bool:
        """Whether channels pass the net one by one instead of all at once."""
        if self.config.is_shipped:  # every channel has a transform of its own
            return False
        return self.config.net is None or self.config.net.channels == "independent"

    @property
    def members(self) -> list[tuple[Model, float]]:
        """The models whose weighted results make the result, and their weights."""
        if self.partner is None:
            return [(self, 1.0)]
        share = self.partner.share
        return [(replace(self, partner=None), 1 - share), (self.partner.model, share)]

    @property
    def n_channels(self) -> int:
        """Channels of the images the model was made for, copied ones included."""
        return len(self.affine.mean)

    def with_weights(self, weights: Mapping[str, Tensor], **origin: Any) -> Model:
        """The same model with other weights, and where they come from."""
        return replace(self, weights=weights, origin={**self.origin, **origin})

    def check(self, image: Image) -> None:
        """Refuse an image that the model was not made for.

        Raises
        ------
        ModelError
            For another number of channels, too few dimensions or too small an image.
        """
        n = image.sizes
        if n["C"] != self.n_channels:
            raise ModelError(
                f"the model was trained on {_count(self.n_channels, 'channel')} but {image.name} "
                f"has {_count(n['C'], 'channel')} (axes {image.axes}, shape {image.shape}); train "
                f"a model on such images, or give its axes with --axes"
            )
        if self.ndim == 3 and n["Z"] == 1:
            raise ModelError(
                f"the model is three-dimensional but {image.name} has no Z slices (axes "
                f"{image.axes}, shape {image.shape}); give the right --axes or train a 2D model"
            )

    def predict(
        self,
        image: Image | NDArray,
        *,
        axes: str | None = None,
        device: str = "auto",
        dtype: DTypeLike | None = None,
        tta: bool = False,
        backend: str = "torch",
    ) -> NDArray:
        """Denoise an image in memory.

        Parameters
        ----------
        image : Image or ndarray
            Noisy image.
        axes : str, optional
            Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
        device : str
            ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype : dtype, optional
            Type of the result; by default that of the image, rounded and clipped to its range.
        tta : bool
            Average over the eight flips and rotations in YX: slightly better, eight times slower.
        backend : str
            ``torch``, ``bfloat16`` where the processor computes with it (`unnoise.models.predict`),
            or ``onnx`` for ONNX Runtime on the CPU (``pip install 'unnoise[export]'``).

        Returns
        -------
        ndarray
            Clean image with the shape and axes of the input.

        Raises
        ------
        ModelError
            If the model does not fit the image.
        """
        image = checked(as_image(image, axes))
        (clean,) = self._apply(image, device, [np.dtype(dtype or image.dtype)], tta, backend)
        return clean

    def uncertainty(
        self,
        image: Image | NDArray,
        *,
        axes: str | None = None,
        device: str = "auto",
        tta: bool = False,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Denoise an image in memory, with a standard deviation for every pixel.

        It is the spread of noisy pixels (clean ones with CARE) around the prediction: the noise
        together with what the net cannot know. ``origin["calibration"]`` says how it compares
        with the held-out pixels.

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
        self.check_probabilistic()
        image = checked(as_image(image, axes))
        clean, std = self._apply(image, device, [image.dtype, np.dtype(np.float32)], tta)
        return clean, std

    def _apply(
        self,
        image: Image,
        device: str,
        dtypes: list[np.dtype],
        tta: bool,
        backend: str = "torch",
    ) -> list[NDArray]:
        """The clean image and, with a second type, its standard deviation."""
        from unnoise.images import axes as ax
        from unnoise.models.predict import predict

        out = [np.empty(image.shape, dtype) for dtype in dtypes]
        for block in predict(self, image, device=device, tta=tta, backend=backend):
            for whole, values in zip(out, (block.values, block.std), strict=False):
                assert values is not None
                place = ax.from_canonical(values, image.axes)
                whole[ax.index(image.axes, block.where)] = cast(place, whole.dtype)
        return out

    def check_probabilistic(self) -> None:
        """Refuse a model without uncertainties.

        Raises
        ------
        ModelError
            If the net predicts no scale.
        """
        if not self.config.is_probabilistic:
            raise ModelError(
                "the model predicts no uncertainty; train one with --set training.loss=gaussian "
                "(or laplace)"
            )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder.

        Raises
        ------
        InputError
            If the place cannot be written or is not a model folder.
        """
        from unnoise.models import folder as checkpoint

        checkpoint.save(folder, self)


def build_net(model: Model) -> DenoisingNet:
    """The net of a model with its weights, on the CPU.

    Raises
    ------
    ModelError
        If the weights do not fit the settings.
    """
    net = _net(model.config, model.ndim, model.channels)
    if model.weights:
        try:
            net.load_state_dict(dict(model.weights))
        except RuntimeError as error:
            raise ModelError(
                "the weights do not fit the net described in config.yaml, so the model folder is "
                "damaged or was edited; restore it from a copy or train again"
            ) from error
    return net


def ready(model: Model, device: torch.device) -> DenoisingNet:
    """The net of a model on a device, to predict with."""
    return place(build_net(model), device).eval()


def new_weights(config: Config, ndim: int, channels: Sequence[int]) -> dict[str, Tensor]:
    """Weights for a new run: random ones, drawn from the seed, or those of the package."""
    weights = dict(_net(config, ndim, channels).state_dict())
    if config.is_shipped:
        weights |= {f"net.{name}": weight for name, weight in shipped.gaussian().items()}
    return weights


def _net(config: Config, ndim: int, channels: Sequence[int]) -> DenoisingNet:
    """The net of the settings; the global random state is left as it was."""
    net = config.net
    if config.is_shipped:
        return Stabilised(len(channels))
    if net is None:
        return Filter(config.method, ndim)

    def make(width: int = 1) -> UNet:
        return UNet(
            channels=width,
            ndim=ndim,
            depth=net.depth,
            filters=net.filters,
            kernel=net.kernel,
            convs=net.convs,
            unshuffle=net.unshuffle,
            pool=net.pool,
            z_poolings=net.z_poolings,
            upsample=net.upsample,
            top_skip=net.top_skip,
            batch_norm=net.batch_norm,
            dropout=net.dropout,
            residual=net.residual,
            activation=net.activation,
            last_activation=net.last_activation,
            outputs=2 if config.is_probabilistic else 1,
            eps=config.training.eps,
        )

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.training.seed)
        if net.channels == "separate":
            return PerChannel(make, len(channels))
        return make(len(channels) if net.channels == "joint" else 1)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
