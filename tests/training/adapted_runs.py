"""Short runs of `adapted` on photons, and estimates of their risk that are made up."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthetic import smooth
from tiny import CPU
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.quality.risk import Piece
from unnoise.quality.risk_estimate import RiskEstimate
from unnoise.training.adapted import CandidateSearch
from unnoise.training.nl_ridge import RIDGE
from unnoise.training.plan import plan
from unnoise.training.start import start

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


@functools.cache
def whole_run() -> CandidateSearch:
    """A whole run on `photons()`, which tests share as they only look at it."""
    return finished(made(photons()))


def result(model: Model, array: NDArray, axes: str | None = None) -> NDArray:
    return predict_array(model, array, axes=axes, dtype=np.float64, device="cpu")


def judging(errors: dict[str, list[float]]) -> Any:
    """An estimate that finds these errors at pixels that tell as much as whole blocks."""

    def estimate(
        self: CandidateSearch, model: Model, pieces: Sequence[Piece] | None = None
    ) -> RiskEstimate:
        name = {"n2v": "self-trained", "adapted": "instant"}.get(model.config.method, RIDGE)
        found = errors.get(name, errors["instant"])  # no better than instant
        return RiskEstimate.of(np.tile(found, 500), 0.0)

    return estimate
