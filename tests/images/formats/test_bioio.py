"""Files that only plugins of bioio read, which no test installs: a stand-in gives an array."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image

Fake = Callable[..., Path]


class UnsupportedFileFormatError(Exception):
    """As bioio calls it."""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A file of two scenes, whose pixels differ by 1, in the order of bioio."""

    def make(pixels: np.ndarray, order: str = "TCZYX", **facts: Any) -> Path:
        class BioImage:
            scenes = ("first", "second")

            def __init__(self, path: Path) -> None:
                if path.suffix != ".toy9":
                    raise UnsupportedFileFormatError("a long text with addresses")
                self.dims = SimpleNamespace(order=order, C=pixels.shape[order.index("C")])
                self.shape, self.dtype = pixels.shape, pixels.dtype
                self.channel_names = [f"Channel:0:{c}" for c in range(self.dims.C)]
                vars(self).update(facts)

            def set_scene(self, number: int) -> None:
                self.pixels = pixels + number

            def get_image_dask_data(self, plane: str, **at: int) -> Any:
                assert sorted([*plane, *at]) == sorted(order)
                found = self.pixels[tuple(at.get(a, slice(None)) for a in order)]
                return SimpleNamespace(compute=lambda scheduler: found)

        module = ModuleType("bioio")
        module.BioImage = BioImage  # type: ignore[attr-defined]
        module.__spec__ = ModuleSpec("bioio", None)
        monkeypatch.setitem(sys.modules, "bioio", module)
        path = tmp_path / "a.toy9"
        path.write_bytes(b"pixels")
        return path

    return make


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype("u2")


@pytest.mark.parametrize(
    ("order", "shape", "axes"),
    [
        ("TCZYX", (1, 1, 1, 20, 24), "YX"),
        ("TCZYX", (3, 2, 4, 20, 24), "TCZYX"),
        ("MTCZYX", (2, 1, 3, 1, 20, 24), "SCYX"),
        ("TCZYXS", (3, 1, 1, 20, 24, 3), "TYXC"),
        ("TCZYXS", (1, 2, 1, 20, 24, 3), "SYXC"),
    ],
)
def test_scenes_are_series(fake: Fake, order: str, shape: tuple[int, ...], axes: str) -> None:
    pixels = noise(*shape)
    images = formats.open_all([fake(pixels, order)])
    assert [image.name for image in images] == ["a.toy9 (series 0)", "a.toy9 (series 1)"]
    for number, image in enumerate(images):
        assert (image.axes, image.is_rgb) == (axes, "S" in order)
        np.testing.assert_array_equal(image.data[...], pixels.squeeze() + number)
        assert (image.channel_names, image.scale) == ((), {})
        assert image.acquisition == Acquisition()


def test_what_plugins_know_is_kept_and_results_are_ome_tiff(fake: Fake) -> None:
    when = SimpleNamespace(imaging_datetime=datetime(2020, 1, 2, 3, 4, 5), objective="Plan 20x")
    micrometre = SimpleNamespace(unit="micrometer")
    path = fake(
        noise(3, 2, 1, 20, 24),
        channel_names=["DAPI", "GFP"],
        physical_pixel_sizes=SimpleNamespace(Z=None, Y=0.5, X=0.25),
        time_interval=timedelta(seconds=1.5),
        dimension_properties=SimpleNamespace(
            T=SimpleNamespace(unit="second"), Y=micrometre, X=SimpleNamespace(unit=None)
        ),
        standard_metadata=when,
    )
    image = formats.open(path)
    assert image.scale == {"T": 1.5, "Y": 0.5, "X": 0.25}
    assert image.units == {"T": "s", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("DAPI", "GFP")
    assert image.acquisition == Acquisition(date="2020-01-02T03:04:05", objective="Plan 20x")
    assert formats.find([path]) == [path]
    assert formats.output_path(image) == path.with_name("a_denoised.ome.tif")
    with pytest.raises(InputError, match=r"images are read from \.toy9 files but not written"):
        formats.create(path, like=image)


def test_what_no_plugin_reads_is_told_in_one_sentence(fake: Fake) -> None:
    path = fake(noise(1, 1, 1, 20, 24)).with_suffix(".toy8")
    path.write_bytes(b"pixels")
    with pytest.raises(InputError, match=r"'\.toy8' is no known.*no plugin of bioio that is ins"):
        formats.open(path)
    with pytest.raises(InputError, match=r"'\.toy7' is no known image format; use one of"):
        formats.create(path.with_suffix(".toy7"), like=Image(noise(20, 24), "YX"))


def test_without_bioio_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toy9").write_bytes(b"pixels")
    with pytest.raises(InputError, match=r"the suffix '\.toy9' is no known image format; use one"):
        formats.open(tmp_path / "a.toy9")
