"""Bytes that broke something once, and some that are a little wrong; ``make fuzz`` does more."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import UnnoiseError

from . import targets
from .targets import TARGETS, tried

INPUTS = Path(__file__).parent / "inputs"
TRIALS = 40
WORDS = (b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"-", b"1e999", b"nan", b"null", b"[" * 9)
"""What breaks readers more often than random bytes do."""


@pytest.fixture(scope="module", autouse=True)
def _folder() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    targets.clean()


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with up to four faults."""
    found = bytearray(data)
    for kind in rng.integers(0, 5, rng.integers(1, 5)):
        i, n = (int(k) for k in rng.integers(0, [max(len(found), 1), 20]))
        word = WORDS[int(rng.integers(len(WORDS)))]
        if kind == 0:
            del found[i : i + n]
        elif kind == 1:
            found[i:i] = found[i : i + n]
        elif kind == 2:
            del found[max(i, 1) :]
        elif kind == 3:
            found[i : i + len(word)] = word
        else:
            found[i : i + 1] = bytes([int(rng.integers(256))])
    return bytes(found)


# RosettaSciIO leaves a BLO open whose header is wrong.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_only_errors_of_ours_whatever_the_bytes(name: str) -> None:
    target = TARGETS[name]
    if not find_spec(target.needs):
        pytest.skip(f"{target.needs} is not installed")
    seeds = target.seeds()
    good = 0
    for seed in seeds:
        with contextlib.suppress(UnnoiseError):  # axes may be ambiguous
            target.run(seed)
            good += 1
    assert good or name == "image.blo"  # scans, all of which are refused
    rng = np.random.default_rng(0)
    for i in range(TRIALS):
        seed = seeds[i % len(seeds)]
        found = target.change(seed, random.Random(i)) if target.change and i % 2 else None
        tried(found or changed(seed, rng), target)


@pytest.mark.parametrize(
    "place", sorted(INPUTS.glob("*/*")), ids=lambda p: f"{p.parent.name}-{p.name}"
)
def test_what_broke_once(place: Path) -> None:
    target = TARGETS[place.parent.name.replace("_", " ")]
    if not find_spec(target.needs):
        pytest.skip(f"{target.needs} is not installed")
    tried(place.read_bytes(), target)
