"""TIFF files come back with the same pixels, axes, type, scale and unit, in every reader."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.formats import _tiff_series, tiff
from unnoise.images.formats._tiff_writing import CLASSIC_LIMIT, flavour
from unnoise.images.formats.reader import Pixels
from unnoise.images.image import Image

from .copies import copy, open_guessing, pixels_of, same

FOLDERS = ["tiff_codecs", "imagej_ome"]
TYPES = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
TYPES += ["bool", "float16", "float32", "float64"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_equal_the_oracle_and_survive_a_copy(
    shared_data: Path, tmp_path: Path, folder: str
) -> None:
    files = sorted((shared_data / "formats" / folder).iterdir())
    assert len(files) > 9
    for path in files:
        oracle = tifffile.imread(path)
        if oracle.dtype.kind == "c":
            with pytest.raises(InputError, match=f"{path.name} holds complex numbers"):
                formats.open(path)
            continue
        image = open_guessing(path)
        assert (image.shape, image.dtype) == (oracle.shape, oracle.dtype), path.name
        np.testing.assert_array_equal(image.data[...], oracle)
        same(image, copy(image, tmp_path / path.name))
        np.testing.assert_array_equal(tifffile.imread(tmp_path / path.name), oracle)


def test_imagej_readers_see_the_same(shared_data: Path, tmp_path: Path) -> None:
    for path in sorted((shared_data / "formats" / "imagej_ome").glob("xy*.tif")):
        image = formats.open(path)
        copy(image, tmp_path / path.name)
        with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / path.name) as new:
            assert (new.series[0].kind, new.series[0].axes) == ("imagej", old.series[0].axes)
            before, after = dict(old.imagej_metadata or {}), dict(new.imagej_metadata or {})
            luts = before.pop("LUTs", []), after.pop("LUTs", [])
            np.testing.assert_array_equal(*luts)
            added = {"hyperstack", "mode", "images", "loop"}  # what tifffile always writes
            assert {k: after.get(k) for k in before} == before, path.name
            assert after.keys() - before.keys() <= added
            tags = [tif.pages.first.tags for tif in (old, new)]
            for letter in "XY":
                old_value, new_value = (t.valueof(f"{letter}Resolution", (1, 1)) for t in tags)
                assert new_value[0] / new_value[1] == pytest.approx(old_value[0] / old_value[1])


def test_big_endian_and_compressed_pixels_are_native_and_lazy(shared_data: Path) -> None:
    codecs = shared_data / "formats" / "tiff_codecs"
    for name in ("gray.bigendian.u2.tif", "gray.zstd.u2.tif"):
        image = formats.open(codecs / name, axes="ZYX")
        assert isinstance(image.data, Pixels)
        assert image.dtype.isnative
        assert image.read({"Z": 1}).dtype.isnative
    mapped = formats.open(codecs / "gray.none.u1.tif", axes="ZYX").data
    assert isinstance(mapped, Pixels)
    assert isinstance(mapped._load(), np.memmap)
    assert not mapped._load().flags.writeable


def axes_and_shape() -> st.SearchStrategy[tuple[str, tuple[int, ...]]]:
    others = st.lists(st.sampled_from("STCZ"), unique=True, max_size=3).map("".join)
    tails = st.sampled_from(["YX", "YXC"])
    axes = st.tuples(others, tails).filter(lambda t: not set(t[0]) & set(t[1])).map("".join)
    sizes = st.integers(1, 4)
    return axes.flatmap(lambda a: st.tuples(st.just(a), st.tuples(*[sizes] * len(a))))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=axes_and_shape(),
    dtype=st.sampled_from(TYPES),
    source=st.sampled_from(["", "imagej", "ome", "plain"]),
    scale=st.dictionaries(st.sampled_from("TZYX"), st.floats(1e-3, 1e3), max_size=4),
)
def test_any_image_comes_back(
    tmp_path: Path,
    layout: tuple[str, tuple[int, ...]],
    dtype: str,
    source: str,
    scale: dict[str, float],
) -> None:
    axes, shape = layout
    units = {a: "s" if a == "T" else "µm" for a in scale}
    image = Image(
        pixels_of(shape, dtype), axes, scale=scale, units=units, metadata={"source": source}
    )
    path = tmp_path / "a.tif"
    with formats.create(path, like=image, overwrite=True) as out:
        out.write({}, image.read())
    back = formats.open(path, labels=True)
    np.testing.assert_array_equal(tifffile.imread(path), back.data[...])
    assert back.dtype == image.dtype
    if back.metadata["source"] == "ome":  # OME-TIFF drops dimensions of length 1
        kept = "".join(a for a, n in zip(axes, shape, strict=True) if n > 1 or a in "YX")
        assert back.axes == kept
    else:
        assert (back.axes, back.shape) == (axes, shape)
    np.testing.assert_array_equal(back.read(), image.read())
    if {"X", "Y"} <= set(scale):  # resolution tags need both
        factor = {"cm": 1e4}  # a flat plain image has only these tags, which lack µm, Z and T
        found = {a: back.scale[a] * factor.get(back.units[a], 1) for a in back.scale}
        assert found == pytest.approx({a: scale[a] for a in found}, rel=1e-6)
        assert found.keys() == scale.keys() or source == "plain"


def test_a_copy_of_a_copy_changes_nothing(tmp_path: Path) -> None:
    image = Image.from_array(pixels_of((3, 9, 8, 3)), axes="ZYXC")
    formats.save(tmp_path / "a.tif", image.data[...], like=image)
    first = formats.open(tmp_path / "a.tif")
    second = copy(first, tmp_path / "b.tif")
    same(first, second)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("source", "axes", "shape", "dtype", "samples", "expected"),
    [
        ("imagej", "ZYX", (9, 64, 64), "uint16", "", "imagej"),
        ("imagej", "ZYX", (9, 64, 64), "float64", "", "ome"),
        ("imagej", "ZYX", (9, 64, 64), "int64", "", "plain"),
        ("imagej", "SYX", (9, 64, 64), "uint8", "", "plain"),
        ("imagej", "ZYXC", (9, 64, 64, 3), "uint8", "rgb", "imagej"),
        ("imagej", "ZYXC", (9, 64, 64, 3), "uint16", "rgb", "ome"),
        ("imagej", "ZYX", (2**17, 256, 256), "uint8", "", "ome"),
        ("ome", "CZTYX", (2, 9, 3, 64, 64), "float64", "", "ome"),
        ("ome", "YX", (64, 64), "uint64", "", "plain"),
        ("plain", "YX", (64, 64), "uint8", "", "plain"),
        ("plain", "YX", (2**16, 2**17), "uint8", "", "plain"),
        ("plain", "YXC", (64, 64, 3), "uint8", "rgb", "plain"),
        ("plain", "ZYX", (9, 64, 64), "float32", "", "imagej"),
        ("plain", "ZYX", (9, 64, 64), "float16", "", "plain"),
        ("plain", "CZYX", (2, 9, 64, 64), "uint8", "", "plain"),
        ("plain", "ZYX", (1, 64, 64), "uint8", "", "plain"),
        ("npy", "TYX", (2**15, 256, 256), "uint16", "", "ome"),
        ("npy", "SYX", (2**15, 256, 256), "uint16", "", "plain"),
    ],
)
def test_flavour(
    source: str, axes: str, shape: tuple[int, ...], dtype: str, samples: str, expected: str
) -> None:
    assert flavour(source, axes, shape, np.dtype(dtype), samples) == expected


def test_files_above_4_gb_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def memmap(path: Path, **keywords: Any) -> None:
        seen.update(keywords)
        raise OSError(28, "stop here")

    monkeypatch.setattr(tifffile, "memmap", memmap)
    for depth, is_big in ((CLASSIC_LIMIT // 2**16, False), (CLASSIC_LIMIT // 2**16 + 1, True)):
        lazy = np.broadcast_to(np.uint8(0), (depth, 256, 256))
        with (
            pytest.raises(InputError, match=r"needs 4\.3 GB"),
            formats.create(tmp_path / "a.tif", like=Image.from_array(lazy, axes="ZYX")),
        ):
            pass
        assert (seen["bigtiff"], seen["imagej"], seen["ome"]) == (is_big, not is_big, is_big)


def test_the_name_of_the_result_can_ask_for_ome(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.ome.tif", pixels_of((3, 9, 8)), axes="ZYX")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert tif.is_ome


def test_ambiguous_axes_name_the_flags(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    cases: dict[tuple[int, ...], tuple[dict[str, Any], str]] = {
        (5, 40, 30): ({"photometric": "minisblack"}, "--axes ZYX or --axes TYX"),
        (5, 40, 30, 3): ({"photometric": "rgb"}, "'?YXC'.*--axes ZYXC or --axes TYXC"),
        (5, 3, 40, 30): (
            {"photometric": "rgb", "planarconfig": "separate"},
            "'?CYX'.*--axes ZCYX or --axes TCYX or --axes SCYX",
        ),
    }
    for shape, (keywords, message) in cases.items():
        tifffile.imwrite(path, pixels_of(shape), metadata=None, **keywords)
        with pytest.raises(AxesError, match=message.replace("?", r"\?")) as caught:
            formats.open(path)
        assert str(shape) in str(caught.value)
        flag = str(caught.value).split("--axes ")[1].split()[0]
        image = formats.open(path, axes=flag.lower())
        assert image.axes == flag
        assert image.is_rgb == ("C" in flag)
    with pytest.raises(AxesError, match=r"name 2 dimensions but the image has 4.*--axes"):
        formats.open(path, axes="YX")


def test_axes_given_by_the_user_win(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", pixels_of((4, 9, 8)), imagej=True, metadata={"axes": "ZYX"}
    )
    assert formats.open(tmp_path / "a.tif").axes == "ZYX"
    image = formats.open(tmp_path / "a.tif", axes="TYX")
    assert image.axes == "TYX"
    same(image, copy(image, tmp_path / "b.tif"))


def test_channels_of_colour_images_cannot_be_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for channels in (1, 2):
        pixels = pixels_of((channels, 9, 8, 3))
        tifffile.imwrite(path, pixels, photometric="rgb", metadata={"axes": "CYXS"})
        if channels == 1:
            assert formats.open(path).axes[1:] == "YXC"
    with pytest.raises(AxesError, match=r"cannot be joined; split it.*--axes SYXC"):
        formats.open(path)
    assert formats.open(path, axes="SYXC").is_rgb


WAYS: dict[str, dict[str, Any]] = {
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "shaped": {"metadata": {"axes": "ZYX"}},
    "plain": {"metadata": None},
    "lzw": {"metadata": {"axes": "ZYX"}, "compression": "lzw"},
    "strips": {"metadata": {"axes": "ZYX"}, "rowsperstrip": 7},
    "tiles": {"metadata": None, "tile": (16, 16)},
    "ome deflate": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
}


@pytest.mark.parametrize("way", WAYS)
def test_truncated_anywhere(tmp_path: Path, way: str) -> None:
    """A shortened file is refused, or complete as far as its pixels go."""
    path = tmp_path / "a.tif"
    pixels = pixels_of((6, 40, 30))
    tifffile.imwrite(path, pixels, photometric="minisblack", **WAYS[way])
    data = path.read_bytes()
    cuts = {1, 5, 9, 100, 400, *range(500, len(data), len(data) // 20), len(data) - 1}
    refused: list[str] = []
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        try:
            np.testing.assert_array_equal(open_guessing(path).data[...], pixels)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > len(cuts) // 2
    assert all("a.tif cannot be read as TIFF" in text for text in refused)
    assert not any("tifffile" in text for text in refused)


def _level(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logger, "level", logging.CRITICAL + 1)
    logger.manager._clear_cache()  # type: ignore[attr-defined]


def _disabled(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logger, "disabled", True)  # as `logging.config` does with loggers it is not told


def _all(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.parametrize("silence", [_level, _disabled, _all])
def test_damage_is_seen_in_programs_that_silence_tifffile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: Callable[..., None]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, 24, 28), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as tif:
        third = tif.pages[2].offset
    content = bytearray(path.read_bytes())
    content[third : third + 2] = b"\xff\xff"  # so many tags
    path.write_bytes(content)
    silence(logging.getLogger("tifffile"), monkeypatch)
    with pytest.raises(InputError, match="cannot be read as TIFF"):
        formats.open(path)


def test_what_tifffile_tells_others_goes_where_it_went(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((24, 28), np.uint8))
    logger, told = logging.getLogger("tifffile"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with tiff._problems() as problems:
            logger.error("ours")
            other = threading.Thread(target=logger.error, args=("of another thread",))
            other.start()
            other.join()
            formats.open(tmp_path / "a.tif")  # which listens, too
            logger.error("ours again")
        logger.error("afterwards")
        logger.debug("not asked for")
    finally:
        logger.removeHandler(handler)
    assert problems == ["ours", "ours again"]
    assert told == ["of another thread", "afterwards"]


def test_a_page_that_does_not_say_where_its_pixels_are_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((24, 28), np.uint8), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        places = [tag.offset for tag in tif.pages[0].tags if tag.code in (273, 279)]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 2] = b"\x00\xff"  # private tags now
    path.write_bytes(content)
    with tifffile.TiffFile(path) as tif, pytest.raises(ValueError, match="where the pixels"):
        _tiff_series.check_complete(tif, tif.series[0], None)
    with pytest.raises(InputError, match="cannot be read as TIFF"):
        formats.open(path)


def test_damage_inside_compressed_pixels_is_noticed_when_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels_of((60, 50)), compression="zlib")
    data = bytearray(path.read_bytes())
    data[-1000:-900] = bytes(100)
    path.write_bytes(data)
    image = formats.open(path)
    with pytest.raises(InputError, match=r"a\.tif cannot be read as TIFF"):
        image.read()


def test_types_that_tiff_lacks(tmp_path: Path) -> None:
    image = Image.from_array(np.zeros((8, 8), np.longdouble))
    if image.dtype.itemsize > 8:
        with pytest.raises(InputError, match="TIFF holds no"):
            formats.create(tmp_path / "a.tif", image)


@pytest.mark.parametrize("shape", [(1, 40, 30), (1, 1, 40, 30), (1, 40, 30, 3), (40, 30, 1)])
def test_an_array_opens_as_the_same_tiff_does(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Dimensions of length 1 do not make axes ambiguous."""
    photometric = "rgb" if shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels_of(shape), photometric=photometric)
    formats.save(tmp_path / "a.npy", pixels_of(shape), axes=formats.open(tmp_path / "a.tif").axes)
    of_tiff = formats.open(tmp_path / "a.tif")
    for image in (Image.from_array(pixels_of(shape)), formats.open(tmp_path / "a.npy")):
        assert (image.shape, image.is_rgb) == (of_tiff.shape, of_tiff.is_rgb)
        np.testing.assert_array_equal(image.read(), of_tiff.read())
