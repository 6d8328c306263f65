"""Nets that predict how uncertain they are."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import clean_and_noisy
from tiny import finish, run_of, start, tiny
from unnoise.errors import ModelError
from unnoise.models.predict import predict_array, predict_with_uncertainty

# ---- Uncertainty ----


def test_the_predicted_deviation_is_that_of_the_noise() -> None:
    """Weak noise on the left, strong on the right; at the start both halves get the same."""
    rng = np.random.default_rng(0)
    sigma = np.repeat([1.0, 3.0], 48) * np.ones((96, 1))
    x = np.repeat([10.0, 20.0], 48) + sigma * rng.normal(size=sigma.shape)
    run = start(x, steps=250, loss="gaussian", learning_rate=1e-2)
    model = finish(run)
    clean, std = predict_with_uncertainty(model, x)
    for half, expected in ((slice(8, 40), 1.0), (slice(56, 88), 3.0)):
        assert std[:, half].mean() == pytest.approx(expected, rel=0.15)
        assert clean[:, half].mean() == pytest.approx(10 * expected / 2 + 5, abs=expected / 4)
    told = model.coverage
    assert told is not None
    assert told.variance_ratio == pytest.approx(1, abs=0.25)
    assert told.inside_50 == pytest.approx(0.5, abs=0.12)
    assert told.inside_95 == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("loss", ["gaussian", "laplace"])
@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
def test_uncertainties_have_the_shape_of_the_image(channels: str, loss: str, tta: bool) -> None:
    x = np.random.default_rng(0).poisson(50, size=(24, 2, 30, 3)).astype(np.uint16)
    x[..., 1] = 7  # constant, so copied
    config = tiny(net={"channels": channels}, steps=2, patch=16, loss=loss)
    model = finish(run_of(config, x, axes="YTXC"))
    clean, std = predict_with_uncertainty(model, x, axes="YTXC", tta=tta)
    assert clean.shape == std.shape == x.shape
    assert (clean.dtype, std.dtype) == (np.uint16, np.float32)
    assert (clean[..., 1] == 7).all()
    assert (std[..., 1] == 0).all()
    assert (std[..., [0, 2]] > 0).all()
    assert np.array_equal(clean, predict_array(model, x, axes="YTXC", tta=tta))


def test_uncertainties_are_in_the_units_of_the_image() -> None:
    x = clean_and_noisy(48)[1]
    config = tiny(steps=4, loss="laplace")
    one, eight = (predict_with_uncertainty(finish(run_of(config, f * x)), f * x) for f in (1, 8))
    np.testing.assert_allclose(eight[1], 8 * one[1], rtol=1e-4)
    # With clean targets, in their units.
    config = tiny("care", steps=4, loss="gaussian")
    one, eight = (predict_with_uncertainty(finish(run_of(config, x, f * x)), x) for f in (1, 8))
    np.testing.assert_allclose(eight[1], 8 * one[1], rtol=1e-4)


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_other_losses_predict_no_uncertainty(loss: str) -> None:
    x = clean_and_noisy(48)[1]
    model = finish(start(x, steps=1, loss=loss))
    with pytest.raises(ModelError, match=r"no uncertainty; train one with .*loss=gaussian"):
        predict_with_uncertainty(model, x)
    assert model.coverage is None
