"""How long a run and its results will take here, told before it starts, from a few timed steps."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from unnoise.images.image import Image
from unnoise.models.model import Model, asks_nlridge
from unnoise.models.predict import pixels_to_compute, predict_array
from unnoise.quality.region import SIDES, part_of
from unnoise.training.adapted import LOOK
from unnoise.training.levels import groups_of
from unnoise.training.loop import N_VALIDATIONS, STEPS_PER_VALIDATION, TrainingRun
from unnoise.training.nl_ridge import RIDGE, uncalibrated, with_ridge
from unnoise.training.nl_ridge import SIDE as RIDGE_SIDE
from unnoise.training.own_net import self_trained

TIMED, WARMING = 16, 4
"""Steps of the training that are made, and how many of them are not timed: of eight the median was
15 % above the mean of all (two cores, both busy)."""
SIDE, AGAIN = {"shipped": 256, "own": 256, RIDGE: 128}, {2: 3, 3: 1}
"""Side of the piece whose prediction is timed, and how often, in 2D and 3D, after once untimed."""
CALIBRATION = 3 * 2**16
"""Pixels of a channel that pass the shipped net while its transform is calibrated."""
JUDGED = {
    ("shipped", False): 8,
    ("own", False): 12,
    ("shipped", True): 21,
    ("own", True): 28,
    (RIDGE, True): 7,
}
"""Passes over a piece of the image by which results are judged, before and after they are made, of
a net alone and of one beside another; of NL-Ridge as many as it has if it is used in every second
run, as of its passes over the image."""
PASSES = {"shipped": 4, "own": 8, RIDGE: 0.5}
"""Passes over the image: the shipped net needs fewer symmetries than one that is trained here."""
LOOKED = 1 / 3
"""Share of these passes that a training takes which ends early: judged once, and no result."""
LONG, LARGE = 200, 2**21
"""Steps and pixels from which it is worth to look how long they take."""
SHORTER = 0.9
"""Another expected time is told that is this much shorter, or less."""
OVERHEAD = 0.5
"""Seconds for what hardly grows: reading, writing, the report. It is 1.6 CPU seconds, but the timed
passes are the first ones, and too slow by as much: with 2.0, grey pictures of 128 to 384 pixels a
side took 2 to 4 s less than was told (`benchmarks/expected_time.py`)."""


@dataclass(frozen=True)
class Duration:
    """Expected seconds.

    Attributes
    ----------
    whole : float
        Of all that can come.
    least : float
        Where the training of `adapted` ends early, as it would not help; else the same.
    """

    whole: float
    least: float

    def __str__(self) -> str:
        text = f"{in_words(self.whole)} on this machine"
        if self.least < SHORTER * self.whole:
            text += f"; {in_words(self.least)} where it turns out that training cannot help"
        return text


def in_words(seconds: float) -> str:
    """A duration as people say it.

    Examples
    --------
    >>> in_words(14.2), in_words(48.2), in_words(100), in_words(8000)
    ('about 14 s', 'about 50 s', 'about 1.7 minutes', 'about 2.2 hours')
    """
    if seconds < 90:
        step = 1 if seconds < 30 else 5
        return f"about {max(round(seconds / step), 1) * step} s"
    return (
        f"about {seconds / 60:.2g} minutes"
        if seconds < 5400
        else f"about {seconds / 3600:.2g} hours"
    )


def expected_duration(
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    targets: Sequence[Image] | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Duration | None:
    """Time that training and prediction will take on this machine; None where that is not known.

    A few steps of the training and the prediction of a piece are timed, about a second of work.
    Another program that starts or ends later changes what comes.

    Parameters
    ----------
    model : Model
        From `unnoise.training.plan.plan`.
    images : sequence of Image
        Noisy images.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs.
    clock : callable
        Seconds; benchmarks pass the time of the processor instead.

    Examples
    --------
    >>> import numpy as np
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> cpu, config = torch.device("cpu"), Config(method="n2v").replace(training={"steps": 20})
    >>> expected_duration(plan([image], config), [image], cpu).whole > 0
    True
    >>> expected_duration(plan([image], Config(method="gaussian")), [image], cpu) is None
    True
    """
    whole = least = OVERHEAD
    for own, (parts, partners) in groups_of(model, images, targets):
        if not own.config.is_trained and not own.config.is_shipped:
            return None  # a filter takes as long as its trials
        results, training = _seconds(own, parts, partners, device, clock)
        adapted = own.config.is_shipped and training
        ridge = results.pop(RIDGE, 0.0) if adapted else 0.0  # where the training does not help
        whole += sum(results.values()) + training
        if adapted:
            least += results["shipped"] + LOOKED * results["own"] + ridge + LOOK * training
        else:
            least += sum(results.values()) + training
    return Duration(max(whole, least), least)


def expected_prediction(model: Model, images: Sequence[Image], device: torch.device) -> float:
    """Seconds that the results of a trained model will take here; a piece is timed.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).normal(size=(64, 64))
    >>> model = unnoise.train(noisy, steps=2)
    >>> expected_prediction(model, [Image.from_array(noisy)], torch.device("cpu")) > OVERHEAD
    True
    """
    side = SIDE["shipped"]
    depth = SIDES[3][0] if model.ndim == 3 else None
    where, (piece, _) = str(device), part_of(images[0], images[0].middle(side, depth), model)
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        predict_array(model, piece, device=where, dtype="float32")
        taken.append(time.perf_counter() - started)
    pixel = taken[-1] / pixels_to_compute(model, piece, device=where)
    return OVERHEAD + pixel * sum(pixels_to_compute(model, image, device=where) for image in images)


def is_long(model: Model, images: Sequence[Image]) -> bool:
    """Whether it may take so long that people want to know before."""
    t = model.config.training
    long = model.config.is_trained and (t.minutes is not None or (t.steps or 0) >= LONG)
    return long or sum(math.prod(image.shape) for image in images) >= LARGE


def _seconds(
    model: Model,
    images: Sequence[Image],
    targets: Sequence[Image] | None,
    device: torch.device,
    clock: Callable[[], float],
) -> tuple[dict[str, float], float]:
    """Of a group of alike images: time of the results of every net, and of the training."""
    nets = {"shipped": model} if model.config.is_shipped else {}
    if model.config.is_trained:
        if nets:
            nets[RIDGE] = with_ridge(model)
        elif asks_nlridge(model):
            nets[RIDGE] = uncalibrated(model, images)
        nets["own"] = self_trained(model) if model.config.is_shipped else model
    results = {}
    for kind, own in nets.items():
        depth = SIDES[3][0] if own.ndim == 3 else None
        middle = images[0].middle(SIDE[kind], depth)
        where, (piece, _) = str(device), part_of(images[0], middle, own)
        taken = []
        for _ in range(1 + AGAIN[own.ndim]):
            started = clock()
            predict_array(own, piece, device=where, dtype="float32")
            taken.append(clock() - started)
        # The first time memory is taken and kept.
        pixel = statistics.median(taken[1:]) / pixels_to_compute(own, piece, device=where)
        sides = zip("ZYX"[-own.ndim :], SIDES[own.ndim], strict=True)
        most = RIDGE_SIDE if kind == RIDGE else math.inf
        judged = math.prod(min(images[0].sizes[letter], side, most) for letter, side in sides)
        pixels = JUDGED[kind, len(nets) > 1] * judged + CALIBRATION * (kind == "shipped")
        for image in images:
            pixels += PASSES[kind] * pixels_to_compute(own, image, device=where)
        always = kind == RIDGE and asks_nlridge(model)
        results[kind] = pixel * pixels * (2 if always else 1)
    trained = _training(nets["own"], images, targets, device, clock) if "own" in nets else 0.0
    return results, trained


def _training(
    model: Model,
    images: Sequence[Image],
    targets: Sequence[Image] | None,
    device: torch.device,
    clock: Callable[[], float],
) -> float:
    """Time of the steps and validations of a training."""
    t = model.config.training
    if t.steps is None:
        return 60 * (t.minutes or 0.0)
    run = TrainingRun(images, model, device, targets, clock=clock)
    every = t.validate_every or max(t.steps // N_VALIDATIONS, STEPS_PER_VALIDATION)
    taken = []
    for _ in range(TIMED):
        started = clock()
        run.advance()
        taken.append(clock() - started)
    started = clock()
    run.validate()
    validation = clock() - started
    return t.steps * statistics.median(taken[WARMING:]) + t.steps // every * validation
