"""The training loop, one for every method: schedule, moving average, validation, budget."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.device import autocast, half, place
from unnoise.errors import InputError, UnnoiseError
from unnoise.image import Image
from unnoise.methods import METHODS
from unnoise.model import Model, build_net
from unnoise.sampling import Crops

N_VALIDATIONS = 20
"""Most validations in a run, evenly spaced over its budget."""
N_HELD_OUT = 16_384
"""Held-out pixels in a validation: their mean squared error is known to about 1 %."""
STEPS_PER_VALIDATION = 50
"""Fewest steps between validations: each costs about three steps."""


@dataclass(frozen=True)
class Progress:
    """What a running training reports after every step.

    Attributes
    ----------
    step, steps : int
        Steps done and expected in all; the latter is an estimate when the budget is in minutes.
    fraction : float
        Share of the budget that is spent, 0 to 1.
    seconds, remaining : float
        Time spent and expected.
    loss : float or None
        Smoothed training loss in normalised units; None before the first step.
    held_out : float or None
        Latest loss on the held-out pixels.
    """

    step: int
    steps: int
    fraction: float
    seconds: float
    remaining: float
    loss: float | None
    held_out: float | None


class Run:
    """A training run that can stop and go on at any step.

    Parameters
    ----------
    images : sequence of Image
        Training images.
    model : Model
        From `unnoise.plan.plan`: settings and statistics; its weights are where the run starts.
    device : torch.device
        Where to compute.

    Examples
    --------
    >>> from unnoise.config import Config
    >>> from unnoise.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> config = Config().replace(training={"steps": 2}, net={"filters": 4})
    >>> run = Run([image], plan([image], config), torch.device("cpu"))
    >>> [progress.step for progress in run]
    [1, 2]
    """

    def __init__(self, images: Sequence[Image], model: Model, device: torch.device) -> None:
        config, self.device, self._model = model.config, device, model
        t = self.config = config.training
        blind = config.blind_spots
        self.method = METHODS[config.method](
            percent=blind.percent, radius=blind.radius, replacement=blind.replacement
        )
        self.crops = Crops(
            images,
            model.affine,
            patch=model.patch,
            channels=model.channels,
            one_by_one=not model.is_joint,
            augment=t.augment,
            seed=t.seed,
        )
        self.net = place(build_net(model), device)
        self.average = [p.detach().clone() for p in _floats(self.net)]
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=t.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=t.weight_decay,
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=half(device) == torch.float16)
        self.rng = np.random.default_rng(t.seed)
        self.generator = torch.Generator(device).manual_seed(t.seed)
        self.step, self.seconds, self.validated = 0, 0.0, 0.0
        self.loss: float | None = None
        self.best: float | None = None
        self.best_weights = {k: v.cpu() for k, v in model.weights.items()}
        self.history: list[dict[str, float]] = []
        self._held_out = self._validation_batches()

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent."""
        if self.config.minutes is not None:
            return min(self.seconds / (60 * self.config.minutes), 1.0)
        assert self.config.steps is not None
        return min(self.step / self.config.steps, 1.0)

    def __iter__(self) -> Iterator[Progress]:
        """Train until the budget is spent, yielding after every step; closing stops the run."""
        while self.fraction < 1:
            started = time.perf_counter()
            self._step()
            self.seconds += time.perf_counter() - started
            if self.fraction >= self._next_validation():
                started = time.perf_counter()
                self.validate()
                self.seconds += time.perf_counter() - started
            yield self.progress()

    def _next_validation(self) -> float:
        """The share of the budget at which the next validation is due."""
        expected = self.config.steps or self.step / max(self.fraction, 1e-9)
        n = min(max(int(expected) // STEPS_PER_VALIDATION, 1), N_VALIDATIONS)
        return (math.floor(self.validated * n + 1e-9) + 1) / n

    def progress(self) -> Progress:
        """Where the run stands."""
        fraction = self.fraction
        total = self.seconds / fraction if fraction > 0 else math.nan
        return Progress(
            step=self.step,
            steps=self.config.steps or max(self.step, round(self.step / max(fraction, 1e-9))),
            fraction=fraction,
            seconds=self.seconds,
            remaining=max(total - self.seconds, 0.0),
            loss=self.loss,
            held_out=self.history[-1]["held_out"] if self.history else None,
        )

    def _step(self) -> None:
        """One optimiser step."""
        t = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = t.learning_rate * schedule(self.fraction, t.warmup)
        values, held_out = self.crops.batch(t.batch_size, self.rng)
        x, held = (torch.from_numpy(a).to(self.device) for a in (values, held_out))
        noisy, target, weight = self.method.batch(x, held, self.generator)
        self.net.train()
        with autocast(self.device):
            prediction = self.net(noisy)
        loss = LOSSES[t.loss](prediction.float(), target, weight)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), t.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        # A young average follows the weights closely, an old one slowly.
        decay = min(t.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, _floats(self.net), 1 - decay)
        value = loss.item()
        if not math.isfinite(value):
            raise UnnoiseError(
                f"the training diverged at step {self.step}; try a lower "
                f"learning rate (now {t.learning_rate:g})"
            )
        self.loss = value if self.loss is None else 0.98 * self.loss + 0.02 * value

    def validate(self) -> float:
        """Loss of the averaged weights on the held-out pixels; the best weights are kept."""
        self.validated = self.fraction
        weights = {k: v.clone() for k, v in self.net.state_dict().items()}
        with torch.no_grad():
            torch._foreach_copy_(_floats(self.net), self.average)
        loss = self._held_out_loss()
        if self.best is None or loss <= self.best:
            self.best = loss
            self.best_weights = {k: v.cpu().clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(weights)
        self.history.append(
            {
                "step": self.step,
                "seconds": round(self.seconds, 3),
                "loss": self.loss if self.loss is not None else math.nan,
                "held_out": loss,
            }
        )
        return loss

    def _held_out_loss(self) -> float:
        self.net.eval()
        error = count = 0.0
        with torch.no_grad():
            for noisy, target, weight in self._held_out:
                with autocast(self.device):
                    prediction = self.net(noisy.to(self.device)).float().cpu()
                n = weight.sum().item()
                error += LOSSES[self.config.loss](prediction, target, weight).item() * n
                count += n
        return error / count

    def _validation_batches(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Fixed patches with their held-out pixels hidden, enough for `N_HELD_OUT` of them."""
        rng = np.random.default_rng([self.config.seed, 1])
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        batches, count = [], 0
        pixels = sum(math.prod(image.sizes.values()) for image in self.crops.images)
        wanted = min(N_HELD_OUT, max(pixels // 32, 64))
        while count < wanted:
            values, held_out = self.crops.batch(self.config.batch_size, rng)
            x, held = torch.from_numpy(values), torch.from_numpy(held_out)
            batches.append(self.method.validation(x, held, generator))
            count += int(held.sum())
        return batches

    def model(self) -> Model:
        """The model with the best weights so far; before the first validation, the average.

        Asking for it changes nothing in the run.
        """
        weights = self.best_weights
        if self.best is None and self.step:
            floats = iter(self.average)
            weights = {
                k: next(floats).cpu().clone() if v.is_floating_point() else v.cpu().clone()
                for k, v in self.net.state_dict().items()
            }
        return self._model.with_weights(weights, steps=self.step, held_out=self.best)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "device": self.device.type,
            "net": self.net.state_dict(),
            "average": self.average,
            "best_weights": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "validated": self.validated,
            "loss": self.loss,
            "best": self.best,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, exactly as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to another net.
        """
        trained_on = state.get("device")
        if trained_on != self.device.type:
            raise InputError(
                f"the training ran on {trained_on} and can only go on there: add --device "
                f"{trained_on}"
            )
        try:
            self.net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.average = [a.to(self.device) for a in state["average"]]
            self.rng.bit_generator.state = state["rng"]
            self.generator.set_state(state["generator"].cpu())
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error
        for name in ("step", "seconds", "validated", "loss", "best", "best_weights", "history"):
            setattr(self, name, state[name])


def schedule(fraction: float, warmup: float) -> float:
    """Factor of the learning rate: a linear rise, then a cosine to zero.

    Examples
    --------
    >>> schedule(0.05, 0.1), schedule(0.1, 0.1), round(schedule(1.0, 0.1), 6)
    (0.51, 1.0, 0.0)
    """
    if fraction < warmup:
        return max(fraction / warmup, 0.0) * 0.98 + 0.02
    return 0.5 * (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup)))


def mse(y: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Weighted mean squared error."""
    return (w * (y - t) ** 2).sum() / w.sum().clamp(min=1)


def mae(y: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Weighted mean absolute error."""
    return (w * (y - t).abs()).sum() / w.sum().clamp(min=1)


LOSSES = {"mse": mse, "mae": mae}


def _floats(net: torch.nn.Module) -> list[Tensor]:
    """The tensors that the moving average follows: weights and running statistics."""
    return [v for v in net.state_dict().values() if v.is_floating_point()]
