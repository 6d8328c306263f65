"""Laws of the instant road: plan, calibration, result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synthetic import smooth
from tiny import CPU
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.build import build_net
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.nets.variance_stabilized import KNOTS, VarianceStabilized
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training import instant as stabilising
from unnoise.training.instant import VstCalibration, _shift, with_stabilizer
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan
from unnoise.training.start import start


def scene(side: int = 48, seed: int = 0, scale: float = 30.0) -> NDArray[np.float64]:
    """Smooth blobs with a few edges, mean about `scale`."""
    rng = np.random.default_rng(seed)
    blobs = smooth((side, side), 4, rng, sd=0.15, mode="wrap")
    edges = smooth((side, side), 6, rng, mode="wrap") > 0
    return scale * (0.5 + blobs + 0.8 * edges).clip(0.1)


def photons(side: int = 48, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).poisson(scene(side, seed)).astype(np.float32)


def planned(array: NDArray, axes: str | None = None, **changes: Any) -> tuple[Image, Model]:
    image = Image.from_array(array, axes)
    return image, plan([image], Config(method="instant").replace(**changes))


def calibrated(array: NDArray, axes: str | None = None, **changes: Any) -> VstCalibration:
    image, model = planned(array, axes, **changes)
    run = VstCalibration([image], model, CPU)
    for progress in run:
        assert 0 < progress.fraction <= 1
        assert progress.work == "calibrating"
    return run


def denoised(array: NDArray, axes: str | None = None, dtype: Any = np.float64) -> NDArray:
    model = calibrated(array, axes).model()
    return predict_array(model, array, axes=axes, dtype=dtype, device="cpu")


# The first guess


def test_the_knots_reach_beyond_what_is_seen_and_know_the_measured_noise() -> None:
    image, model = planned(photons())
    camera = PoissonGauss(gain=2.0, offset=5.0, read_variance=3.0)
    noise = ImageNoise((camera,), (0.1,), ("",))
    made = with_stabilizer(replace(model, noise=noise), [image])
    knots, log_sigma = (made.weights[k].double().numpy() for k in ("knots", "log_sigma"))
    assert knots.shape == log_sigma.shape == (1, KNOTS)
    mean, std = made.affine.mean[0], made.affine.std[0]
    signal = mean + std * knots[0]
    low, high = np.quantile(image.data[:], [0.01, 0.99])
    assert signal[0] < low < high < signal[-1]
    inside = signal > 6
    expected = 2.0 * (signal[inside] - 5.0) + 3.0
    np.testing.assert_allclose((std * np.exp(log_sigma[0][inside])) ** 2, expected, rtol=1e-3)
    assert {k for k in made.weights if k not in ("knots", "log_sigma")} <= set(model.weights)


def test_unknown_noise_is_of_one_strength_that_edges_do_not_spoil() -> None:
    rng = np.random.default_rng(0)
    noisy = scene(64, scale=100) + rng.normal(0, 4, (64, 64))
    image, model = planned(noisy)
    noise = ImageNoise((None,), (1.0,), ("",))
    made = with_stabilizer(replace(model, noise=noise), [image])
    sigma = made.affine.std[0] * np.exp(made.weights["log_sigma"][0].numpy())
    assert np.ptp(sigma) < 1e-4
    assert sigma[0] == pytest.approx(4, rel=0.4)


# The calibration


def test_starts_as_the_run_of_its_method() -> None:
    image, model = planned(photons(16))
    assert isinstance(start([image], model, CPU), VstCalibration)


def test_history_is_no_worse_than_the_first_guess() -> None:
    for array in (photons(24), np.random.default_rng(1).normal(size=(16, 16))):
        run = calibrated(array)
        first, last = run.history
        assert (first["step"], last["step"]) == (0, stabilising.STEPS)
        assert last["held_out"] <= first["held_out"]
        assert run.model().provenance.held_out == last["held_out"]
        assert run.fraction == 1


def test_an_image_gains_and_keeps_its_brightness() -> None:
    clean, noisy = scene(), photons()
    result = denoised(noisy)
    assert ((result - clean) ** 2).mean() < 0.5 * ((noisy - clean) ** 2).mean()
    error = np.sqrt(clean.mean() / clean.size)
    assert abs(result.mean() - noisy.mean()) < 4 * error


@pytest.mark.usefixtures("few_steps")
def test_the_same_seed_gives_the_same_result() -> None:
    noisy = photons(70)  # larger than a patch, so that there is something to draw
    first, again = (calibrated(noisy).model().weights for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    torch.manual_seed(5)
    other = calibrated(noisy, training={"seed": 1}).model().weights
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.usefixtures("few_steps")
def test_the_net_itself_and_the_global_random_state_stay() -> None:
    state = torch.get_rng_state()
    run = calibrated(photons(32))
    assert torch.equal(state, torch.get_rng_state())
    net = build_net(run.model())
    assert isinstance(net, VarianceStabilized)
    _, model = planned(photons(32))
    for name, weight in run.model().weights.items():
        if name.startswith("net."):
            assert torch.equal(weight, model.weights[name])


@pytest.mark.usefixtures("few_steps")
def test_stopped_it_is_the_first_guess_and_starts_anew() -> None:
    image, model = planned(photons(32))
    run = VstCalibration([image], model, CPU)
    whole = calibrated(photons(32)).model().weights
    for progress in run:
        if progress.step == 1:
            break
    assert run.model() is model
    other = VstCalibration([image], run.model(), CPU)
    other.restore(run.state())
    for _ in other:
        pass
    assert all(torch.equal(whole[name], w) for name, w in other.model().weights.items())
    with pytest.raises(InputError, match="start anew"):
        other.restore({"step": 3})


def test_noise_that_clipping_hides_is_found() -> None:
    rng = np.random.default_rng(0)
    noisy = scene(96, scale=10) - 6 + rng.normal(0, 5, (96, 96))
    image, model = planned(noisy.clip(0))
    dark = float((-model.affine.mean[0]) / model.affine.std[0])
    sigma = model.weights["log_sigma"].clone()
    sigma[model.weights["knots"] < dark + 0.5] -= 1.5  # as if there was hardly any noise
    run = VstCalibration([image], model.with_weights({**model.weights, "log_sigma": sigma}), CPU)
    for _ in run:
        pass
    refined = run.model().weights["log_sigma"]
    assert refined[0, 0] > sigma[0, 0] + 0.4
    assert run.history[-1]["held_out"] < run.history[0]["held_out"]


def test_where_the_noise_was_measured_right_it_stays() -> None:
    rng = np.random.default_rng(0)
    image, model = planned(scene(96, scale=100) + rng.normal(0, 5, (96, 96)))
    run = VstCalibration([image], model, CPU)
    for _ in run:
        pass
    assert torch.equal(run.model().weights["log_sigma"], model.weights["log_sigma"])


def test_pixels_that_are_no_measurement_do_not_judge() -> None:
    noisy = photons(64)
    clean = calibrated(noisy).history[0]["held_out"]
    spoilt, mask = noisy.copy(), np.ones(noisy.shape, np.bool_)
    spoilt[20:24, 20:24], mask[20:24, 20:24] = 1e4, False
    image = with_mask(spoilt, mask)
    run = VstCalibration([image], plan([image], Config(method="instant")), CPU)
    for _ in run:
        pass
    assert run.history[0]["held_out"] == pytest.approx(clean, rel=0.1)


# The result


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("a", "b"), [(3.0, 100.0), (0.01, -2.0), (1.0, 1e5)])
def test_brightness_and_contrast_pass_through(a: float, b: float) -> None:
    noisy = photons(32).astype(np.float64)
    expected = a * denoised(noisy) + b
    result = denoised(a * noisy + b)
    assert np.abs(result - expected).max() < 0.02 * a * noisy.std()


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_types(dtype: Any) -> None:
    noisy = photons(32).clip(0, 255)
    result = denoised(noisy.astype(dtype), dtype=dtype)
    assert result.dtype == dtype
    assert np.abs(result.astype(float) - denoised(noisy)).max() < (
        1 if dtype != np.float32 else 0.2
    )


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    "array",
    [
        np.arange(256.0).reshape(16, 16),
        (np.random.default_rng(0).random((16, 40)) > 0.5).astype(np.uint8),
        np.pad(np.ones((1, 1), np.uint16), ((20, 11), (3, 28))),
        (65535 - np.random.default_rng(0).poisson(3, (32, 32))).astype(np.uint16),
        np.where(np.random.default_rng(0).random((32, 32)) > 0.05, 0.0, 1e6),
        1e6 + np.random.default_rng(0).normal(size=(16, 17)),
        1e-8 * np.random.default_rng(0).normal(size=(17, 16)),
    ],
    ids=["ramp", "binary", "one pixel", "saturated", "rare", "offset", "tiny"],
)
def test_any_image_gives_numbers_in_its_range(array: NDArray) -> None:
    result = denoised(array)
    assert np.isfinite(result).all()
    spread = np.ptp(array.astype(np.float64))
    assert result.min() > array.min() - spread
    assert result.max() < array.max() + spread


@pytest.mark.usefixtures("few_steps")
def test_constant_planes_are_copied() -> None:
    array = np.stack([photons(24), np.full((24, 24), 7, np.float32)])
    result = denoised(array, "CYX")
    assert (result[1] == 7).all()
    alone = denoised(array[0])
    assert np.allclose(result[0], alone, atol=0.02 * array[0].std())
    with pytest.raises(InputError, match="constant"):
        planned(np.full((24, 24), 5.0))


@pytest.mark.usefixtures("few_steps")
def test_channels_have_transforms_of_their_own() -> None:
    rng = np.random.default_rng(0)
    array = np.stack([photons(32), 500 + scene(32, 1) + rng.normal(0, 12, (32, 32))])
    weights, swapped = (calibrated(a, "CYX").model().weights for a in (array, array[::-1]))
    assert not torch.allclose(weights["log_sigma"][0], weights["log_sigma"][1], atol=0.1)
    # every channel keeps what helps its own pixels
    assert torch.allclose(weights["log_sigma"].flip(0), swapped["log_sigma"], atol=0.02)
    assert torch.allclose(weights["knots"].flip(0), swapped["knots"], atol=1e-3)


@pytest.mark.usefixtures("few_steps")
def test_a_stack_is_denoised_slice_by_slice() -> None:
    stack = np.stack([photons(24, seed) for seed in range(5)])
    model = calibrated(stack, "ZYX").model()
    assert model.ndim == 2
    whole = predict_array(model, stack, axes="ZYX", dtype=np.float64, device="cpu")
    each = [predict_array(model, p, axes="YX", dtype=np.float64, device="cpu") for p in stack]
    np.testing.assert_allclose(whole, np.stack(each), atol=1e-3)


# The shift


def test_the_shift_finds_a_bias_that_depends_on_the_signal() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.uniform(-1, 3, 200_000)
    bias = 0.1 + 0.05 * predicted
    noisy = predicted + bias + rng.normal(0, 0.5, predicted.shape)
    knots = torch.linspace(-2, 4, 61)
    p, y = (torch.from_numpy(a.astype(np.float32)) for a in (predicted, noisy))
    found = _shift(knots, p, y).numpy()
    at = knots.numpy()
    inside = (at > -0.8) & (at < 2.8)
    np.testing.assert_allclose(found[inside], 0.1 + 0.05 * at[inside], atol=0.02)
    assert found[0] == pytest.approx(found[at < -1.1][-1])  # level beyond what was seen


def test_the_shift_of_noise_alone_is_next_to_nothing() -> None:
    rng = np.random.default_rng(1)
    p, noise = (torch.from_numpy(rng.normal(size=4000).astype(np.float32)) for _ in range(2))
    error = 1 / np.sqrt(4000 / 16)
    found = _shift(torch.linspace(-5, 5, 31), p, p + noise)
    assert found.abs().mean() < error
    same = _shift(torch.linspace(-5, 5, 31), torch.ones(50), torch.ones(50))
    assert torch.equal(same, torch.zeros(31))


@pytest.mark.parametrize("method", ["instant", "nlridge", "adapted"])
def test_an_image_without_pixels_to_learn_from_is_refused_with_what_works(method: str) -> None:
    striped = photons()
    striped[:, 1::2] = np.nan
    image = with_mask(striped)
    with pytest.raises(InputError, match=r"nothing to learn; cut out the rows and columns"):
        plan([image], Config(method=method))
    cut = plan([with_mask(striped[:, ::2])], Config(method=method))
    assert set(cut.weights) > {"knots", "log_sigma"}


# Settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "instant", "training": {"steps": 5}}, "calibrated, not trained"),
        ({"method": "instant", "training": {"minutes": 1}}, "calibrated, not trained"),
        ({"method": "instant", "training": {"learning_rate": 0.1}}, "calibrated, not trained"),
        ({"method": "instant", "ndim": 3}, "works on planes"),
        ({"method": "adapted", "ndim": 3}, "works on planes"),
        ({"method": "adapted", "training": {"loss": "gaussian"}}, "loss gaussian"),
        ({"method": "adapted", "centre": True}, "leave use_center_pixel out"),
        ({"method": "instant", "net": {"filters": 8}}, "no settings 'net'"),
        ({"method": "adapted", "mask": {"percent": 1.0}}, "no settings 'mask'"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Config.parse(values)


def test_a_thick_stack_stays_two_dimensional() -> None:
    _, model = planned(np.random.default_rng(0).normal(size=(20, 16, 16)), "ZYX")
    assert model.ndim == 2
    assert not isinstance(start([Image.from_array(np.eye(16))], model, CPU), TrainingRun)


def test_of_few_photons_squares_are_averaged() -> None:
    """At half a photon a pixel no transform stabilises the noise of single pixels."""
    truth = smooth((160, 160), 8, np.random.default_rng(0), sd=0.15, mode="wrap") + 0.5
    counts = np.random.default_rng(1).poisson(truth.clip(0.02)).astype(np.float32)
    run = calibrated(counts)
    model = run.model()
    assert int(model.weights["bins"]) in (2, 4)
    single = model.with_weights({**model.weights, "bins": torch.tensor(1)})
    errors = [
        float(np.mean((predict_array(m, counts, device="cpu") - truth) ** 2))
        for m in (model, single)
    ]
    assert errors[0] < errors[1]


def test_squares_are_not_averaged_where_noise_is_moderate() -> None:
    assert int(calibrated(photons(96)).model().weights["bins"]) == 1
