"""Laws of the noise models and of the camera file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from unnoise.errors import InputError
from unnoise.noise.camera.file import Camera
from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import (
    EMCCD,
    Clipped,
    Histogram,
    Mixture,
    PoissonGauss,
    VarianceCurve,
    from_dict,
)

Z = np.linspace(-8, 8, 641)


def gaussian_table(knots: np.ndarray, variances: np.ndarray) -> Histogram:
    """The exact table of normal noise."""
    density = np.tile(stats.norm.pdf(Z), (len(knots), 1))
    return Histogram(knots, variances, Z, density)


def gaussian_mixture(knots: np.ndarray, variances: np.ndarray) -> Mixture:
    """Two equal components that together are one normal distribution."""
    one = np.ones((len(knots), 2))
    return Mixture(knots, variances, one, 0 * one, one)


def two_peaks() -> Mixture:
    """Skewed noise of mean 0: most values a little low, some far up."""
    knots = np.array([0.0, 50.0, 200.0])
    weights = np.array([[0.8, 0.2], [0.7, 0.3], [0.9, 0.1]])
    up = np.array([2.0, 1.0, 3.0])
    means = np.stack([-up * weights[:, 1] / weights[:, 0], up], axis=1)
    return Mixture(knots, np.array([4.0, 25.0, 90.0]), weights, means, np.full((3, 2), 0.5))


MODELS = {
    "poisson_gauss": PoissonGauss(2.0, 10.0, 9.0),
    "photons": PoissonGauss(1.0, 0.0, 0.0),
    "emccd": EMCCD(0.5, 5.0, 3.0),
    "constant": PoissonGauss(0.0, 0.0, 4.0),
    "curve": VarianceCurve(np.array([0.0, 30.0, 90.0]), np.array([4.0, 40.0, 20.0])),
    "histogram": gaussian_table(np.array([0.0, 100.0]), np.array([5.0, 60.0])),
    "mixture": two_peaks(),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("signal", [15.0, 40.0, 130.0])
def test_densities_integrate_to_one_with_the_mean_and_variance_of_the_model(
    name: str, signal: float
) -> None:
    model = MODELS[name]
    sd = float(np.sqrt(model.variance(signal)))
    y = np.linspace(signal - 9 * sd, signal + 9 * sd, 40_001)
    p = np.exp(model.log_likelihood(y, signal))
    step = y[1] - y[0]
    assert p.sum() * step == pytest.approx(1, abs=2e-3)
    assert (p * y).sum() * step == pytest.approx(signal, abs=0.03 * sd)
    wide = 1 / (2 * np.pi) if name == "photons" else 0  # peaks have a width
    assert (p * (y - signal) ** 2).sum() * step == pytest.approx(sd**2 + wide, rel=0.02)


def test_the_low_count_likelihood_is_the_convolution_of_poisson_and_normal() -> None:
    gain, offset, read = 2.0, 100.0, 3.0
    model = PoissonGauss(gain, offset, read**2)
    for photons in (0.05, 0.7, 6.0, 19.0):
        for y in (92.0, 100.0, 104.5, 130.0):
            oracle = sum(
                stats.poisson.pmf(k, photons) * stats.norm.pdf(y, offset + gain * k, read)
                for k in range(120)
            )
            found = model.log_likelihood(y, offset + gain * photons)
            assert float(found) == pytest.approx(np.log(oracle), abs=1e-6)


def test_photon_counts_have_nearly_their_poisson_probabilities() -> None:
    counts = np.arange(6)
    p = np.exp(PoissonGauss(1.0, 0.0, 0.0).log_likelihood(counts, 2.0))
    np.testing.assert_allclose(p, stats.poisson.pmf(counts, 2.0), rtol=0.15)


def test_the_exact_and_the_normal_likelihood_meet() -> None:
    model = PoissonGauss(2.0, 100.0, 9.0)
    y = np.linspace(125, 155, 11)
    below, above = model.log_likelihood(y, 139.99), model.log_likelihood(y, 140.01)
    np.testing.assert_allclose(below, above, atol=0.2)


@pytest.mark.parametrize("make", [gaussian_table, gaussian_mixture])
@pytest.mark.parametrize("prior", [1e-4, 0.3, 4.0, 60.0, 5e4])
def test_quadrature_is_the_closed_form_for_normal_noise(make: object, prior: float) -> None:
    model = make(np.array([-1e4, 1e4]), np.array([9.0, 9.0]))  # type: ignore[operator]
    rng = np.random.default_rng(1)
    mean = rng.uniform(-50, 50, 300)
    total = np.sqrt(prior + 9.0)
    noisy = mean + total * rng.uniform(-2, 2, 300)
    w = prior / (prior + 9.0)
    found, variance = model.posterior(noisy, mean, prior)
    exact = mean + w * (noisy - mean)
    sd = np.sqrt(w * 9.0)
    assert np.abs(found - exact).max() < 0.01 * sd
    assert np.abs(found - exact).mean() < 2e-3 * sd
    np.testing.assert_allclose(variance, w * 9.0, rtol=0.01)


def test_closed_forms_weigh_by_the_noise_at_the_prior_mean() -> None:
    model = MODELS["curve"]
    m, v = model.posterior(np.array([50.0]), np.array([15.0]), np.array([22.0]))
    np.testing.assert_allclose([m[0], v[0]], [15 + 0.5 * 35, 11.0])


@pytest.mark.parametrize("name", MODELS)
def test_a_certain_prior_stays(name: str) -> None:
    prior = np.array([12.0, 40.0])
    mean, variance = MODELS[name].posterior(np.array([90.0, -3.0]), prior, 0.0)
    np.testing.assert_array_equal(mean, prior)
    np.testing.assert_array_equal(variance, 0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(40, 50), (5, 20, 20)])
def test_the_posterior_beats_the_noisy_pixel_and_the_prior(
    name: str, shape: tuple[int, ...]
) -> None:
    model, rng = MODELS[name], np.random.default_rng(2)
    clean = rng.uniform(30, 90, shape)
    noise = draw(model, clean, rng)
    spread = 0.7 * np.sqrt(model.variance(60.0))
    prior = clean + rng.normal(0, spread, shape)
    mean, variance = model.posterior(noise, prior, spread**2)
    error = np.mean((mean - clean) ** 2)
    assert mean.shape == variance.shape == shape
    assert error < np.mean((prior - clean) ** 2)
    assert error < np.mean((noise - clean) ** 2)
    assert np.mean(variance) == pytest.approx(error, rel=0.15)
    assert abs(np.mean(mean - clean)) < 0.1 * np.sqrt(error)


def draw(model: object, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noisy values of a model by its own recipe."""
    if isinstance(model, PoissonGauss) and model.gain > 0:
        photons = rng.poisson((clean - model.offset) / model.gain)
        read = rng.normal(0, np.sqrt(model.read_variance), clean.shape)
        return model.offset + model.gain * photons + read
    if isinstance(model, EMCCD):
        electrons = rng.poisson((clean - model.offset) / model.gain)
        read = rng.normal(0, np.sqrt(model.read_variance), clean.shape)
        return model.offset + model.gain * rng.standard_gamma(electrons + 1e-9) + read
    if isinstance(model, Mixture):
        grid = np.linspace(-12, 12, 4001)
        sd = np.sqrt(np.interp(clean, model.knots, model.variances))
        out = np.empty(clean.size)
        for i, (s, scale) in enumerate(zip(clean.ravel(), sd.ravel(), strict=True)):
            p = np.exp(model.log_likelihood(s + scale * grid, s))
            out[i] = s + scale * np.interp(rng.random(), np.cumsum(p) / p.sum(), grid)
        return out.reshape(clean.shape)
    return clean + rng.normal(0, 1, clean.shape) * np.sqrt(model.variance(clean))  # type: ignore[attr-defined]


