"""The adapted road: the shipped net, fine-tuned, against a net trained from scratch.

Four stages share the budget: the transform is calibrated (instant), the shipped net is fine-tuned
by recorruption, a small net is trained from scratch by Noise2Void, and the better of the two gets
the rest. The least estimated risk on held-out pixels decides what the user gets: one of them, or
the mean of two, which err in different ways (docs/benchmarks.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from unnoise.app.events import Progress
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model, Partner, new_weights
from unnoise.noise.density import NoiseModel
from unnoise.noise.models import from_dict
from unnoise.quality import risk as contest
from unnoise.quality.risk import Judged
from unnoise.training.held_out import regions, with_centre
from unnoise.training.instant import STEPS, Instant
from unnoise.training.loop import Run

SHARES = (0.3, 0.3, 0.4)
"""Shares of the budget: fine-tuning, from scratch, and the better of the two once more."""
STEPS_EACH = 2.5
"""Steps from scratch that take as long as one of fine-tuning."""
ROADS = ("instant", "adapted", "self-trained")
LEAST_SHARE = 0.1
"""A second net doubles the time of a prediction, which a smaller weight is not worth."""


class Adaptation:
    """A run of several stages, in the shape of a training run.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`, for the method ``adapted``.
    device : torch.device
        Where to compute.
    clock : callable
        Seconds, for budgets in minutes.

    Examples
    --------
    >>> import numpy as np
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> config = Config(method="adapted").replace(training={"steps": 4})
    >>> run = Adaptation([image], plan([image], config), torch.device("cpu"))
    >>> for progress in run: pass
    >>> progress.fraction, sorted(run.risks) == sorted(ROADS)
    (1.0, True)
    """

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._images, self._planned, self.device, self._clock = images, model, device, clock
        self._first = Instant(images, model, device)
        self._stages: list[Model] = []  # what the finished stages gave
        self._run: Run | None = None
        self._places = contest.pieces(images, model.config.training.seed)
        self._judged: dict[str, Judged] = {}
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []

    @property
    def risks(self) -> dict[str, float]:
        """Estimated risk by road, once there are all of them."""
        return {road: judged.risk for road, judged in self._judged.items()}

    @property
    def stopped(self) -> bool:
        """It never stops early."""
        return False

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent."""
        if len(self._stages) == 1 + len(SHARES):
            return 1.0
        done = sum(SHARES[: max(len(self._stages) - 1, 0)])
        if self._run is None:
            return done
        return min(done + SHARES[len(self._stages) - 1] * self._run.fraction, 0.999)

    def __iter__(self) -> Iterator[Progress]:
        """Go through the stages, yielding after every step."""
        started = self._clock() - self.seconds
        if not self._stages:
            for calibrated in self._first:
                self.step = calibrated.step
                self.seconds = self._clock() - started
                yield self._progress(None)
            self._stages.append(self._first.model())
        while len(self._stages) < 1 + len(SHARES):
            if self._run is None:
                self._run = self._next(self.seconds)
            first = self.step - self._run.step
            for progress in self._run:
                self.step = first + progress.step
                self.seconds = self._clock() - started
                if self._run.fraction < 1:
                    yield self._progress(self._run)
            self._finish(self._run)
            self._run = None
            self.seconds = self._clock() - started
            yield self._progress(None)

    def _progress(self, run: Run | None) -> Progress:
        fraction, first = self.fraction, self._first
        # while the transform is calibrated nothing is known but what is left of that
        spent, share = (self.seconds, fraction) if fraction else (first.seconds, first.fraction)
        rest = spent / share - spent
        return Progress(
            step=self.step,
            steps=self._expected(fraction),
            fraction=fraction,
            seconds=self.seconds,
            remaining=max(rest, 0.0),
            loss=run.loss if run else None,
            held_out=self.history[-1]["held_out"] if self.history else None,
        )

    def _expected(self, fraction: float) -> int:
        """Steps of the whole run, as far as can be told: at first those of the calibration."""
        if fraction == 1:
            return self.step
        return max(round(self.step / fraction), self.step) if fraction > 0 else STEPS

    def _next(self, spent: float) -> Run:
        """The run of the stage that comes next."""
        at = len(self._stages) - 1
        start = (lambda: self._stages[0], self._scratch, self._better)[at]()
        t = self._planned.config.training
        share = SHARES[at]
        if t.minutes is not None:
            left = sum(SHARES[at:])
            budget = {"minutes": max(t.minutes - spent / 60, 0.01) * share / left}
        else:
            assert t.steps is not None
            each = 1.0 if start.config.method == "adapted" else STEPS_EACH
            budget = {"steps": max(round(t.steps * share * each), 1)}
        values = start.config.model_dump()
        values["training"] |= {"minutes": None, "steps": None, **budget}
        if at == 2:
            values["training"]["learning_rate"] /= 2  # it goes on from good weights
        model = replace(start, config=Config.parse(values))
        return Run(self._images, model, self.device, clock=self._clock)

    def _scratch(self) -> Model:
        """An untrained net of Noise2Void for the same images."""
        planned = self._planned
        t = planned.config.training
        config = Config(method="n2v", ndim=2, centre=True).replace(
            training={"seed": t.seed, "patch": t.patch, "precision": t.precision}
        )
        weights = new_weights(config, 2, planned.channels)
        return replace(planned, config=config, weights=weights)

    def _finish(self, run: Run) -> None:
        """Keep what a stage gave, and judge it."""
        model = run.model()
        if model.config.method == "n2v":
            model = self._seen(model)
        self._stages.append(model)
        self.history += [
            {**line, "step": line["step"] + self.step - run.step} for line in run.history
        ]
        if len(self._stages) == len(ROADS):
            self._judged = dict(zip(ROADS, map(self._judge, self._stages), strict=True))

    def _seen(self, model: Model) -> Model:
        """A blind-spot model with the pixel itself, once it has made the places of the contest."""
        if self._places[0].mean is None:
            seed = self._planned.config.training.seed
            self._places = contest.with_noise(self._places, model, self.device, seed)
        noise = _noise(self._planned)
        if not noise:
            return model
        along = self._planned.origin.get("independent", ())
        return with_centre(model, regions(model, self._images, self.device, along), noise)[0]

    def _judge(self, model: Model) -> Judged:
        """Its estimated risk."""
        return contest.judge(model, self._places, self.device)

    def _better(self) -> Model:
        """What gets the rest of the budget."""
        adapted, own = (self._judged[road].risk for road in ROADS[1:])
        return self._stages[1] if adapted < own else self._stages[2]

    def model(self) -> Model:
        """The model of the least risk; before the end, the instant or the adapted one."""
        if not self._stages:
            return self._first.model()
        if self.fraction < 1:
            if self._run is not None and len(self._stages) == 1:
                return self._whole(self._run.model())
            return self._whole(self._stages[min(1, len(self._stages) - 1)])
        name, last, risks = self._verdict
        origin = {**last.origin, "road": name, "risks": risks, "steps": self.step}
        return replace(self._whole(last), origin=origin)

    def _whole(self, model: Model) -> Model:
        """The model of a stage under the budget of all stages, from which a stopped run goes on."""
        config = model.config.model_dump()
        t = self._planned.config.training
        config["training"] |= {"minutes": t.minutes, "steps": t.steps}
        return replace(model, config=Config.parse(config))

    @cached_property
    def _verdict(self) -> tuple[str, Model, dict[str, float]]:
        """Of a finished run: the road taken, its model, and the risk of every road."""
        judged, models = dict(self._judged), dict(zip(ROADS, self._stages, strict=False))
        last = self._stages[-1]
        name = "adapted" if last.config.method == "adapted" else "self-trained"
        now = self._judge(last)
        if now.risk < judged[name].risk:  # otherwise the rest of the budget did not help
            judged[name], models[name] = now, last
        risks = {road: found.risk for road, found in judged.items()}
        shipped, own = min(ROADS[:2], key=risks.__getitem__), ROADS[2]
        share = judged[shipped].best_share(judged[own])
        if LEAST_SHARE < share < 1 - LEAST_SHARE:
            both = f"{shipped} + {own}"
            risks[both] = judged[shipped].with_share(judged[own], share).risk
            second = replace(self._whole(models[own]), origin={})  # that of the first says it all
            models[both] = replace(models[shipped], partner=Partner(second, share))
        best = min(risks, key=risks.__getitem__)
        return best, models[best], risks

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values; stages are repeated whole."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "judged": {
                road: (torch.from_numpy(judged.residual), judged.repeated)
                for road, judged in self._judged.items()
            },
            "stages": [
                {"method": m.config.method, "weights": dict(m.weights)} for m in self._stages
            ],
            "run": None if self._run is None else self._run.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on, as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        try:
            self.history = list(state["history"])
            self._judged = {
                road: Judged(residual.numpy(), float(repeated))
                for road, (residual, repeated) in state["judged"].items()
            }
            self.seconds = float(state["seconds"])
            for stage in state["stages"]:
                scratch = stage["method"] == "n2v"
                model = self._scratch() if scratch else self._planned
                model = model.with_weights(stage["weights"])
                self._stages.append(self._seen(model) if scratch else model)
            run = state["run"]
            if run is not None:
                self._run = self._next(self.seconds - float(run["seconds"]))
                self._run.restore(run)
            self.step = int(state["step"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error


def _noise(model: Model) -> list[NoiseModel]:
    """The measured noise of every denoised channel; empty where it could not be measured."""
    return [from_dict(values["noise"]) for values in model.origin.get("recorruption", ())]
