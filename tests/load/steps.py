"""Steps of training and predictions in one process: memory, threads and files stay as they are.

    python -m load.steps --steps 100000 --predictions 10000

with `tests` on the path.
"""

from __future__ import annotations

import gc
import sys
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
LOOKS = 5
"""Looks of which the least counts, at threads and files."""
WARM = 0.2
"""Share of the work after which it should have all that it needs."""
RUN = 10_000
"""Steps of a training, after which the next one begins."""
LEAST = 16
"""Bytes of the smallest object of Python, below which nothing is left behind each time: a heap goes
on touching pages of its own for long, ever fewer (in 100,000 steps 0.5 MB, of which 25 kB in the
last 40,000).
"""


def repeated(count: int, work: Callable[[], None]) -> tuple[list[int], list[Size], list[int]]:
    """Do something so many times: counts, what the process held then, blocks of Python when it was
    warm and at the end.
    """
    process, every = psutil.Process(), max(count // SAMPLES, 1)
    looks, blocks = count // every, []
    found = np.zeros((looks, 4), np.int64)  # which takes no more as it is filled
    for number in range(1, looks * every + 1):
        work()
        look = number // every
        if number % every == 0:
            now = size(process)
            found[look - 1] = now.memory, now.threads, now.files, now.own
            if look in (int(looks * WARM) + 1, looks):
                gc.collect()
                blocks.append(sys.getallocatedblocks())
    return [every * n for n in range(1, looks + 1)], [Size(*map(int, one)) for one in found], blocks


def told(what: str, at: list[int], sizes: list[Size], blocks: list[int]) -> dict[str, Any]:
    """What grew of it, in MB per 10,000 (without those of files), threads and files."""
    first = int(len(at) * WARM)
    found = growth([n / 1e4 for n in at[first:]], [s.own / 1e6 for s in sizes[first:]])
    losses = []
    if found.low > 0 and found.high > LEAST / 100:
        losses.append(f"memory grows by {found} MB per 10,000 {what}")
    for name in ("threads", "files"):
        # One that is just going is in some looks, and one that stays is in all.
        early, late = (
            min(getattr(size, name) for size in looks)
            for looks in (sizes[first : first + LOOKS], sizes[-LOOKS:])
        )
        if late > early:
            losses.append(f"{early} {name} became {late} over {what}")
    return {
        "losses": losses,
        "told": f"{found} MB per 10,000 {what}, {sizes[first].threads} to {sizes[-1].threads} "
        f"threads, {sizes[first].files} to {sizes[-1].files} files, "
        f"{(blocks[-1] - blocks[0]) / (at[-1] - at[first]):.3f} blocks of Python more each",
        "memory": [s.own for s in sizes],
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
