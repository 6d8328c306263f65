"""What is the same from run to run, to the last bit, and what is not: prints a table.

    python -m faults.determinism             # with `tests` on the path

Tiny nets on one simulated picture; differences are in standard deviations of its noise.
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

import unnoise
from synthetic import photon_ground
from tiny import CPU, tiny, two_steps
from unnoise.images.image import Image
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

METHODS = ("n2v", "instant", "nlridge", "gaussian")
STEPS = 6


def denoised(method: str) -> NDArray:
    """A result; nets take two steps."""
    x = photon_ground(seed=0)
    if method == "n2v":
        return unnoise.denoise(x, config=two_steps("n2v"))
    return unnoise.denoise(x, method=method)


def trained(stop: int = STEPS, *, filters: int = 4) -> TrainingRun:
    """A run that is stopped after some steps, and gone on with by another one."""
    image = Image.from_array(photon_ground(seed=0))
    net = {"filters": filters, "dropout": 0.2}
    config = tiny("n2v", net=net, steps=STEPS, validate_every=2, patch=64, batch_size=8)
    runs = [TrainingRun([image], plan([image], config), CPU) for _ in range(2)]
    for progress in runs[0]:
        if progress.step == stop:
            break
    if stop == STEPS:
        return runs[0]
    runs[1].restore(copy.deepcopy(runs[0].state()))
    for _ in runs[1]:
        pass
    return runs[1]


def largest(a: NDArray, b: NDArray) -> float:
    """The largest difference of two results in standard deviations of the noise."""
    sigma = np.sqrt(photon_ground(seed=0).mean())
    return float(np.abs(a.astype(float) - b.astype(float)).max() / sigma)


def in_a_thread(work: Callable[[], NDArray]) -> NDArray:
    """What a thread of the caller gets."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def rows() -> Iterator[tuple[str, str]]:
    """What was compared, and how it came out."""
    torch.set_num_threads(1)
    first = {method: denoised(method) for method in METHODS}
    names = ", ".join(METHODS)
    same = all(np.array_equal(first[m], denoised(m)) for m in METHODS)
    yield f"the same call twice ({names})", _said(same)
    same = all(np.array_equal(first[m], in_a_thread(lambda m=m: denoised(m))) for m in METHODS)
    yield "in the main thread and in another one", _said(same)
    whole = trained().model().weights
    for stop in range(1, STEPS):
        found = trained(stop).model().weights
        same = all(torch.equal(whole[name], found[name]) for name in whole)
        yield f"a training of {STEPS} steps, stopped after {stop} and gone on with", _said(same)
    whole = trained(filters=32).model().weights
    torch.set_num_threads(2)
    found = trained(filters=32).model().weights
    off = max(float((whole[name] - found[name]).abs().max()) for name in whole)
    yield f"weights after {STEPS} steps, 1 and 2 compute threads: off by {off:.1e}", _said(off == 0)
    for method in METHODS:
        off = largest(first[method], denoised(method))
        what = f"{method}, 1 and 2 compute threads: off by {off:.1e} sigma"
        yield what, _said(off == 0)


def _said(same: bool) -> str:
    return "the same bytes" if same else "differ"


def main() -> None:
    """Print the table."""
    print(f"PyTorch {torch.__version__}, {platform.machine()}, {platform.system()}")
    for what, outcome in rows():
        print(f"| {what} | {outcome} |", flush=True)


if __name__ == "__main__":
    main()
