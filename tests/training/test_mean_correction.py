"""Results keep the mean of the noisy pixels, dark and bright, whatever the net makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import unnoise
from synthetic import between
from tiny import tiny
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models import folder
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.predict import predict_array
from unnoise.training.mean_correction import _polyline, with_mean_correction


def counts(mean: float, seed: int, side: int = 96) -> np.ndarray:
    """Photon counts of a scene of a mean, float32."""
    scene = between(0.2, 1.8, (side, side), width=6)
    return np.random.default_rng(seed).poisson(mean * scene / scene.mean()).astype(np.float32)


@pytest.mark.parametrize("method", ["n2v", "r2r", "b2u", "n2n"])
@pytest.mark.parametrize("mean", [0.2, 1.0, 10.0])
def test_the_mean_of_few_photons_is_kept(method: str, mean: float) -> None:
    noisy = counts(mean, 1)
    second = counts(mean, 2) if method == "n2n" else None
    model = unnoise.train(noisy, second, config=tiny(method, steps=3))
    kept, lost = (
        predict_array(m, noisy, dtype=np.float64).mean() / noisy.mean() - 1
        for m in (model, replace(model, mean_correction=None))
    )
    assert abs(lost) > 0.005
    assert abs(kept) < 1e-4


@pytest.mark.slow
def test_instant_keeps_the_mean_of_few_photons_and_lets_no_pixel_pass() -> None:
    scene = between(0.02, 0.38, (128, 128), width=6)
    noisy = np.random.default_rng(0).poisson(scene).astype(np.float32)
    result = unnoise.train(noisy, config=Config(method="instant")).predict(noisy)
    assert result.mean() == pytest.approx(noisy.mean(), rel=1e-3)
    assert ((result - scene) ** 2).mean() < 0.1 * scene.var() + 0.02 * scene.mean()


@pytest.mark.parametrize("method", ["n2v", "structn2v"])
def test_means_over_flips_and_rotations_keep_the_mean_too(method: str) -> None:
    noisy = counts(0.2, 1)
    model = unnoise.train(noisy, config=tiny(method, steps=3))
    assert model.mean_correction is not None
    averaged = replace(model, mean_correction=replace(model.mean_correction, averaged=None))
    kept, lost = (m.predict(noisy, tta=True).mean() / noisy.mean() - 1 for m in (model, averaged))
    assert abs(kept) < 1e-4 < 1e-3 < abs(lost)


def test_every_channel_has_its_own() -> None:
    noisy = np.stack([counts(5, 1), counts(50, 2)])
    model = unnoise.train(noisy, axes="CYX", config=tiny(steps=2))
    result = model.predict(noisy, axes="CYX").mean((1, 2))
    assert np.allclose(result, noisy.mean((1, 2)), rtol=1e-4)


def test_a_hot_pixel_lifts_nothing() -> None:
    noisy = counts(10, 1)
    noisy[40, 40] = 1e6
    model = unnoise.train(noisy, config=tiny(steps=2))
    assert model.mean_correction is not None
    assert max(map(abs, model.mean_correction.add[0])) < 10


@pytest.mark.parametrize("mean", [0.004, 0.03])
def test_rare_photons_are_no_outliers(mean: float) -> None:
    noisy = np.random.default_rng(0).poisson(mean, (128, 128)).astype(np.float32)
    result = unnoise.train(noisy, config=tiny(steps=3)).predict(noisy)
    assert result.mean() == pytest.approx(noisy.mean(), rel=1e-3)


def test_filters_that_keep_means_have_none() -> None:
    assert unnoise.train(counts(10, 1), config=Config(method="gaussian")).mean_correction is None


@pytest.mark.parametrize("mean", [0.2, 10.0])
def test_results_of_care_have_the_mean_of_the_clean_images(mean: float) -> None:
    truth = (7 + 3 * counts(10, 2)).astype(np.float32)  # another exposure, with an offset
    model = unnoise.train(counts(mean, 1), truth, config=tiny("care", steps=3))
    bare = replace(model, mean_correction=None)
    for averaged in (False, True):
        kept, lost = (
            predict_array(m, counts(mean, 1), dtype=np.float64, tta=averaged).mean()
            for m in (model, bare)
        )
        assert kept == pytest.approx(truth.mean(), rel=1e-4)
        assert abs(lost / truth.mean() - 1) > 0.005


def test_results_of_care_are_right_dark_and_bright() -> None:
    noisy = counts(30, 1)
    truth = between(0.2, 1.8, noisy.shape, width=6) ** 2  # no line of the noisy image
    model = unnoise.train(noisy, truth.astype(np.float32), config=tiny("care", steps=100))

    def missed(m: unnoise.models.model.Model) -> list[float]:
        result = predict_array(m, noisy, dtype=np.float64)
        third = np.digitize(result, np.quantile(result, [1 / 3, 2 / 3]))
        return [abs(result[third == i].mean() / truth[third == i].mean() - 1) for i in range(3)]

    assert max(missed(model)) < 0.03 < max(missed(replace(model, mean_correction=None)))


def test_clean_pixels_that_are_no_measurement_have_no_say() -> None:
    noisy, truth = counts(10, 1), 3 * counts(10, 2)
    truth[20:50, 30:60] = np.nan
    known = np.isfinite(truth)
    model = unnoise.train(noisy, truth, config=tiny("care", steps=3))
    result = predict_array(model, noisy, dtype=np.float64)
    assert result[known].mean() == pytest.approx(truth[known].mean(), rel=1e-4)


def test_without_the_clean_images_nothing_is_corrected() -> None:
    noisy = counts(10, 1)
    model = unnoise.train(noisy, counts(10, 2), config=tiny("care", steps=1))
    bare = replace(model, mean_correction=None)
    again = with_mean_correction(bare, [Image.from_array(noisy)], torch.device("cpu"))
    assert again.mean_correction is None


def test_the_folder_keeps_it(tmp_path) -> None:
    model = unnoise.train(counts(1, 1), config=tiny(steps=1))
    model.save(tmp_path / "m")
    assert folder.load(tmp_path / "m").mean_correction == model.mean_correction


@pytest.mark.parametrize(
    ("at", "add"),
    [([[0, 1]], [[1]]), ([[1, 0]], [[1, 1]]), ([[0, 1]], [[1, float("nan")]]), ([[]], [[]])],
)
def test_damaged_corrections_are_refused(at: list, add: list) -> None:
    damaged, whole = {"at": at, "add": add}, {"at": [[0.0]], "add": [[0.0]]}
    for values in (damaged, whole | {"averaged": damaged}):
        with pytest.raises(ValueError, match="do not fit"):
            MeanCorrection.from_dict(values)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_bias_of_bright_spots_stays_in_them(rng: np.random.Generator) -> None:
    truth = np.where(rng.random(60_000) < 0.02, 100.0, 1.0)
    noisy = rng.poisson(truth).astype(float)
    clean = np.where(truth > 50, 0.9 * truth, truth) + rng.normal(0, 0.01, truth.shape)
    at, add = _polyline(noisy, clean, truth + rng.normal(0, 0.1, truth.shape), binned=True)
    corrected = clean + np.interp(clean, at, add)
    assert corrected.mean() == pytest.approx(noisy.mean())
    assert corrected[truth < 50].mean() == pytest.approx(1.0, abs=0.02)
    assert corrected[truth > 50].mean() == pytest.approx(100, rel=0.02)


def test_noise_alone_moves_nothing_but_the_mean(rng: np.random.Generator) -> None:
    noisy = rng.poisson(1.0, 40_000).astype(float)
    clean = 0.9 + rng.normal(0, 0.05, noisy.shape)
    at, add = _polyline(noisy, clean, rng.normal(size=noisy.shape), binned=True)
    added = np.interp(clean, at, add)
    assert added.mean() == pytest.approx(noisy.mean() - clean.mean())
    assert added.std() < 0.02


def test_the_order_of_results_is_kept(rng: np.random.Generator) -> None:
    truth = rng.uniform(0, 10, 20_000)
    noisy, clean = rng.poisson(truth).astype(float), truth + 3 * np.sin(3 * truth)
    at, add = _polyline(noisy, clean, truth, binned=True)
    x = np.linspace(min(at), max(at), 200)
    assert (np.diff(x + np.interp(x, at, add)) > 0).all()


@pytest.mark.parametrize("turns", [0.5, 1.0, 1.5, 2.0])
def test_no_correction_takes_results_away_from_what_they_should_be(turns: float) -> None:
    clean = np.linspace(0, 1, 20_000)
    wanted = np.cos(2 * np.pi * turns * clean)  # falls and rises: no order-keeping one is right
    at, add = _polyline(wanted, clean, clean, binned=True)
    corrected = clean + np.interp(clean, at, add)
    assert ((corrected - wanted) ** 2).mean() < (
        (clean + (wanted - clean).mean() - wanted) ** 2
    ).mean()
    assert corrected.mean() == pytest.approx(wanted.mean(), abs=1e-9)


def test_without_pixels_nothing_is_added() -> None:
    empty = np.empty(0)
    assert _polyline(empty, empty, empty, binned=True) == ((0.0,), (0.0,))


def test_a_mean_of_two_models_is_corrected_once() -> None:
    noisy = counts(1, 1)
    one, two = (unnoise.train(noisy, config=tiny(steps=2, seed=s)) for s in (0, 1))
    both = replace(one, second=unnoise.models.model.EnsembleMember(two, 0.5), mean_correction=None)
    kept = with_mean_correction(both, [Image.from_array(noisy)], torch.device("cpu"))
    assert predict_array(kept, noisy, dtype=np.float64).mean() == pytest.approx(
        noisy.mean(), rel=1e-5
    )


@pytest.mark.parametrize("method", ["n2v", "r2r"])
@pytest.mark.parametrize("mean", [0.2, 10.0])
def test_positive_data_stay_positive_and_keep_their_mean(method: str, mean: float) -> None:
    noisy = counts(mean, 3)
    second = counts(mean, 2) if method == "n2n" else None
    model = unnoise.train(noisy, second, config=tiny(method, steps=3))
    result = predict_array(model, noisy, dtype=np.float64)
    assert result.min() >= 0
    assert result.mean() == pytest.approx(noisy.mean(), rel=1e-4)
    shifted = unnoise.train(noisy - 1, config=tiny(method, steps=3))
    assert shifted.mean_correction is not None
    assert not any(shifted.mean_correction.less)  # no count: negative values mean something


def test_negative_results_become_zeros_and_what_that_adds_is_taken_from_all() -> None:
    correction = MeanCorrection(at=((0.0,),), add=((0.0,),), less=(0.25,))
    np.testing.assert_array_equal(
        correction.apply(np.array([[-1.0, 0.1, 2.0]])), [[0.0, 0.0, 1.75]]
    )
    again = MeanCorrection.from_dict({"at": [[0.0]], "add": [[0.0]], "less": [0.25]})
    assert again == correction
    with pytest.raises(ValueError, match="do not fit"):
        MeanCorrection.from_dict({"at": [[0.0]], "add": [[0.0]], "less": [0.25, 0.5]})


def test_pixels_below_0_are_seen_wherever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unnoise.training.mean_correction._less", lambda *_: 0.25)
    noisy = counts(1, 1)
    model = unnoise.train(noisy, config=Config(method="gaussian"))
    found = with_mean_correction(model, [Image.from_array(noisy)], torch.device("cpu"))
    assert found.mean_correction is not None
    assert found.mean_correction.less == (0.25,)
    noisy[[0, -1]] = -1
    found = with_mean_correction(model, [Image.from_array(noisy)], torch.device("cpu"))
    assert found.mean_correction is not None
    assert found.mean_correction.less == ()


def test_a_net_beside_the_shipped_one_has_means_of_its_own_over_flips_too() -> None:
    noisy = counts(0.2, 1)
    shipped = unnoise.train(noisy, config=Config(method="instant"))
    assert shipped.mean_correction is not None
    assert shipped.mean_correction.averaged is None
    own = unnoise.train(noisy, config=tiny(steps=3))
    member = unnoise.models.model.EnsembleMember(replace(own, mean_correction=None), 0.9)
    both = replace(shipped, second=member, mean_correction=None, passes=None)
    kept = with_mean_correction(both, [Image.from_array(noisy)], torch.device("cpu"))
    for tta in (False, True):
        assert kept.mean_correction is not None
        result = predict_array(kept, noisy, dtype=np.float64, tta=tta)
        assert result.mean() == pytest.approx(noisy.mean(), rel=1e-4)
