"""The method ``adapted``: the shipped net beside a net that is trained on the images alone.

The transform of the shipped net is calibrated (instant); then a small net is trained by Noise2Void,
or structN2V where the noise is known to be correlated. The estimated risk decides what the user
gets: instant, unless the other one lowers the risk by more than the estimate errs; mostly the mean
of the two, which err in different ways. Where that cannot be expected the training ends early, and
NL-Ridge behind the same transform takes its place, where noise is correlated too: patches that look
alike tell what the shipped net does not know, on photographs, where a short training is hopeless.

Fine-tuning the shipped net by recorruption, which was a third candidate, gained 0.1 dB on a
photograph and lost 1.7 dB on W2S, where it had learned to repeat the skewed noise of an EMCCD, and
the estimated risk was wrong by as much (docs/benchmarks.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Choice, Model
from unnoise.quality import risk
from unnoise.quality.risk import Piece
from unnoise.quality.risk_estimate import RiskEstimate
from unnoise.training import instant as calibration
from unnoise.training.center_pixel import with_posterior
from unnoise.training.held_out_regions import regions
from unnoise.training.instant import VstCalibration
from unnoise.training.loop import TrainingRun
from unnoise.training.nl_ridge import RIDGE, TRUSTED, middles, with_ridge
from unnoise.training.own_net import neighbours, self_trained
from unnoise.training.progress import Progress
from unnoise.training.rollback import remark
from unnoise.training.run import Run
from unnoise.training.saved_state import check_state
from unnoise.training.weighed import DOUBT, LEAST_SHARE, STRENGTH, line_of, mean_of

LOOK = 0.1
"""After this share of the budget it is asked whether the training can win."""
HOPE = 0.3
"""Weight in the best mean that must be possible then: with less the mean gains less than 0.1 dB."""
CANDIDATES = ("instant", "self-trained")
STAGES = ("calibration", "from scratch")
"""Their losses are weighted differently, so each has a curve of its own."""


class CandidateSearch(Run):
    """A run of two stages, in the shape of a training run.

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
    >>> progress.fraction, set(CANDIDATES) <= set(run.risks)
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
        self._instant: Model | None = None  # once it is calibrated
        self._run: TrainingRun | None = None
        self._looked = self._hopeless = self._finished = False
        self._trained: dict[str, Any] | None = None  # the state of a training that has ended
        self._estimates: dict[str, RiskEstimate] = {}
        self._own: Model | None = None  # what the training gave
        # Where that does not help; and the risks on its pieces of instant and of it.
        self._ridge: Model | None = None
        self._beside: tuple[RiskEstimate, RiskEstimate] | None = None
        self.history: list[dict[str, Any]] = []

    @property
    def risks(self) -> dict[str, float]:
        """Estimated risk by candidate, once they are judged."""
        found = {name: estimate.risk for name, estimate in self._estimates.items()}
        if self._beside is not None:
            found[RIDGE] = found[CANDIDATES[0]] + self._beside[1].risk - self._beside[0].risk
        return found

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent; 1 too where more training is not worth its time."""
        if self._finished:
            return 1.0
        return 0.0 if self._run is None else min(self._run.fraction, 0.999)

    def __iter__(self) -> Iterator[Progress]:
        """Calibrate and train, yielding after every step."""
        started = self._clock() - self.seconds
        if self._instant is None:
            for calibrated in self._first:
                self.step = calibrated.step
                self.seconds = self._clock() - started
                if self._first.fraction == 1:  # before a stop, or it would be calibrated twice
                    self._instant = self._first.model()
                yield self.progress()
        if self._run is None and not self._finished:
            assert self._judged_instant.residual.size  # a budget in minutes has to pay for it
            self._run = self._training(self._clock() - started)
        while self._run is not None:
            # What has ended in an earlier process is only judged here.
            for progress in self._run if self._trained is None else ():
                self.step, self.loss = calibration.STEPS + progress.step, progress.loss
                if progress.fraction < 1 and self._is_hopeless():
                    break
                self.seconds = self._clock() - started
                if progress.fraction < 1:
                    yield self.progress()
            self._end(self._run)
            self.seconds = self._clock() - started
            yield self.progress()

    def progress(self) -> Progress:
        """Where it stands; while the transform is calibrated, of that alone something is known."""
        found = super().progress()
        if self._run and self._run.history:
            found = replace(found, held_out=self._run.history[-1]["held_out"])
        if self.fraction:
            return found
        first = self._first.progress()
        return replace(found, steps=calibration.STEPS, remaining=first.remaining, work=first.work)

    def _training(self, spent: float = 0.0, minutes: float | None = None) -> TrainingRun:
        """The run of an untrained net, with what is left of the budget, or the one it had."""
        whole = self._planned.config.training.minutes
        model = self_trained(self._planned, self._context)
        if whole is not None:
            left = minutes or max(whole - spent / 60, 0.01)
            model = replace(model, config=model.config.with_budget(minutes=left))
        return TrainingRun(self._images, model, self.device, clock=self._clock)

    @cached_property
    def _context(self) -> tuple[str, int] | None:
        """Axis and number of the neighbouring frames that the trained net sees."""
        return neighbours(self._images, self._planned)

    def _is_hopeless(self) -> bool:
        """Whether the training was looked at for the first time and cannot be expected to win."""
        assert self._run is not None
        if self._looked or self._run.fraction < LOOK:
            return False
        self._looked = True
        own = self._estimate(self._run.model())
        self._hopeless = self._judged_instant.best_share(own, -1.0) < HOPE
        if self._hopeless:
            self._estimates = dict(zip(CANDIDATES, (self._judged_instant, own), strict=True))
        return self._hopeless

    def _end(self, run: TrainingRun) -> None:
        """Keep what the training gave, and judge it unless that was done."""
        self._trained = run.state()
        # Which weights are kept is decided between the candidates, not by this loss.
        self.history = [
            {k: v for k, v in line.items() if k != "kept"}
            | {"stage": STAGES[1], "step": calibration.STEPS + line["step"]}
            for line in run.history
        ]
        found = run.model()
        if not self._hopeless:
            found = self._own = self._with_center(found)
        if not self._estimates:
            own = self._estimate(found)
            self._estimates = dict(zip(CANDIDATES, (self._judged_instant, own), strict=True))
        if self._own is None or self._share(CANDIDATES[1]) < LEAST_SHARE:
            self._judge_ridge()
        self._run = self.loss = None
        self._finished = True

    def _judge_ridge(self) -> None:
        """NL-Ridge beside instant, on pieces that may be smaller."""
        assert self._instant is not None
        self._ridge = with_ridge(self._instant)
        parts = middles(self._pieces)
        sizes = zip(parts, self._pieces, strict=True)
        same = all(part.noisy.shape == piece.noisy.shape for part, piece in sizes)
        first = self._judged_instant if same else self._estimate(self._instant, parts)
        self._beside = first, self._estimate(self._ridge, parts)

    def _judged(self, name: str) -> tuple[RiskEstimate, RiskEstimate]:
        """Instant and another candidate, on the same pieces."""
        if name == RIDGE:
            assert self._beside is not None
            return self._beside
        return self._judged_instant, self._estimates[name]

    def _share(self, name: str) -> float:
        """Weight of a candidate in its mean with instant."""
        strength = STRENGTH if risk.shaped(self._planned.noise) else 0.0
        instant, other = self._judged(name)
        # Of fewer pixels the error is larger, and as near to instant as on all is near enough.
        few = math.sqrt(len(other.residual) / len(self._judged_instant.residual))
        share = instant.best_share(other, DOUBT * few, strength)
        return share * (TRUSTED if name == RIDGE else 1.0)

    def _with_center(self, model: Model) -> Model:
        """A blind-spot model with its own pixels, where that helps."""
        noise = self._planned.noise
        if noise is None or not noise.known:
            return model
        pieces = regions(model, self._images, self.device, noise.independent)
        return with_posterior(model, pieces, noise.known)

    @cached_property
    def _pieces(self) -> list[risk.Piece]:
        """What the candidates are judged on."""
        assert self._instant is not None
        seed = self._planned.config.training.seed
        return risk.judging_pieces(self._images, self._instant, self.device, seed, self._context)

    @cached_property
    def _judged_instant(self) -> RiskEstimate:
        assert self._instant is not None
        return self._estimate(self._instant)

    def _estimate(self, model: Model, pieces: Sequence[Piece] | None = None) -> RiskEstimate:
        """Its estimated risk."""
        return risk.estimate_risk(model, pieces or self._pieces, self.device)

    def model(self) -> Model:
        """What the user gets; before the end, the instant one."""
        if self._instant is None:
            return self._first.model()
        if not self._finished:
            return self._instant
        return self._best.with_weights(self._best.weights, steps=self.step)

    def resumable(self) -> Model:
        """The instant one: what the user gets may be another net, from which nothing goes on."""
        return self._first.model() if self._instant is None else self._instant

    def preview(self) -> Model:
        """The net in training, once it was validated; the calibrated one before."""
        return self._run.model() if self._run and self._run.history else self.model()

    @cached_property
    def _best(self) -> Model:
        """Of a finished run: what the user gets."""
        assert self._instant is not None
        name, other, share, risks = CANDIDATES[1], self._own, 0.0, self.risks
        if other is not None:
            share = self._share(name)
            # Under the budget of the whole, as it was asked for.
            t = self._planned.config.training
            other = replace(other, config=other.config.with_budget(t.minutes, t.steps))
        if self._ridge is not None:
            name, other, share = RIDGE, self._ridge, self._share(RIDGE)
        if other is None or share < LEAST_SHARE:
            return replace(self._instant, choice=Choice(CANDIDATES[0], risks))
        if other.context is not None:  # so that joined frames can still be tried
            share = min(share, 1 - LEAST_SHARE)
        if share > 1 - LEAST_SHARE:  # never NL-Ridge, of whose weight a part is taken
            return replace(other, choice=Choice(name, risks))
        names = CANDIDATES[0], name
        return mean_of(names, (self._instant, other), self._judged(name), share, risks)

    def remarks(self) -> list[str]:
        """Which candidate the user gets, and why."""
        model = self.model()
        if model.choice is None:
            return []
        line = line_of(model)
        if self._context is not None:
            axis, reach = self._context
            line += f"; the trained net saw up to {reach} frames before and after along {axis}"
        if self._own is None:
            line += (
                f"; the training ended after {self.step - calibration.STEPS} steps, as its result "
                f"would not have helped"
            )
        return [line, *remark((self._trained or {}).get("rollbacks", 0))]

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values; a calibration starts anew."""
        return {
            "step": self.step if self._instant else 0,
            "seconds": self.seconds,
            "history": self.history,
            "looked": self._looked,
            "hopeless": self._hopeless,
            "trained": self._trained is not None,
            "instant": None if self._instant is None else dict(self._instant.weights),
            "run": self._trained if self._run is None else self._run.state(),
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
            run, self.seconds = state["run"], float(state["seconds"])
            # Older versions kept neither of the two, nor what was trained once it was judged: then
            # it is trained again, and the model that was chosen is left out.
            self._hopeless = bool(state.get("hopeless", False))
            self._trained = run if state.get("trained", False) else None
            self._planned = replace(self._planned, second=None, choice=None)
            if state["instant"] is not None:
                self._instant = self._planned.with_weights(state["instant"])
                self.step = calibration.STEPS
            if run is not None:
                spent = self.seconds - float(run["seconds"])
                self._run = self._training(spent, state.get("minutes"))  # which older ones lack
                self._run.restore(run)
                self.step, self._looked = int(state["step"]), bool(state["looked"])
                self.history = list(state["history"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error
