"""The rules of the decision, and what is said about it."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

import unnoise
from unnoise.config import struct_mask as structure
from unnoise.config.config import Config
from unnoise.noise.advice import joined, seconds

CAMERA = data.camera()[100:356, 100:356]


def white(shape=CAMERA.shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def stripes(length, axis, seed=0):
    noise = ndimage.uniform_filter1d(white(seed=seed), length, axis=axis, mode="wrap")
    return noise * length**0.5


def advice(y, axes=None):
    return unnoise.inspect(y, axes=axes).advice


@pytest.mark.parametrize("picture", ["camera", "coins"])
def test_stripes_of_the_specification(picture):
    """Moving average of 5 along X, sigma 25: structN2V, hidden along X."""
    scene = getattr(data, picture)().astype(float)
    noise = ndimage.uniform_filter1d(white(scene.shape), 5, axis=1) * 5**0.5 * 25
    found = advice(scene + noise)
    assert found.method == "structn2v"
    mask = np.array(found.mask)
    assert mask.shape[0] == 1
    assert 7 <= mask.shape[1] <= 11
    assert "along X" in found.why


@pytest.mark.parametrize("axis", [0, 1])
def test_the_settings_are_accepted(axis):
    found = advice(CAMERA + 25 * stripes(5, axis))
    (setting,) = found.settings
    name, _, value = setting.partition("=")
    assert name == "mask.struct"
    footprint = structure.parse([[int(v) for v in r.split(",")] for r in rows(value)], 2)
    np.testing.assert_array_equal(footprint, np.array(found.mask, bool))
    assert found.command == "--method adapted"  # which draws the same mask
    Config(method="structn2v", mask={"struct": found.mask})


def rows(value):
    """The rows of a nested list as text."""
    return value.strip("[]").split("],[")


def test_repeats_of_independent_noise_are_seen_beside_each_other():
    found = advice(CAMERA + 20 * white((4, *CAMERA.shape)), "TYX")
    assert (found.method, found.context.axis) == ("n2v", "T")
    assert found.settings == (found.context.setting,)
    assert "seen too" in found.why
    assert Config().set(*found.settings).neighbours == ("T", found.context.reach)


@pytest.mark.parametrize("n", [2, 4])
def test_pairs_are_accepted(n):
    """Of two frames, and of more where their noise is correlated."""
    noise = white((n, *CAMERA.shape))
    found = advice(
        CAMERA + 20 * (noise if n == 2 else ndimage.uniform_filter1d(noise, 5) * 5**0.5), "TYX"
    )
    assert found.method == "n2n"
    assert found.settings == ("pairs.axis=T",)
    assert "Noise2Noise" in found.why
    Config(method="n2n", pairs={"axis": found.pairs})


def test_weak_blurred_noise_against_much_detail_stays():
    """Where hiding the neighbours costs more than the noise, nothing more is hidden; it says so."""
    text = np.kron(np.random.default_rng(0).random((64, 64)) > 0.5, np.ones((4, 4))) * 200.0
    text[:, :128] = 100
    noise = ndimage.uniform_filter(white(), 3) * 3 * 6
    found = advice(text + noise)
    assert found.method == "n2v2"
    assert found.mask is not None
    assert "part of the noise stays" in found.why


def test_both_directions_are_joined_over_channels():
    channels = np.stack([CAMERA + 30 * stripes(5, axis, axis) for axis in (0, 1)])
    report = unnoise.inspect(channels, axes="CYX")
    assert report.correlation_axes == ("Y", "X")
    mask = np.array(report.advice.mask)
    assert mask[mask.shape[0] // 2].all()
    assert mask[:, mask.shape[1] // 2].all()
    assert mask.sum() == sum(mask.shape) - 1  # a cross


@pytest.mark.parametrize("n", [15, 16])
def test_noise_along_z_matters_to_3d_nets_alone(n):
    scene = 100 + 300 * ndimage.gaussian_filter(white((n, 64, 64), 1), (2, 4, 4))
    noise = ndimage.uniform_filter1d(white((n, 64, 64)), 3, axis=0, mode="wrap") * 3**0.5 * 20
    found = advice(scene + noise, "ZYX")
    assert found.method == ("n2v" if n < 16 else "structn2v")
    if n >= 16:
        structure.parse(found.mask, 3)
        Config(method="structn2v", mask={"struct": found.mask})


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.maximum(CAMERA * 0.3 + 20 * white(), 0), "dark parts come out too bright"),
        (np.minimum(CAMERA + 25 * white(), 180), "bright parts come out too dark"),
        (ndimage.zoom(CAMERA[:128, :128] + 20 * white()[:128, :128], 2, order=1), "interpolated"),
        (CAMERA + 20 * np.diff(white((256, 257)), axis=1), "sharpened along X"),
        (np.where(white(seed=2) > 3, np.nan, CAMERA + 10 * white()), "NaN or infinite"),
    ],
)
def test_warnings(y, words):
    assert any(words in warning for warning in advice(y).warnings)


def test_clean_noise_needs_no_warning():
    assert advice(100 + 5 * white()).warnings == ()


def test_warnings_are_said_once():
    colours = np.stack([np.minimum(CAMERA + 25 * white(), 180)] * 3, -1)
    warnings = advice(colours, "YXC").warnings
    assert len(warnings) == len(set(warnings))
    assert sum("saturated" in w for w in warnings) == 1


def test_near_clean():
    smooth = ndimage.gaussian_filter(white(seed=3), 6)
    found = advice(100 * smooth / smooth.std() + 0.1 * white())
    assert found.near_clean
    assert found.method == "n2v"
    assert "little noise" in found.why


def test_joined_shares_the_centre():
    union = joined([np.ones((1, 7), bool), np.ones((5, 3), bool)])
    expected = np.zeros((5, 7), bool)
    expected[2] = True
    expected[:, 2:5] = True
    np.testing.assert_array_equal(union, expected)
    np.testing.assert_array_equal(joined([]), [[True]])


def test_seconds_follow_the_machine():
    assert 1 < seconds(2) < 1e5
    assert seconds(3) > 0
