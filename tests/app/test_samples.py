"""Sample images against their truths, and the simulated camera against what EMVA 1288 predicts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.app import samples
from unnoise.app.events import Facts, Saved
from unnoise.app.samples import SAMPLES, camera, sample
from unnoise.errors import InputError


@pytest.mark.parametrize("name", SAMPLES)
def test_noise_has_no_mean_and_the_seed_changes_nothing_else(name: str) -> None:
    one, again, other = sample(name), sample(name), sample(name, seed=1)
    np.testing.assert_array_equal(one.noisy.data, again.noisy.data)
    np.testing.assert_array_equal(one.truth.data, other.truth.data)
    a, b = (np.asarray(x.noisy.data, np.float64) - x.truth.data for x in (one, other))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02
    assert abs(a.mean()) < 0.02 * a.std()  # correlated and clipped noise count too
    assert one.noisy.axes == one.truth.axes
    assert one.noisy.scale == one.truth.scale


def test_noise_is_of_the_kind_that_the_name_says() -> None:
    def neighbours(name: str) -> float:
        found = sample(name)
        z = np.asarray(found.noisy.data, np.float64) - found.truth.data
        return float((z[..., 1:] * z[..., :-1]).mean() / z.var())

    assert abs(neighbours("cells")) < 0.02
    assert neighbours("correlated") > 0.4


def test_the_variance_is_that_of_the_camera() -> None:
    found = sample("cells")
    truth = np.asarray(found.truth.data, np.float64)
    z = (found.noisy.data - truth) / np.sqrt(2 * (truth - 100) + 16 + 1 / 12)
    assert z.var() == pytest.approx(1, abs=0.03)


def test_what_is_written_is_opened_with_its_scale(tmp_path: Path) -> None:
    events = list(samples.write(["all"], tmp_path))
    written = [event.path for event in events if isinstance(event, Saved)]
    assert sorted(written) == sorted(tmp_path.iterdir())
    (told,) = [event.value for event in events if isinstance(event, Facts)]
    assert [entry["name"] for entry in told] == list(SAMPLES)
    for entry in told:
        noisy, truth = unnoise.open(entry["image"]), unnoise.open(entry["truth"])
        expected = sample(entry["name"])
        np.testing.assert_array_equal(noisy.data[...], expected.noisy.data)
        np.testing.assert_array_equal(truth.data[...], expected.truth.data)
        assert noisy.axes == expected.noisy.axes
        for axis, step in expected.noisy.scale.items():
            assert noisy.scale[axis] == pytest.approx(step)
    assert unnoise.open(tmp_path / "photograph.png").is_rgb


def test_nothing_is_replaced_or_half_written(tmp_path: Path) -> None:
    list(samples.write(["cells"], tmp_path))
    with pytest.raises(InputError, match=r"cells\.tif exists; add --overwrite"):
        list(samples.write(["stack", "cells"], tmp_path))
    assert not (tmp_path / "stack.tif").exists()
    with pytest.raises(InputError, match="no sample 'cell'; choose cells, movie"):
        list(samples.write(["cell"], tmp_path))


@pytest.mark.parametrize("photons", [1.0, 30.0, 2000.0])
@pytest.mark.parametrize(
    ("gain", "read_noise", "offset"), [(2.0, 2.0, 100.0), (0.5, 1.5, 250.0), (3.7, 6.3, 150.5)]
)
def test_mean_and_variance_follow_the_emva_model(
    photons: float, gain: float, read_noise: float, offset: float
) -> None:
    n = 250_000
    counts = camera(
        np.full(n, photons),
        gain=gain,
        read_noise=read_noise,
        offset=offset,
        rng=np.random.default_rng(7),
    ).astype(np.float64)
    var = gain**2 * (photons + read_noise**2) + 1 / 12  # rounding adds 1/12
    fourth = gain**4 * (photons + 3 * (photons + read_noise**2) ** 2)  # Poisson + normal
    assert abs(counts.mean() - (gain * photons + offset)) < 5 * math.sqrt(var / n)
    assert abs(counts.var() - var) < 5 * math.sqrt((fourth - var**2 + var) / n)


def test_a_camera_without_read_noise_records_multiples_of_the_gain() -> None:
    rng = np.random.default_rng(0)
    counts = camera(np.full(10_000, 4.0), gain=3.0, read_noise=0.0, offset=100.0, rng=rng)
    assert set(((counts.astype(int) - 100) % 3).tolist()) == {0}
    zeros = (counts == 100).mean()  # Poisson: P(0) = exp(-4)
    assert abs(zeros - math.exp(-4)) < 5 * math.sqrt(math.exp(-4) / 10_000)


def test_counts_are_clipped_to_sixteen_bits_not_wrapped() -> None:
    bright = camera(np.full((16, 16), 1e6), rng=np.random.default_rng(0))
    dark = camera(np.zeros((16, 16)), offset=-1000.0, rng=np.random.default_rng(0))
    assert bright.dtype == dark.dtype == np.uint16
    assert (bright == 65535).all()
    assert (dark == 0).all()


def test_noise_is_independent_from_pixel_to_pixel() -> None:
    x = camera(np.full((512, 512), 30.0), rng=np.random.default_rng(0)).astype(np.float64)
    z = (x - x.mean()) / x.std()
    for pair in (z[1:] * z[:-1], z[:, 1:] * z[:, :-1], z[1:, 1:] * z[:-1, :-1]):
        assert abs(pair.mean()) < 5 / math.sqrt(pair.size)


def test_one_generator_goes_on_and_does_not_start_again() -> None:
    photons = np.full((8, 8), 20.0)
    first, second = (camera(photons, rng=rng) for rng in [np.random.default_rng(3)] * 2)
    assert (first != second).any()