def test_a_mixture_posterior_is_that_of_brute_force() -> None:
    model = two_peaks()
    s = np.linspace(-80, 300, 200_001)
    for y, m, t in [(60.0, 50.0, 30.0), (90.0, 50.0, 30.0), (20.0, 60.0, 400.0), (55.0, 50.0, 1.0)]:
        p = np.exp(model.log_likelihood(y, s) - (s - m) ** 2 / (2 * t))
        mean = (p * s).sum() / p.sum()
        variance = (p * (s - mean) ** 2).sum() / p.sum()
        found = model.posterior(y, m, t)
        assert float(found[0]) == pytest.approx(mean, abs=0.02 * np.sqrt(variance))
        assert float(found[1]) == pytest.approx(variance, rel=0.03)


def test_an_outlier_does_not_pull_the_posterior_of_a_mixture() -> None:
    mean, variance = two_peaks().posterior(5000.0, 50.0, 4.0)
    assert abs(float(mean) - 50) < 1
    assert float(variance) < 5


@pytest.mark.parametrize("offset", [0.0, 0.013, 0.049])
def test_bin_edges_do_not_shift_a_coarse_histogram(offset: float) -> None:
    z = np.linspace(-6, 6, 61) + offset  # bins of 0.2 standard deviations, whatever their phase
    knots = np.array([0.0, 100.0])
    model = Histogram(knots, np.array([9.0, 9.0]), z, np.tile(stats.norm.pdf(z), (2, 1)))
    noisy = np.linspace(45, 55, 997)
    mean, _ = model.posterior(noisy, 50.0, 9.0)
    assert np.abs(mean - (50 + (noisy - 50) / 2)).max() < 0.03 * 3


