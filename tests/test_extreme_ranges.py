"""Whatever the grey levels are, results are finite and keep the mean; of nothing comes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
from unnoise.errors import InputError

SHAPE = (48, 56)
RNG = np.random.default_rng(0)
PHOTONS = RNG.poisson(np.broadcast_to(20 + 10 * np.sin(np.arange(56) / 3), SHAPE)).astype(float)
SPIKE = PHOTONS.copy()
SPIKE[20, 30] = 1e6
MANY, FEW = RNG.random(SHAPE) < 0.9, RNG.random(SHAPE) < 0.01
RANGES: dict[str, NDArray] = {
    "1e-12": (PHOTONS * 1e-12).astype(np.float32),
    "1e12": (PHOTONS * 1e12).astype(np.float32),
    "int32": (PHOTONS * 3e7 - 9e8).astype(np.int32),
    "negative": (-PHOTONS).astype(np.float32),
    "zeros": np.where(FEW, PHOTONS, 0).astype(np.float32),
    "1e-30": PHOTONS * 1e-30,
    "1e30": PHOTONS * 1e30,
    "float64": PHOTONS,
    "offset": PHOTONS + 1e7,
    "saturated": np.where(MANY, 65535, 60000 + 10 * PHOTONS).astype(np.uint16),
    "uint8": PHOTONS.astype(np.uint8),
    "two levels": (RNG.random(SHAPE) < 0.5).astype(np.float32),
}
EVERY = ("n2v", "gaussian", "instant")
OTHERS = ("nlridge", "n2v2", "structn2v", "b2u", "r2r", "nlm", "tv", "wavelet")
CASES = [
    *((method, name) for method in EVERY for name in RANGES),
    *((method, name) for method in OTHERS for name in [*RANGES][:5]),
    *(("nlridge", name) for name in ("saturated", "float64")),
]
TINY = ("net.filters=4", "net.depth=1", "training.steps=4", "training.patch=16")
STRUCT = ("mask.struct=horizontal:3",)


def denoised(method: str, x: NDArray) -> NDArray:
    config = unnoise.Config.preset(method=method)
    if config.net is not None and not config.is_shipped:
        more = STRUCT if method == "structn2v" else ()
        config = config.set(*TINY, "training.batch_size=1", *more)
    return unnoise.denoise(x, config=config)


def off(x: NDArray, y: NDArray, part: NDArray | slice = slice(None)) -> float:
    """By how many standard errors of all pixels the mean of a part has moved."""
    a, b = (values.astype(np.float64)[part] for values in (x, y))
    return float(abs(b.mean() - a.mean()) / (a.std() / np.sqrt(a.size)))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.filterwarnings("ignore:rounding:UserWarning")
@pytest.mark.parametrize(("method", "name"), CASES)
def test_results_are_finite_and_keep_the_mean(method: str, name: str) -> None:
    x = RANGES[name]
    y = denoised(method, x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert np.isfinite(y).all()
    assert off(x, y) < 1.5, f"{off(x, y):.2f} standard errors"


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", [*EVERY, "nlridge"])
def test_a_pixel_of_a_million_is_replaced_and_moves_no_other(method: str) -> None:
    y = denoised(method, SPIKE)
    others = np.ones(SHAPE, bool)
    others[20, 30] = False
    assert np.isfinite(y).all()
    assert y.max() < 100
    assert off(SPIKE, y, others) < 1.5


@pytest.mark.parametrize("method", ["auto", *EVERY])
@pytest.mark.parametrize("value", [0, 7, 65535])
def test_there_is_nothing_to_denoise_in_a_constant(method: str, value: int) -> None:
    with pytest.raises(InputError, match=f"constant .every pixel is {value}"):
        unnoise.denoise(np.full(SHAPE, value, np.uint16), method=method)
