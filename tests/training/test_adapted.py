"""Laws of the adapted road: stages, judgement, going on, noise that is known badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from synthetic import smooth
from tiny import CPU
from unnoise.app import train as training_job
from unnoise.app.files import InputOptions
from unnoise.app.train import resume, train_files
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.noise import image_noise
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss
from unnoise.quality.noise_passthrough import dependence
from unnoise.quality.risk import RiskEstimate
from unnoise.training import instant as stabilising
from unnoise.training.adapted import CANDIDATES, SHARES, CandidateSearch
from unnoise.training.instant import VstCalibration
from unnoise.training.plan import plan
from unnoise.training.resume import resume as resume_run
from unnoise.training.start import start

pytestmark = pytest.mark.usefixtures("few_steps")

STEPS = 10
SMALL = {"steps": STEPS, "patch": 16, "batch_size": 4}


def scene(side: int = 32) -> NDArray[np.float64]:
    field = smooth((side, side), 3, seed=3, mode="wrap")
    return 25 + 12 * field * (field > 0) + 10 * (field > 1)


def photons(side: int = 32, seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).poisson(scene(side)).astype(np.uint16)


def made(array: NDArray, axes: str | None = None, **training: Any) -> CandidateSearch:
    image = Image.from_array(array, axes)
    config = Config.parse({"method": "adapted", "training": {**SMALL, **training}})
    run = start([image], plan([image], config), CPU)
    assert isinstance(run, CandidateSearch)
    return run


def finished(run: CandidateSearch) -> CandidateSearch:
    for _ in run:
        pass
    return run


def result(model: Model, array: NDArray, axes: str | None = None) -> NDArray:
    return predict_array(model, array, axes=axes, dtype=np.float64, device="cpu")


def test_goes_through_all_stages_and_takes_the_least_risk() -> None:
    array = photons()
    run = made(array)
    lines = list(run)
    fractions = [line.fraction for line in lines]
    assert fractions == sorted(fractions)
    works = [line.work for line in lines]
    assert set(works) == {"calibrating", "training"}
    assert works == sorted(works), "the transform is calibrated first"
    assert fractions[-1] == run.fraction == 1
    assert all(f < 1 for f in fractions[:-1])
    assert [line.step for line in lines] == sorted(line.step for line in lines)
    assert lines[-1].step == lines[-1].steps == run.step
    assert all(line.remaining >= 0 for line in lines)  # a clock shows no NaN
    assert lines[-1].remaining == 0
    assert sum(SHARES) == pytest.approx(1)
    model = run.model()
    risks = model.choice.risks
    assert set(run.risks) == set(CANDIDATES) <= set(risks)
    assert np.isfinite(list(risks.values())).all()
    assert model.choice.candidate == min(risks, key=risks.__getitem__)
    assert all(risks[road] <= run.risks[road] for road in CANDIDATES)  # the rest never does harm
    assert model.config.training.steps == STEPS
    assert [line["step"] for line in run.history] == sorted(line["step"] for line in run.history)
    assert np.isfinite(result(model, array)).all()


def wrong_by(error: float) -> RiskEstimate:
    """A result that is wrong everywhere alike, so that no mean with another one is better."""
    return RiskEstimate(np.full(9, error), 0.0)


@pytest.mark.parametrize("road", CANDIDATES)
def test_the_road_of_least_risk_is_what_the_user_gets(
    monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    def preferring(self: CandidateSearch, model: Model) -> RiskEstimate:
        """VstCalibration is the only one with weights that no step changed."""
        first = self._stages[0]
        if model.config.method == "n2v":
            return wrong_by(1.0 if road == "self-trained" else 2.0)
        if model is first:
            return wrong_by(1.0 if road == "instant" else 2.0)
        return wrong_by(1.0 if road == "adapted" else 2.0)

    monkeypatch.setattr(CandidateSearch, "_estimate", preferring)
    array = photons()
    run = finished(made(array))
    model = run.model()
    assert model.choice.candidate == road
    assert model.config.method == ("n2v" if road == "self-trained" else "adapted")
    instant = finished_instant(array)
    same = all(torch.equal(instant[k], model.weights.get(k, torch.tensor(0))) for k in instant)
    assert same == (road == "instant")
    assert model.second is None


def test_what_a_failing_check_leaves_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The road taken may be a net of its own, from which no run of stages can start."""
    source, folder = tmp_path / "x.npy", tmp_path / "m"
    np.save(source, photons())
    config = Config.parse({"method": "adapted", "training": SMALL})

    def fails(*args: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(training_job, "SAVE_EVERY", 0.0)
        patch.setattr(training_job, "finish", fails)
        with pytest.raises(RuntimeError, match="out of memory"):
            list(train_files([source], folder, config, reading=InputOptions()))
    assert checkpoint.is_resumable(folder)
    list(resume(folder))
    assert not checkpoint.is_resumable(folder)
    model = checkpoint.load(folder)
    assert set(CANDIDATES) <= set(model.choice.risks)
    assert np.isfinite(result(model, photons())).all()


@pytest.fixture(scope="module")
def averaged() -> Model:
    """Of two roads that err at different pixels, 1.5 to 1 by their squared errors."""
    errors = {"instant": [0.0, 2.0], "adapted": [0.0, 1.5**0.5], "self-trained": [1.0, 0.0]}

    def opposite(self: CandidateSearch, model: Model) -> RiskEstimate:
        name = "instant" if model is self._stages[0] else "adapted"
        name = "self-trained" if model.config.method == "n2v" else name
        return RiskEstimate(np.array(errors[name]), 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stabilising, "STEPS", 6)
        patch.setattr(CandidateSearch, "_estimate", opposite)
        return finished(made(photons())).model()


def test_roads_that_err_in_different_ways_are_averaged(averaged: Model) -> None:
    risks = averaged.choice.risks
    assert (
        averaged.choice.candidate == "adapted + self-trained" == min(risks, key=risks.__getitem__)
    )
    assert averaged.second is not None
    assert averaged.second.share == pytest.approx(0.6)
    (own, rest), (other, share) = averaged.members
    assert (own.config.method, other.config.method) == ("adapted", "n2v")
    array = photons()
    expected = rest * result(own, array) + share * result(other, array)
    np.testing.assert_allclose(result(averaged, array), expected, rtol=1e-9)


def test_a_mean_does_not_depend_on_tiles(averaged: Model) -> None:
    image = Image.from_array(np.tile(photons(), (9, 8)).astype(np.float32))
    whole, parts = np.zeros((288, 256)), np.zeros((288, 256))
    for out, tile in ((whole, (288, 256)), (parts, (96, 64))):
        for block in predict(averaged, image, tile=tile, device="cpu"):
            out[block.where["Y"], block.where["X"]] = block.values[0, 0, 0, 0]
            assert block.error is None  # that of one of the two is not that of their mean
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_a_mean_repeats_the_noise_of_its_parts(averaged: Model) -> None:
    """But for the weights of pixels, which follow the result."""
    noise = ImageNoise((PoissonGauss(1.0, 0.0, 0.0),), (0.0,), ("",))
    image = Image.from_array(photons())
    own, other = (
        share * np.array(dependence(m, [image], noise, CPU)) for m, share in averaged.members
    )
    assert dependence(averaged, [image], noise, CPU) == pytest.approx(own + other, rel=0.02)


def test_a_mean_in_a_folder(averaged: Model, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "m", averaged)
    loaded = checkpoint.load(tmp_path / "m")
    assert np.array_equal(result(loaded, photons()), result(averaged, photons()))
    assert loaded.second is not None
    assert averaged.second is not None
    assert loaded.second.model.config == averaged.second.model.config
    assert loaded.second.model.config.training.steps == STEPS
    assert "&id" not in (tmp_path / "m" / "config.yaml").read_text("utf-8")  # YAML's references
    for key, wrong in (("share", 1.5), ("channels", [0, 1]), ("share", "much")):
        values = yaml.safe_load((tmp_path / "m" / "config.yaml").read_text("utf-8"))
        values["second"][key] = wrong
        (tmp_path / "m" / "config.yaml").write_text(yaml.safe_dump(values), "utf-8")
        with pytest.raises(ModelError, match="is damaged"):
            checkpoint.load(tmp_path / "m")
        checkpoint.save(tmp_path / "m", averaged)


def finished_instant(array: NDArray) -> dict[str, torch.Tensor]:
    """The calibrated model alone, with the patches of these tests."""
    image = Image.from_array(array)
    config = Config.parse({"method": "adapted", "training": SMALL})
    first = VstCalibration([image], plan([image], config), CPU)
    for _ in first:
        pass
    return dict(first.model().weights)


def test_the_same_seed_gives_the_same_result() -> None:
    first, again = (finished(made(photons())) for _ in range(2))
    assert first.risks == again.risks
    assert np.array_equal(result(first.model(), photons()), result(again.model(), photons()))


STOPS = {"calibration": 0, "fine-tuning": 1, "from scratch": 2, "the better": 3}
"""Stages that were finished when the run was stopped."""


@pytest.mark.parametrize("stage", STOPS)
def test_going_on_equals_the_uninterrupted_run(tmp_path: Path, stage: str) -> None:
    """Through a model folder, as the command line does it."""
    array = photons()
    whole = finished(made(array))
    broken = made(array)
    events = 0
    for _ in broken:
        inside = broken._run is not None or not broken._stages
        events += len(broken._stages) == STOPS[stage] and inside
        if events == 2:
            break
    assert events == 2
    checkpoint.save(tmp_path / "m", broken.model(), broken.history, broken.state())
    model = checkpoint.load(tmp_path / "m")
    assert model.config.training.steps == STEPS
    assert np.isfinite(result(model, array)).all()
    run = resume_run(tmp_path / "m", model, [Image.from_array(array)], CPU)
    assert isinstance(run, CandidateSearch)
    assert (run.step, run.fraction) == (broken.step, broken.fraction) or stage == "calibration"
    finished(run)
    assert run.step == whole.step
    assert run.risks == whole.risks
    expected, got = whole.model(), run.model()
    assert got.choice.risks == expected.choice.risks
    assert got.config == expected.config
    assert all(torch.equal(w, got.weights[k]) for k, w in expected.weights.items())
    lines = [[{**line, "seconds": 0} for line in r.history] for r in (whole, run)]
    assert lines[0] == lines[1]


def test_between_two_stages_it_can_stop_too() -> None:
    array = photons()
    whole, broken = finished(made(array)), made(array)
    for _ in broken:
        if len(broken._stages) == 2:
            break
    assert broken._run is None
    run = made(array)
    run.restore(broken.state())
    assert run.fraction == pytest.approx(SHARES[0])
    assert finished(run).risks == whole.risks


def test_a_state_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit"):
        made(photons()).restore({"step": 3})


def test_a_budget_in_minutes_is_shared() -> None:
    """With a clock that ticks a second at every look."""
    ticks = iter(range(100_000))
    image = Image.from_array(photons())
    training = {"patch": 16, "batch_size": 2, "minutes": 1.0}
    config = Config.parse({"method": "adapted", "training": training})
    run = CandidateSearch([image], plan([image], config), CPU, clock=lambda: float(next(ticks)))
    finished(run)
    assert run.fraction == 1
    assert 40 < run.seconds < 150
    assert run.model().config.training.minutes == 1.0


@pytest.mark.parametrize(
    ("axes", "shape"), [("CYX", (2, 24, 24)), ("ZYX", (9, 20, 24)), ("YXC", (20, 24, 3))]
)
def test_channels_and_stacks(axes: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).poisson(20, shape).astype(np.uint8)
    run = finished(made(array, axes, steps=3))
    assert run.model().ndim == 2
    clean = result(run.model(), array, axes)
    assert clean.shape == shape
    assert np.isfinite(clean).all()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(256.0).reshape(16, 16),
        (np.random.default_rng(0).random((16, 40)) > 0.5).astype(np.uint8),
        (65535 - np.random.default_rng(0).poisson(3, (24, 24))).astype(np.uint16),
        np.stack([photons(16), np.full((16, 16), 3)]),
    ],
    ids=["ramp", "binary", "saturated", "constant channel"],
)
def test_images_whose_noise_cannot_be_measured_give_numbers(array: NDArray) -> None:
    axes = "CYX" if array.ndim == 3 else "YX"
    run = finished(made(array, axes, steps=3))
    assert np.isfinite(list(run.risks.values())).all()
    clean = result(run.model(), array, axes)
    assert np.isfinite(clean).all()
    if array.ndim == 3:
        assert (clean[1] == 3).all()


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_noise_that_is_known_badly_does_little_harm(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """Measured ten times too weak or too strong: the result is about that of the best road.

    With as many steps as make the net from scratch learn something: after 60, which leave it as
    wrong as the noisy image, it still wins where the noise is told too weak.
    """
    noise = PoissonGauss(gain=factor, offset=0.0, read_variance=0.0)

    monkeypatch.setattr(image_noise, "mean_curve", lambda curves: noise)
    clean, noisy = scene(64), photons(64)
    run = finished(made(noisy, steps=160))
    errors = [((result(m, noisy) - clean) ** 2).mean() for m in run._stages[:3]]
    chosen = ((result(run.model(), noisy) - clean) ** 2).mean()
    assert chosen < 1.25 * min(errors[0], errors[2])
    assert chosen < 0.6 * ((noisy - clean) ** 2).mean()


def test_the_net_from_scratch_has_the_precision_that_was_asked_for() -> None:
    for precision in ("float32", "bfloat16"):
        run = made(photons(), precision=precision)
        assert run._scratch().config.training.precision == precision


def test_the_pixel_itself_is_judged_along_axes_of_independent_noise() -> None:
    """Pairs of neighbours whose noise is correlated would feign lost structure."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(128, 128)), (0, 1.5), mode="wrap")
    striped = 100 + scene(128) + 20 * noise / noise.std()
    for x, axes in ((striped, ("Z", "Y")), (photons(128), ("Z", "Y", "X"))):
        model = plan([Image.from_array(x)], Config(method="adapted"))
        assert model.noise is not None
        assert model.noise.independent == axes
