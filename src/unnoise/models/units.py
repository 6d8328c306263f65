"""Between image units and the normalised values of the net: the only way in and the only way out.

Pixels have the shape (channels, *space), with the denoised channels alone. The net takes them as a
batch of single channels or as one patch of all channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.errors import NotFiniteError
from unnoise.images.image import Image
from unnoise.models.model import Model


def to_net(
    model: Model, pixels: NDArray, device: torch.device, beside: Sequence[NDArray] = ()
) -> Tensor:
    """Normalised pixels as the net takes them: (c, 1, *space) or (1, c, *space).

    With the same pixels of neighbouring frames as further channels, where the net sees any.
    """
    affine = model.affine.select(list(model.channels))
    frames = [batched(model, affine.apply(frame), device) for frame in (pixels, *beside)]
    return torch.cat(frames, 1) if beside else frames[0]


def batched(model: Model, values: NDArray, device: torch.device) -> Tensor:
    """Values of every pixel as the net takes them, in whatever units."""
    return torch.from_numpy(values).unsqueeze(1 if model.is_one_by_one else 0).to(device)


def from_net(model: Model, y: Tensor) -> NDArray[np.float64]:
    """What a net makes of `to_net`, in the units of the image, or of the clean images of CARE."""
    affine = model.target_affine or model.affine
    return affine.select(list(model.channels)).invert(_values(model, y))


def spread_from_net(model: Model, y: Tensor) -> NDArray[np.float64]:
    """Standard deviations out of a net, in the units of the image."""
    affine = model.target_affine or model.affine
    return affine.select(list(model.channels)).scale(_values(model, y))


def _values(model: Model, y: Tensor) -> NDArray[np.float32]:
    return np.asarray(y.float().cpu().squeeze(1 if model.is_one_by_one else 0).numpy())


def check_finite(image: Image, noisy: NDArray, results: Sequence[NDArray[np.float64]]) -> None:
    """Refuse results that are not finite where the image is.

    Raises
    ------
    NotFiniteError
        Whoever reads NaN in a file would look for them in the image, where there are none.
    """
    if all(np.isfinite(values).all() for values in results):
        return
    wrong = np.any([~np.isfinite(values) for values in results], axis=0) & np.isfinite(noisy)
    if wrong.any():
        raise NotFiniteError(
            f"the model makes NaN or infinities of {int(wrong.sum()):,} pixels of {image.name}: "
            f"its training diverged, its weights are damaged, or the pixels are far beyond those "
            f"it learned from; train anew on this image, or choose another method"
        )
