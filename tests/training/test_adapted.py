"""Laws of `adapted`: stages, judgement, going on, noise that is known badly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from tiny import CPU
from unnoise.app import train as training_job
from unnoise.app.files import InputOptions
from unnoise.app.train import resume, train_files
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image
from unnoise.models import folder as checkpoint
from unnoise.models.model import Choice, EnsembleMember, Model
from unnoise.models.predict import predict
from unnoise.noise import image_noise
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss
from unnoise.quality.noise_passthrough import dependence
from unnoise.training import adapted, own_net
from unnoise.training import instant as stabilising
from unnoise.training.adapted import CANDIDATES, CandidateSearch
from unnoise.training.instant import VstCalibration
from unnoise.training.loop import TrainingRun
from unnoise.training.nl_ridge import RIDGE
from unnoise.training.plan import plan
from unnoise.training.resume import resume as resume_run

from .adapted_runs import SMALL, STEPS, finished, judging, made, photons, result, scene, whole_run

pytestmark = pytest.mark.usefixtures("few_steps")


@pytest.fixture(autouse=True)
def _never_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of few steps never are worth it, and a tenth of them is none."""
    monkeypatch.setattr(adapted, "HOPE", 0.0)
    monkeypatch.setattr(adapted, "LOOK", 0.3)


def test_goes_through_all_stages() -> None:
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
    model = run.model()
    risks = model.choice.risks
    assert set(CANDIDATES) <= set(run.risks) <= set(risks)
    assert np.isfinite(list(risks.values())).all()
    assert model.config.training.steps == STEPS
    assert [line["step"] for line in run.history] == sorted(line["step"] for line in run.history)
    assert np.isfinite(result(model, array)).all()


BOTH = ["instant", "self-trained"]
LEFT = {"instant": [0.0, 2.0], "self-trained": [2.5, 2.0]}
RIGHT = {"instant": [2.5, 2.0], "self-trained": [0.0, 2.0]}
BOTH_HELP = {"instant": [0.0, 1.5], "self-trained": [1.2, 0.0]}
DOUBTFUL = {"instant": [0.0, 1.0], "self-trained": [60.0, -60.0]}


@pytest.mark.parametrize(
    ("errors", "expected"), [(LEFT, "instant"), (RIGHT, "self-trained"), (DOUBTFUL, "instant")]
)
def test_what_wins_is_what_the_user_gets(
    monkeypatch: pytest.MonkeyPatch, errors: dict[str, list[float]], expected: str
) -> None:
    monkeypatch.setattr(CandidateSearch, "_estimate", judging(errors))
    array = photons()
    model = finished(made(array)).model()
    assert model.choice.candidate == expected
    assert model.config.method == ("n2v" if expected == "self-trained" else "adapted")
    same = all(
        torch.equal(w, model.weights.get(k, torch.tensor(0)))
        for k, w in finished_instant(array).items()
    )
    assert same == (expected == "instant")
    assert model.second is None


