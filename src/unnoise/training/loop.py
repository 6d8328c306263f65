"""The training loop, one for every method: schedule, moving average, validation, budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.build import build_net
from unnoise.models.model import Coverage, Model
from unnoise.nets.device import autocast, keep_memory, to_device, training_dtype
from unnoise.nets.own_generator import Dropout, seed_dropout
from unnoise.nets.ranks import of_torchrun
from unnoise.training.batch_parts import BatchParts
from unnoise.training.crops import PairedImages, Patches, crops_of
from unnoise.training.frame_pairs import FramePairs
from unnoise.training.losses import COVERAGE, ERRORS, coverage, mean
from unnoise.training.methods import TrainingMethod, build
from unnoise.training.methods.step import Batch, Step
from unnoise.training.noise_tables import noise_tables
from unnoise.training.optimizer import OPTIMIZERS
from unnoise.training.progress import Progress
from unnoise.training.rollback import MOST, SLOWER, diverged, go_back, is_finite, remark
from unnoise.training.run import Run
from unnoise.training.saved_state import check_state
from unnoise.training.schedule import Patience, repeats, schedule, standard_error
from unnoise.training.validation_patches import validation_patches

N_VALIDATIONS = 20
"""Most validations in a run, evenly spaced over its budget."""
STEPS_PER_VALIDATION = 50
"""Fewest steps between validations: each costs about three steps."""


class TrainingRun(Run):
    """A training run that can stop and go on at any step.

    Parameters
    ----------
    images : sequence of Image
        Training images.
    model : Model
        From `unnoise.training.plan.plan`: settings, statistics, weights to start from.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs, one per training image.
    clock, method : optional
        Seconds, for budgets in minutes (benchmarks pass the time of the processor); and a method
        in the place of that of the settings.

    Examples
    --------
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> config = Config().replace(training={"steps": 2}, net={"filters": 4})
    >>> run = TrainingRun([image], plan([image], config), torch.device("cpu"))
    >>> [progress.step for progress in run]
    [1, 2]
    """

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        targets: Sequence[Image] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        method: TrainingMethod | None = None,
    ) -> None:
        config, self.device, self._model, self.clock = model.config, device, model, clock
        t = self.config = config.training
        self.method = method or build(config, model.ndim, noise_tables(model))
        axis = config.pairs.axis if config.pairs else None
        self._frames = None
        if config.entry.pairs == "noisy":
            self._frames = FramePairs.of(images, targets, axis, model.channels)
        affine = model.target_affine or model.affine
        paired = PairedImages(affine, targets, axis, self._frames)
        turns = config.symmetries(model.ndim) if t.augment else ((0, False),)
        self.crops = crops_of(
            images, model, symmetries=turns, partners=paired if config.needs_pairs else None
        )
        self.ranks = of_torchrun()
        self.ranks.begin(device)
        self.dtype = training_dtype(device, t.precision, model.ndim)
        self.net = to_device(build_net(model), device)
        self._dropouts = [layer for layer in self.net.modules() if isinstance(layer, Dropout)]
        # What the moving average follows: the tensors themselves, as they change in place.
        self._followed = [v for v in self.net.state_dict().values() if v.is_floating_point()]
        self.average = [p.detach().clone() for p in self._followed]
        self.optimizer = OPTIMIZERS[t.optimizer](self.net.parameters(), t)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.dtype == torch.float16)
        self.rng = np.random.default_rng(t.seed)
        self.generator = torch.Generator(device).manual_seed(t.seed)
        self.step, self.seconds, self.validated = 0, 0.0, 0.0
        self.factor, self.rollbacks, self.parts = 1.0, 0, BatchParts()
        self.lower = Patience()
        self.significant = Patience()
        self.stopped = False
        self.best: float | None = None
        self.best_weights = {k: v.cpu() for k, v in model.weights.items()}
        self.history: list[dict[str, Any]] = []
        self._held_out = self._validation_batches()

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent; 1 after early stopping."""
        if self.stopped:
            return 1.0
        if self.config.minutes is not None:
            return min(self.seconds / (60 * self.config.minutes), 1.0)
        assert self.config.steps is not None
        return min(self.step / self.config.steps, 1.0)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        t = self.config
        return t.learning_rate * self.factor * schedule(self.fraction, t.warmup, t.schedule)

    def __iter__(self) -> Iterator[Progress]:
        """Train until the budget is spent, yielding after every step; closing stops the run."""
        keep_memory()
        while self.fraction < 1:
            self._timed(self.advance)
            if self._is_due():
                self._timed(self.validate)
            yield self.progress()

    def _timed(self, work: Callable[[], object]) -> None:
        """Do something, and count its time, by the clock of the first process if there are more."""
        started = self.clock()
        work()
        self.seconds += self.ranks.shared(self.clock() - started, self.device)

    def _is_due(self) -> bool:
        """Whether it is time for a validation; the end of the run always is."""
        if self.config.validate_every is not None:
            return self.step % self.config.validate_every == 0 or self.fraction == 1
        expected = self.config.steps or self.step / max(self.fraction, 1e-9)
        n = min(max(int(expected) // STEPS_PER_VALIDATION, 1), N_VALIDATIONS)
        return self.fraction >= (math.floor(self.validated * n + 1e-9) + 1) / n

    def advance(self) -> None:
        """One optimiser step."""
        t = self.config
        self.optimizer.param_groups[0]["lr"] = self.learning_rate
        step = self._prepared(self.crops.batch(t.batch_size, self.rng), self.generator, self.device)
        seed_dropout(self._dropouts, self.generator)
        noisy, target, weight = step.measured(self.method.batch(step))
        own = self.ranks.share  # all draw the same batch
        x, y, w = step.seen(noisy)[own], target[own], weight[own]

        def add(part: slice) -> Tensor:
            with autocast(self.device, self.dtype):
                prediction = self.net(x[part])
            loss = mean(ERRORS[t.loss](prediction.float(), y[part]), w[part], weight)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            return loss.detach()

        losses = self.parts.over(len(x), add, self.optimizer.zero_grad)
        loss = torch.stack(losses).sum()
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        self.ranks.add([loss, *grads])
        self.step += 1
        # Scalers of 16-bit gradients expect infinite ones, and pass over them.
        if not is_finite(loss, [] if self.scaler.is_enabled() else grads):
            self._go_back()
            return
        if t.clip is not None:
            self.scaler.unscale_(self.optimizer)  # type: ignore[arg-type]
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), t.clip)
        self.scaler.step(self.optimizer)  # type: ignore[arg-type]  # as much as scalers ask for
        self.scaler.update()
        # A young average follows the weights closely, an old one slowly.
        decay = min(t.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, self._followed, 1 - decay)
        value = loss.item()
        self.loss = value if self.loss is None else 0.98 * self.loss + 0.02 * value

    def _go_back(self) -> None:
        """Go on from the last good weights at a lower rate, where a loss is no number."""
        self.rollbacks += 1
        if self.rollbacks > MOST or (self.best is None and self.fraction == 1):
            raise diverged(self.step, self.learning_rate, self.rollbacks - 1)
        self.factor *= SLOWER
        go_back(self.net, self.best_weights, self.average, self._followed, self.optimizer)

    def _prepared(self, patches: Patches, generator: torch.Generator, device: torch.device) -> Step:
        """Patches as tensors for the method."""
        arrays = (patches.noisy, patches.held_out, patches.channel)
        x, held_out, channel = (torch.from_numpy(a).to(device) for a in arrays)
        y = x if patches.target is patches.noisy else torch.from_numpy(patches.target).to(device)
        named = ("gain", "offset", "ignored", "excluded", "beside")
        given = {name: getattr(patches, name) for name in named}
        more = {k: None if a is None else torch.from_numpy(a).to(device) for k, a in given.items()}
        step = Step(x, y, held_out, generator, self.fraction, self._predict, channel, **more)
        return replace(step, predict=lambda x: self._predict(step.seen(x)))

    def _predict(self, x: Tensor) -> Tensor:
        """What the net of the moment makes of patches."""

        def predicted(part: slice) -> Tensor:
            with torch.no_grad(), autocast(self.device, self.dtype):
                return self.net(x[part]).float()  # type: ignore[no-any-return]

        return torch.cat(self.parts.over(len(x), predicted))

    def validate(self) -> float:
        """Held-out loss of the averaged weights, which are kept if none before were better."""
        t = self.config
        self.validated = self.fraction
        weights = {k: v.clone() for k, v in self.net.state_dict().items()}
        with torch.no_grad():
            torch._foreach_copy_(self._followed, self.average)
        losses, extra = self._held_out_losses()
        if not bool(losses.isfinite().all()):  # as after such a step
            self._go_back()
            return math.nan
        loss, half_width = losses.mean().item(), 1.96 * standard_error(losses, self._repeats)
        kept = self._is_kept(losses)
        if kept:
            self.best = loss
            self.best_weights = {k: v.cpu().clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(weights)
        self.history.append(
            {
                "step": self.step,
                "seconds": round(self.seconds, 3),
                "learning_rate": self.learning_rate,
                "loss": self.loss if self.loss is not None else math.nan,
                "held_out": loss,
                "held_out_low": loss - half_width,
                "held_out_high": loss + half_width,
                "kept": kept,
                **extra,
            }
        )
        self.lower.see(losses, confidence=0.0)
        if t.schedule == "plateau" and self.lower.waited >= t.plateau_patience:
            self.factor *= t.plateau_factor
            self.lower.waited = 0
        self.significant.see(losses, confidence=1.96)
        self.stopped = t.patience is not None and self.significant.waited >= t.patience
        return loss

    def _is_kept(self, losses: Tensor) -> bool:
        """Whether the weights of a validation are better than those of all before.

        Where the learning rate falls, so does the scatter of the weights. Then later ones are
        better as long as the held-out loss, which knows differences of 0.1 % only roughly, is not
        significantly above its lowest: on W2S development images the lowest cost up to 0.14 dB.
        """
        lowest = self.lower.lowest
        if lowest is None or self._model.config.entry.keeps_last:
            return True
        difference = losses - lowest
        falls = self.config.schedule in ("cosine", "halving")
        doubt = 1.96 * standard_error(difference) if falls else 0.0
        return difference.mean().item() <= doubt

    def _held_out_losses(self) -> tuple[Tensor, dict[str, float]]:
        """The loss of every validation patch and, of a probabilistic net, its coverage."""
        self.net.eval()
        losses, deviations = [], []
        for noisy, target, weight in self._held_out:
            prediction = self._predict(noisy.to(self.device)).cpu()
            error = weight * ERRORS[self.config.loss](prediction, target)
            losses.append(error.flatten(1).sum(1) / weight.flatten(1).sum(1))
            if self._model.config.is_probabilistic:
                centre, scale = prediction.chunk(2, 1)
                deviations.append(((target - centre) / scale)[weight > 0])
        self.net.train()
        extra = coverage(torch.cat(deviations), self.config.loss) if deviations else {}
        return torch.cat(losses).double(), extra

    def _validation_batches(self) -> list[Batch]:
        """Fixed patches with their held-out pixels hidden."""
        generator = torch.Generator().manual_seed(self.config.seed + 1)

        def hidden(patches: Patches) -> Batch:
            step = self._prepared(patches, generator, torch.device("cpu"))
            noisy, target, weight = step.measured(self.method.validation(step))
            return step.seen(noisy), target, weight

        batches = validation_patches(self.crops, self.config, hidden)
        self._repeats = repeats(sum(len(batch[0]) for batch in batches), self.crops.overlap())
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
        model = self._model.with_weights(weights, steps=self.step, held_out=self.best)
        kept: dict[str, Any] = next(
            (line for line in reversed(self.history) if line["held_out"] == self.best), {}
        )
        spread = {name: kept[name] for name in COVERAGE if name in kept}
        return replace(model, coverage=Coverage(**spread)) if spread else model

    def notes(self) -> list[str]:
        """What the images of pairs have in common."""
        return list(self._frames.notes) if self._frames else []

    def remarks(self) -> list[str]:
        """Whether it stopped early, and how predicted spreads compare with held-out pixels."""
        told = remark(self.rollbacks)
        if self.stopped:
            told.append(f"stopped early at step {self.step}: the held-out loss no longer falls")
        found = self.model().coverage
        if found is not None:
            told.append(f"uncertainty on held-out pixels: {found}")
        return told

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "device": self.device.type,
            "dtype": str(self.dtype).removeprefix("torch."),
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
            "lower": vars(self.lower),
            "significant": vars(self.significant),
            "parts": self.parts.count,
            **{name: getattr(self, name) for name in PLAIN.split()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, exactly as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to another net.
        """
        trained_on = state.get("device")
        if trained_on not in (None, self.device.type):
            raise InputError(
                f"the training ran on {trained_on} and can only go on there: add --device "
                f"{trained_on}"
            )
        losses = torch.zeros(sum(len(b[0]) for b in self._held_out), dtype=torch.float64)
        seen = {"waited": 0, "lowest": losses}
        check_state({**self.state(), "lower": seen, "significant": seen}, state)
        # The type it began with, whatever this processor likes better; it was not always stored.
        began = "float32" if self.device.type == "cpu" else str(self.dtype).removeprefix("torch.")
        self.dtype = getattr(torch, state.get("dtype", began))
        try:
            self.net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.average = [a.to(self.device) for a in state["average"]]
            self.rng.bit_generator.state = state["rng"]
            self.generator.set_state(state["generator"].cpu())
            self.lower, self.significant = (Patience(**state[k]) for k in ("lower", "significant"))
            self.parts = BatchParts(state.get("parts", 1))  # which older ones lack
            for name in PLAIN.split():
                setattr(self, name, {"rollbacks": 0, **state}[name])  # which older ones lack
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error


PLAIN = "step seconds validated factor rollbacks stopped loss best best_weights history"
"""Names of what is saved of a run as it is."""
