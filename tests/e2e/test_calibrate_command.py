"""The calibration job, from files to a camera file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import between, frames
from unnoise.app.calibrate import calibrate_files
from unnoise.app.events import Event, Message, Saved
from unnoise.errors import InputError
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss

from .commands import save

GAIN, OFFSET, READ = 2.0, 100.0, 3.0


def record(electrons: NDArray, n: int, seed: int = 0, gain: float = GAIN) -> NDArray:
    return frames(n, electrons, gain, OFFSET, READ, seed)


def scene(*shape: int) -> NDArray:
    return between(2, 302, shape or (96, 96))


def run(*args: object, **options: object) -> tuple[list[Event], str]:
    events = list(calibrate_files(*args, **options))  # type: ignore[arg-type]
    return events, "\n".join(e.text for e in events if isinstance(e, Message))


def only(path: Path) -> PoissonGauss:
    (model,) = Camera.load(path).channels
    assert isinstance(model, PoissonGauss)
    return model


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
def test_a_file_of_repeats(tmp_path: Path, axes: str) -> None:
    path = save(tmp_path / "repeats.tif", record(scene(), 12), axes)
    events, text = run([path], tmp_path / "camera.json")
    assert events[-1] == Saved(tmp_path / "camera.json")
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.04)
    assert "grey levels per electron" in text
    assert "dark frames" in text
    camera = Camera.load(tmp_path / "camera.json")
    assert "repeats.tif" in camera.source
    assert any("grey levels per electron" in note for note in camera.notes)


def test_single_frames_in_a_folder(tmp_path: Path) -> None:
    for i, frame in enumerate(record(scene(), 12)):
        save(tmp_path / "frames" / f"t{i}.tif", frame, "YX")
    run([tmp_path / "frames"], tmp_path / "camera.json")
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.04)


def test_dark_and_bright_single_frames_are_sorted_by_level(tmp_path: Path) -> None:
    for level, electrons in enumerate([np.zeros((96, 96)), np.full((96, 96), 60.0), scene()]):
        for i, frame in enumerate(record(electrons, 8, level)):
            save(tmp_path / "frames" / f"{i}_{level}.tif", frame, "YX")
    _, text = run([tmp_path / "frames"], tmp_path / "camera.json")
    model = only(tmp_path / "camera.json")
    assert "8 frames at level 100 are taken as dark frames" in text
    assert model.gain == pytest.approx(GAIN, rel=0.03)
    assert model.offset == pytest.approx(OFFSET, abs=0.1)
    assert model.read_variance == pytest.approx(READ**2, rel=0.05)


@pytest.mark.parametrize(("axes", "n"), [("TYX", 16), ("ZYX", 16), ("ZYX", 8)])
def test_dark_and_bright_stacks(tmp_path: Path, axes: str, n: int) -> None:
    dark = save(tmp_path / "d" / "dark.tif", record(np.zeros((96, 96)), n), axes)
    bright = save(tmp_path / "b" / "bright.tif", record(scene(), 8, 1), axes)
    _, text = run([bright, dark], tmp_path / "camera.json")
    model = only(tmp_path / "camera.json")
    assert "dark.tif" in text
    assert model.offset == pytest.approx(OFFSET, abs=0.1)
    assert model.gain == pytest.approx(GAIN, rel=0.03)


def test_slices_of_a_stack_beside_single_dark_frames(tmp_path: Path) -> None:
    bright = save(tmp_path / "bright.tif", record(scene(), 8, 1), "ZYX")
    for i, frame in enumerate(record(np.zeros((96, 96)), 8)):
        save(tmp_path / "dark" / f"{i}.tif", frame, "YX")
    _, text = run([bright, tmp_path / "dark"], tmp_path / "camera.json")
    assert "8 frames at level 100 are taken as dark frames" in text
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.04)


def test_volumes_in_files_of_their_own_are_repeats(tmp_path: Path) -> None:
    for i, volume in enumerate(record(scene(6, 48, 48), 8)):
        save(tmp_path / "v" / f"{i}.tif", volume, "ZYX")
    run([tmp_path / "v"], tmp_path / "camera.json")
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.05)


def test_flickering_frames_of_one_scene_are_no_levels(tmp_path: Path) -> None:
    light = np.array([1.0, 0.8, 1.1, 0.9, 1.05, 0.85, 1.15, 0.95])
    for i, share in enumerate(light):
        save(tmp_path / "frames" / f"{i}.tif", record(scene() * share, 1, i)[0], "YX")
    _, text = run([tmp_path / "frames"], tmp_path / "camera.json")
    assert "drifts" in text
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.06)


def test_every_channel_has_its_model(tmp_path: Path) -> None:
    pixels = np.stack([record(scene(), 10), record(scene(), 10, 1, gain=5.0)], axis=1)
    path = save(tmp_path / "two.tif", pixels, "TCYX")
    _, text = run([path], tmp_path / "camera.json", kind="poisson_gauss")
    one, two = Camera.load(tmp_path / "camera.json").models(2)
    assert isinstance(one, PoissonGauss)
    assert isinstance(two, PoissonGauss)
    assert one.gain == pytest.approx(GAIN, rel=0.05)
    assert two.gain == pytest.approx(5, rel=0.05)
    assert "channel 1:" in text


def test_volumes_in_time(tmp_path: Path) -> None:
    path = save(tmp_path / "v.tif", record(scene(6, 48, 48), 8), "TZYX")
    run([path], tmp_path / "camera.json")
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.05)


def test_a_lonely_frame_of_a_level_is_left_out(tmp_path: Path) -> None:
    for i, frame in enumerate(record(np.zeros((64, 64)), 6)):
        save(tmp_path / "f" / f"dark{i}.tif", frame, "YX")
    for i, frame in enumerate(record(scene(64, 64), 6, 1)):
        save(tmp_path / "f" / f"bright{i}.tif", frame, "YX")
    save(tmp_path / "f" / "odd.tif", record(np.full((64, 64), 2000.0), 1)[0], "YX")
    _, text = run([tmp_path / "f"], tmp_path / "camera.json")
    assert "odd.tif is a single frame" in text
    assert only(tmp_path / "camera.json").gain == pytest.approx(GAIN, rel=0.05)


def test_a_single_frame_is_refused_with_what_to_record(tmp_path: Path) -> None:
    path = save(tmp_path / "one.tif", record(scene(), 1)[0], "YX")
    with pytest.raises(InputError, match=r"one\.tif.*record at least 2"):
        run([path], tmp_path / "camera.json")
    assert not (tmp_path / "camera.json").exists()


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    a = save(tmp_path / "a.tif", record(scene(), 4), "TYX")
    b = save(tmp_path / "b.tif", record(scene(64, 64), 4), "TYX")
    with pytest.raises(InputError, match="differ in size"):
        run([a, b], tmp_path / "camera.json")


def test_the_place_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text("mine")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\x00 no image")
    for out, message in [("camera.json", "exists"), ("camera.txt", "camera.json")]:
        with pytest.raises(InputError, match=message):
            run([broken], tmp_path / out)
    assert (tmp_path / "camera.json").read_text() == "mine"
    with pytest.raises(InputError, match="choose one of"):
        run([broken], tmp_path / "new.json", kind="magic")
    path = save(tmp_path / "repeats.tif", record(scene(), 4), "TYX")
    run([path], tmp_path / "camera.json", overwrite=True)
    assert Camera.load(tmp_path / "camera.json").channels


def test_missing_values_and_equal_frames_are_refused(tmp_path: Path) -> None:
    pixels = record(scene(), 4).astype(np.float32)
    pixels[0, 3, 4] = np.nan
    path = save(tmp_path / "nan.tif", pixels, "TYX")
    with pytest.raises(InputError, match="NaN"):
        run([path], tmp_path / "camera.json")
    path = save(tmp_path / "same.tif", np.repeat(record(scene(), 1), 5, axis=0), "TYX")
    with pytest.raises(InputError, match=r"same\.tif do not differ"):
        run([path], tmp_path / "camera.json")


def test_real_repeats(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "fmd" / "repeats_BPAE_B_fov1_t16__noisy.tif"
    if not path.exists():
        pytest.skip("the repeats are not among the real images")
    run([path], tmp_path / "camera.json", axes="TYX")
    assert 3 < only(tmp_path / "camera.json").gain < 4.5
