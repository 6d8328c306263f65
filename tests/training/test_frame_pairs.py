"""Pairs for Noise2Noise: as bright as each other, without copies, blank frames and what changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from synthetic import photons, smooth, white
from tiny import tiny
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.predict import predict_array
from unnoise.nets.device import select_device
from unnoise.noise.excluded_pixels import with_mask
from unnoise.training.crops import Crops, PairedImages, crops_of
from unnoise.training.frame_pairs import FramePairs
from unnoise.training.loop import TrainingRun
from unnoise.training.methods.n2n import Noise2Noise
from unnoise.training.methods.step import Step
from unnoise.training.plan import plan

SCENE = smooth((64, 64), 5, 3, mean=100, sd=40).clip(5)
ONE = ChannelStatistics(np.array([150.0]), np.array([50.0]))


def noisy(truth: np.ndarray, seed: int = 0, offset: float = 100) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(truth) + rng.normal(offset, 2, truth.shape)


def drawn(frames: np.ndarray, axes: str = "TYX", patch=(32, 32), other=None, n: int = 60):
    """Patches of pairs, and what is known of the pairs."""
    image = Image.from_array(frames, axes)
    partner = None if other is None else [Image.from_array(other, axes)]
    axis = None if partner else "T"
    pairs = FramePairs.of([image], partner, axis, [0])
    source = Crops(
        [image],
        ONE,
        patch=patch,
        channels=[0],
        seed=0,
        symmetries=((0, False), (1, True)),
        partners=PairedImages(ONE, partner, axis, pairs),
    )
    return source.batch(n, np.random.default_rng(0)), pairs


LIGHTS = {
    "flicker": np.where(np.arange(12) % 2, 1.0, 1.25),
    "lamp": np.random.default_rng(5).uniform(0.6, 1.4, 12),
    "bleaching": np.exp(-np.arange(12) / 8),
    "exposures": np.array([1.0, 2.0]),
}


@pytest.mark.parametrize("light", LIGHTS)
def test_a_target_is_as_bright_as_its_input_in_both_directions(light: str) -> None:
    """Frame means within 1 % of the signal, where the partner's is up to twice as large."""
    truth = LIGHTS[light][:, None, None] * SCENE
    patches, pairs = drawn(noisy(truth))
    assert pairs.notes
    assert "keeps its own brightness" in pairs.notes[0]
    assert not patches.ignored.any()
    as_first = patches.target * patches.gain + patches.offset
    signal = patches.noisy.mean((1, 2, 3)) * 50 + 150 - 100
    off = (as_first - patches.noisy).mean((1, 2, 3)) * 50 / signal
    assert abs(off.mean()) < 0.003
    assert np.abs(off).max() < 0.04  # the mean of 1024 noisy pixels
    back = (patches.noisy - patches.offset) / patches.gain
    assert abs((back - patches.target).mean()) * 50 < 0.5


def test_equal_frames_are_pairs_as_they_are() -> None:
    patches, pairs = drawn(noisy(np.stack([SCENE] * 5)))
    assert pairs.notes == ()
    assert (patches.gain == 1).all()
    assert (patches.offset == 0).all()
    assert not patches.ignored.any()


def test_two_exposures_in_two_files() -> None:
    patches, pairs = drawn(noisy(SCENE), "YX", other=noisy(2 * SCENE, 1))
    assert "2 times as bright" in pairs.notes[0]
    assert patches.gain.ravel() == pytest.approx(0.5, abs=0.02)
    off = (patches.target * patches.gain + patches.offset - patches.noisy).mean() * 50
    assert abs(off) < 0.3


def test_planes_of_a_volume_are_matched_one_by_one() -> None:
    """Every plane of a stack over time was lit by a flicker of its own."""
    light = np.random.default_rng(2).uniform(0.7, 1.3, (3, 8, 1, 1))
    patches, _ = drawn(noisy(light * SCENE), "TZYX", (4, 32, 32), n=30)
    assert patches.gain.shape == (30, 1, 4, 1, 1)
    off = (patches.target * patches.gain + patches.offset - patches.noisy).mean((1, 3, 4))
    assert np.abs(off).max() * 50 < 4
    assert np.ptp(patches.gain) > 0.3


