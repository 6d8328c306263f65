"""Laws of the classic filters: the library's result, a choice near the best, planes apart."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage

from unnoise.config.methods import METHODS
from unnoise.errors import InputError
from unnoise.nets.classical import FILTERS, Filter, candidates, entry, noise_level, risk

NEEDS = {"wavelet": "pywt", "bm3d": "bm3d"}
NAMES = list(FILTERS)
SIZES = {2: (24, 37), 3: (6, 17, 20)}


def need(name: str) -> None:
    """Skip where the package of a filter is missing."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs the package {NEEDS[name]}")


def scene(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Discs on a slope as a lens shows them: noisy, normalised, and clean in the same units."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    clean = x / n
    for cy, cx, r, v in rng.uniform([0, 0, 3, -2], [n, n, 20, 2], (24, 4)):
        clean = clean + v * ((y - cy) ** 2 + (x - cx) ** 2 < r**2)
    clean = ndimage.gaussian_filter(clean, 1.0)
    clean = clean / clean.std()
    noisy = clean + rng.normal(0, noise, clean.shape)
    mean, std = noisy.mean(), noisy.std()
    return (noisy - mean) / std, (clean - mean) / std


def having(net: Filter, **values: float) -> Filter:
    """The filter with these parameters."""
    net.load_state_dict({name: torch.tensor(value) for name, value in values.items()}, strict=False)
    return net


def plane(ndim: int, *lead: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*lead, *SIZES[ndim], generator=generator)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.7])
def test_gaussian_is_that_of_scipy(ndim: int, sigma: float) -> None:
    x = plane(ndim, 1, 1)
    net = having(Filter("gaussian", ndim), sigma=sigma)
    expected = ndimage.gaussian_filter(x[0, 0].double().numpy(), net.values["sigma"])
    np.testing.assert_allclose(net(x)[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_planes_are_filtered_on_their_own(name: str, ndim: int) -> None:
    if ndim == 3 and METHODS[name].planes_only:
        pytest.skip(f"{name} works on planes")
    need(name)
    lead = (1, 2) if name == "bm3d" else (2, 2)  # bm3d takes a second for any size
    x = plane(ndim, *lead)
    net = Filter(name, ndim)
    y = net(x)
    assert y.shape == x.shape
    assert y.dtype == torch.float32
    assert not torch.equal(x, y)
    for at in np.ndindex(*lead):
        torch.testing.assert_close(net(x[at][None, None])[0, 0], y[at])


@pytest.mark.parametrize("name", ["gaussian", "nlm", "tv", "wavelet"])
@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_the_choice_without_a_clean_image_is_nearly_the_best(name: str, noise: float) -> None:
    need(name)
    noisy, clean = scene(128, noise)
    tried = candidates(name, [noisy])
    chosen = min(tried, key=lambda p: risk(name, noisy, p))
    errors = [np.mean((FILTERS[name].run(noisy, **p) - clean) ** 2) for p in tried]
    ours = errors[tried.index(chosen)]
    assert 10 * np.log10(ours / min(errors)) < 0.3
    assert ours < 0.5 * np.mean((noisy - clean) ** 2)
    # The best lies within the values that are tried, not at their end.
    assert 0 < int(np.argmin(errors)) < len(tried) - 1


def test_the_choice_of_bm3d_is_near_the_best() -> None:
    need("bm3d")
    noisy, clean = scene(48, 0.5)
    tried = candidates("bm3d", [noisy])[1:5]
    chosen = min(tried, key=lambda p: risk("bm3d", noisy, p))
    errors = [np.mean((FILTERS["bm3d"].run(noisy, **p) - clean) ** 2) for p in tried]
    assert 10 * np.log10(errors[tried.index(chosen)] / min(errors)) < 1.0


@pytest.mark.parametrize("name", ["gaussian", "nlm", "tv", "wavelet"])
def test_stacks_are_calibrated_too(name: str) -> None:
    need(name)
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(6, 20, 24))  # nothing but noise: the more smoothing, the better
    tried = candidates(name, [flat])
    weak, strong = (risk(name, flat, p) for p in (tried[0], tried[-1]))
    assert strong < weak


def test_risk_is_the_true_error_and_the_noise() -> None:
    noisy, clean = scene(128, 0.5)
    noise = np.var(noisy - clean)
    y = ndimage.gaussian_filter(noisy, 2.0)
    true = np.mean((y - clean) ** 2)
    assert risk("gaussian", noisy, {"sigma": 2.0}) == pytest.approx(true + noise, rel=0.05)


def test_a_hidden_pixel_has_no_say_in_its_prediction() -> None:
    x = np.zeros((16, 16))
    seen = [risk("gaussian", x, {"sigma": 0.3})]
    x[5, 6] = 1.0  # the whole of its square counts, and what it lends to its neighbours
    seen.append(risk("gaussian", x, {"sigma": 0.3}))
    assert seen[0] == 0
    assert seen[1] * x.size == pytest.approx(1 + 4 / 16, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_back_from_their_file(name: str, tmp_path: Path) -> None:
    need(name)
    net = Filter(name, 2)
    assert net.values.keys() == net.state_dict().keys() == FILTERS[name].values(1.0).keys()
    having(net, **dict.fromkeys(net.values, 0.37))
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    again = Filter(name, 2)
    assert again.values != net.values
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x = plane(2, 1, 1)
    assert again.values == net.values
    torch.testing.assert_close(again(x), net(x))  # the threads of bm3d add in any order


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["gaussian", "nlm"])
def test_radius_is_how_far_an_output_looks(name: str, ndim: int) -> None:
    net = having(Filter(name, ndim), **({"sigma": 0.6} if name == "gaussian" else {"h": 5.0}))
    assert not net.whole
    r = net.radius[0]
    n = 2 * r + 9
    x = torch.randn((1, 1) + (n,) * ndim, generator=torch.Generator().manual_seed(0))
    inside = x.clone()
    edge = torch.ones_like(x, dtype=torch.bool)
    edge[(..., *[slice(3, n - 3)] * ndim)] = False
    inside[edge] += 1.0
    core = (..., *[slice(r + 3, n - r - 3)] * ndim)
    torch.testing.assert_close(net(inside)[core], net(x)[core], rtol=0, atol=1e-6)
    if name == "gaussian":
        assert not torch.equal(net(inside)[..., r + 2], net(x)[..., r + 2])


@pytest.mark.parametrize("name", ["tv", "wavelet", "bm3d"])
def test_filters_that_look_everywhere_say_so(name: str) -> None:
    need(name)
    net = Filter(name, 2)
    assert net.whole
    assert net.radius == (0, 0)
    assert net.grid == (1, 1)
    assert net.memory() > 12


SHAPES = [(1, 1), (1, 9), (2, 3), (7, 5), (33, 20), (1, 1, 1), (1, 12, 12), (3, 5, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_any_shape_and_constants_work(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 3 and METHODS[name].planes_only:
        pytest.skip(f"{name} works on planes")
    need(name)
    if name == "bm3d" and shape not in [(1, 1), (7, 5), (33, 20)]:
        pytest.skip("bm3d takes a second for any size")
    for x in (np.random.default_rng(0).normal(size=shape), np.ones(shape)):
        tried = candidates(name, [x])
        assert np.isfinite(risk(name, x, tried[-1]))
        y = having(Filter(name, len(shape)), **tried[-1])(torch.from_numpy(x)[None, None])
        assert y.shape[2:] == shape
        assert torch.isfinite(y).all()
    torch.testing.assert_close(y, torch.ones_like(y), rtol=1e-4, atol=1e-4)


def test_no_gradient_and_no_change_of_the_input() -> None:
    x = plane(2, 1, 1).requires_grad_()
    before = x.detach().clone()
    for name in ("gaussian", "nlm", "tv"):
        y = Filter(name, 2)(x)
        assert not y.requires_grad
        with torch.inference_mode():
            assert torch.equal(Filter(name, 2)(x), y)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_noise_level_is_found_beside_edges(sigma: float) -> None:
    _, clean = scene(200, 0.0)
    noisy = clean + np.random.default_rng(1).normal(0, sigma, clean.shape)
    assert noise_level([noisy, noisy]) == pytest.approx(sigma, rel=0.1)


def test_noise_level_of_few_photons_is_not_nothing() -> None:
    counts = np.random.default_rng(0).poisson(0.05, (200, 200))
    assert noise_level([counts]) == pytest.approx(0.05**0.5, rel=0.1)
    assert noise_level([np.ones((1, 1))]) == noise_level([np.ones((9, 9))]) == 1e-3


def test_errors_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'median'; choose one of gaussian, nlm, tv, wavelet, bm"):
        Filter("median", 2)
    for name, module, package in [("wavelet", "pywt", "PyWavelets"), ("bm3d", "bm3d", "bm3d")]:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match=f"{name} needs .* {package}: pip install {package}"):
            entry(name)


def test_the_risk_counts_where_it_is_told_to() -> None:
    x = np.random.default_rng(0).normal(size=(32, 32))
    every, left = np.ones(x.shape, bool), np.zeros(x.shape, bool)
    left[:, :16] = True
    values = {"sigma": 1.0}
    assert risk("gaussian", x, values, every) == risk("gaussian", x, values)
    halves = [risk("gaussian", x, values, part) for part in (left, ~left)]
    # 16 grids of every fourth pixel: all pixels once, so that the halves weigh the same
    assert np.mean(halves) == pytest.approx(risk("gaussian", x, values))
    assert np.isnan(risk("gaussian", x, values, ~every))


def test_runs_are_shared_out_among_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(64, 64))
    runs = []

    def counted(plane: np.ndarray, **values: float) -> np.ndarray:
        runs.append(values)
        return np.asarray(ndimage.gaussian_filter(plane, values["sigma"]))

    monkeypatch.setitem(FILTERS, "gaussian", replace(FILTERS["gaussian"], run=counted))
    found = []
    for planes, expected in ((1, 16), (3, 6), (99, 1)):
        runs.clear()
        found.append(risk("gaussian", x, {"sigma": 2.0}, planes=planes))
        assert len(runs) == expected
    np.testing.assert_allclose(found, found[0], rtol=0.2)
