"""The estimated risk against the true error of simulated images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.contest import SIDE, Piece, pieces, risk
from unnoise.image import Image
from unnoise.noise.models import PoissonGauss
from unnoise.normalize import Affine
from unnoise.sampling import Crops

CPU = torch.device("cpu")
WIDTHS = (0.0, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0)


@dataclass
class Filter:
    """Anything that makes a result out of an image, in the shape of a model."""

    function: Callable[[NDArray], NDArray]
    affine: Affine
    channels: tuple[int, ...] = (0,)

    def predict(self, image: Image, *, device: str, dtype: Any) -> NDArray:
        planes = [self.function(p) for p in np.asarray(image.data, np.float64)]
        return np.stack(planes).astype(dtype)


def blur(width: float) -> Callable[[NDArray], NDArray]:
    return lambda plane: ndimage.gaussian_filter(plane, width) if width else plane


def scene(side: int = 128) -> NDArray[np.float64]:
    y, x = np.mgrid[:side, :side] / side
    return np.asarray(60 + 40 * np.sin(14 * x) * np.cos(9 * y) + 30 * (np.hypot(x, y) > 0.7))


def simulated(gain: float, read: float, seed: int) -> tuple[NDArray, NDArray, PoissonGauss]:
    clean, rng = scene(), np.random.default_rng(seed)
    noisy = gain * rng.poisson(clean / gain) if gain else clean
    noisy = noisy + rng.normal(0, np.sqrt(read), clean.shape)
    return clean, noisy.astype(np.float32), PoissonGauss(gain, 0.0, read)


def judged(model: Filter, noisy: NDArray, noise: PoissonGauss, seed: int = 0) -> float:
    places = pieces([Image.from_array(noisy)], seed)
    return risk(model, places, [noise] * len(model.channels), CPU, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gain", "read"), [(0.0, 100.0), (3.0, 9.0)])
def test_risk_less_noise_is_the_true_error(gain: float, read: float) -> None:
    affine = Affine(np.array([70.0]), np.array([30.0]))
    found, true, noises = [], [], []
    for seed in range(6):
        clean, noisy, noise = simulated(gain, read, seed)
        for width in WIDTHS:
            model = Filter(blur(width), affine)
            found.append(judged(model, noisy, noise, seed))
            true.append((((blur(width)(noisy) - clean) / 30) ** 2).mean())
        noises.append(noise.variance(clean).mean() / 30**2)
    shape = (6, len(WIDTHS))
    risks = np.reshape(found, shape) - np.reshape(noises, (6, 1))
    errors = np.reshape(true, shape)
    scatter = risks.std(0, ddof=1) / np.sqrt(6)
    assert (np.abs(risks.mean(0) - errors.mean(0)) < 5 * scatter + 0.05 * errors.mean(0)).all()
    # In every image it ranks as the truth where that is clear, as all share the same pixels.
    clear = np.abs(np.diff(errors, axis=1)) > 0.1 * errors[:, :1]
    assert clear.sum() >= 12
    assert (np.sign(np.diff(risks)) == np.sign(np.diff(errors)))[clear].all()


def test_the_noisy_image_itself_has_twice_the_noise_and_a_blind_result_none_more() -> None:
    clean, noisy, noise = simulated(0.0, 100.0, 0)
    affine = Affine(np.array([70.0]), np.array([30.0]))
    share = 100 / 30**2
    assert judged(Filter(lambda p: p, affine), noisy, noise) == pytest.approx(2 * share, rel=0.03)
    truth = Filter(lambda p: clean, affine)
    assert judged(truth, noisy, noise) == pytest.approx(share, rel=0.15)


def test_units_do_not_matter() -> None:
    _, noisy, _ = simulated(0.0, 100.0, 0)
    risks = []
    for a, b in ((1.0, 0.0), (0.01, 5.0), (200.0, -1e4)):
        affine = Affine(np.array([70.0 * a + b]), np.array([30.0 * a]))
        noise = PoissonGauss(0.0, 0.0, 100.0 * a**2)
        moved = (a * noisy.astype(np.float64) + b).astype(np.float32)
        risks.append(judged(Filter(blur(1.0), affine), moved, noise))
    assert risks == pytest.approx([risks[0]] * 3, rel=0.01)


def test_the_same_seed_gives_the_same_directions() -> None:
    _, noisy, noise = simulated(3.0, 9.0, 0)
    model = Filter(blur(1.0), Affine(np.array([70.0]), np.array([30.0])))
    assert judged(model, noisy, noise, 4) == judged(model, noisy, noise, 4)
    assert judged(model, noisy, noise, 4) != judged(model, noisy, noise, 5)


def test_only_denoised_channels_count() -> None:
    _, noisy, noise = simulated(0.0, 100.0, 0)
    both = np.stack([np.full_like(noisy, 9), noisy])
    affine = Affine(np.array([9.0, 70.0]), np.array([0.0, 30.0]))
    places = pieces([Image.from_array(both, "CYX")], 0)
    found = risk(Filter(blur(1.0), affine, (1,)), places, [noise], CPU)  # type: ignore[arg-type]
    single = Affine(affine.mean[1:], affine.std[1:])
    assert found == pytest.approx(judged(Filter(blur(1.0), single), noisy, noise), rel=0.1)


# Pieces


def test_pieces_are_of_the_middle_of_the_first_and_the_last_image() -> None:
    arrays = [np.random.default_rng(i).normal(size=(3, 20 + i, SIDE + 9)) for i in range(3)]
    images = [Image.from_array(a, "ZYX") for a in arrays]
    found = pieces(images, 0)
    assert len(found) == 2
    for piece, array in zip(found, (arrays[0], arrays[2]), strict=True):
        expected = array[1, :, 4 : 4 + SIDE].astype(np.float32)
        assert np.array_equal(piece.noisy, expected[None])
        assert piece.noisy.dtype == np.float32
        assert 0 < piece.held_out.mean() < 0.1
    assert len(pieces(images[:1], 0)) == 1


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (2, 24, 24)), ("TZYX", (2, 3, 24, 24))])
def test_held_out_pixels_are_those_of_training(axes: str, shape: tuple[int, ...]) -> None:
    """Every value occurs once, so a value of a patch tells its place."""
    array = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    image = Image.from_array(array, axes)
    (piece,) = pieces([image], 7)
    n = piece.noisy.shape[0]
    affine = Affine(np.zeros(n), np.ones(n))
    crops = Crops([image], affine, patch=(16, 16), channels=tuple(range(n)), seed=7)
    patches = crops.batch(60, np.random.default_rng(0))
    seen = dict(zip(patches.noisy.ravel().tolist(), patches.held_out.ravel(), strict=True))
    pairs = [
        (seen[value], held)
        for value, held in zip(piece.noisy.ravel().tolist(), piece.held_out.ravel(), strict=True)
        if value in seen
    ]
    assert len(pairs) > 0.8 * piece.noisy.size
    assert any(held for _, held in pairs)
    assert all(a == b for a, b in pairs)


def test_a_piece_is_what_it_says() -> None:
    piece = Piece(np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), bool))
    model = Filter(lambda p: p, Affine(np.zeros(1), np.ones(1)))
    noise = PoissonGauss(0.0, 0.0, 1e-12)
    assert abs(risk(model, [piece], [noise], CPU)) < 1e-6  # type: ignore[arg-type]
