"""Laws of `adapted` on movies: its trained net sees neighbours, and is judged among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synthetic import smooth
from tiny import CPU
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.images.neighbours import surrounded
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.quality.region import among
from unnoise.quality.risk_estimate import RiskEstimate
from unnoise.training import adapted
from unnoise.training import instant as stabilising
from unnoise.training.adapted import CandidateSearch
from unnoise.training.finish import finish
from unnoise.training.plan import plan
from unnoise.training.start import start

pytestmark = pytest.mark.usefixtures("few_steps")

STEPS = 10
BETWEEN = {"adapted": [1.0, -1.0, 2.0, 0.0], "n2v": [-1.0, 1.0, 0.0, 2.0]}
"""Errors of which the mean is less than either."""


def made(movie: NDArray, *settings: str) -> CandidateSearch:
    image = Image.from_array(movie, "TYX" if movie.ndim == 3 else None)
    training = {"steps": STEPS, "patch": 16, "batch_size": 4}
    config = Config.parse({"method": "adapted", "training": training}).set(*settings)
    run = start([image], plan([image], config), CPU)
    assert isinstance(run, CandidateSearch)
    return run


def finished(run: CandidateSearch) -> CandidateSearch:
    for _ in run:
        pass
    return run


@pytest.fixture(autouse=True)
def _never_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of few steps never are worth it."""
    monkeypatch.setattr(adapted, "HOPE", 0.0)


def estimate(self: CandidateSearch, model: Model, pieces: object = None) -> RiskEstimate:
    return RiskEstimate.of(np.tile(BETWEEN[model.config.method], 500), 0.0)


def drifting(frames: int = 5) -> NDArray:
    wide = 60 + 20 * smooth((64, 70), 1.5)
    still = np.stack([wide[:, t : t + 64] for t in range(frames)])
    return np.random.default_rng(1).poisson(still.clip(1)).astype(np.uint16)


def test_the_trained_net_sees_neighbouring_frames_and_a_run_that_goes_on_too() -> None:
    movie = drifting()
    whole, broken, again = made(movie), made(movie), made(movie)
    finished(whole)
    assert whole._own is not None
    assert whole._own.context is not None
    assert whole._own.context[0] == "T"
    assert "frames before and after along T" in whole.remarks()[0]
    for progress in broken:
        if progress.step == stabilising.STEPS + STEPS // 2:
            break
    again.restore(broken.state())
    finished(again)
    assert again._own is not None
    assert all(torch.equal(v, again._own.weights[k]) for k, v in whole._own.weights.items())
    assert again.risks == whole.risks


def test_in_a_mean_every_model_sees_what_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CandidateSearch, "_estimate", estimate)
    movie = drifting()
    model = finished(made(movie)).model()
    assert model.second is not None
    assert model.context is None
    assert model.second.model.context is not None
    clean: Any = predict_array(model, movie, axes="TYX", dtype=np.float64, device="cpu")
    # And so it does where it is judged, among the frames of a piece.
    image = Image.from_array(movie, "TYX")
    axis, reach = model.second.model.context
    where = image.middle(64)
    frames = surrounded(image, where, axis, reach), {axis: reach}
    found = among(frames, movie[None, 2].astype(np.float64), model, CPU)
    np.testing.assert_allclose(found[0], clean[2], atol=1e-3)


def test_frames_can_be_joined_beside_a_net_that_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CandidateSearch, "_estimate", estimate)
    still = (60 + 20 * smooth((64, 64), 3)).clip(1)
    movie = np.random.default_rng(1).poisson(np.broadcast_to(still, (6, 64, 64))).astype(np.uint16)
    model, image = finished(made(movie)).model(), Image.from_array(movie, "TYX")
    done, told, _ = finish(model, [image], (), CPU)
    assert done.joined is not None, told
    assert done.second is None, "a net of ten steps has nothing to add"
    clean = predict_array(done, movie, axes="TYX", dtype=np.float64, device="cpu")
    assert float(((clean - still) ** 2).mean()) < 0.5 * float(((movie - still) ** 2).mean())


def test_nothing_is_seen_where_nothing_is_told_or_the_settings_say_so() -> None:
    movie = drifting()
    others = np.stack([movie[0], movie[0].T, movie[0, ::-1], movie[0].T[::-1]])
    for run in (made(movie[0]), made(others), made(movie, "context={T: 0}")):
        assert run._context is None
