"""NL-Ridge behind the transform: what differs from the shipped net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import smooth
from unnoise.api import train
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.folder import load, save
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.nets import nl_ridge


def clean(*shape: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    edges = smooth(shape, 6, rng, mode="wrap") > 0
    return 30 * (0.5 + smooth(shape, 4, rng, sd=0.15, mode="wrap") + 0.8 * edges).clip(0.1)


def photons(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).poisson(clean(*shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return train(photons(64, 64), method="nlridge", device="cpu")


def test_noise_of_photons_goes(model: Model) -> None:
    truth, noisy = clean(64, 64), photons(64, 64)
    result = predict_array(model, noisy, device="cpu")
    assert ((result - truth) ** 2).mean() < 0.25 * ((noisy - truth) ** 2).mean()
    assert abs(result.mean() - noisy.mean()) < 4 * np.sqrt(truth.mean() / truth.size)


def test_tiles_change_nothing_at_all(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nl_ridge, "SEARCH", 7)  # its halo would be larger than the picture
    noisy = np.tile(photons(64, 64), (3, 2))
    image = Image.from_array(noisy)
    whole, parts = np.zeros(noisy.shape), np.zeros(noisy.shape)
    for out, tile in ((whole, noisy.shape), (parts, (48, 70))):
        for block in predict(model, image, tile=tile, device="cpu"):
            out[block.where["Y"], block.where["X"]] = block.values[0, 0, 0, 0]
    np.testing.assert_array_equal(parts, whole)


def test_a_folder_keeps_the_transform_and_no_net(model: Model, tmp_path: Path) -> None:
    assert not any(name.startswith("net.") for name in model.weights)
    save(tmp_path / "m", model)
    again, noisy = load(tmp_path / "m"), photons(48, 48)
    first, second = (predict_array(m, noisy, device="cpu") for m in (model, again))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("backend", ["onnx", "bfloat16"])
def test_other_backends_are_refused(model: Model, backend: str) -> None:
    with pytest.raises(InputError, match=r"leave out --backend|--backend torch|needs"):
        predict_array(model, photons(32, 32), device="cpu", backend=backend)