def test_means_survive_at_a_fifth_of_a_photon() -> None:
    rng = np.random.default_rng(3)
    clean = np.full((400, 400), 0.2)
    noisy = rng.poisson(clean)
    prior = 0.2 * rng.gamma(20, 1 / 20, clean.shape)  # independent of the pixel's own noise
    for model in (PoissonGauss(1.0, 0.0, 0.0), VarianceCurve([0.0, 5.0], [1e-3, 5.0])):
        mean, variance = model.posterior(noisy, prior, 0.01)
        assert mean.mean() == pytest.approx(0.2, rel=0.02)
        assert np.isfinite(variance).all()
        assert (variance >= 0).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("level", [0.0, 65535.0, 1e6, -1e6])
def test_extreme_levels_stay_finite(name: str, level: float) -> None:
    model = MODELS[name]
    noisy = np.full((16, 16), level, np.float32)
    assert (model.variance(noisy) > 0).all()
    assert np.isfinite(model.log_likelihood(noisy, noisy)).all()
    for part in model.posterior(noisy, noisy, 1.0):
        assert np.isfinite(part).all()


@pytest.mark.parametrize("name", MODELS)
def test_integers_and_scalars_broadcast(name: str) -> None:
    model = MODELS[name]
    noisy = np.array([[20, 30], [40, 50]], np.uint8)
    assert model.log_likelihood(noisy, np.array([25.0, 35.0])).shape == (2, 2)
    assert model.posterior(noisy, 30.0, 4.0)[0].shape == (2, 2)
    assert np.ndim(model.posterior(20, 30, 4)[0]) == 0


def test_a_file_holds_every_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    knots = np.sort(rng.normal(0, 100, 7))
    table = Histogram(knots, rng.gamma(1, 9, 7), Z, rng.random((7, 641)))
    camera = Camera((*MODELS.values(), table), source="Fläche µ", notes=("gain 2",))
    camera.save(tmp_path / "new" / "camera.json")
    again = Camera.load(tmp_path / "new" / "camera.json")
    assert again == camera
    assert again.to_json() == camera.to_json()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["camera.json"]
    with pytest.raises(InputError, match="exists"):
        camera.save(tmp_path / "new" / "camera.json")
    Camera((MODELS["curve"],)).save(tmp_path / "new" / "camera.json", overwrite=True)
    assert len(Camera.load(tmp_path / "new" / "camera.json").channels) == 1
    y = np.linspace(0, 90, 50)
    for a, b in zip(again.channels, camera.channels, strict=True):
        np.testing.assert_array_equal(a.log_likelihood(y, 40.0), b.log_likelihood(y, 40.0))


