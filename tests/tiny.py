"""Settings, nets, batches and runs that take milliseconds."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthetic import white
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.nets.unet import UNet
from unnoise.training import start as runs
from unnoise.training.loop import TrainingRun
from unnoise.training.methods.r2r import SIGNALS, NoiseTable
from unnoise.training.methods.step import Step
from unnoise.training.plan import plan

CPU = torch.device("cpu")
NET = ("net.filters=4", "net.depth=1")


def tiny(
    method: str = "n2v", *assignments: str, net: dict[str, Any] | None = None, **training: Any
) -> Config:
    """Settings of a tiny net and batch; other sections as ``--set`` takes them."""
    config = Config(method=method).replace(
        net={"filters": 4, "depth": 1} | (net or {}),
        training={"batch_size": 2, "patch": 32} | training,
    )
    return config.set(*assignments)


def two_steps(method: str = "n2v", *assignments: str) -> Config:
    """Settings of a tiny net that is trained for two steps on patches of 32 pixels."""
    return Config.preset(method=method).set(
        *NET, "training.steps=2", "training.patch=32", *assignments
    )


def untrained(x: NDArray, config: Config, axes: str | None = None) -> tuple[Model, Image]:
    """A model as a run begins it, and its image: its net is blind whatever its weights are."""
    image = Image.from_array(x, axes)
    return runs.start([image], plan([image], config), CPU).model(), image


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def step(x: torch.Tensor, held_out: torch.Tensor | None = None, **options: Any) -> Step:
    """A noisy batch as the loop gives it to a method, of which nothing is held out by default."""
    if held_out is None:
        held_out = torch.zeros_like(x, dtype=torch.bool)
    given = {"generator": seeded(), "fraction": 0.0, "predict": torch.zeros_like} | options
    return Step(x, x, held_out, **given)


def constant(variance: float, **options: Any) -> NoiseTable:
    """A table of noise that is the same at every signal."""
    return NoiseTable(np.full(len(SIGNALS), variance), **options)


def unet(std: float | None = None, **options: Any) -> UNet:
    """A small net of fixed weights; with `std` they are loud, so that it looks far."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet(**{"channels": 1, "ndim": 2, "filters": 2, **options})
        if std is not None:
            for p in net.parameters():
                torch.nn.init.normal_(p, std=std)
    return net


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Independent normal numbers."""
    return torch.randn(*shape, generator=seeded(seed))


def run_of(
    config: Config,
    x: NDArray,
    targets: NDArray | None = None,
    axes: str | None = None,
    **options: Any,
) -> TrainingRun:
    """A run that is about to begin, of one image or one pair."""
    images = [Image.from_array(x, axes)]
    partners = None if targets is None else [Image.from_array(targets, axes)]
    return TrainingRun(images, plan(images, config, partners), CPU, partners, **options)


def pair(method: str, x: NDArray) -> NDArray | None:
    """A second image for the methods that need one."""
    return x + white(x.shape, 1) if method in ("n2n", "care") else None


def start(x: NDArray, axes: str | None = None, **training: Any) -> TrainingRun:
    """A run of Noise2Void."""
    return run_of(tiny(**training), x, axes=axes)


def finish(run: TrainingRun) -> Model:
    """The model of a run that went to its end."""
    for _ in run:
        pass
    return run.model()


def same(a: Model, b: Model) -> bool:
    """Whether two models have the same weights to the last bit."""
    return all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)


def timeless(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """A history without what the clock said."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in history]


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """What comes back when a state went to the disk and was read without pickles."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return dict(torch.load(buffer, weights_only=True))