def test_what_fires_is_no_target() -> None:
    truth = np.stack([SCENE] * 8)
    truth[4, 20:30, 20:30] *= 3
    frames = noisy(truth)
    patches, pairs = drawn(frames, patch=(64, 64), n=80)
    assert any("no targets" in note for note in pairs.notes)
    fired = np.abs(patches.target - patches.noisy)[:, 0, 22:28, 22:28].mean((1, 2)) > 2
    upright = np.abs(patches.target - patches.noisy)[:, 0, 34:40, 22:28].mean((1, 2)) > 2
    assert fired.sum() > 5
    for some in (fired, upright):  # patches that were turned hold it elsewhere
        assert patches.ignored[some].any(axis=(1, 2, 3)).all()
    assert patches.ignored[fired][:, 0, 20:30, 20:30].all()
    assert patches.ignored.mean() < 0.1  # 5 x 5 blocks of 8 x 8, in two of seven pairs


def test_copies_and_blank_frames_are_never_pairs() -> None:
    frames = noisy(np.stack([SCENE] * 8)).round().astype(np.uint16)
    frames[1::2] = frames[::2]
    frames[4] = 0
    patches, pairs = drawn(frames)
    assert any("copies" in note for note in pairs.notes)
    assert (patches.noisy != patches.target).any(axis=(1, 2, 3)).all()
    assert patches.noisy.min() > -2.9  # a blank pixel would be -3
    assert patches.target.min() > -2.9


def running(n: int, frames: int, width: int) -> np.ndarray:
    total = np.cumsum(20 * white((frames + n, width, width)), axis=0)
    return SCENE[:width, :width] + (total[n:] - total[:-n]) / n


def test_frames_of_a_running_mean_are_paired_at_a_distance() -> None:
    frames = running(3, 16, 64)
    patches, pairs = drawn(frames)
    assert pairs.step == 3
    noise = [(x - SCENE.mean()) for x in (patches.noisy * 50 + 150, patches.target * 50 + 150)]
    d = (noise[0] - noise[1]).std()
    assert d == pytest.approx(20 * (2 / 3) ** 0.5, rel=0.05)
    assert any("3 apart" in note for note in pairs.notes)


@pytest.mark.parametrize("order", [1, -1])
def test_every_channel_is_looked_at(order: int) -> None:
    """Channel 2 alone is a running mean: the first one would be paired with its neighbour."""
    frames = np.stack([SCENE + 20 * white((16, 64, 64)), running(3, 16, 64)], 1)[:, ::order]
    image = Image.from_array(frames, "TCYX")
    pairs = FramePairs.of([image], None, "T", [0, 1])
    assert pairs.step == 3
    channel = {1: "channel 2: ", -1: "channel 1: "}[order]
    assert any(note.startswith(channel) and "3 apart" in note for note in pairs.notes)
    alone = FramePairs.of([image], None, "T", [0 if order == 1 else 1])
    assert (alone.step, alone.notes) == (1, ())
    flickers = noisy(LIGHTS["flicker"][:, None, None] * SCENE)[:, None].repeat(2, 1)
    (note,) = FramePairs.of([Image.from_array(flickers, "TCYX")], None, "T", [0, 1]).notes
    assert not note.startswith("channel")


def test_a_channel_that_holds_no_pairs_is_refused_beside_one_that_does() -> None:
    still = SCENE + 20 * white((6, 64, 64))
    scenes = np.stack([smooth((64, 64), 3, s, mean=100, sd=40) for s in range(6)])
    for other in (running(24, 6, 64), noisy(scenes.clip(0))):
        image = Image.from_array(np.stack([still, other], 1), "TCYX")
        with pytest.raises(InputError, match=r"auto"):
            FramePairs.of([image], None, "T", [0, 1])


def test_what_holds_no_pairs_is_refused_with_a_remedy() -> None:
    copies = np.stack([noisy(SCENE)] * 4)
    with pytest.raises(InputError, match=r"copies.*auto"):
        drawn(copies)
    with pytest.raises(InputError, match=r"copies.*auto"):
        drawn(copies[0], "YX", other=copies[0])
    with pytest.raises(InputError, match=r"not independent.*auto"):
        drawn(running(24, 6, 64))
    scenes = np.stack([noisy(smooth((64, 64), 3, s, mean=100, sd=40).clip(0)) for s in range(5)])
    with pytest.raises(InputError, match=r"do not show the same scene.*auto"):
        drawn(scenes)
    with pytest.raises(InputError, match=r"do not show the same scene.*auto"):
        drawn(scenes[0], "YX", other=scenes[1])


