"""A correlation that may be texture counts as far as it is believed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from unnoise.images.image import Image
from unnoise.noise import correlated_curve, correlation
from unnoise.noise.channel import measure_channel, together
from unnoise.noise.correlation import CERTAIN, SURE

NOISE = ndimage.gaussian_filter(
    np.random.default_rng(0).normal(0, 30, (1, 256, 256)), (0, 0.6, 0.6)
)
FOUND = correlation.measure(NOISE)


def of(share):
    assert FOUND is not None
    return replace(FOUND, odds=SURE + 1e-9 + share * (CERTAIN - SURE))


def test_all_is_believed_where_noise_is_flat_and_correlated() -> None:
    assert FOUND is not None
    assert FOUND.share == 1
    np.testing.assert_array_equal(FOUND.believed, FOUND.neighbours)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_part_of_the_correlation_is_believed(share: float) -> None:
    acf = of(share)
    assert acf.along == ("Y", "X")
    wanted = share * acf.neighbours
    wanted[6, 6] = 1
    np.testing.assert_allclose(acf.believed, wanted, atol=1e-6)


def test_the_strength_lies_between_both_readings() -> None:
    white, half, whole = (
        correlated_curve.measure(NOISE, acf).level for acf in (of(0.0), of(0.5), of(1.0))
    )
    assert white == pytest.approx(correlated_curve.measure(NOISE, None).level, rel=1e-6)
    assert whole == pytest.approx(NOISE.var(), rel=0.1)
    assert half == pytest.approx(np.sqrt(white * whole), rel=1e-6)


def test_noise_without_high_frequencies_is_not_in_doubt() -> None:
    soft = 30 * ndimage.gaussian_filter(NOISE, (0, 1.2, 1.2)) / 8
    found = correlation.measure(soft)
    doubtful = replace(found, odds=(SURE + CERTAIN) / 2)
    assert correlated_curve.without_doubt(soft, doubtful).share == 1
    assert correlated_curve.without_doubt(NOISE, of(0.5)).share == pytest.approx(0.5)


def test_a_camera_needs_no_proof_for_correlated_noise() -> None:
    """What its channels say together holds for each, and a hint of correlation is enough."""
    rng = np.random.default_rng(1)
    soft = ndimage.gaussian_filter(rng.normal(0, 30, (3, 96, 96)), (0, 0.6, 0.6))
    image = Image.from_array(np.moveaxis(120 + soft, 0, -1), "YXC")
    found = [measure_channel(image, c) for c in range(3)]
    kept = [c for c in found if c is not None and c.correlation is not None]
    assert len(kept) == 3

    def told(odds: tuple[float, ...]) -> list[float]:
        channels = tuple(
            replace(c, correlation=replace(c.correlation, odds=SURE + own))
            for c, own in zip(kept, odds, strict=True)
        )
        return [c.correlation.odds for c in together(image, channels)]

    assert min(told((0.3, 0.5, 0.4))) >= CERTAIN
    assert min(told((0.8, -0.2, 0.6))) >= CERTAIN
    assert max(told((-0.8, 0.2, -0.6))) < SURE
    assert told((5.0, 6.0, 7.0)) == pytest.approx([SURE + own for own in (5.0, 6.0, 7.0)])
