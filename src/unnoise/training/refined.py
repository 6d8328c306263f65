"""The method ``refined``: a net that learns from a first result what the picture looks like.

Noise2Void first, from the noisy images alone. Its result, sharpened to the detail that the picture
must have, then stands in for clean images: a second net sees it with noise of the measured kind,
drawn anew in every step, and learns to give it back. So its targets have no noise, it sees the
pixel itself, and it knows the noise. The same loop, with noisy instead of sharpened first results:
Zhang, Li, Law, Wang, Qin, Li, *IDR: Self-Supervised Image Denoising via Iterative Data Refinement*,
CVPR 2022. Without the sharpening the second net is no better than the first (docs/benchmarks.md):
what it learns from is too smooth, so it smooths too much.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.axes import middle
from unnoise.images.image import Image
from unnoise.images.pixel_mask import PixelMask
from unnoise.models.build import new_weights
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.training.loop import TrainingRun
from unnoise.training.methods.simulated import Simulated
from unnoise.training.progress import Progress
from unnoise.training.run import Run
from unnoise.training.saved_state import check_state
from unnoise.training.sharpening import sharpened

SHARES = (0.4, 0.6)
"""Shares of the budget: of the net that learns from blind spots, and of the refinement."""
STAGES = ("blind spots", "refinement")
"""Their losses have nothing in common, so each has a curve of its own."""
SIDE, MOST_PIXELS = 1024, 2**23
"""Side of the middle of a plane, and pixels in all, that the second net learns from."""
GRAIN = 16
"""Cut-outs begin at multiples of this."""


class RefinedRun(Run):
    """A run of two trainings, in the shape of one.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`, for the method ``refined``.
    device : torch.device
        Where to compute.
    targets : None
        As every run takes them; this one knows no pairs.
    clock : callable
        Seconds, for budgets in minutes.

    Raises
    ------
    InputError
        If the noise is not known, or correlated.

    Examples
    --------
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> config = Config(method="refined").replace(training={"steps": 5}, net={"filters": 4})
    >>> run = RefinedRun([image], plan([image], config), torch.device("cpu"))
    >>> [(progress.step, round(progress.fraction, 1)) for progress in run]
    [(1, 0.2), (2, 0.4), (3, 0.6), (4, 0.8), (5, 1.0)]
    """

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        targets: Sequence[Image] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        _check_noise(model, images[0].name)
        self._images, self._planned, self.device, self._clock = images, model, device, clock
        self._run: TrainingRun | None = None
        self._done: list[Model] = []  # what every finished training gave; the last one counts
        self._before = 0  # steps of these
        self._told: list[str] = []  # what these said of themselves
        self.history: list[dict[str, Any]] = []

    @property
    def _finished(self) -> bool:
        return len(self._done) == len(SHARES)

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent."""
        if self._finished:
            return 1.0
        at = len(self._done)
        done = 0.0 if self._run is None else self._run.fraction
        return min(sum(SHARES[:at]) + SHARES[at] * done, 0.999)

    def __iter__(self) -> Iterator[Progress]:
        """Train one net after the other, yielding after every step."""
        started = self._clock() - self.seconds
        while not self._finished:
            if self._run is None:
                self._run = self._begun(self._clock() - started)
            for progress in self._run:
                self.step, self.loss = self._before + progress.step, progress.loss
                self.seconds = self._clock() - started
                if progress.fraction < 1:
                    yield self.progress()
            self._end(self._run)
            self.seconds = self._clock() - started
            yield self.progress()

    def progress(self) -> Progress:
        """Where it stands."""
        found = super().progress()
        if self._run and self._run.history:
            found = replace(found, held_out=self._run.history[-1]["held_out"])
        return found

    def _begun(self, spent: float, minutes: float | None = None) -> TrainingRun:
        """The next training, with its part of what is left of the budget, or the one it had."""
        t, started = self._planned.config.training, self._clock()
        images, method = self._images, None
        if self._done:
            images, method = self._learned(), self._simulated()
        at = len(self._done)
        part = SHARES[at] / sum(SHARES[at:])
        budget: dict[str, Any] = {}
        if t.minutes is not None:
            spent += self._clock() - started  # the results to learn from take their time
            budget["minutes"] = minutes or max(part * (t.minutes - spent / 60), 0.01)
        else:
            assert t.steps is not None
            budget["steps"] = max(round(part * (t.steps - self._before)), 1)
        config, channels = self._planned.config.with_budget(**budget), self._planned.channels
        # Not the weights of the plan: of a run that goes on these are trained.
        own = replace(self._planned, config=config, weights=new_weights(config, 2, channels))
        return TrainingRun(images, own, self.device, clock=self._clock, method=method)

    def _learned(self) -> list[Image]:
        """Sharpened results of the net before."""
        found = []
        for noisy, marks in _middles(self._images):
            hidden = noisy if marks is None else np.ma.array(noisy, mask=marks)
            result = predict_array(
                self._done[-1],
                hidden,
                axes="CYX",
                device=str(self.device),
                dtype=np.float32,
                tta=True,
            )
            clean = np.ma.getdata(result)  # writing to a masked array would change `marks`
            for c in self._planned.channels:
                clean[c] = sharpened(clean[c], noisy[c])
            learned = Image.from_array(clean, axes="CYX")
            if marks is not None:  # what was filled there is no picture to learn from
                block, excluded = (x[None, None, :, None] for x in (clean, marks))
                learned = replace(learned, mask=PixelMask.of_planes(block, excluded, None))
            found.append(learned)
        return found

    def _simulated(self) -> Simulated:
        """The measured noise, as what the second net sees is made of it."""
        model = self._planned
        assert model.noise is not None
        channels = list(model.channels)
        mean, std = ([float(v[c]) for c in channels] for v in (model.affine.mean, model.affine.std))
        seen = [noisy[channels].reshape(len(channels), -1) for noisy, _ in _middles(self._images)]
        low, high = np.min([v.min(1) for v in seen], 0), np.max([v.max(1) for v in seen], 0)
        ends = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
        return Simulated(model.noise.known, mean, std, ends)

    def _end(self, run: TrainingRun) -> None:
        """Keep what a training gave."""
        self.history += self._recorded(run)
        own, at = run.model(), len(self._done)
        self._told += [f"{STAGES[at]}: {line}" for line in run.remarks()]
        self._done.append(self._planned.with_weights(own.weights, held_out=own.provenance.held_out))
        self._before, self._run, self.loss = self._before + run.step, None, None

    def _recorded(self, run: TrainingRun) -> list[dict[str, Any]]:
        """The validations of a training; only those of the last net can be kept."""
        at = len(self._done)
        last = at == len(SHARES) - 1
        return [
            {k: v for k, v in line.items() if k != "kept" or last}
            | {"stage": STAGES[at], "step": self._before + line["step"]}
            for line in run.history
        ]

    def model(self) -> Model:
        """The last net; before it begins to be any good, the one before."""
        best = self._done[-1] if self._done else self._planned
        if self._run is not None and (self._run.best is not None or not self._done):
            best = self._run.model()
        held_out = best.provenance.held_out
        return self._planned.with_weights(best.weights, steps=self.step, held_out=held_out)

    def remarks(self) -> list[str]:
        """What the finished trainings say about themselves."""
        return self._told

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "before": self._before,
            "history": self.history,
            "done": [dict(model.weights) for model in self._done],
            "held_out": [model.provenance.held_out for model in self._done],
            "told": self._told,
            "run": None if self._run is None else self._run.state(),
            "minutes": None if self._run is None else self._run.config.minutes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on, as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        check_state(self.state(), state)
        try:
            self.history = list(state["history"])
            self.step, self._before = int(state["step"]), int(state["before"])
            self.seconds = float(state["seconds"])
            done = state["done"]
            found = zip(done, state.get("held_out", [None] * len(done)), strict=True)
            self._done = [self._planned.with_weights(w, held_out=loss) for w, loss in found]
            self._told = list(state.get("told", []))  # older ones lack both
            run = state["run"]
            if run is not None:
                # Computed anew, the budget would lack the time of a stop, and of going on.
                minutes = state.get("minutes")  # which older ones lack
                self._run = self._begun(self.seconds - float(run["seconds"]), minutes)
                self._run.restore(run)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error


def _check_noise(model: Model, name: str) -> None:
    """Refuse noise that cannot be drawn."""
    noise = model.noise
    if noise is None or len(noise.known) < len(model.channels):
        raise InputError(
            f"the noise of {name} could not be measured, which refined needs; give it with "
            f"--noise-model (unnoise calibrate), or choose the method n2v"
        )
    along = sorted({axis for axes in noise.correlated for axis in axes} & {*"YX"})
    if along:
        raise InputError(
            f"the noise of {name} is correlated along {' and '.join(along)}, and refined knows "
            f"independent noise only; choose the method structn2v or r2r"
        )


def _middles(images: Sequence[Image]) -> Iterator[tuple[NDArray, NDArray[np.bool_] | None]]:
    """Middles of planes, (c, y, x), and which pixels are no measurement, evenly spread over all."""
    planes = [
        (image, dict(zip("STZ", at, strict=True)))
        for image in images
        for at in itertools.product(*(range(image.sizes[k]) for k in "STZ"))
    ]
    n = images[0].sizes
    pixels = n["C"] * min(n["Y"], SIDE) * min(n["X"], SIDE)
    count = min(len(planes), max(MOST_PIXELS // pixels, 1))
    for i in sorted({*np.linspace(0, len(planes) - 1, count).round().astype(int).tolist()}):
        image, at = planes[i]
        rows, columns = (middle(image.sizes[k], SIDE, GRAIN) for k in "YX")
        where = {**{k: slice(v, v + 1) for k, v in at.items()}, "Y": rows, "X": columns}
        marks = image.excluded(where)
        block = image.read(where)[0, 0, :, 0]
        yield block, None if marks is None else marks[0, 0, :, 0]
