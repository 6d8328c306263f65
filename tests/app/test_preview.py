"""A preview shows the run at work, changes nothing in it, and takes next to nothing of its time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synthetic import photon_ground, white
from tiny import CPU, same, timeless, tiny
from unnoise.app import preview
from unnoise.app.events import Preview
from unnoise.app.files import InputOptions, OutputOptions, PreviewOptions, ReportOptions
from unnoise.app.predict import predict_files
from unnoise.app.preview import SHARE, region, with_previews
from unnoise.app.train import train_files
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.training.plan import plan
from unnoise.training.progress import Progress
from unnoise.training.run import Run
from unnoise.training.start import start

MIDDLE = PreviewOptions()
SMALL = {"steps": 6, "validate_every": 2}


def noisy(*shape: int) -> NDArray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    return (100 + 20 * np.sin(x / 5) * np.cos(y / 7) + 5 * white(shape, 1)).astype(np.float32)


RUNS: dict[str, tuple[Config, tuple[int, ...], str]] = {
    "n2v": (tiny(**SMALL), (48, 64), "YX"),
    "channels": (tiny(**SMALL), (2, 48, 64), "CYX"),
    "3d": (tiny(net={"depth": 1}, **SMALL).replace(ndim=3), (8, 40, 48), "ZYX"),
    "context": (tiny("n2v", "context={T: 1}", **SMALL), (5, 48, 64), "TYX"),
    "b2u": (tiny("b2u", **SMALL), (48, 64), "YX"),
    "uncertain": (tiny("n2v", "training.loss=gaussian", **SMALL), (48, 64), "YX"),
    "instant": (Config(method="instant"), (48, 64), "YX"),
    "filter": (Config(method="gaussian"), (48, 64), "YX"),
    "adapted": (Config(method="adapted").replace(training=SMALL), (64, 64), "YX"),
}


def begun(name: str) -> tuple[Run, Image]:
    config, shape, axes = RUNS[name]
    image = Image.from_array(noisy(*shape), axes)
    return start([image], plan([image], config), CPU), image


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_the_same_to_the_last_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "SHARE", 1e9)
    plain, _ = begun(name)
    for _ in plain:
        pass
    run, image = begun(name)
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = [event for event in with_previews(run, image, MIDDLE) if isinstance(event, Preview)]
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert found
    for event in found:
        noisy_part = image.read(region(image, MIDDLE, run.model().ndim))[0, 0]
        middle = noisy_part[:, noisy_part.shape[1] // 2]
        own = event.noisy if event.noisy.ndim == 3 else event.noisy[..., None]
        assert np.array_equal(np.moveaxis(own, -1, 0), middle)
        assert event.clean.shape == event.noisy.shape
        assert event.clean.dtype == np.float32
        assert np.isfinite(event.clean).all()
    assert same(run.model(), plain.model())
    assert timeless(run.history) == timeless(plain.history)


def test_where_it_lies() -> None:
    image = Image(np.zeros((3, 500, 400)), "TYX")
    assert region(image, MIDDLE, 2) == {
        "S": 0,
        "T": 1,
        "Z": 0,
        "Y": slice(122, 378),
        "X": slice(72, 328),
    }
    for centre, y, x in (
        ((0, 399), slice(0, 256), slice(144, 400)),
        ((300, 200), slice(172, 428), slice(72, 328)),
        ((-9, 10_000), slice(0, 256), slice(144, 400)),
    ):
        found = region(image, PreviewOptions(centre), 2)
        assert (found["Y"], found["X"]) == (y, x)
    small = region(Image(np.zeros((40, 30)), "YX"), PreviewOptions((5, 5)), 2)
    assert (small["Y"], small["X"]) == (slice(0, 40), slice(0, 30))


@pytest.mark.parametrize("slow", [0.01, 1.0, 20.0])
def test_what_would_take_too_long_is_left_out(slow: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    numbers = count()

    class Steady(Run):
        """A hundred steps of a second, validated after every fifth."""

        device = CPU

        def __iter__(self) -> Iterator[Progress]:
            nonlocal now
            for step in range(1, 101):
                now += 1
                yield Progress(step, 100, step / 100, step, 100 - step, 0.5, float(step // 5))

    def shown(*given: object) -> Preview:
        nonlocal now
        now += slow
        return Preview("a", next(numbers), 0.0, (0, 0), *[np.zeros((2, 2), np.float32)] * 2)

    monkeypatch.setattr(preview, "_preview", shown)
    monkeypatch.setattr(preview, "_alike", lambda *models: False)
    monkeypatch.setattr(Steady, "model", lambda self: object())
    image = Image(np.zeros((8, 8)), "YX")
    found = list(with_previews(Steady(), image, MIDDLE, clock=lambda: now))
    spent = slow * sum(isinstance(event, Preview) for event in found)
    assert sum(isinstance(event, Progress) for event in found) == 100
    assert spent <= max(SHARE * 100, slow)  # the first one is a guess
    assert spent >= min(slow, 1)


def test_none_without_being_asked_and_one_from_the_result(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photon_ground(seed=0).astype(np.uint16))
    reading, writing = InputOptions(), OutputOptions(str(tmp_path / "b.tif"), overwrite=True)
    model = tmp_path / "a.model"
    plain = list(train_files([path], model, tiny(**SMALL), reading=reading))
    assert not any(isinstance(event, Preview) for event in plain)
    for options in (None, PreviewOptions((20, 30))):
        reporting = ReportOptions(False, preview=options)
        job = predict_files(model, [path], reading=reading, writing=writing, reporting=reporting)
        found = [event for event in job if isinstance(event, Preview)]
        assert len(found) == (options is not None)
    clean = tifffile.imread(tmp_path / "b.tif")
    (y, x), shape = found[0].origin, found[0].clean.shape
    part = clean[y : y + shape[0], x : x + shape[1]]
    assert np.abs(found[0].clean - part).max() <= 0.5  # rounded in the file
