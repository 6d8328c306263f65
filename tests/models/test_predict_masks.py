"""What results have of their images: copied channels to the last bit, and masks of their own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tiny import tiny, untrained
from unnoise.models.predict import predict, predict_array


def large_numbers(dtype: str, value: int) -> NDArray:
    """A noisy channel and one of a constant that float64 does not hold."""
    x = np.full((2, 32, 40), value, dtype)
    x[0] = np.random.default_rng(0).poisson(50, (32, 40))
    return x


@pytest.mark.parametrize(
    ("dtype", "value"), [("i8", 2**53 + 1), ("u8", 2**64 - 1), ("i8", -(2**63) + 1)]
)
def test_copied_channels_are_the_same_to_the_last_bit(dtype: str, value: int) -> None:
    x = large_numbers(dtype, value)
    model, image = untrained(x, tiny(), "CYX")
    assert [block.copied for block in predict(model, image)] == [(1,)]
    result = predict_array(model, image)
    np.testing.assert_array_equal(result[1], x[1])
    assert not np.array_equal(result[0], x[0])
    as_float = predict_array(model, image, dtype="f4")
    np.testing.assert_array_equal(as_float[1], np.float32(value))
