"""What `inspect` makes of unusual images: tiny, huge, constant, with holes, and real ones."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

import unnoise
from synthetic import averaged, white
from unnoise.errors import InputError
from unnoise.images.image import Image

SEEDS = [0, pytest.param(1, marks=pytest.mark.slow)]
NAMES = ["camera", pytest.param("coins", marks=pytest.mark.slow)]
PICTURES = {"camera": data.camera()[100:356, 100:356], "coins": data.coins()[:256, :256]}


def said(report):
    return " ".join((*report.sentences(), *report.advice.warnings, report.advice.why))


@pytest.mark.parametrize("scene", ["smooth", "camera"])
def test_nearly_clean(scene):
    smooth = ndimage.gaussian_filter(white((256, 256), 3), 8)
    y = {"smooth": 200 * smooth / smooth.std(), "camera": PICTURES["camera"]}[scene]
    report = unnoise.inspect(y + 0.3 * white(y.shape))
    assert report.advice.near_clean
    assert report.method == "n2v"


@pytest.mark.parametrize("shape", [(16, 16), (16, 200), (33, 17), (64, 64)])
def test_small_images(shape):
    report = unnoise.inspect(100 + 5 * white(shape))
    assert not report.correlated
    assert report.method == "n2v"
    assert 0.4 < report.channels[0].curve.level / 25 < 2.5


@pytest.mark.parametrize("shape", [(15, 40), (40, 15)])
def test_too_small(shape):
    with pytest.raises(InputError, match="too small to measure noise; it takes 16x16"):
        unnoise.inspect(white(shape))


def test_images_without_a_finite_pixel_are_refused():
    with pytest.raises(InputError, match="no finite pixel"):
        unnoise.inspect(np.full((64, 64), np.nan))


@pytest.mark.parametrize("value", [0, 7.5])
def test_constant_images_are_refused(value):
    with pytest.raises(InputError, match="is constant, so it has no noise"):
        unnoise.inspect(np.full((64, 64), value))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_values_beyond_floats_are_refused(scale):
    with pytest.raises(InputError, match="scale them"):
        unnoise.inspect(scale * white((64, 64)))


def test_binary_images_are_refused():
    with pytest.raises(InputError, match="a mask has no noise"):
        unnoise.inspect(white((64, 64)) > 0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "u8", "f2", "f4", "f8"])
def test_types(dtype):
    report = unnoise.inspect((120 + 8 * white((128, 128))).astype(dtype))
    assert not report.correlated
    assert report.channels[0].curve.level == pytest.approx(64, rel=0.1)


@pytest.mark.parametrize("offset", [65000, 1e6])
def test_offsets(offset):
    plain, high = (unnoise.inspect(5 * white((128, 128)) + o) for o in (0, offset))
    assert not high.correlated
    assert high.channels[0].curve.level == pytest.approx(plain.channels[0].curve.level, rel=1e-6)


def test_missing_pixels_are_counted_and_filled():
    y = 100 + 5 * white((128, 128))
    y[3:6, 40:50] = np.nan
    y[90, 90] = np.inf
    report = unnoise.inspect(y)
    assert report.missing == 31
    assert "31 pixels are NaN or infinite" in said(report)
    assert report.channels[0].curve.level == pytest.approx(25, rel=0.1)


def test_a_missing_plane_is_left_out():
    y = 100 + 5 * white((3, 128, 128))
    y[1] = np.nan
    report = unnoise.inspect(y, axes="ZYX")
    assert report.missing == 128 * 128
    assert not report.channels[0].found["saturation"].found


def test_channels_stand_alone_and_alpha_is_left_out():
    scene = PICTURES["camera"]
    colours = [scene + s * white(scene.shape, s) for s in (5, 15)]
    colours.append(scene + 15 * averaged(scene.shape, 5, 1))
    rgba = np.stack([*colours, np.full(scene.shape, 255.0)], -1)
    image = Image(rgba, "YXC", is_rgb=True, alpha=3, channel_names=("R", "G", "B", "A"))
    report = unnoise.inspect(image)
    assert [c.name for c in report.channels] == ["R", "G", "B"]
    assert [c.axes for c in report.channels] == [(), (), ("X",)]
    assert report.correlation_axes == ("X",)
    assert report.channels[1].curve.level == pytest.approx(225, rel=0.1)


def test_frames_are_repeats_only_if_those_of_all_channels_are():
    rng = np.random.default_rng(0)
    scene = 200 + ndimage.gaussian_filter(rng.normal(0, 300, (96, 96)), 4)
    still = np.stack([scene] * 6) + rng.normal(0, 9, (6, 96, 96))
    moving = np.stack([np.roll(scene, 17 * t, 0) for t in range(6)]) + rng.normal(0, 9, still.shape)
    for pair in ((still, moving), (moving, still)):
        report = unnoise.inspect(np.stack(pair, 1), axes="TCYX")
        assert report.repeats.verdict == "different"
        assert report.advice.pairs is None
    both = unnoise.inspect(np.stack([still, still[::-1]], 1), axes="TCYX")
    assert both.repeats.verdict == "repeats"


def test_all_axes_at_once():
    report = unnoise.inspect(white((2, 3, 2, 4, 32, 32)), axes="STCZYX")
    assert len(report.channels) == 2
    assert json.loads(report.to_json())["axes"] == "STCZYX"


def test_json_round_trips_without_nan():
    def refuse(constant):
        raise AssertionError(constant)

    scene = PICTURES["camera"]
    for y, axes in (
        (scene + 25 * averaged(scene.shape, 5, 1), "YX"),
        (scene + 25 * white((4, *scene.shape)), "TYX"),
        (np.where(white((64, 64)) > 1, np.nan, 1.0) * white((64, 64)), "YX"),
    ):
        report = unnoise.inspect(y, axes=axes)
        values = json.loads(report.to_json(), parse_constant=refuse)
        assert values["correlated"] == report.correlated
        assert tuple(values["correlation_axes"]) == report.correlation_axes
        assert values["method"] == report.method
        assert len(values["channels"]) == 1
        curve = values["channels"][0]["curve"]
        np.testing.assert_allclose(curve["variance"], report.channels[0].curve.variance)
        mask = report.channels[0].correlation.mask()
        assert values["channels"][0]["mask"] == (None if mask is None else mask.tolist())


class Lazy:
    """A huge image that counts the pixels that are read."""

    shape = (30, 2, 100_000, 50_000)
    dtype = np.dtype("f4")

    def __init__(self):
        self.read = 0

    def __getitem__(self, index):
        sizes = [len(range(*i.indices(n))) for i, n in zip(index, self.shape, strict=True)]
        self.read += int(np.prod(sizes))
        return np.random.default_rng(self.read).normal(100, 5, sizes).astype("f4")


class Sliced(Lazy):
    def __getitem__(self, index):
        whole = [slice(i, i + 1) if isinstance(i, int) else i for i in index]
        block = super().__getitem__(tuple(whole))
        drop = tuple(k for k, i in enumerate(index) if isinstance(i, int))
        return block.squeeze(drop)


def test_huge_images_are_sampled():
    pixels = Sliced()
    report = unnoise.inspect(Image(pixels, "TCYX"))
    assert pixels.read < 4e7
    assert [c.curve.level for c in report.channels] == pytest.approx([25, 25], rel=0.02)


def test_torch_is_not_imported():
    code = "import sys, unnoise.noise.inspect; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_repeats(shared_data):
    path = shared_data / "fmd" / "repeats_BPAE_B_fov1_t16__noisy.tif"
    report = unnoise.inspect(unnoise.open(path, axes="TYX"))
    assert report.repeats.verdict == "repeats"
    assert report.method == "n2v"  # whose net sees the frames around
    assert "context" in "".join(report.advice.settings)


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("w2s/001_0__noisy.png", ()),
        ("fluo_nogt/pn2v_convallaria__noisy.tif", ()),
        ("em_nogt/shale_fibsem_00__noisy.*", ("X",)),
        ("oct/subj2__noisy.*", ("Y",)),
        ("photo_cc15/d800_iso6400_2__noisy.*", ("Y", "X")),
    ],
)
def test_real_images(shared_data, name, axes):
    path = next(shared_data.glob(name))
    assert unnoise.inspect(unnoise.open(path)).correlation_axes == axes
