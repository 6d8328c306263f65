"""What the program around has set in PyTorch changes nothing within, and is there afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

import unnoise
from unnoise.nets.own_state import own_state


@contextlib.contextmanager
def no_gradients() -> Iterator[None]:
    with torch.set_grad_enabled(False):
        yield


@contextlib.contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def half() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
        assert torch.is_autocast_enabled("cpu")


@contextlib.contextmanager
def by_operator() -> Iterator[None]:
    """The newer switches: once they are used, asking for the older ones is an error."""
    conv, product = torch.backends.cudnn.conv, torch.backends.mkldnn.matmul
    conv.fp32_precision, product.fp32_precision = "ieee", "bf16"
    try:
        yield
        assert (conv.fp32_precision, product.fp32_precision) == ("ieee", "bf16")
    finally:
        conv.fp32_precision, product.fp32_precision = "tf32", "none"


STATES = [torch.no_grad, torch.inference_mode, no_gradients, double, elsewhere, half]
STATES += [by_operator] * hasattr(torch.backends.cudnn, "conv")


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    ramp = 20 + 10 * np.sin(np.arange(48) / 5)
    return np.random.default_rng(0).poisson(np.broadcast_to(ramp, (48, 48))).astype(np.uint16)


def results(noisy: np.ndarray) -> list[np.ndarray]:
    """What the calls give that train, that ask the shipped net, and that need no net."""
    model = unnoise.train(noisy, axes="YX", steps=2)
    others = (unnoise.denoise(noisy, axes="YX", method=m) for m in ("instant", "nlridge"))
    return [model.predict(noisy), *others]


@pytest.fixture(scope="module")
def expected(noisy: np.ndarray) -> list[np.ndarray]:
    return results(noisy)


@pytest.mark.parametrize("state", STATES)
def test_results_are_the_same_whatever_is_set(
    state: Callable[[], contextlib.AbstractContextManager[None]],
    noisy: np.ndarray,
    expected: list[np.ndarray],
) -> None:
    with state():
        found = results(noisy)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_default_type_comes_back_after_the_last_of_several_calls() -> None:
    first_is_over, second_is_in = threading.Event(), threading.Event()
    seen: list[torch.dtype] = []

    def second() -> None:
        with own_state():
            second_is_in.set()
            first_is_over.wait(30)
            seen.append(torch.ones(1).dtype)

    with double():
        thread = threading.Thread(target=second)
        with own_state():
            thread.start()
            assert second_is_in.wait(30)
        first_is_over.set()
        thread.join()
        assert seen == [torch.float32]
        assert torch.ones(1).dtype == torch.float64


def test_an_error_leaves_the_state_as_it_was() -> None:
    with double(), pytest.raises(ValueError, match="here"), own_state():
        raise ValueError("here")
    assert torch.get_default_dtype() == torch.float32