def test_the_batch_of_noise2noise_respects_brightness_and_changes() -> None:
    x, y = torch.full((400, 1, 4, 4), 3.0), torch.full((400, 1, 4, 4), 1.0)
    gain, offset = torch.full((400, 1, 1, 1), 2.0), torch.full((400, 1, 1, 1), 1.0)
    held, ignored = torch.zeros(2, 400, 1, 4, 4, dtype=torch.bool)
    held[:, :, 0], ignored[:, :, :, 0] = True, True
    step = Step(x, y, held, torch.Generator(), 0.0, lambda x: x, None, gain, offset, ignored)
    noisy, target, weight = Noise2Noise().batch(step)
    swapped = noisy == 1
    assert 0.4 < swapped.float().mean() < 0.6
    assert (target[swapped] == 1).all()
    assert (target[~swapped] == 3).all()
    assert torch.equal(weight, ((~held) & (~ignored)).float())
    noisy, target, weight = Noise2Noise().validation(step)
    assert torch.equal(noisy, x)
    assert (target == 3).all()
    assert torch.equal(weight, (held & ~ignored).float())


@pytest.mark.parametrize("kind", ["movie", "files"])
def test_results_keep_the_brightness_of_their_frames(kind: str) -> None:
    """Before, frames of a flickering lamp came out with the brightness of their neighbours."""
    light = np.array([1.0, 1.5] * 4)[:, None, None]
    frames = noisy(light * SCENE)
    config = tiny("n2n", steps=80, learning_rate=1e-2, patch=32)
    if kind == "movie":
        images, targets = [Image.from_array(frames, "TYX")], None
        config = config.set("pairs.axis=T")
    else:
        images = [Image.from_array(x, "YX") for x in frames[::2]]
        targets = [Image.from_array(x, "YX") for x in frames[1::2]]
    run = TrainingRun(images, plan(images, config, targets), select_device("cpu"), targets)
    for _ in run:
        pass
    model = run.model()
    for image, truth in zip(
        images, [light * SCENE] if kind == "movie" else [SCENE] * 4, strict=True
    ):
        clean = predict_array(model, image, dtype=np.float64) - 100
        truth = np.broadcast_to(truth, clean.shape)
        means = clean.mean((-2, -1)) / truth.mean((-2, -1))
        assert np.abs(means - 1).max() < 0.15  # of the neighbour: 0.33 or 0.5
        error = np.mean((clean - truth) ** 2)
        assert error < np.mean((image.read().reshape(clean.shape) - 100 - truth) ** 2) * 2
    assert run.notes()


def test_a_resumed_run_pairs_as_before() -> None:
    """What is known of pairs follows from the images alone."""
    frames = noisy(LIGHTS["flicker"][:, None, None] * SCENE)
    one, two = (drawn(frames)[0] for _ in range(2))
    for name in ("noisy", "target", "gain", "offset", "ignored"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_frames_without_a_measurement_are_no_pairs_and_padding_has_no_brightness() -> None:
    """Padding alike in all frames, and a dropped frame, beside a flicker."""
    light = np.where(np.arange(10) % 2, 1.0, 1.3)[:, None, None]
    frames = noisy(light * SCENE).round().astype(np.uint16)
    frames[4] = 0
    frames[:, :, :16] = 0
    image = with_mask(Image.from_array(frames, "TYX"))
    pairs = FramePairs.of([image], None, "T", [0])
    assert not pairs.usable(0, {"S": 0, "T": 3, "Z": 0}, [0])
    assert not pairs.usable(0, {"S": 0, "T": 4, "Z": 0}, [0])
    assert pairs.usable(0, {"S": 0, "T": 5, "Z": 0}, [0])
    source = Crops(
        [image],
        ONE,
        patch=(32, 32),
        channels=[0],
        seed=0,
        partners=PairedImages(ONE, None, "T", pairs),
    )
    patches = source.batch(40, np.random.default_rng(0))
    assert set(np.round(patches.gain.ravel(), 1).astype(str)) == {"0.8", "1.3"}


def test_where_no_held_out_pixel_is_measured_frames_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a picture that is mostly padding nearly all places are drawn in vain."""
    x = photons((128, 128)).astype(np.float32) + 1
    x[8:] = np.nan
    images, targets = ([with_mask(y, axes="YX")] for y in (x, x + 1))
    model = plan(images, tiny("n2n", steps=1), targets)
    frames = FramePairs.of(images, targets, None, model.channels)
    paired = PairedImages(model.affine, targets, None, frames)
    crops = crops_of(images, model, partners=paired)
    calls = {"_drawn": 0, "relation": 0}
    for owner, name in ((Crops, "_drawn"), (FramePairs, "relation")):
        real = getattr(owner, name)

        def counted(*given: object, name: str = name, real: Callable[..., object] = real) -> object:
            calls[name] += 1
            return real(*given)

        monkeypatch.setattr(owner, name, counted)
    crops.batch(1, np.random.default_rng(0))
    assert 0 < calls["relation"] < calls["_drawn"] / 5
