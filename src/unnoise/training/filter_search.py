"""The search for the parameters of a classic filter, in the shape of a training run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.nets.classical import candidates, risk
from unnoise.training.crops import crops_of
from unnoise.training.progress import Progress
from unnoise.training.run import Run

N_PATCHES = 2
"""Patches of every channel on which the filters are compared."""


class FilterSearch(Run):
    """Tries the parameters of a filter one after the other, and keeps those of least risk.

    The risk is self-supervised (J-invariance; Batson and Royer, ICML 2019). It can stop and go on
    at any candidate, like a training.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`, for a method such as ``nlm``.
    device, targets
        As every run takes them; filters compute on the CPU and know no pairs.

    Examples
    --------
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> run = FilterSearch([image], plan([image], Config(method="gaussian")), torch.device("cpu"))
    >>> for _ in run: pass
    >>> sorted(run.model().weights)  # noise alone wants the widest blur
    ['sigma']
    """

    work = "calibrating"

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        targets: Sequence[Image] | None = None,
    ) -> None:
        self._model = model
        crops = crops_of(images, model, one_by_one=False)  # all channels have one filter
        rng = np.random.default_rng(model.config.training.seed)
        n = 1 if crops.overlap() == 1 else N_PATCHES  # there may be one patch only
        batch = crops.batch(n, rng)
        self._planes = list(batch.noisy.reshape(-1, *model.patch).astype(np.float64))
        # What was filled in repeats the values around it, so it is predicted well with their noise.
        self._used: list[NDArray[np.bool_] | None] = [None] * len(self._planes)
        if batch.excluded is not None:
            self._used = list(~batch.excluded.reshape(-1, *model.patch))
        self._candidates = candidates(model.config.method, self._planes)
        self.device = torch.device("cpu")
        self.history: list[dict[str, Any]] = []

    @property
    def fraction(self) -> float:
        """Share of the candidates that were tried."""
        return self.step / len(self._candidates)

    def __iter__(self) -> Iterator[Progress]:
        """Try the candidates, yielding after each."""
        while self.fraction < 1:
            started = time.perf_counter()
            values = self._candidates[self.step]
            name = self._model.config.method
            loss = self._risk(name, values)
            self.step += 1
            self.seconds += time.perf_counter() - started
            self.history.append(
                {
                    "step": self.step,
                    "seconds": round(self.seconds, 3),
                    "held_out": loss,
                    **values,
                }
            )
            yield self.progress()

    def _risk(self, name: str, values: dict[str, float]) -> float:
        """The mean risk of a filter on what was measured of the patches.

        Raises
        ------
        InputError
            If nothing was.
        """
        planes = zip(self._planes, self._used, strict=True)
        channels = len(self._model.channels)
        risks = [risk(name, plane, values, used, channels) for plane, used in planes]
        known = [found for found in risks if not math.isnan(found)]
        if not known:
            raise InputError(
                "hardly any pixel is a measurement, so no filter can be calibrated; give the mask "
                "of an image, or a part of one, that holds more"
            )
        return float(np.mean(known))

    def model(self) -> Model:
        """The model with the best parameters so far."""
        best = min(self.history, key=lambda line: line["held_out"], default=None)
        if best is None:
            return self._model
        weights = {name: torch.tensor(best[name]) for name in self._candidates[0]}
        return self._model.with_weights(weights, steps=self.step, held_out=best["held_out"])

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"step": self.step, "seconds": self.seconds, "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        try:
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.history = list(state["history"])
            fits = len(self.history) == self.step <= len(self._candidates)
            tried = zip(self.history, self._candidates, strict=False)
            fits = fits and all(line.items() >= values.items() for line, values in tried)
            fits = fits and all(math.isfinite(line["held_out"]) for line in self.history)
        except (KeyError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits or not math.isfinite(self.seconds):
            raise InputError("the saved state does not fit its model; calibrate anew")
