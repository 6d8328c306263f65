"""Laws of recorruption: two images of the same mean, with independent noise, out of one."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.app.denoise import denoise_files, predict_files, train_files
from unnoise.app.files import Reading, Writing
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.noise.camera.file import Camera
from unnoise.noise.models import PoissonGauss
from unnoise.training.loop import Run
from unnoise.training.methods import METHODS, Noise, Recorrupted, Step
from unnoise.training.methods.r2r import SIGNALS, additive, root, thinning, wide
from unnoise.training.noise_tables import noise_of
from unnoise.training.plan import plan

SPACES = [(24, 20), (6, 10, 12)]
CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant(variance: float, **options: Any) -> Noise:
    return Noise(np.full(len(SIGNALS), variance), **options)


def step(x: torch.Tensor, held: torch.Tensor | None = None, **options: Any) -> Step:
    held = torch.zeros_like(x, dtype=torch.bool) if held is None else held
    return Step(x, x, held, seeded(), 0.0, lambda x: x, **options)


def within(values: NDArray, expected: float, sigmas: float = 5.0) -> bool:
    """Whether the mean of independent values agrees with an expectation."""
    values = np.ravel(values)
    return bool(abs(values.mean() - expected) < sigmas * values.std() / len(values) ** 0.5)


# ---- Normal noise ----


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("space", SPACES)
def test_parts_have_the_mean_and_variances_of_the_formula_and_nothing_in_common(
    space: tuple[int, ...], alpha: float
) -> None:
    rng = np.random.default_rng(0)
    signal, sd = 0.7, 0.4
    noisy = rng.normal(signal, sd, (300, *space))
    y = torch.from_numpy(noisy)
    first, second = additive(alpha, [constant(sd**2)])(y, torch.zeros(300).long(), seeded())
    one, two = first.numpy() - signal, second.numpy() - signal
    assert within(one, 0)
    assert within(two, 0)
    assert within(one**2, sd**2 * (1 + alpha**2))
    assert within(two**2, sd**2 * (1 + alpha**-2))
    assert within(one * two, 0)
    assert within(one**2 * two**2, sd**4 * (1 + alpha**2) * (1 + alpha**-2)), "independent"
    np.testing.assert_allclose((first + alpha**2 * second) / (1 + alpha**2), y, atol=1e-12)


def test_the_deviation_follows_the_table_of_the_channel_at_the_mean_of_the_neighbours() -> None:
    tables = [0.2 + 0.1 * np.maximum(SIGNALS + 5, 0), 0.5 * np.exp(-(SIGNALS**2))]
    split = additive(0.5, [Noise(table) for table in tables])
    rng = np.random.default_rng(0)
    y = rng.normal(0, 2, (4, 9, 11))
    channel = torch.tensor([0, 1, 1, 0])
    found = split.deviation(torch.from_numpy(y), channel)
    kernel = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    for plane, c, sd in zip(y, channel.tolist(), found.numpy(), strict=True):
        mean = ndimage.convolve(plane, kernel)
        expected = np.sqrt(np.interp(mean, SIGNALS, tables[c]))
        np.testing.assert_allclose(sd[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-9)


@pytest.mark.parametrize("space", [(5, 6), (3, 5, 4)])
def test_the_deviation_of_a_pixel_does_not_see_the_pixel(space: tuple[int, ...]) -> None:
    split = additive(0.5, [Noise(np.maximum(1 + 0.3 * SIGNALS, 0.01))])
    y = torch.randn(1, *space, generator=seeded(), dtype=torch.float64)
    before = split.deviation(y, torch.zeros(1).long())
    at = (0, *(n // 2 for n in space))
    y[at] += 10
    after = split.deviation(y, torch.zeros(1).long())
    assert after[at] == before[at]
    assert (after != before).any()


@pytest.mark.parametrize("signal", [-1e6, -30.0, 0.0, 1e-3, 5.0, 1e6])
def test_beyond_the_table_its_ends_hold(signal: float) -> None:
    table = 1 + np.maximum(SIGNALS, 0)
    split = additive(0.5, [Noise(table)])
    y = torch.full((1, 8, 8), signal, dtype=torch.float32)
    expected = np.sqrt(np.interp(signal, SIGNALS, table))
    np.testing.assert_allclose(split.deviation(y, torch.zeros(1).long()), expected, rtol=1e-4)


def test_noise_that_grows_with_the_signal_is_split_without_correlation() -> None:
    """Also at the few photons where the table at a noisy estimate is far off for one pixel."""
    gain, offset = 0.2, -0.5
    rng = np.random.default_rng(0)
    signal = 0.5
    y = offset + gain * rng.poisson((signal - offset) / gain, (4000, 9, 9))
    noise = Noise(np.maximum(gain * (SIGNALS - offset), 0))
    parts = additive(0.5, [noise])(torch.from_numpy(y), torch.zeros(4000).long(), seeded())
    one, two = (part.numpy() - signal for part in parts)
    assert within(one, 0)
    assert within(two, 0)
    assert within((one * two).mean((1, 2)), 0)
    beside = (one[:, :, 1:] * two[:, :, :-1]).mean((1, 2))
    assert within(beside, 0), "nor with the neighbours, whose deviation the pixel moves"


RHO = np.zeros((3, 5))
RHO[1] = [0.2, 0.6, 1.0, 0.6, 0.2]


@pytest.mark.parametrize(
    ("rho", "space"),
    [(RHO, (16, 16)), (RHO.T, (9, 13)), (np.array([0.4, 1, 0.4])[:, None, None] * RHO, (6, 8, 9))],
)
def test_correlated_draws_have_the_given_autocorrelation(
    rho: NDArray, space: tuple[int, ...]
) -> None:
    n, alpha, sd = 1500, 0.5, 0.3
    y = torch.zeros(n, *space, dtype=torch.float64)
    split = additive(alpha, [constant(sd**2, rho=rho)])
    first, second = split(y, torch.zeros(n).long(), seeded())
    z = first.numpy() / alpha / sd
    np.testing.assert_allclose(second, -first / alpha**2)
    lags = itertools.product(*(range(-2, 3) for _ in space))
    for lag in lags:
        a = tuple(slice(max(k, 0), m + min(k, 0)) for k, m in zip(lag, space, strict=True))
        b = tuple(slice(max(-k, 0), m + min(-k, 0)) for k, m in zip(lag, space, strict=True))
        inside = tuple(k + m // 2 for k, m in zip(lag, rho.shape, strict=True))
        known = all(0 <= i < m for i, m in zip(inside, rho.shape, strict=True))
        products = (z[(slice(None), *a)] * z[(slice(None), *b)]).reshape(n, -1).mean(1)
        assert within(products, rho[inside] if known else 0.0), lag
    for axis in range(1, z.ndim):  # a torus would make opposite borders alike
        ends = z.take(0, axis) * z.take(-1, axis)
        assert within(ends.reshape(n, -1).mean(1), 0)


def test_correlated_noise_is_split_into_independent_parts() -> None:
    n, space = 4000, (8, 12)
    sides = wide(space, RHO.shape)
    white = np.random.default_rng(0).normal(size=(n, *sides))
    noise = np.fft.irfft2(np.fft.rfft2(white) * root(RHO, sides), sides)[:, :8, :12]
    y = torch.from_numpy(3 + 0.5 * noise)
    split = additive(0.7, [constant(0.25, rho=RHO)])
    one, two = (p.numpy() - 3 for p in split(y, torch.zeros(n).long(), seeded()))
    for dx in range(4):
        products = one[:, :, : 12 - dx] * two[:, :, dx:]
        assert within(products.mean((1, 2)), 0), dx


def test_a_spectrum_that_cannot_be_keeps_its_variance() -> None:
    impossible = np.array([[0.9, 1.0, 0.9]])  # negative at the highest frequency
    power = root(impossible, (1, 16))
    assert np.isfinite(power).all()
    full = np.concatenate([power[0] ** 2, power[0, 1:-1] ** 2])
    assert full.mean() == pytest.approx(1)


# ---- Photons ----


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("photons", [0.3, 4.0, 150.0])
def test_thinned_counts_are_independent_with_the_right_means(share: float, photons: float) -> None:
    gain, offset = 0.05, -0.8
    signal = offset + gain * photons
    y = torch.from_numpy(
        offset + gain * np.random.default_rng(0).poisson(photons, (200, 30, 30)).astype(float)
    )
    split = thinning(share, [Noise(np.ones(1)), Noise(np.ones(1), gain, offset)])
    first, second = split(y, torch.ones(200).long(), seeded())
    one, two = first.numpy() - signal, second.numpy() - signal
    variance = gain**2 * photons
    assert within(one, 0)
    assert within(two, 0)
    assert within(one**2, variance / (1 - share))
    assert within(two**2, variance / share)
    assert within(one * two, 0)
    assert within(one**2 * two**2, variance**2 / share / (1 - share)), "independent"
    np.testing.assert_allclose((1 - share) * first + share * second, y, atol=1e-12)
    for part, kept in ((first, 1 - share), (second, share)):
        counts = (part.numpy() - offset) / gain * kept
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
        assert counts.min() > -1e-6


# ---- Batches ----


@pytest.mark.parametrize("space", [(8, 9), (4, 6, 5)])
def test_the_two_parts_are_input_and_target_drawn_anew_in_every_step(
    space: tuple[int, ...],
) -> None:
    x = torch.randn(3, 2, *space, generator=seeded())
    held = torch.rand(x.shape, generator=seeded(1)) < 0.1
    method = Recorrupted(additive(0.5, [constant(0.01), constant(4.0)]))
    given = step(x, held)
    first, second = method.batch(given), method.batch(given)
    for noisy, target, weight in (first, second):
        assert noisy.shape == target.shape == weight.shape == x.shape
        assert torch.equal(weight, (~held).float())
        torch.testing.assert_close(noisy + 0.25 * target, 1.25 * x)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(method.batch(step(x, held))[0], first[0]), "the generator decides"
    added = (first[0] - x).std((0, 2, *range(3, x.ndim))) / 0.5
    assert added[0] < 0.13 < 1.5 < added[1], "every channel has noise of its own"
    assert torch.equal(method.validation(given)[2], torch.cat([held, held]).float())


@pytest.mark.parametrize(
    ("fraction", "left"), [(0.0, 1.0), (0.3, 1.0), (0.6, 0.7), (0.9, 0.4), (1.0, 0.4)]
)
def test_the_recorruption_weakens_in_a_run_but_not_in_its_validation(
    fraction: float, left: float
) -> None:
    x = torch.zeros(4, 1, 64, 64, dtype=torch.float64)
    method = Recorrupted(additive(0.5, [constant(9.0)]), decay=0.4)
    noisy, target, _ = method.batch(replace(step(x), fraction=fraction))
    assert noisy.std().item() == pytest.approx(3 * 0.5 * left, rel=0.03)
    torch.testing.assert_close(target, -noisy / (0.5 * left) ** 2)
    checked, _, _ = method.validation(replace(step(x), fraction=fraction))
    assert checked.std().item() == pytest.approx(3 * 0.5 * 0.4, rel=0.03)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_weaker_thinning_adds_as_little_noise_as_weaker_normal_noise(share: float) -> None:
    """The variance of the input is 1 / (1 - p) times that of the image, or 1 + alpha**2 times."""
    split = thinning(share, [Noise(np.ones(1), 0.05, 0.0)])
    alpha2 = 1 / (1 - share) - 1
    for left in (1.0, 0.4, 0.1):
        found = 1 / (1 - split.weaker(left).share) - 1
        assert found == pytest.approx(alpha2 * left**2)


def test_the_channel_of_a_patch_chooses_its_noise() -> None:
    x = torch.zeros(4, 1, 64, 64)
    channel = torch.tensor([[1], [0], [0], [1]])
    method = Recorrupted(additive(1.0, [constant(1.0), constant(9.0)]))
    noisy, _, _ = method.batch(step(x, channel=channel))
    assert noisy.std((1, 2, 3)).tolist() == pytest.approx([3, 1, 1, 3], rel=0.1)


def test_the_gradient_is_that_of_the_supervised_loss() -> None:
    """A linear 3x3 filter: its gradient against clean images, at the noise level of y1."""
    rng = np.random.default_rng(0)
    n, alpha, sd = 6000, 0.5, 0.5
    clean = ndimage.gaussian_filter(rng.normal(size=(n, 8, 8)), (0, 1, 1)) * 3
    y = torch.from_numpy(clean + rng.normal(0, sd, clean.shape))[:, None]
    noisy, target, _ = Recorrupted(additive(alpha, [constant(sd**2)])).batch(step(y))
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    kernel[0, 0, 1, 1] = 1  # the identity, which a loss against y itself would leave alone
    kernel.requires_grad_()

    def gradients(x: torch.Tensor, aim: torch.Tensor) -> NDArray:
        error = torch.nn.functional.conv2d(x, kernel) - aim[..., 1:-1, 1:-1]
        windows = torch.nn.functional.unfold(x, 3)
        return (2 * error.flatten(1)[:, None] * windows).mean(2).detach().numpy()

    ours = gradients(noisy, target)
    true = gradients(noisy, torch.from_numpy(clean)[:, None])
    for a, b in zip(ours.T, true.T, strict=True):
        assert within(a - b, 0)
    assert true.mean(0)[4] > 0.2, "or the law would say nothing"
    assert not within(gradients(y, y)[:, 4] - true[:, 4], 0)


# ---- The noise of a run ----


def small(**more: Any) -> Config:
    base = Config(method="r2r").replace(
        net={"filters": 4, "depth": 1}, training={"steps": 4, "patch": 16, "validate_every": 2}
    )
    return base.replace(**more)


def noisy_image(shape: tuple[int, ...], sd: float = 12.0, **options: Any) -> Image:
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 180, shape[-1])
    return Image.from_array((ramp + rng.normal(0, sd, shape)).astype(np.float32), **options)


def planned(image: Image, config: Config | None = None) -> Model:
    return plan([image], config or small())


def test_the_measured_noise_is_that_of_the_image() -> None:
    model = planned(noisy_image((96, 96)))
    (noise,) = noise_of(model)
    std = model.affine.std[0]
    middle = len(SIGNALS) * 3 // 7
    assert SIGNALS[middle] == pytest.approx(0, abs=1e-9)
    assert noise.variance[middle] * std**2 == pytest.approx(144, rel=0.1)
    assert noise.rho is None
    assert model.config.recorruption is not None
    assert model.config.recorruption.correlated is False
    assert len(model.config.symmetries(2)) == 8
    json.dumps(model.origin)  # plain values


def test_only_r2r_measures() -> None:
    assert "recorruption" not in planned(noisy_image((32, 32)), Config()).origin


def test_every_channel_has_its_own_table_and_constant_ones_have_none() -> None:
    rng = np.random.default_rng(0)
    y = np.stack([rng.normal(100, 5, (64, 64)), np.full((64, 64), 7.0), rng.normal(9, 2, (64, 64))])
    model = planned(Image.from_array(y, axes="CYX"))
    assert model.channels == (0, 2)
    for noise in noise_of(model):  # noise alone: its variance is the normalised one
        assert np.median(noise.variance) == pytest.approx(1, rel=0.15)


def test_correlation_is_measured_and_can_be_left_out() -> None:
    rng = np.random.default_rng(0)
    y = ndimage.uniform_filter1d(rng.normal(size=(128, 128)), 3, axis=1) * 10 + 100
    model = planned(Image.from_array(y))
    (noise,) = noise_of(model)
    assert noise.rho is not None
    r, c = (n // 2 for n in noise.rho.shape)
    assert noise.rho[r, c] == 1
    assert noise.rho[r, c + 1] == pytest.approx(2 / 3, abs=0.08)
    assert noise.rho[r, c + 2] == pytest.approx(1 / 3, abs=0.08)
    assert abs(noise.rho[r + 1, c]) < 0.08
    assert model.config.symmetries(2) == ((0, False), (2, False))
    without = planned(Image.from_array(y), small(recorruption={"correlated": False}))
    assert noise_of(without)[0].rho is None
    photons = Config(method="r2r").set("recorruption.kind=thinning")
    white = Image.from_array(rng.normal(size=(128, 128)))
    with pytest.raises(InputError, match="is not correlated as far as can be measured"):
        planned(white, small(recorruption={"correlated": True}))
    with pytest.raises(InputError, match="is correlated, which photons are not"):
        planned(Image.from_array(y), photons)


def test_correlation_between_slices_is_part_of_a_3d_net_only() -> None:
    rng = np.random.default_rng(0)
    y = ndimage.uniform_filter1d(rng.normal(size=(20, 96, 96)), 2, axis=0) * 10 + 100
    stack = Image.from_array(y, axes="ZYX")
    (noise,) = noise_of(planned(stack, small(ndim=3)))
    assert noise.rho is not None
    z, r, c = (n // 2 for n in noise.rho.shape)
    assert noise.rho[z, r, c] == 1
    assert noise.rho[z + 1, r, c] == pytest.approx(0.5, abs=0.1)
    assert abs(noise.rho[z, r, c + 1]) < 0.08
    np.testing.assert_array_equal(noise.rho, noise.rho[::-1, ::-1, ::-1])
    assert noise_of(planned(stack, small(ndim=2)))[0].rho is None


def test_a_camera_file_comes_before_what_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    Camera((PoissonGauss(2.0, 50.0, 36.0),)).save(path)
    model = planned(noisy_image((48, 48)), small(noise_model=str(path)))
    (noise,) = noise_of(model)
    mean, std = model.affine.mean[0], model.affine.std[0]
    signal = mean + std * SIGNALS
    inside = signal > 40
    expected = 2 * (signal - 50) + 36
    np.testing.assert_allclose(noise.variance[inside] * std**2, expected[inside], rtol=1e-9)
    # Read noise counts as light: 2 (s - 50) + 36 = 2 (s - 32).
    assert noise.gain * std == pytest.approx(2)
    assert noise.offset * std + mean == pytest.approx(32)


def test_photons_are_found_in_an_image_of_counts() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(5, 60, 128) + np.zeros((128, 128)))
    image = Image.from_array((3 * counts + 20).astype(np.uint16))
    model = planned(image, small(recorruption={"kind": "thinning"}))
    (noise,) = noise_of(model)
    mean, std = model.affine.mean[0], model.affine.std[0]
    assert noise.gain * std == pytest.approx(3, rel=0.15)
    assert noise.offset * std + mean == pytest.approx(20, abs=20)


def test_without_photons_nothing_is_thinned() -> None:
    with pytest.raises(InputError, match="does not grow with the signal"):
        planned(noisy_image((96, 96)), small(recorruption={"kind": "thinning"}))


def test_noise_that_cannot_be_measured_is_refused() -> None:
    y = np.zeros((32, 32), np.float32)
    y[3, 3] = 1  # every block is constant but for one pixel
    y[16:] = 1
    with pytest.raises(InputError, match=r"could not be measured.*--noise-model"):
        planned(Image.from_array(y))


def test_combinations_that_cannot_be() -> None:
    for loss in ("mae", "gaussian", "laplace"):
        with pytest.raises(InputError, match=f"the loss {loss} cannot go with r2r"):
            Config(method="r2r").set(f"training.loss={loss}")
    with pytest.raises(InputError, match="photons are independent"):
        Config(method="r2r").set("recorruption.kind=thinning", "recorruption.correlated=true")
    with pytest.raises(InputError, match="has no settings 'recorruption'"):
        Config().set("recorruption.alpha=1")
    with pytest.raises(InputError, match=r"recorruption\.alpha"):
        Config(method="r2r").set("recorruption.alpha=0")
    with pytest.raises(InputError, match="none; leave centre out"):
        Config(method="r2r").set("centre=true")
    with pytest.raises(InputError, match="needs the noise"):
        METHODS["r2r"](Config(method="r2r"), 2)


@pytest.mark.parametrize("offset", [0.0, 65_000.0, 1e6])
def test_offsets_change_nothing(offset: float) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 100, (32, 32)) + offset
    run = Run([Image.from_array(y)], planned(Image.from_array(y)), CPU)
    for _ in run:
        pass
    plain = Run([Image.from_array(y - offset)], planned(Image.from_array(y - offset)), CPU)
    for _ in plain:
        pass
    assert run.loss == pytest.approx(plain.loss, rel=1e-3)


def test_the_risk_of_validation_is_the_true_one_and_the_noise_of_the_target() -> None:
    sd = 0.5
    clean = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(200, 1, 64, 64)
    y = clean + sd * torch.randn(clean.shape, generator=seeded(7), dtype=torch.float64)
    held = torch.rand(y.shape, generator=seeded(1)) < 0.1
    noisy, target, weight = Recorrupted(additive(0.5, [constant(sd**2)])).validation(step(y, held))
    f = 0.6 * noisy + 0.1  # any net, also one that repeats the pixel
    excess = (f - target) ** 2 - (f - torch.cat([clean, clean])) ** 2
    first, mirrored = excess.chunk(2)
    assert within(first[held].numpy(), sd**2 * 5)
    assert within(mirrored[held].numpy(), sd**2 * 5)
    assert torch.equal(weight > 0, torch.cat([held, held]))
    torch.testing.assert_close(noisy.chunk(2)[0] + noisy.chunk(2)[1], 2 * y)


def test_mirror_images_take_the_added_noise_out_of_the_difference_of_two_nets() -> None:
    clean = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(200, 1, 64, 64)
    y = clean + 0.5 * torch.randn(clean.shape, generator=seeded(7), dtype=torch.float64)
    held = torch.rand(y.shape, generator=seeded(1)) < 0.1
    method = Recorrupted(additive(0.5, [constant(0.25)]), decay=0.4)
    _, target, _ = method.validation(step(y, held))
    nets = [torch.cat([clean, clean]) + shift for shift in (0.0, 0.1)]  # 0.01 apart in truth
    one, two = ((((f - target) ** 2).chunk(2)) for f in nets)
    single = (two[0] - one[0])[held]
    both = ((two[0] - one[0]) + (two[1] - one[1]))[held] / 2
    assert within(both.numpy(), 0.01)
    assert both.std() < 0.25 * single.std()


@pytest.mark.parametrize("kind", ["gaussian", "thinning"])
def test_the_settings_reach_the_method(kind: str) -> None:
    settings = [f"recorruption.kind={kind}", "recorruption.decay=0.7"]
    method = METHODS["r2r"](Config(method="r2r").set(*settings), 2, [constant(1.0, gain=0.1)])
    assert isinstance(method, Recorrupted)
    assert method.decay == 0.7


# ---- From file to file ----

FILES = {
    "2D": ((40, 48), "YX", None, "uint16"),
    "3D": ((8, 32, 32), "ZYX", 3, "float32"),
    "RGB": ((40, 48, 3), "YXS", None, "uint8"),
}


@pytest.mark.parametrize("kind", ["gaussian", "thinning"])
@pytest.mark.parametrize("what", FILES)
def test_from_file_to_file_and_resumed(what: str, kind: str, tmp_path: Path) -> None:
    shape, axes, ndim, dtype = FILES[what]
    rng = np.random.default_rng(0)
    pixels = rng.poisson(np.broadcast_to(np.linspace(5, 60, shape[-1]), shape))
    source = tmp_path / "x.tif"
    photometric = "rgb" if axes == "YXS" else "minisblack"
    tifffile.imwrite(source, pixels.astype(dtype), metadata={"axes": axes}, photometric=photometric)
    camera = tmp_path / "camera.json"
    Camera((PoissonGauss(1.0, 0.0, 0.5),)).save(camera)
    config = small(recorruption={"kind": kind}, noise_model=str(camera), ndim=ndim)
    whole, broken = tmp_path / "whole.model", tmp_path / "broken.model"
    list(train_files([source], whole, config, reading=Reading()))
    image = Reading().open(source)
    model = plan([image], config)
    run = Run([image], model, CPU)
    for progress in run:
        if progress.step == 2:
            break
    model = replace(run.model(), origin={**run.model().origin, "reading": vars(Reading())})
    checkpoint.save(broken, model, run)
    camera.unlink()  # the noise lies in the model
    with pytest.raises(InputError, match="camera"):
        plan([image], config)
    loaded = checkpoint.load(broken)
    for a, b in zip(noise_of(loaded), noise_of(model), strict=True):
        assert np.array_equal(a.variance, b.variance)
    again = checkpoint.load_run(broken, loaded, [image], CPU)
    for _ in again:
        pass
    straight = checkpoint.load(whole)
    for name, weight in again.model().weights.items():
        assert torch.equal(weight, straight.weights[name]), name
    for name in ("y", "z"):
        writing = Writing(out=str(tmp_path / f"{name}.tif"))
        list(predict_files(whole, [source], reading=Reading(), writing=writing))
    written = tifffile.imread(tmp_path / "y.tif")
    assert written.shape == shape
    assert written.dtype == dtype
    assert np.array_equal(written, tifffile.imread(tmp_path / "z.tif")), "nothing is drawn"


@pytest.mark.parametrize("axes", ["YX", "CYX"])
def test_denoise_measures_by_itself(axes: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(100, 9, (2, 64, 64)[-len(axes) :]).astype(np.float32)
    tifffile.imwrite(tmp_path / "x.tif", pixels, metadata={"axes": axes})
    folder = tmp_path / "m.model"
    writing = Writing(out=str(tmp_path / "y.tif"))
    job = denoise_files(
        [tmp_path / "x.tif"], small(), reading=Reading(), writing=writing, save_model=str(folder)
    )
    list(job)
    assert np.isfinite(tifffile.imread(tmp_path / "y.tif")).all()
    assert len(noise_of(checkpoint.load(folder))) == len(pixels.reshape(-1, 64, 64))
