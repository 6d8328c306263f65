"""Runs of r2r from file to file, stopped and gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tiny import CPU, finish, run_of, tiny
from unnoise.app.denoise import denoise_files
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.predict import predict_files
from unnoise.app.train import train_files
from unnoise.errors import InputError
from unnoise.models import folder as checkpoint
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.loop import TrainingRun
from unnoise.training.noise_tables import noise_tables
from unnoise.training.plan import plan
from unnoise.training.resume import resume as resume_run

FEW = tiny("r2r", steps=4, patch=16, validate_every=2)


@pytest.mark.parametrize("offset", [0.0, 65_000.0, 1e6])
def test_offsets_change_nothing(offset: float) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 100, (32, 32)) + offset
    run, plain = run_of(FEW, y), run_of(FEW, y - offset)
    finish(run)
    finish(plain)
    assert run.loss == pytest.approx(plain.loss, rel=1e-3)


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
    config = FEW.replace(recorruption={"kind": kind}, noise_model=str(camera), ndim=ndim)
    whole, broken = tmp_path / "whole.model", tmp_path / "broken.model"
    list(train_files([source], whole, config, reading=InputOptions()))
    image = InputOptions().open(source)
    model = plan([image], config)
    run = TrainingRun([image], model, CPU)
    for progress in run:
        if progress.step == 2:
            break
    made = run.model()
    kept = replace(made.provenance, reading=vars(InputOptions()))
    model = replace(made, provenance=kept)
    checkpoint.save(broken, model, run.history, run.state())
    camera.unlink()  # the noise lies in the model
    with pytest.raises(InputError, match="camera"):
        plan([image], config)
    loaded = checkpoint.load(broken)
    for a, b in zip(noise_tables(loaded), noise_tables(model), strict=True):
        assert np.array_equal(a.variance, b.variance)
    again = resume_run(broken, loaded, [image], CPU)
    for _ in again:
        pass
    straight = checkpoint.load(whole)
    for name, weight in again.model().weights.items():
        assert torch.equal(weight, straight.weights[name]), name
    for name in ("y", "z"):
        writing = OutputOptions(out=str(tmp_path / f"{name}.tif"))
        list(predict_files(whole, [source], reading=InputOptions(), writing=writing))
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
    writing = OutputOptions(out=str(tmp_path / "y.tif"))
    job = denoise_files(
        [tmp_path / "x.tif"], FEW, reading=InputOptions(), writing=writing, save_model=str(folder)
    )
    list(job)
    assert np.isfinite(tifffile.imread(tmp_path / "y.tif")).all()
    assert len(noise_tables(checkpoint.load(folder))) == len(pixels.reshape(-1, 64, 64))