def test_a_training_that_cannot_win_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapted, "HOPE", 0.25)
    monkeypatch.setattr(CandidateSearch, "_estimate", judging(LEFT))
    array = photons()
    run = made(array)
    lines = list(run)
    done = round(adapted.LOOK * STEPS)
    assert lines[-1].fraction == 1
    assert lines[-1].step == lines[-1].steps == stabilising.STEPS + done
    assert run.model().choice.candidate == "instant"
    assert set(run.model().choice.risks) == {*CANDIDATES, RIDGE}
    (remark,) = run.remarks()
    assert f"the training ended after {done} steps" in remark
    going = made(array)  # stopped before it was looked at, it ends as early
    for _ in going:
        if going._run is not None and going._run.step == done - 1:
            break
    again = made(array)
    again.restore(going.state())
    finished(again)
    assert again.step == run.step
    assert again.remarks() == run.remarks()


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
    """Of two that err at different pixels, 1.5 to 1 by their squared errors."""
    opposite = judging({"instant": [0.0, 1.5**0.5], "self-trained": [1.0, 0.0]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stabilising, "PIECES", 4)
        patch.setattr(adapted, "HOPE", 0.0)
        patch.setattr(adapted, "DOUBT", 0.0)
        patch.setattr(CandidateSearch, "_estimate", opposite)
        return finished(made(photons())).model()


def test_candidates_that_err_in_different_ways_are_averaged(averaged: Model) -> None:
    risks = averaged.choice.risks
    assert averaged.choice.candidate == " + ".join(BOTH) == min(risks, key=risks.__getitem__)
    assert averaged.second is not None
    assert averaged.second.share == pytest.approx(0.6)
    (own, rest), (other, share) = averaged.members
    assert (own.config.method, other.config.method) == ("adapted", "n2v")
    array = photons()
    # Each alone, mirrored at the borders by the grid that both have in common.
    first, second = (
        result(replace(averaged, second=replace(averaged.second, share=w)), array) for w in (0, 1)
    )
    np.testing.assert_allclose(result(averaged, array), rest * first + share * second, rtol=1e-9)


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


STOPS = {"calibration": 0, "before it is looked at": 1, "after it": 2}


def stage(run: CandidateSearch) -> int:
    return (run._run is not None) + run._looked


def states(run: CandidateSearch) -> tuple[object, ...]:
    """What two runs that did the same have in common."""
    model = run.model()
    members = [(m.config, {k: w.tolist() for k, w in m.weights.items()}) for m, _ in model.members]
    lines = [{**line, "seconds": 0} for line in run.history]
    return run.step, run.risks, model.choice, members, lines, run.remarks()


@pytest.mark.parametrize("where", STOPS)
def test_going_on_equals_the_uninterrupted_run(tmp_path: Path, where: str) -> None:
    """Through a model folder, as the command line does it."""
    array, whole = photons(), whole_run()
    broken = made(array)
    events = 0
    for _ in broken:
        events += stage(broken) == STOPS[where]
        if events == 2:
            break
    assert events == 2
    checkpoint.save(tmp_path / "m", broken.resumable(), broken.history, broken.state())
    model = checkpoint.load(tmp_path / "m")
    assert model.config.training.steps == STEPS
    assert np.isfinite(result(model, array)).all()
    run = resume_run(tmp_path / "m", model, [Image.from_array(array)], CPU)
    assert isinstance(run, CandidateSearch)
    assert (run.step, run.fraction) == (broken.step, broken.fraction) or where == "calibration"
    assert states(finished(run)) == states(whole)


@pytest.mark.parametrize(("errors", "hope"), [(LEFT, 1.0), (RIGHT, 0.0), (BOTH_HELP, 0.0)])
def test_what_was_trained_is_only_judged_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, errors: dict[str, list[float]], hope: float
) -> None:
    monkeypatch.setattr(adapted, "HOPE", hope)
    monkeypatch.setattr(CandidateSearch, "_estimate", judging(errors))
    array = photons()
    whole = finished(made(array))
    kept = {**whole.state(), "seconds": 1e6}  # however long the judgement took
    checkpoint.save(tmp_path / "m", whole.resumable(), whole.history, kept)
    model = checkpoint.load(tmp_path / "m")
    run = resume_run(tmp_path / "m", model, [Image.from_array(array)], CPU)
    assert run.step == whole.step
    assert run.fraction < 1
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "advance", None)  # no step
        assert len(list(run)) == 1
    assert states(run) == states(whole)


def test_a_judged_run_of_an_earlier_version_trains_again(tmp_path: Path) -> None:
    """It kept the model that was chosen, and nothing of what was trained."""
    array, whole = photons(), whole_run()
    gone = {k: v for k, v in whole.state().items() if k not in ("hopeless", "trained")}
    second = EnsembleMember(whole._own, 0.5)
    chosen = replace(whole._instant, second=second, choice=Choice("both", {}))
    checkpoint.save(tmp_path / "m", chosen, whole.history, {**gone, "run": None})
    model = checkpoint.load(tmp_path / "m")
    run = resume_run(tmp_path / "m", model, [Image.from_array(array)], CPU)
    assert run.step == stabilising.STEPS
    assert states(finished(run)) == states(whole)
    own = replace(whole._own, provenance=chosen.provenance)  # where the net alone was chosen
    checkpoint.save(tmp_path / "m", own, whole.history, {**gone, "run": None})
    with pytest.raises(InputError, match="does not fit its model"):
        resume_run(tmp_path / "m", checkpoint.load(tmp_path / "m"), [Image.from_array(array)], CPU)


def test_between_the_stages_it_can_stop_too() -> None:
    array = photons()
    whole, broken = whole_run(), made(array)
    for _ in broken:
        if broken._instant is not None:
            break
    assert broken._run is None
    run = made(array)
    run.restore(broken.state())
    assert run.fraction == 0
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
    assert 40 < run.seconds < 200  # every look at the clock takes a second, its own too
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
    """Measured ten times too weak or too strong: the result is about that of the better one."""
    noise = PoissonGauss(gain=factor, offset=0.0, read_variance=0.0)

    monkeypatch.setattr(image_noise, "mean_curve", lambda curves: noise)
    clean, noisy = scene(64), photons(64)
    run = finished(made(noisy, steps=160))
    errors = [((result(m, noisy) - clean) ** 2).mean() for m in (run._instant, run._own)]
    chosen = ((result(run.model(), noisy) - clean) ** 2).mean()
    assert chosen < 1.25 * min(errors)
    assert chosen < 0.6 * ((noisy - clean) ** 2).mean()


def test_the_net_from_scratch_has_the_precision_that_was_asked_for() -> None:
    for precision in ("float32", "bfloat16"):
        run = made(photons(), precision=precision)
        assert own_net.own_config(run._planned).training.precision == precision


def test_the_pixel_itself_is_judged_along_axes_of_independent_noise() -> None:
    """Pairs of neighbours whose noise is correlated would feign lost structure."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(128, 128)), (0, 1.5), mode="wrap")
    striped = 100 + scene(128) + 20 * noise / noise.std()
    for x, axes in ((striped, ("Z", "Y")), (photons(128), ("Z", "Y", "X"))):
        model = plan([Image.from_array(x)], Config(method="adapted"))
        assert model.noise is not None
        assert model.noise.independent == axes