def test_one_model_serves_all_channels_and_other_numbers_must_match() -> None:
    model, other = MODELS["curve"], MODELS["mixture"]
    assert Camera((model,)).models(3) == (model,) * 3
    assert Camera((model, other)).models(2) == (model, other)
    with pytest.raises(InputError, match="2 channels but the image has 3"):
        Camera((model, other)).models(3)


GOOD = {"kind": "poisson_gauss", "gain": 1.0, "offset": 0.0, "read_variance": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no camera file"),
        ("[1]", "format"),
        ('{"format": true, "channels": []}', "format"),
        ('{"format": 2, "channels": []}', "update unnoise"),
        ('{"format": 1}', "channels"),
        ('{"format": 1, "channels": []}', "one channel"),
        ('{"format": 1, "channels": [3]}', "unknown noise model"),
        ('{"format": 1, "channels": [{"kind": "magic"}]}', "magic"),
        ('{"format": 1, "channels": [{"kind": ["x"]}]}', "unknown noise model"),
        ('{"format": 1, "channels": [{"kind": "curve"}]}', "fields"),
        (json.dumps({"format": 1, "channels": [GOOD | {"gain": float("nan")}]}), "NaN"),
        ('{"format": 1, "channels": [' + json.dumps(GOOD).replace("1.0", "1e999") + "]}", "finite"),
    ],
)
def test_files_that_are_no_cameras_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Camera.from_json(text)


def curve(**changes: object) -> dict[str, object]:
    return {"kind": "curve", "knots": [0, 1], "variances": [1, 1]} | changes


