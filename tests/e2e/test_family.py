"""Every method of the family from file to file: train, predict, denoise; odd settings too."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
import yaml
from scipy import ndimage

import unnoise

from .commands import TINY, Run, Write, facts, files
from .family import POSSIBLE, options, scene

pytestmark = pytest.mark.usefixtures("few_candidates")


@pytest.mark.parametrize(("name", "kind"), POSSIBLE)
def test_train_predict_and_denoise_keep_everything_but_the_noise(
    run: Run, write: Write, name: str, kind: str
) -> None:
    more = (*options(name), *scene(write, name, kind))
    before = files()
    for command in (
        ("train", "x.tif", "-o", "m", *more),
        ("predict", "m", "x.tif", "-o", "predicted.tif"),
        ("denoise", "x.tif", "-o", "denoised.tif", "--no-tta", *more),
    ):
        result = run(*command)
        assert result.code == 0, result.err
    assert {k: v for k, v in files().items() if k in before} == before
    wanted = facts("clean.tif" if name == "care" else "x.tif")
    assert facts("predicted.tif") == facts("denoised.tif") == wanted
    clean = tifffile.imread("denoised.tif")
    assert np.array_equal(tifffile.imread("predicted.tif"), clean)
    assert np.isfinite(clean).all()
    assert not np.array_equal(clean, tifffile.imread("x.tif"))
    method = yaml.safe_load(Path("m/config.yaml").read_text())["config"]["method"]
    assert method == name.split()[0]
    assert ("3D" in result.err) == (kind == "3D")


def test_bm3d_passes_thick_stacks_plane_by_plane(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the package, which is not free for all."""
    stand_in = ModuleType("bm3d")
    stand_in.bm3d = lambda x, sigma: ndimage.gaussian_filter(x, 1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bm3d", stand_in)
    write("x.tif", (16, 20, 24), "ZYX")
    result = run("denoise", "x.tif", "--method", "bm3d", "-o", "d.tif")
    assert result.code == 0, result.err
    assert "bm3d, axes ZYX, slice by slice" in result.err
    assert facts("d.tif") == facts("x.tif")
    assert tifffile.imread("d.tif").std() < tifffile.imread("x.tif").std()


@pytest.mark.parametrize(
    "settings",
    [
        ["--struct", "horizontal:63"],
        ["--struct", "square:63", "--set", "mask.percent=50"],
        ["--method", "n2v2", "--set", "mask.percent=50"],
        ["--set", "mask.percent=0.05", "--set", "mask.radius=15"],
        ["--set", "net.filters=1", "--set", "net.depth=6"],
        ["--set", "net.unshuffle=4", "--set", "net.depth=4"],
        ["--set", "net.unshuffle=4", "--set", "net.depth=4", "--set", "net.batch_norm=true"],
        ["--set", "training.batch_size=1", "--method", "b2u", "--set", "b2u.phases=4"],
        ["--method", "b2u", "--set", "b2u.side=8", "--set", "b2u.phases=64"],
        ["--set", "net.kernel=7", "--set", "net.convs=4", "--set", "net.upsample=linear"],
        ["--set", "net.last_activation=relu", "--set", "net.residual=true"],
    ],
    ids=" ".join,
)
def test_extreme_settings_on_a_tiny_image(run: Run, write: Write, settings: list[str]) -> None:
    write("x.tif", (20, 20), "YX")
    small = () if any("filters" in word for word in settings) else ("--set", "net.filters=2")
    result = run("denoise", "x.tif", "-o", "d.tif", "--steps", 2, "--no-tta", *small, *settings)
    assert result.code == 0, result.err
    assert facts("d.tif") == facts("x.tif")


@pytest.mark.parametrize(
    "settings",
    [
        ["net.z_poolings=0"],
        ["net.z_poolings=1", "net.depth=3"],
        ["net.unshuffle=4", "net.pool=blur", "net.channels=joint"],
    ],
)
def test_3d_nets_for_thin_stacks(run: Run, write: Write, settings: list[str]) -> None:
    write("x.tif", (4, 20, 20), "ZYX")
    more = [word for setting in reversed(settings) for word in ("--set", setting)]
    small = ("--set", "net.filters=2", "--steps", 1, "--no-tta")
    result = run("denoise", "x.tif", "--3d", "-o", "d.tif", *small, *more)
    assert result.code == 0, result.err
    assert facts("d.tif") == facts("x.tif")


def test_the_python_calls_agree_with_the_command_line(run: Run, write: Write) -> None:
    x, y = (
        tifffile.imread(write(n, (24, 28), "YX", seed=i)) for i, n in enumerate(("x.tif", "y.tif"))
    )
    more = ("--method", "n2n", "--targets", "y.tif", *TINY, "--steps", 2)
    assert run("denoise", "x.tif", "-o", "d.tif", *more).code == 0
    config = unnoise.Config(method="n2n").set("net.filters=4").set("net.depth=1")
    clean = unnoise.denoise(x, y, config=config, steps=2)
    assert np.array_equal(clean, tifffile.imread("d.tif"))
    with pytest.raises(ValueError, match="not n2v"):
        unnoise.train(x, y, method="n2v", config=config)
