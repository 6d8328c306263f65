"""Laws of predictions that look at neighbouring frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synthetic import white
from tiny import CPU
from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.models import folder
from unnoise.models.build import new_weights, ready
from unnoise.models.model import EnsembleMember, Model
from unnoise.models.predict import predict, predict_array


def untrained(
    context: dict[str, int], n_channels: int = 1, ndim: int = 2, seed: int = 0, **net: Any
) -> Model:
    """A model with loud random weights, so that everything it sees matters."""
    config = Config().replace(net={"filters": 4, "depth": 1, **net}, ndim=ndim, context=context)
    config = config.replace(training={"seed": seed})
    which = tuple(range(n_channels))
    weights = {
        k: v * (30 if k.endswith("head.weight") else 1)
        for k, v in new_weights(config, ndim, which).items()
    }
    affine = ChannelStatistics(np.arange(3.0, 3.0 + n_channels), np.full(n_channels, 2.0))
    return Model(config, affine, which, (16,) * ndim, weights)


def by_hand(model: Model, movie: NDArray, beside: list[int], own: int) -> NDArray:
    """One frame (c, y, x) through the net of one channel, by the definition of its input."""
    net, frames = ready(model, CPU), [movie[k] for k in (own, *beside)]
    outputs = []
    for c in model.channels:
        mean, std = model.affine.mean[c], model.affine.std[c]
        planes = np.stack([(f[c] - mean) / std for f in frames]).astype(np.float32)
        with torch.inference_mode():
            outputs.append(net(torch.from_numpy(planes)[None])[0, 0].numpy() * std + mean)
    return np.stack(outputs)


@pytest.mark.parametrize("axis", "TZ")
def test_every_channel_is_seen_with_its_own_neighbours_in_their_order(axis: str) -> None:
    model = untrained({axis: 2}, 2)
    movie = white((6, 2, 64, 64))
    clean = predict_array(model, movie, axes=f"{axis}CYX", device="cpu")
    for own, beside in {0: [2, 1, 1, 2], 3: [1, 2, 4, 5], 5: [3, 4, 4, 3]}.items():
        expected = by_hand(model, movie, beside, own)
        # Away from the border, which `predict` mirrors.
        np.testing.assert_allclose(
            clean[own][:, 24:-24, 24:-24], expected[:, 24:-24, 24:-24], atol=1e-3
        )


@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
def test_tiles_do_not_change_the_result(channels: str) -> None:
    model = untrained({"T": 1}, 2, channels=channels)
    image = Image.from_array(white((3, 2, 70, 50)), "TCYX")
    parts = []
    for tile in ((16, 24), (4096, 4096)):
        out = np.empty((3, 2, 70, 50))
        for block in predict(model, image, tile=tile, device="cpu", tta=True):
            t, y, x = (block.where[k] for k in "TYX")
            out[t, :, y, x] = block.values[0, 0, :, 0]
        parts.append(out)
    np.testing.assert_allclose(*parts, rtol=0, atol=2e-4 * np.abs(parts[1]).max())


def test_channels_know_nothing_of_each_other_and_frames_of_those_within_reach() -> None:
    for channels in ("independent", "separate"):
        model = untrained({"T": 1}, 2, channels=channels)
        movie = white((5, 2, 32, 32))
        other = movie.copy()
        other[2, 1] += white((32, 32), 1)
        a, b = (predict_array(model, m, axes="TCYX", device="cpu") for m in (movie, other))
        differs = [[not np.array_equal(a[t, c], b[t, c]) for c in (0, 1)] for t in range(5)]
        assert differs == [[False, t in (1, 2, 3)] for t in range(5)]


def test_volumes_can_have_neighbours_in_time() -> None:
    model = untrained({"T": 1}, ndim=3)
    movie = white((3, 8, 20, 20))
    other = movie.copy()
    other[0] += 1
    a, b = (predict_array(model, m, axes="TZYX", device="cpu") for m in (movie, other))
    assert [np.array_equal(a[t], b[t]) for t in range(3)] == [False, False, True]


def test_one_frame_alone_can_be_denoised() -> None:
    model, image = untrained({"T": 1}), Image.from_array(white((4, 32, 32)), "TYX")
    (block,) = predict(model, image, device="cpu", only={"T": 2})
    whole = predict_array(model, image, device="cpu")
    assert block.total == 1
    np.testing.assert_array_equal(block.values[0, 0, 0, 0].astype(whole.dtype), whole[2])


def test_a_single_frame_is_refused() -> None:
    with pytest.raises(ModelError, match=r"neighbouring frames along T.*single one.*--axes"):
        predict_array(untrained({"T": 1}), white((32, 32)))
    with pytest.raises(ModelError, match="along Z"):
        predict_array(untrained({"Z": 1}), white((4, 32, 32)), axes="TYX")


def test_a_mean_of_two_models_gives_each_its_own_neighbours() -> None:
    one, two = untrained({"T": 0}), untrained({"T": 2}, seed=1)
    movie = white((5, 32, 32))
    both = replace(one, second=EnsembleMember(two, 0.25))
    a, b, mean = (predict_array(m, movie, axes="TYX", device="cpu") for m in (one, two, both))
    np.testing.assert_allclose(mean, 0.75 * a + 0.25 * b, atol=1e-4)


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    model, movie = untrained({"T": 2}, 2), white((4, 2, 32, 32))
    folder.save(tmp_path / "m", model, [], None)
    again = folder.load(tmp_path / "m")
    assert again.context == ("T", 2)
    np.testing.assert_array_equal(
        predict_array(again, movie, axes="TCYX", device="cpu"),
        predict_array(model, movie, axes="TCYX", device="cpu"),
    )
