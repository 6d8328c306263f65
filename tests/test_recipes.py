"""The recipe of the shipped net: scenes and a training that stops, goes on and exports."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from unnoise.nets.gaussian_denoiser import GaussianNet, lags

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
SCENES = ("dead_leaves", "microscopy", "spots", "filaments", "membranes", "nuclei", "lattices")


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A recipe by its path; it imports the file beside it."""
    monkeypatch.syspath_prepend(str(RECIPES))
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded("scenes", monkeypatch)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The training, with few small scenes and one photograph."""
    module = loaded("instant", monkeypatch)
    monkeypatch.setattr(module, "N_SCENES", {"leaves": 2, "microscopy": 2})
    monkeypatch.setattr(module, "SCENE_SIDE", 132)
    monkeypatch.setattr(module, "FIELD_SIDE", 136)
    monkeypatch.setattr(module, "N_FIELDS", 3)
    monkeypatch.setattr(module, "PHOTOGRAPHS", ("brick.png",))
    return module


def arguments(**changes: Any) -> argparse.Namespace:
    values = {
        "widths": (4, 6),
        "blocks": (1, 1),
        "up": (1,),
        "start": False,
        "hours": 1.0,
        "rate": 1e-3,
        "seed": 0,
    }
    return argparse.Namespace(**{**values, **changes})


# Scenes


@pytest.mark.parametrize("name", SCENES)
def test_scenes_come_from_their_seed_alone(scenes: ModuleType, name: str) -> None:
    make = getattr(scenes, name)
    first, again, other = (make(48, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (48, 48)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["dead_leaves", "microscopy"])
def test_scenes_fill_the_range_of_a_photograph(scenes: ModuleType, name: str) -> None:
    for seed in range(3):
        image = getattr(scenes, name)(64, np.random.default_rng(seed))
        assert image.min() >= -30
        assert image.max() <= 340
        assert np.ptp(image) > 30
        neighbours = np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1]
        assert neighbours > 0.5  # a scene, not noise


def test_a_smaller_picture_of_the_same(scenes: ModuleType) -> None:
    rng = np.random.default_rng(0)
    flat = scenes.warped(np.full((90, 80), 7, np.float32), 32, rng)
    assert flat.shape == (32, 32)
    np.testing.assert_allclose(flat, 7, rtol=1e-5)
    ramp = np.tile(np.arange(120, dtype=np.float32), (120, 1))
    for _ in range(5):
        slopes = np.diff(scenes.warped(ramp, 32, rng), axis=1)[:, 3:-3]
        assert 0.99 < slopes.mean() < 2.01
        assert slopes.std() < 0.05
    assert scenes.warped(ramp[:33, :33], 32, rng).shape == (32, 32)


# The training


def test_benchmark_images_are_no_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded("instant", monkeypatch)
    stems = {Path(name).stem for name in module.PHOTOGRAPHS}
    assert not stems & {"camera", "coins", "cell"}


def test_crops_come_from_all_sources(recipe: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    found = {
        "leaves": [np.full((40, 40), 10, np.float32)],
        "photographs": [np.full((80, 90), 20, np.float32)],
    }
    pool = recipe.Pool(found)
    batch = pool.batch(60, 16, rng)
    assert batch.shape == (60, 1, 16, 16)
    assert batch.dtype == np.float32
    assert set(np.unique(batch.round(3))) == {10.0, 20.0}


def test_turns_and_flips(recipe: ModuleType) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((16, 16)), 1).astype(np.float32)
    batch = recipe.Pool({"leaves": [image]}).batch(80, 16, np.random.default_rng(1))
    wanted = {np.rot90(i, k).tobytes() for i in (image, image[:, ::-1]) for k in range(4)}
    assert {plane.tobytes() for plane in batch[:, 0]} == wanted


def test_levels_are_those_promised(recipe: ModuleType) -> None:
    sigma = recipe.noise_levels(4000, np.random.default_rng(0))
    assert sigma.shape == (4000, 1, 1, 1)
    low, _, high = recipe.SIGMA
    assert low <= sigma.min()
    assert sigma.max() <= high
    assert ((sigma > 10) & (sigma < 55)).mean() > 0.5


def test_simulated_scenes_are_kept(recipe: ModuleType, tmp_path: Path) -> None:
    first = recipe.sources(None, None, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"leaves.npy", "microscopy.npy"}
    again = recipe.sources(None, None, tmp_path)
    assert set(first) == {"photographs", "leaves", "microscopy"}
    for name in first:
        assert len(first[name]) == len(again[name]) > 0
        assert all(np.array_equal(a, b) for a, b in zip(first[name], again[name], strict=True))


def test_a_run_goes_on_where_it_ended(recipe: ModuleType, tmp_path: Path) -> None:
    image = 255 * np.random.default_rng(0).random((100, 100)).astype(np.float32)
    pool = recipe.Pool({"leaves": [ndimage.gaussian_filter(image, 2)]})
    noises = recipe.Noise(recipe.fields(tmp_path))

    def steps(run: Any, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(2):
            assert np.isfinite(run.advance(pool, noises, rng, 0.1))

    whole = recipe.Training(arguments())
    steps(whole, 1)
    whole.save(tmp_path / "state.pt")
    again = recipe.Training.load(
        tmp_path / "state.pt", arguments(widths=(8,), hours=None, rate=None)
    )
    assert (again.widths, again.step, again.hours, again.sittings) == ((4, 6), 2, 1.0, 1)
    steps(whole, 2)
    steps(again, 2)
    for a, b in zip(whole.averaged().parameters(), again.averaged().parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_command_trains_and_exports(
    recipe: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(*options: str) -> None:
        folder = ("--folder", str(tmp_path / "run"))
        monkeypatch.setattr(sys, "argv", ["instant.py", *folder, *options])
        recipe.main()

    threads = torch.get_num_threads()
    try:
        run("--hours", "0.00001", "--widths", "4", "6", "--blocks", "1", "1", "--up", "1")
        run("--resume", "--hours", "0.00003")
        monkeypatch.setattr(recipe, "SHIPPED", tmp_path)
        run("--export")
    finally:
        torch.set_num_threads(threads)
    weights = load_file(tmp_path / "gaussian.safetensors")
    assert all(w.dtype == torch.float16 for w in weights.values())
    net = GaussianNet((4, 6), (1, 1), (1,))
    net.load_state_dict({name: w.float() for name, w in weights.items()})
    assert torch.isfinite(net(torch.rand(1, 1, 9, 12), torch.tensor(0.1))).all()


def test_psnr_of_a_folder(recipe: ModuleType, tmp_path: Path) -> None:
    """A net that takes nothing away leaves the noise as it is."""
    import imagecodecs

    picture = np.full((64, 64), 128, np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    net = GaussianNet((4, 6), (1, 1), (1,)).eval()
    torch.nn.init.zeros_(net.head.weight)
    found = recipe.validate(net, tmp_path, 3)
    wanted = [20 * np.log10(255 / sigma) for sigma in (15, 25, 50, 100, 25, 25)]
    assert found == pytest.approx(wanted, abs=0.3)


# Correlated noise


def test_fields_have_the_autocorrelation_they_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = loaded("kernels", monkeypatch)
    for make in kernels.MAKERS:
        rng = np.random.default_rng(1)
        white = rng.standard_normal((96, 96), np.float32)
        field = make(white, rng)
        assert field.shape == white.shape
        for (y, x), rho in zip(lags(), kernels.autocorrelation(field), strict=True):
            moved = np.roll(field, (-y, -x), (0, 1))
            assert rho == pytest.approx(np.corrcoef(field.ravel(), moved.ravel())[0, 1], abs=1e-4)


def test_fields_have_strength_one_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = loaded("kernels", monkeypatch)
    for seed in range(20):
        field, rho = kernels.correlated(64, np.random.default_rng(seed))
        assert field.std() == pytest.approx(1, rel=1e-4)
        assert kernels.LEAST < rho.min() <= rho.max() < kernels.GREATEST


def test_half_of_the_noise_is_told_as_white(recipe: ModuleType) -> None:
    fields = np.ones((2, 40, 40), np.float16), np.full((2, len(lags())), 0.5, np.float32)
    noise, told = recipe.Noise(fields).batch(400, 32, np.random.default_rng(0))
    assert noise.shape == (400, 1, 32, 32)
    correlated = np.abs(noise).std((1, 2, 3)) == 0
    assert correlated.mean() == pytest.approx(1 - recipe.WHITE, abs=0.06)
    assert told[correlated].mean() == pytest.approx(0.5, abs=0.02)
    assert (told[~correlated] == 0).all(1).mean() == pytest.approx(0.8, abs=0.08)


def test_a_net_grown_by_a_level_knows_what_the_smaller_one_knew(recipe: ModuleType) -> None:
    """All but the first of the deepest blocks, which had to make room."""
    small = GaussianNet((4, 6, 8), (1, 1, 2), (1, 1), told=False)
    large = GaussianNet((4, 6, 8, 5), (1, 1, 1, 1), (1, 1, 0))
    recipe.grow(large, small.state_dict())
    small.middle[0].second.weight.data.zero_()
    x, sigma = torch.rand(1, 1, 32, 48), torch.tensor(0.2)
    torch.testing.assert_close(large(x, sigma), small(x, sigma))
    again = GaussianNet((4, 6, 8, 5), (1, 1, 1, 1), (1, 1, 0))
    recipe.grow(again, large.state_dict())
    torch.testing.assert_close(again(x, sigma), large(x, sigma))
