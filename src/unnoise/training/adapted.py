"""The method ``adapted``: the shipped net, fine-tuned, against a net trained from scratch.

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

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.build import new_weights
from unnoise.models.model import Choice, EnsembleMember, Model
from unnoise.models.provenance import Provenance
from unnoise.quality import risk
from unnoise.quality.risk import RiskEstimate
from unnoise.training.center_pixel import with_posterior
from unnoise.training.held_out_regions import regions
from unnoise.training.instant import STEPS, VstCalibration
from unnoise.training.loop import TrainingRun
from unnoise.training.progress import Progress
from unnoise.training.run import Run
from unnoise.training.saved_state import check_state

SHARES = (0.3, 0.3, 0.4)
"""Shares of the budget: fine-tuning, from scratch, and the better of the two once more."""
STEPS_EACH = 2.5
"""Steps from scratch that take as long as one of fine-tuning."""
CANDIDATES = ("instant", "adapted", "self-trained")
STAGES = ("calibration", "fine-tuning", "from scratch", "last stage")
"""Their losses are weighted differently, so each has a curve of its own."""
LEAST_SHARE = 0.1
"""A second net doubles the time of a prediction, which a smaller weight is not worth."""


class CandidateSearch(Run):
    """A run of several stages, in the shape of a training run.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`, for the method ``adapted``.
    device : torch.device
        Where to compute.
    targets : None
        As every run takes them; this one knows no pairs.
    clock : callable
        Seconds, for budgets in minutes.

    Examples
    --------
    >>> import numpy as np
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> config = Config(method="adapted").replace(training={"steps": 4})
    >>> run = CandidateSearch([image], plan([image], config), torch.device("cpu"))
    >>> for progress in run: pass
    >>> progress.fraction, sorted(run.risks) == sorted(CANDIDATES)
    (1.0, True)
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
        self._images, self._planned, self.device, self._clock = images, model, device, clock
        self._first = VstCalibration(images, model, device)
        self._stages: list[Model] = []  # what the finished stages gave
        self._run: TrainingRun | None = None
        self._pieces: list[risk.Piece] = []  # that the candidates are judged on
        self._estimates: dict[str, RiskEstimate] = {}
        self.history: list[dict[str, Any]] = []

    @property
    def risks(self) -> dict[str, float]:
        """Estimated risk by candidate, once there are all of them."""
        return {name: estimate.risk for name, estimate in self._estimates.items()}

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
                if self._first.fraction == 1:  # before a stop, or it would be calibrated twice
                    self._stages.append(self._first.model())
                yield self.progress()
        while len(self._stages) < 1 + len(SHARES):
            if self._run is None:
                self._run = self._next(self.seconds)
            first = self.step - self._run.step
            for progress in self._run:
                self.step = first + progress.step
                self.seconds = self._clock() - started
                self.loss = progress.loss
                if self._run.fraction < 1:
                    yield self.progress()
            self._finish(self._run)
            self._run = self.loss = None
            self.seconds = self._clock() - started
            yield self.progress()

    def progress(self) -> Progress:
        """Where it stands; while the transform is calibrated, of that alone something is known."""
        found = super().progress()
        if self.fraction:
            return found
        first = self._first.progress()
        return replace(found, steps=STEPS, remaining=first.remaining, work=first.work)

    def _next(self, spent: float) -> TrainingRun:
        """The run of the stage that comes next."""
        at = len(self._stages) - 1
        start = (lambda: self._stages[0], self._scratch, self._better)[at]()
        t = self._planned.config.training
        share = SHARES[at]
        if t.minutes is not None:
            left = sum(SHARES[at:])
            budget: dict[str, Any] = {"minutes": max(t.minutes - spent / 60, 0.01) * share / left}
        else:
            assert t.steps is not None
            each = 1.0 if start.config.method == "adapted" else STEPS_EACH
            budget = {"steps": max(round(t.steps * share * each), 1)}
        config = start.config.with_budget(**budget)
        if at == 2:  # it goes on from good weights
            config = config.replace(training={"learning_rate": config.training.learning_rate / 2})
        return TrainingRun(
            self._images, replace(start, config=config), self.device, clock=self._clock
        )

    def _scratch(self) -> Model:
        """An untrained net of Noise2Void for the same images."""
        planned = self._planned
        t = planned.config.training
        config = Config(method="n2v", ndim=2, use_center_pixel=True).replace(
            training={"seed": t.seed, "patch": t.patch, "precision": t.precision}
        )
        return replace(planned, config=config, weights=new_weights(config, 2, planned.channels))

    def _finish(self, run: TrainingRun) -> None:
        """Keep what a stage gave, and judge it."""
        model = run.model()
        if model.config.method == "n2v":
            model = self._with_center(model)
        stage = STAGES[len(self._stages)]
        self._stages.append(model)
        first = self.step - run.step
        for line in run.history:
            # Which weights are kept is decided between the candidates, not by this loss.
            facts = {k: v for k, v in line.items() if k != "kept"}
            self.history.append({**facts, "step": first + line["step"], "stage": stage})
        if len(self._stages) == len(CANDIDATES):
            self._estimates = dict(zip(CANDIDATES, map(self._estimate, self._stages), strict=True))

    def _with_center(self, model: Model) -> Model:
        """A blind-spot model with its own pixels, once it has made the noise that is redrawn."""
        if not self._pieces:
            seed = self._planned.config.training.seed
            self._pieces = risk.judging_pieces(self._images, model, self.device, seed)
        noise = self._planned.noise
        if noise is None or not noise.known:
            return model
        pieces = regions(model, self._images, self.device, noise.independent)
        return with_posterior(model, pieces, noise.known)

    def _estimate(self, model: Model) -> RiskEstimate:
        """Its estimated risk."""
        return risk.estimate_risk(model, self._pieces, self.device)

    def _better(self) -> Model:
        """What gets the rest of the budget."""
        adapted, own = (self._estimates[name].risk for name in CANDIDATES[1:])
        return self._stages[1] if adapted < own else self._stages[2]

    def model(self) -> Model:
        """The model of the least risk; before the end, the instant or the adapted one."""
        if not self._stages:
            return self._first.model()
        if self.fraction < 1:
            if self._run is not None and len(self._stages) == 1:
                return self._whole(self._run.model())
            return self._whole(self._stages[min(1, len(self._stages) - 1)])
        name, best, risks = self._best
        model = replace(self._whole(best), choice=Choice(name, risks))
        return model.with_weights(model.weights, steps=self.step)

    def remarks(self) -> list[str]:
        """Which candidate the user gets, and why."""
        model = self.model()
        if model.choice is None:
            return []
        risks = ", ".join(f"{name} {value:.5g}" for name, value in model.choice.risks.items())
        chosen = model.choice.candidate
        if model.second is not None:
            chosen += f" ({model.second.share:.0%} of the latter)"
        return [f"chosen: {chosen}, by the estimated risk on held-out pixels ({risks})"]

    def _whole(self, model: Model) -> Model:
        """The model of a stage under the budget of all stages, from which a stopped run goes on."""
        t = self._planned.config.training
        return replace(model, config=model.config.with_budget(t.minutes, t.steps))

    @cached_property
    def _best(self) -> tuple[str, Model, dict[str, float]]:
        """Of a finished run: the candidate of least risk, its model, and the risk of every one."""
        found, models = dict(self._estimates), dict(zip(CANDIDATES, self._stages, strict=False))
        last = self._stages[-1]
        name = "adapted" if last.config.method == "adapted" else "self-trained"
        now = self._estimate(last)
        if now.risk < found[name].risk:  # otherwise the rest of the budget did not help
            found[name], models[name] = now, last
        risks = {candidate: estimate.risk for candidate, estimate in found.items()}
        shipped, own = min(CANDIDATES[:2], key=risks.__getitem__), CANDIDATES[2]
        share = found[shipped].best_share(found[own])
        if LEAST_SHARE < share < 1 - LEAST_SHARE:
            both = f"{shipped} + {own}"
            risks[both] = found[shipped].with_share(found[own], share).risk
            # That of the first says it all.
            second = replace(self._whole(models[own]), provenance=Provenance(), noise=None)
            models[both] = replace(models[shipped], second=EnsembleMember(second, share))
        best = min(risks, key=risks.__getitem__)
        return best, models[best], risks

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values; stages are repeated whole."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "judged": {
                name: (torch.from_numpy(estimate.residual), estimate.covariance)
                for name, estimate in self._estimates.items()
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
        check_state(self.state(), state)
        try:
            self.history = list(state["history"])
            self._estimates = {
                name: RiskEstimate(residual.numpy(), float(covariance))
                for name, (residual, covariance) in state["judged"].items()
            }
            self.seconds = float(state["seconds"])
            for stage in state["stages"]:
                scratch = stage["method"] == "n2v"
                model = self._scratch() if scratch else self._planned
                model = model.with_weights(stage["weights"])
                self._stages.append(self._with_center(model) if scratch else model)
            run = state["run"]
            if run is not None:
                self._run = self._next(self.seconds - float(run["seconds"]))
                self._run.restore(run)
            self.step = int(state["step"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error
