"""Laws of frames that show something else: the frame itself is seen in their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from synthetic import white
from tiny import CPU, tiny
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.models import folder
from unnoise.models.build import new_weights
from unnoise.models.frame_changes import REACH, SIGNALS, FrameChanges
from unnoise.models.model import EnsembleMember, Model
from unnoise.models.predict import predict, predict_array
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.plan import plan

MEAN, STD = 40.0, 10.0
SIDE, FLASH = 64, (32, 32)


def model(
    reach: int = 2, n_channels: int = 1, ndim: int = 2, known: bool = True, **net: object
) -> Model:
    """A net that sees frames of photons, with loud random weights."""
    config = Config().replace(net={"filters": 4, "depth": 1, **net}, ndim=ndim)
    config = config.replace(context={"T": reach})
    which = tuple(range(n_channels))
    weights = {
        k: v * (30 if k.endswith("head.weight") else 1)
        for k, v in new_weights(config, ndim, which).items()
    }
    affine = ChannelStatistics(np.full(n_channels, MEAN), np.full(n_channels, STD))
    noise = ImageNoise((PoissonGauss(1.0, 0.0, 1.0),) * n_channels, (0.0,) * n_channels, ())
    return Model(config, affine, which, (16,) * ndim, weights, noise=noise if known else None)


def spot(width: float = 1.5) -> NDArray:
    y, x = np.indices((SIDE, SIDE)) - np.array(FLASH)[:, None, None]
    return np.asarray(np.exp(-(y**2 + x**2) / (2 * width**2)))


def movie(light: dict[int, float], frames: int = 5, seed: int = 0) -> NDArray:
    """Photons of a level scene with a flash of some photons in some frames."""
    scene = np.full((frames, SIDE, SIDE), MEAN)
    for t, peak in light.items():
        scene[t] += peak * spot()
    rng = np.random.default_rng(seed)
    return np.asarray(rng.poisson(scene) + rng.normal(0, 1, scene.shape))


def seen(frames: NDArray, own: int = 2) -> tuple[NDArray, NDArray]:
    """What the net takes of the frames around one, in image units, and events."""
    one = model()
    changes = FrameChanges.of(one, CPU)
    assert changes is not None
    beside = [frame[None] for i, frame in enumerate(frames) if i != own]
    inside = [np.ones(SIDE, np.bool_)] * 2
    x, event = changes.seen(one, frames[own][None], beside, inside)
    return x[0].numpy() * STD + MEAN, event[0].numpy()


def test_a_flash_beside_the_frame_is_not_seen_and_what_agrees_is_seen_as_it_is() -> None:
    frames = movie({3: 40.0})
    found, event = seen(frames)
    order = frames[[2, 0, 1, 3, 4]]
    for k in (3, 4):  # nothing is taken from beyond a change
        np.testing.assert_allclose(found[k][FLASH], frames[2][FLASH], rtol=1e-5)
    for k in (0, 1, 2):
        assert np.isclose(found[k], order[k], atol=1e-3).mean() > 0.95
    assert np.isclose(found[3], frames[3], atol=1e-3).mean() > 0.85
    assert event.mean() < 0.01


def test_the_frame_stands_in_for_all_others_where_it_has_an_event_of_its_own() -> None:
    frames = movie({2: 40.0})
    found, event = seen(frames)
    for k in range(1, 5):
        np.testing.assert_allclose(found[k][FLASH], frames[2][FLASH], rtol=1e-5)
    assert event[FLASH] == pytest.approx(1)
    far = np.hypot(*(np.indices((SIDE, SIDE)) - np.array(FLASH)[:, None, None])) > 16
    assert np.isclose(found[1][far], frames[0][far], atol=1e-3).mean() > 0.95


def test_where_everything_changes_a_frame_stands_alone_and_has_no_event() -> None:
    frames = movie({})
    changing = frames + np.array([0, 1, 0, 1, 0])[:, None, None] * 60 * white((SIDE, SIDE), 5)
    found, event = seen(changing)
    assert np.isclose(found[1:], changing[2], atol=1e-3).mean() > 0.95
    assert not event.any()


def test_the_noise_of_photons_has_the_strength_1_and_the_skewness_that_is_told() -> None:
    changes = FrameChanges.of(model(), CPU)
    assert changes is not None
    rng = np.random.default_rng(0)
    for level in (15.0, MEAN, 90.0):
        photons = rng.poisson(level, 200_000) + rng.normal(0, 1, 200_000)
        z = np.interp((photons - MEAN) / STD, SIGNALS, changes.transforms[0].numpy())
        assert z.std() == pytest.approx(1, abs=0.03)
        if level == MEAN:
            assert changes.skewness[0] == pytest.approx(stats.skew(z), abs=0.02)


@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
def test_tiles_change_nothing(channels: str) -> None:
    one = model(1, 2, channels=channels)
    frames = np.stack([movie({1: 30.0}, 3, seed) for seed in (0, 1)], 1)
    image = Image.from_array(frames, "TCYX")
    parts = []
    for tile in ((32, 40), (4096, 4096)):
        out = np.empty(frames.shape)
        for block in predict(one, image, tile=tile, device="cpu"):
            t, y, x = (block.where[k] for k in "TYX")
            out[t, :, y, x] = block.values[0, 0, :, 0]
        parts.append(out)
    np.testing.assert_allclose(*parts, rtol=0, atol=2e-4 * np.abs(parts[1]).max())


def test_a_pixel_looks_no_further_than_is_told() -> None:
    frames = movie({})
    other = frames.copy()
    other[3, FLASH[0], FLASH[1]] += 200
    (a, first), (b, second) = seen(frames), seen(other)
    differs = np.argwhere((a[1:] != b[1:]).any(0) | (first != second))
    assert 0 < np.abs(differs - FLASH).max() <= REACH


def test_frames_beyond_an_end_are_compared_once() -> None:
    one = model()
    frames = movie({1: 40.0})
    changes = FrameChanges.of(one, CPU)
    assert changes is not None
    tiles = [frame[None] for frame in frames]
    inside = [np.ones(SIDE, np.bool_)] * 2
    x, _ = changes.seen(one, tiles[0], [tiles[k] for k in (2, 1, 1, 2)], inside)
    found = x[0].numpy() * STD + MEAN
    for k in range(1, 5):
        np.testing.assert_allclose(found[k][FLASH], frames[0][FLASH], rtol=1e-5)


def test_planes_of_volumes_are_compared_one_by_one() -> None:
    one = model(1, ndim=3)
    changes = FrameChanges.of(one, CPU)
    assert changes is not None
    volumes = np.stack([movie({}, 8, seed) for seed in range(3)])
    volumes[2, 4] += 40 * spot()
    inside = [np.ones(8, np.bool_), *[np.ones(SIDE, np.bool_)] * 2]
    x, _ = changes.seen(one, volumes[1][None], [volumes[0][None], volumes[2][None]], inside)
    found = x[0, 2].numpy() * STD + MEAN
    at = (slice(None), *FLASH)
    np.testing.assert_allclose(found[4][FLASH], volumes[1, 4][FLASH], rtol=1e-5)
    assert np.isclose(found[at], volumes[2][at], atol=1e-3).sum() >= 6
    assert predict_array(one, volumes, axes="TZYX", device="cpu").shape == volumes.shape


def test_where_the_noise_is_not_known_nothing_is_compared() -> None:
    assert FrameChanges.of(model(known=False), CPU) is None
    alone = model(0)
    assert FrameChanges.of(alone, CPU) is None


def test_the_second_of_a_mean_knows_the_noise_of_the_first() -> None:
    second = model(known=False)
    mean = replace(model(0), second=EnsembleMember(second, 0.5))
    assert [FrameChanges.of(m, CPU) is None for m, _ in mean.members] == [True, False]


def test_a_saved_model_compares_as_before(tmp_path: Path) -> None:
    one, frames = model(1), movie({1: 40.0}, 3)
    folder.save(tmp_path / "m", one, [], None)
    again = folder.load(tmp_path / "m")
    a, b = (predict_array(m, frames, axes="TYX", device="cpu") for m in (one, again))
    np.testing.assert_array_equal(a, b)


def test_the_noise_is_measured_for_nets_that_see_frames() -> None:
    image = Image.from_array(movie({}).astype(np.uint16), "TYX")
    assert plan([image], tiny("n2v", "context={T: 1}")).noise is not None
    assert plan([image], tiny("n2v")).noise is None


def test_a_flash_leaves_no_ghost_in_the_frames_beside() -> None:
    plain = movie({}, 3)
    lit = plain + 400 * (np.arange(3) == 1)[:, None, None] * spot()
    ghosts = []
    for one in (model(1), model(1, known=False)):
        a, b = (predict_array(one, m, axes="TYX", device="cpu") for m in (lit, plain))
        ghosts.append(np.sqrt(((a - b)[[0, 2]] ** 2).mean()))
    assert ghosts[0] < 0.2 * ghosts[1]  # the noise of other pixels, and the faintest rim
