"""What results have of their images: copied channels to the last bit, and masks of their own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
import unnoise.api
from tiny import tiny, untrained
from unnoise.images.image import Image
from unnoise.models.predict import predict, predict_array, predict_with_uncertainty


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


def masked() -> np.ma.MaskedArray:
    """A square hidden among photons, for which -1 stands."""
    x = np.random.default_rng(1).poisson(50, (40, 44)).astype(np.int16)
    hidden = np.zeros(x.shape, bool)
    hidden[5:15, 20:30] = True
    return np.ma.MaskedArray(x, hidden, fill_value=-1)


def results(x: np.ma.MaskedArray) -> list[NDArray]:
    """Every result that is made of a masked array."""
    image = Image.from_array(x)
    config = tiny().set("training.loss=gaussian")
    clean, std = predict_with_uncertainty(untrained(x, config)[0], image)
    model = untrained(x, tiny())[0]
    same = predict_array(model, image), predict_array(model, image)
    return [clean, std, *same, unnoise.fill_missing(x), unnoise.fix_scan(image)]


def test_results_share_their_mask_with_nothing() -> None:
    x = masked()
    before = x.mask.copy()
    found = results(x)
    assert all(isinstance(result, np.ma.MaskedArray) for result in found)
    for i, result in enumerate(found):
        result[0, i] = np.ma.masked
        result.mask[20, 20] = True
    np.testing.assert_array_equal(x.mask, before)
    for i, result in enumerate(found):
        assert np.flatnonzero(result.mask[0]).tolist() == [i]


def test_an_image_keeps_the_mask_that_its_array_had() -> None:
    x = masked()
    image = Image.from_array(x)
    x[0, 0] = np.ma.masked
    assert image.hidden is not None
    assert image.hidden.sum() == 100


def test_what_stands_for_hidden_pixels_stays_where_the_type_does() -> None:
    clean, std, *others = results(masked())
    assert std.dtype == np.float32
    assert std.filled()[5, 20] == np.ma.default_fill_value(std)
    for result in (clean, *others):
        assert (result.filled()[5:15, 20:30] == -1).all()
        assert (result.filled() == -1).sum() == 100


def test_a_result_that_is_the_image_shares_no_mask_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no method helps."""
    monkeypatch.setattr(unnoise.api, "_helps", lambda *parts: False)
    x = masked()
    with pytest.warns(UserWarning, match="comes back unchanged"):
        result = unnoise.denoise(x, steps=1)
    np.testing.assert_array_equal(result.data, x.data)
    assert result.fill_value == -1
    result[0, 0] = np.ma.masked
    assert not x.mask[0, 0]
