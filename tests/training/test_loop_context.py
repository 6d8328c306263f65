"""Laws of trainings that look at neighbouring frames: the frame is blind-spotted, they are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from synthetic import clean_and_noisy, white
from tiny import CPU, finish, run_of, same, stored, tiny
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.training.crops import Crops
from unnoise.training.held_out_regions import regions
from unnoise.training.loop import TrainingRun
from unnoise.training.mean_correction import with_mean_correction
from unnoise.training.plan import describe, plan

SELF_TRAINED = ("n2v", "n2v2", "structn2v", "b2u", "r2r")


def movie_run(method: str = "n2v", axis: str = "T", reach: int = 1, **training: Any) -> TrainingRun:
    """A run on a movie of nothing but noise."""
    more = ("mask.percent=10",) if method == "structn2v" else ()
    config = tiny(method, f"context={{{axis}: {reach}}}", *more, **{"steps": 3} | training)
    return run_of(config, white((5, 40, 40)), axes=f"{axis}YX")


@pytest.mark.parametrize("method", SELF_TRAINED)
def test_the_neighbours_are_seen_and_the_hidden_pixels_of_the_frame_are_not(method: str) -> None:
    run = movie_run(method)
    net = run.net
    for p in net.parameters():  # loud, so that everything seen matters
        torch.nn.init.normal_(p, std=0.4, generator=torch.Generator().manual_seed(1))
    patches = run.crops.batch(2, np.random.default_rng(0))
    step = run._prepared(patches, torch.Generator().manual_seed(0), CPU)
    noisy, _, weight = run.method.batch(step)
    assert step.beside is not None
    assert step.beside.shape == (2, 2, 32, 32)
    x = noisy.detach().clone().requires_grad_()
    seen = step.seen(x)
    assert torch.equal(seen[:, 1:], step.beside.repeat(len(x) // 2, 1, 1, 1))
    beside = seen[:, 1:].detach().requires_grad_()
    place = tuple(int(i) for i in np.argwhere(weight.numpy() > 0)[len(weight) * 9])
    net(torch.cat([x, beside], 1))[place].backward()
    assert beside.grad is not None
    assert beside.grad[place[0], :, place[2], place[3]].abs().min() > 0
    if method == "r2r":
        return  # which hides nothing: the noise of its target is independent
    # What the net is shown at a hidden pixel has nothing of the pixel: change it, and nothing else
    # changes, neither in the frame nor beside it.
    changed = step.x.clone()
    changed[place[0] % 2, :, place[2], place[3]] += 5.0
    again = run._prepared(patches, torch.Generator().manual_seed(0), CPU)
    object.__setattr__(again, "x", changed)
    other, _, same_weight = run.method.batch(again)
    assert torch.equal(same_weight, weight)
    at = (place[0], 0, place[2], place[3])
    assert other[at] == noisy[at] or method == "n2v2"
    if method == "n2v2":
        assert abs(float(other[at] - noisy[at])) < 1e-6


def test_crops_hold_the_same_place_of_the_frames_beside_in_the_same_orientation() -> None:
    t, y, x = np.ogrid[:6, :40, :44]
    movie = (10_000 * t + 50 * y + x).astype(np.float64)
    run = run_of(tiny("n2v", "context={T: 2}", steps=1), movie, axes="TYX")
    patches = run.crops.batch(40, np.random.default_rng(0))
    mean, std = run._model.affine.mean[0], run._model.affine.std[0]
    own, beside = (np.rint(v * std + mean).astype(int) for v in (patches.noisy, patches.beside))
    for frame, others in zip(own[:, 0], beside, strict=True):
        at = frame[0, 0] // 10_000
        wanted = [k if 0 <= k < 6 else 2 * at - k for k in (at - 2, at - 1, at + 1, at + 2)]
        assert (others == np.stack([frame + 10_000 * (k - at) for k in wanted])).all()


def test_pixels_of_one_image_are_drawn_the_same_with_and_without_neighbours() -> None:
    image = Image.from_array(white((4, 40, 40)), "TYX")
    run = movie_run()
    plain, seeing = (
        Crops([image], run._model.affine, patch=(32, 32), channels=[0], seed=0, context=context)
        for context in (None, ("T", 1))
    )
    a, b = (crops.batch(3, np.random.default_rng(0)) for crops in (plain, seeing))
    assert a.beside is None
    assert np.array_equal(a.noisy, b.noisy)
    assert np.array_equal(a.held_out, b.held_out)


@pytest.mark.parametrize("method", [*SELF_TRAINED, "care"])
@pytest.mark.parametrize("axis", "TZ")
def test_every_method_trains_and_a_run_that_goes_on_is_the_same(method: str, axis: str) -> None:
    if method == "care":
        config = tiny(method, f"context={{{axis}: 1}}", steps=4)
        x = white((5, 40, 40))

        def begin() -> TrainingRun:
            return run_of(config, x, x + white(x.shape, 1), axes=f"{axis}YX")
    else:

        def begin() -> TrainingRun:
            return movie_run(method, axis, steps=4)

    whole, broken, resumed = begin(), begin(), begin()
    straight = finish(whole)
    for progress in broken:
        if progress.step == 2:
            break
    resumed.restore(stored(broken.state()))
    assert same(finish(resumed), straight)
    assert straight.ndim == 2
    assert "sees 1 more frame either way" in describe(straight, whole.crops.images)


def test_neighbours_of_a_static_scene_help() -> None:
    scene, _ = clean_and_noisy(64, seed=3)
    movie = scene + 0.7 * white((8, 64, 64), 4)
    errors = {}
    for reach in (0, 2):
        config = tiny("n2v", f"context={{T: {reach}}}", net={"filters": 8}, steps=120)
        model = finish(run_of(config.replace(training={"batch_size": 4}), movie, axes="TYX"))
        clean = predict_array(model, movie, axes="TYX", device="cpu")
        errors[reach] = float(((clean - scene) ** 2).mean())
    assert errors[2] < 0.8 * errors[0]


def test_copied_frames_do_not_tell_their_own_noise() -> None:
    noise = white((6, 64, 64)).repeat(2, axis=0)  # every frame twice: nothing can be learned
    model = finish(run_of(tiny("n2v", "context={T: 1}", steps=60), noise, axes="TYX"))
    clean = predict_array(model, noise, axes="TYX", device="cpu")
    assert abs(np.corrcoef(clean.ravel(), noise.ravel())[0, 1]) < 0.3


def test_what_follows_a_training_sees_the_neighbours_too() -> None:
    scene, _ = clean_and_noisy(64, seed=3)
    movie = (scene + 0.7 * white((6, 64, 64), 4)).astype(np.float32)
    image = Image.from_array(movie, "TYX")
    model = finish(run_of(tiny("n2v", "context={T: 1}", steps=60), movie, axes="TYX"))
    whole = predict_array(model, movie, axes="TYX", device="cpu")
    for piece in regions(model, [image], CPU)[0][:3]:
        at = int(np.argmin([np.abs(piece.noisy - frame).max() for frame in movie]))
        inner = (slice(24, -24),) * 2
        np.testing.assert_allclose(piece.seen[inner], whole[at][inner], atol=1e-4)
    corrected = with_mean_correction(model, [image], CPU)
    assert corrected.mean_correction is not None
    clean = predict_array(corrected, movie, axes="TYX", device="cpu")
    assert abs(float(clean.mean() - movie.mean())) < abs(float(whole.mean() - movie.mean())) + 1e-3


def test_a_single_frame_is_refused_before_the_training() -> None:
    config = tiny("n2v", "context={T: 1}")
    with pytest.raises(InputError, match=r"single position along T.*leave out --context"):
        plan([Image.from_array(white((40, 40)))], config)
    deep = plan([Image.from_array(white((20, 40, 40)), "ZYX")], tiny("n2v", "context={Z: 1}"))
    assert deep.ndim == 2  # not the 3D net that so many slices would get
