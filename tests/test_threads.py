"""The calls of a script give the same to the last bit, however many run at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

import unnoise
from synthetic import photon_ground
from tiny import two_steps
from unnoise.nets.device import full_precision

JOBS = [
    partial(unnoise.denoise, photon_ground(seed=0), config=two_steps("n2v")),
    partial(unnoise.denoise, photon_ground(seed=0), config=two_steps("n2v", "training.seed=1")),
    partial(unnoise.denoise, photon_ground(seed=1), config=two_steps("n2v2", "net.dropout=0.3")),
    partial(unnoise.denoise, photon_ground(seed=1), config=two_steps("r2r")),
    partial(unnoise.denoise, photon_ground(seed=2), config=two_steps("b2u", "net.dropout=0.3")),
    partial(unnoise.denoise, photon_ground(seed=3), method="gaussian"),
    partial(unnoise.denoise, photon_ground(seed=3), method="instant"),
]
"""Methods that draw weights, blind spots, noise, dropout and regions to judge."""


@pytest.mark.usefixtures("few_steps")
def test_calls_in_threads_give_what_they_give_in_series() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    series = [job() for job in JOBS]
    assert torch.equal(torch.get_rng_state(), before), "the generator belongs to the user"
    stop = threading.Event()

    def another_program() -> None:
        """Seeds the generators of the process all the time, as a script in a thread may do."""
        while not stop.is_set():
            torch.manual_seed(0)
            time.sleep(0.001)
            np.random.seed(0)  # noqa: NPY002

    other = threading.Thread(target=another_program)
    other.start()
    try:
        with ThreadPoolExecutor(len(JOBS)) as pool:
            threads = list(pool.map(lambda job: job(), JOBS))
    finally:
        stop.set()
        other.join()
    for one, two in zip(series, threads, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_last_block_of_full_precision_puts_back_what_was() -> None:
    before = torch.backends.cudnn.allow_tf32
    first, second = full_precision(), full_precision()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 is False, "the second one still runs"
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 is before
