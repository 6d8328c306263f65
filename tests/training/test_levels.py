"""A model for every group of alike brightness: as good as alone, resumable, saved and routed."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import unnoise
from synthetic import between
from tiny import CPU, stored, tiny
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models import folder
from unnoise.models.predict import predict_array
from unnoise.noise import image_noise
from unnoise.noise.inspect import NoiseReport, inspect
from unnoise.training.auto import Auto
from unnoise.training.finish import finish
from unnoise.training.levels import LevelRuns, describe_groups, groups_of, planned
from unnoise.training.plan import plan
from unnoise.training.run import Run
from unnoise.training.start import start

FACTORS = (1, 10, 100)


def exposures(*factors: float, side: int = 48) -> list[np.ndarray]:
    """One scene at several exposures, over the offset of a camera."""
    scene = between(1, 9, (side, side), width=3)
    rng = np.random.default_rng(5)
    return [
        (100 + rng.poisson(f * scene) + rng.normal(0, 1, scene.shape)).astype(np.float32)
        for f in factors
    ]


def begun(config: Config | Auto, *arrays: np.ndarray, axes: str | None = None) -> Run:
    images = [Image.from_array(a, axes) for a in arrays]
    return start(images, planned(images, config)[1], CPU)


def done(run: Run) -> Run:
    for _ in run:
        pass
    return run


def alone(config: Config, x: np.ndarray) -> np.ndarray:
    return unnoise.train(x, config=config).predict(x)


def test_noise_that_a_method_needs_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def counted(image: Image) -> NoiseReport:
        looks.append(image.name)
        return inspect(image)

    monkeypatch.setattr(image_noise, "inspect", counted)
    images = [Image.from_array(exposures(1)[0])]
    choices, model = planned(images, Config(method="instant"))
    _, _, reports = finish(model, images, choices[0].reports, CPU)
    assert len(looks) == 1
    assert reports == choices[0].reports


SLOW = [pytest.param(m, marks=pytest.mark.slow) for m in ("instant", "adapted")]


@pytest.mark.parametrize("method", ["n2v", "r2r", "gaussian", *SLOW])
def test_every_exposure_is_denoised_as_if_it_were_alone(method: str) -> None:
    config = Config(method=method)
    if method in ("n2v", "r2r"):
        config = tiny(method, steps=3)
    elif method == "adapted":
        config = config.replace(training={"steps": 4})
    pictures = exposures(1, 100)
    model = unnoise.train(pictures, config=config)
    assert len(model.levels) == 2
    for x in pictures:
        assert np.array_equal(model.predict(x), alone(config, x))


def test_every_exposure_starts_with_a_transform_of_its_own() -> None:
    images = [Image.from_array(x) for x in exposures(1, 100)]
    config = Config(method="instant")
    for image, model in zip(images, planned(images, config)[1].levels, strict=True):
        own = plan([image], config).weights
        assert all(torch.equal(model.weights[k], own[k]) for k in own)


@pytest.mark.parametrize("method", ["n2n", "care"])
def test_pairs_are_grouped_with_their_images(method: str) -> None:
    pictures, others = exposures(*FACTORS), [x + 1 for x in exposures(*FACTORS)]
    config = tiny(method, steps=2)
    model = unnoise.train(pictures, others, config=config)
    for x, y in zip(pictures, others, strict=True):
        assert np.array_equal(model.predict(x), unnoise.train(x, y, config=config).predict(x))


def test_frames_of_one_movie_are_denoised_as_if_they_were_movies_of_their_own() -> None:
    pictures = exposures(1, 100, 1, 100)
    config = tiny(steps=3)
    model = unnoise.train(np.stack(pictures), axes="TYX", config=config)
    result = model.predict(np.stack(pictures), axes="TYX")
    for own in (slice(0, None, 2), slice(1, None, 2)):
        movie = np.stack(pictures[own])
        expected = unnoise.train(movie, axes="TYX", config=config).predict(movie, axes="TYX")
        assert np.array_equal(result[own], expected)


def test_alike_images_have_one_model() -> None:
    model = begun(tiny(steps=1), *exposures(10, 13, 20)).model()
    assert model.others == ()
    assert model.level is None


def test_auto_chooses_for_every_group() -> None:
    images = [Image.from_array(x) for x in exposures(1, 100)]
    choices, model = planned(images, Auto(minutes=0.1))
    assert [len(c.reports) for c in choices] == [1, 1]
    assert len(model.levels) == 2


def test_the_groups_are_told_by_their_names() -> None:
    images = [Image.from_array(x) for x in exposures(1, 100)]
    model = planned(images, tiny())[1]
    line = describe_groups([group for _, group in groups_of(model, images)])
    assert "2 groups" in line


def test_a_stopped_run_goes_on_to_the_last_bit() -> None:
    pictures = exposures(*FACTORS)
    images = [Image.from_array(x) for x in pictures]
    whole = done(begun(tiny(steps=3), *pictures))
    first = begun(tiny(steps=3), *pictures)
    for stop in (1, 3, 5):
        for _ in itertools.islice(first, stop - first.step):
            pass
        if stop == 1:
            first._run.rollbacks = 1  # type: ignore[attr-defined]
        second = start(images, first.model(), CPU)
        second.restore(stored(first.state()))
        assert second.step == stop
        first = second
    done(first)
    assert [line[:14] for line in first.remarks()] == ["group 1: a ste"]
    assert first.step == whole.step == 9
    for a, b in zip(first.model().levels, whole.model().levels, strict=True):
        assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)


def test_a_run_knows_how_far_it_is_and_what_its_stages_were() -> None:
    run = begun(tiny(steps=2), *exposures(*FACTORS))
    seen = [(p.step, round(p.fraction, 3)) for p in run]
    assert seen == [(i, round(i / 6, 3)) for i in range(1, 7)]
    assert {line["stage"] for line in run.history} == {"group 1", "group 2", "group 3"}
    assert [line["step"] for line in run.history] == sorted(line["step"] for line in run.history)
    assert isinstance(run, LevelRuns)


def test_damaged_states_are_refused() -> None:
    run = begun(tiny(steps=2), *exposures(1, 100))
    for state in ({}, {"group": 7, "before": run.state()["before"], "run": {}}):
        with pytest.raises(unnoise.errors.InputError, match="does not fit its model"):
            run.restore(state)


def test_the_folder_keeps_all_groups(tmp_path) -> None:
    pictures = exposures(*FACTORS)
    images = [Image.from_array(x) for x in pictures]
    run = done(begun(tiny(steps=2), *pictures))
    model, *_ = finish(run.model(), images, (), CPU)
    assert all(part.record is not None for part in model.levels)
    folder.save(tmp_path / "m", model)
    loaded = folder.load(tmp_path / "m")
    assert loaded.provenance.steps == 6
    for x in pictures:
        assert np.array_equal(predict_array(loaded, x), predict_array(model, x))


def test_a_folder_without_a_level_of_one_of_several_is_damaged(tmp_path) -> None:
    model = done(begun(tiny(steps=1), *exposures(1, 100))).model()
    folder.save(tmp_path / "m", replace(model, level=None))
    with pytest.raises(unnoise.errors.ModelError, match="do not fit each other"):
        folder.load(tmp_path / "m")


def test_an_image_far_from_the_training_is_told_and_an_alike_one_not() -> None:
    dim, mid, bright = (Image.from_array(x) for x in exposures(*FACTORS))
    model = unnoise.train(mid, config=tiny(steps=1))
    assert model.unlike(mid) is None
    assert model.unlike(Image.from_array(exposures(17)[0])) is None
    for image in (dim, bright):
        assert "train on images like it" in str(model.unlike(image))
    several = unnoise.train([dim, mid, bright], config=tiny(steps=1))
    assert [several.unlike(image) for image in (dim, mid, bright)] == [None] * 3
