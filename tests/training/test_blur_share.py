"""The share of a blur in results of the shipped net, where noise is very strong."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.nets.variance_stabilized import blurred
from unnoise.training.blur_share import WIDTHS, blur_share
from unnoise.training.instant import VstCalibration
from unnoise.training.plan import plan


def calibrated(noisy: np.ndarray) -> Model:
    image = Image.from_array(noisy, "YX")
    run = VstCalibration([image], plan([image], Config(method="instant")), torch.device("cpu"))
    for _ in run:
        pass
    return run.model()


def test_is_the_share_with_the_least_squares() -> None:
    """Beside a search over shares and widths in NumPy."""
    rng = np.random.default_rng(0)
    noisy = rng.normal(size=(1, 500))
    guesses = {None: noisy + rng.normal(0, 0.8, noisy.shape)}
    guesses |= {w: noisy + rng.normal(0, 0.9 + abs(w - 2.0), noisy.shape) for w in WIDTHS}

    share, width = blur_share(lambda width: torch.tensor(noisy - guesses[width]))
    steps = np.linspace(0, 1, 2001)
    errors = [np.mean((noisy - (1 - s) * guesses[None] - s * guesses[2.0]) ** 2) for s in steps]
    assert width.item() == 2.0
    assert share.item() == pytest.approx(steps[int(np.argmin(errors))], abs=1e-3)


def test_blur_is_that_of_scipy() -> None:
    x = np.random.default_rng(0).normal(size=(2, 2, 40, 31))
    found = blurred(torch.tensor(x), torch.tensor([1.0, 2.8], dtype=torch.float64)).numpy()
    for c, sigma in enumerate((1.0, 2.8)):
        for plane, expected in zip(found[:, c], x[:, c], strict=True):
            reach = int(np.ceil(4 * 2.8))
            blur = ndimage.gaussian_filter(expected, sigma, mode="nearest", radius=reach)
            np.testing.assert_allclose(plane, blur, atol=1e-10)


def test_few_photons_are_blurred_and_many_are_not() -> None:
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=(128, 128)), 1.5)
    scene = np.maximum(0, 1 + field / field.std())
    few, many = (calibrated(rng.poisson(n * scene).astype(np.uint16)) for n in (0.5, 300.0))
    assert few.weights["blur_share"].item() > 0.3
    assert many.weights["blur_share"].item() == 0


def test_tiles_change_nothing() -> None:
    noisy = np.random.default_rng(0).poisson(0.3, size=(96, 160)).astype(np.float32)
    model = calibrated(noisy)
    model = model.with_weights(
        {**model.weights, "blur_share": torch.tensor([0.5]), "blur_width": torch.tensor([2.0])}
    )
    image, whole = Image.from_array(noisy, "YX"), np.zeros((96, 160))
    for block in predict(model, image, device="cpu", tile=(32, 32)):
        whole[block.where["Y"], block.where["X"]] = block.values[0, 0, 0, 0]
    plain = predict_array(model, image, device="cpu", dtype=np.float64)
    np.testing.assert_allclose(whole, plain, atol=1e-4)