@pytest.mark.parametrize(
    "values",
    [
        GOOD | {"gain": -1},
        GOOD | {"gain": 1e200},
        GOOD | {"gain": 1e-200},
        MODELS["emccd"].to_dict() | {"gain": 1e200},
        GOOD | {"read_variance": -1},
        MODELS["emccd"].to_dict() | {"gain": 0},
        MODELS["emccd"].to_dict() | {"read_variance": -0.5},
        GOOD | {"gain": [1, 2]},
        GOOD | {"gain": "two"},
        GOOD | {"extra": 1},
        curve(knots=[1, 0]),
        curve(variances=[1, 0]),
        curve(variances=[1]),
        curve(knots=[[0, 1]]),
        curve(knots=[], variances=[]),
        MODELS["mixture"].to_dict() | {"weights": [[1.0]]},
        MODELS["mixture"].to_dict() | {"weights": np.zeros((3, 2)).tolist()},
        MODELS["mixture"].to_dict() | {"weights": [[1.5, -0.5]] * 3},
        MODELS["mixture"].to_dict() | {"sigmas": np.zeros((3, 2)).tolist()},
        MODELS["mixture"].to_dict() | {"means": np.zeros((3, 1)).tolist()},
        MODELS["mixture"].to_dict() | dict.fromkeys(("weights", "means", "sigmas"), (1, 1, 1)),
        MODELS["mixture"].to_dict() | dict.fromkeys(("weights", "means", "sigmas"), ((), (), ())),
        MODELS["histogram"].to_dict() | {"density": [[1, 2], [3]]},
        MODELS["histogram"].to_dict() | {"density": np.zeros((2, 641)).tolist()},
        MODELS["histogram"].to_dict() | {"residuals": (Z**3).tolist()},
        MODELS["histogram"].to_dict() | {"residuals": []},
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        from_dict(values)


def test_the_variance_of_a_mixture_is_that_within_and_between_its_components() -> None:
    """The law of total variance."""
    model = Mixture([0.0], [9.0], weights=[[0.5, 0.5]], means=[[0.0, 4.0]], sigmas=[[1.0, 1.0]])
    assert float(model.variance(7.0)) == 9.0 * (1 + 4)


@pytest.mark.parametrize("make", [EMCCD, PoissonGauss])
def test_variances_of_darkness_count_in_the_units_of_the_image(make: type[NoiseModel]) -> None:
    """There is no light and no read noise: what is left is a share of one electron."""
    one, many = (float(make(gain, 7.0, 0.0).variance(7.0)) for gain in (1.0, 30.0))
    assert 0 < one < 0.1
    assert many == pytest.approx(30.0**2 * one)


def test_models_keep_numbers_of_their_own_that_nobody_changes() -> None:
    given = np.array([1.0, 2.0])
    model = VarianceCurve(given, given)
    given[:] = 5
    assert model.variance(1.5) == 1.5
    with pytest.raises(ValueError, match="read-only"):
        model.knots[0] = 0


def test_weights_of_a_mixture_sum_to_one_and_those_that_do_stay_bit_for_bit() -> None:
    model = two_peaks()
    rest = model.knots, model.variances
    doubled = Mixture(*rest, 2 * model.weights, model.means, model.sigmas)
    np.testing.assert_allclose(doubled.weights, model.weights, rtol=1e-15)
    rounded = np.tile([0.7, 0.2, 0.1], (3, 1))  # whose sum is not 1 but 1 - 1e-16
    kept = Mixture(*rest, rounded, 0 * rounded, 1 + rounded)
    np.testing.assert_array_equal(kept.weights, rounded)


def test_noise_of_dim_units_is_not_rounded_up() -> None:
    assert float(PoissonGauss(1e-8, 0.0, 1e-18).variance(1e-7)) == pytest.approx(1.001e-15)


def test_places_that_cannot_be_written_and_missing_files_are_refused(tmp_path: Path) -> None:
    camera = Camera((MODELS["curve"],))
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.json").mkdir()
    for name in ("camera.tif", "folder.json", "file/camera.json"):
        with pytest.raises(InputError):
            camera.save(tmp_path / name)
    for name in ("none.json", "folder.json"):
        with pytest.raises(InputError):
            Camera.load(tmp_path / name)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="camera file"):
        Camera.load(tmp_path / "bytes.json")


def test_of_clipped_noise_an_end_has_the_probability_of_all_beyond_it() -> None:
    model = Clipped([0.0, 100.0], [25.0, 225.0], low=0.0, high=60.0)
    for signal in (-2.0, 3.0, 30.0, 58.0, 70.0):
        sd = float(np.sqrt(model.variance(signal)))
        at = np.linspace(0, 60, 6001)[1:-1]
        inside = np.exp(model.log_likelihood(at, signal)).sum() * 0.01
        low, high = np.exp(model.log_likelihood(np.array([0.0, 60.0]), signal))
        assert low == pytest.approx(stats.norm.cdf(0, signal, sd))
        assert high == pytest.approx(stats.norm.sf(60, signal, sd))
        assert inside + low + high == pytest.approx(1, abs=1e-3)
    assert from_dict(model.to_dict()) == model


def test_a_clipped_pixel_pulls_the_posterior_down_less_than_its_value_says() -> None:
    clipped, plain = Clipped([0.0], [100.0], 0.0, 1e30), PoissonGauss(0.0, 0.0, 100.0)
    prior = {"mean": 3.0, "variance": 30.0}
    found = float(clipped.posterior(0.0, **prior)[0])
    s = np.linspace(-60, 60, 24_001)  # Bayes' rule by a plain sum
    weight = stats.norm.pdf(s, 3, 30**0.5) * stats.norm.cdf(0, s, 10)
    assert found == pytest.approx((s * weight).sum() / weight.sum(), abs=0.02)
    assert found < float(plain.posterior(0.0, **prior)[0]) < 3
    with pytest.raises(InputError, match="low end below"):
        Clipped([0.0], [1.0], 2.0, 1.0)
