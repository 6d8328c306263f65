"""Steps of training and predictions in one process: memory, threads and files stay as they are.

    python -m load.steps --steps 100000 --predictions 10000

with `tests` on the path.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psutil

from load.growth import Size, growth, size
from load.ledger import arguments, run_once
from tiny import run_of, tiny
from unnoise.api import Model

SIDE = 32
SAMPLES = 200
"""How often is looked at the process."""
WARM = 0.2
"""Share of the work after which it should have all that it needs."""
RUN = 10_000
"""Steps of a training, after which the next one begins."""


def repeated(count: int, work: Callable[[], None]) -> tuple[list[int], list[Size], float]:
    """Do something so many times: counts, what the process held then, seconds of the processor."""
    process, began = psutil.Process(), time.process_time()
    every = max(count // SAMPLES, 1)
    at, sizes = [], []
    for number in range(1, count + 1):
        work()
        if number % every == 0:
            at.append(number)
            sizes.append(size(process))
    return at, sizes, time.process_time() - began


def told(what: str, at: list[int], sizes: list[Size], seconds: float) -> dict[str, Any]:
    """What grew of it, in MB per 10,000, threads and files."""
    first = int(len(at) * WARM)
    found = growth([n / 1e4 for n in at[first:]], [s.memory / 1e6 for s in sizes[first:]])
    losses = []
    if not found.low <= 0:
        losses.append(f"memory grows by {found} MB per 10,000 {what}")
    for name in ("threads", "files"):
        early, late = getattr(sizes[first], name), getattr(sizes[-1], name)
        if late > early:
            losses.append(f"{early} {name} became {late} over {what}")
    return {
        "losses": losses,
        "told": f"{found} MB per 10,000 {what}, {sizes[first].threads} to {sizes[-1].threads} "
        f"threads, {sizes[first].files} to {sizes[-1].files} files, "
        f"{seconds / at[-1] * 1e3:.1f} ms of the processor each",
        "memory": [s.memory for s in sizes],
        "growth": vars(found),
    }


def measured(steps: int, predictions: int, run: int = RUN) -> dict[str, Any]:
    """Train for so many steps, one training after the other, then predict so many times."""
    noisy = np.random.default_rng(0).normal(100, 5, (SIDE, SIDE)).astype(np.float32)
    config = tiny(steps=run, batch_size=1, patch=16, net={"filters": 2, "depth": 1})

    def trainings() -> Any:
        while True:
            training = run_of(config, noisy)
            yield from (training for _ in training)

    progress = trainings()
    training = next(progress)

    def step() -> None:
        nonlocal training
        training = next(progress)

    parts = [told("steps", *repeated(steps, step))]
    model = Model.of(training.model())
    expected = model.predict(noisy)

    def predict() -> None:
        if not np.array_equal(model.predict(noisy), expected):
            wrong.append("a prediction differs from the first one")

    wrong: list[str] = []
    parts.append(told("predictions", *repeated(predictions, predict)))
    return {
        "amount": f"{steps:,} steps of training, then {predictions:,} predictions, in one process",
        "losses": [loss for part in parts for loss in part["losses"]] + wrong,
        "told": "; ".join(part["told"] for part in parts),
        "series": {what: parts[i]["memory"] for i, what in enumerate(("steps", "predictions"))},
    }


def main() -> int:
    """The load."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=10_000)
    options = parser.parse_args()
    amount = f"--steps {options.steps} --predictions {options.predictions}"
    work = partial(measured, options.steps, options.predictions)
    return run_once("steps", options, f"load.steps {amount}", work)


if __name__ == "__main__":
    sys.exit(main())
