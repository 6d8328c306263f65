"""Imaris files: HDF5 of which the full resolution is read, piece by piece through h5py.

Layout: https://imaris.oxinst.com/support/imaris-file-format
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.images.acquisition import Acquisition, color, positive
from unnoise.images.formats import _hdf5_types
from unnoise.images.formats._hdf5_chunks import Bounded
from unnoise.images.formats._series import Series
from unnoise.images.formats.about import About
from unnoise.images.formats.hdf5 import check_links, check_own, described
from unnoise.images.formats.reader import PlanePixels, needs
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "Imaris: the full resolution",
        (".ims",),
        "h5py",
        "BSD-3",
        "TCZYX",
        "pixel size, frame interval, names and colours of channels, date",
        writes=False,
        extra="formats",
        tested="files of the tests",
    ),
)
KEPT = "Imaris metadata but sizes, channels and date"
CACHE = 2**26
"""Bytes of decoded chunks that HDF5 keeps; its own 1 MB hold no chunk of many files."""


class _Volume:
    """A stack without the padding to whole chunks, read where a region is asked for."""

    def __init__(self, data: Any, shape: tuple[int, ...]):
        self.shape = shape
        self._data = data

    def __getitem__(self, region: tuple[Any, ...]) -> Any:
        depth = (0,) * (3 - len(self.shape))
        inside = (
            slice(*part.indices(n)) if isinstance(part, slice) else part
            for part, n in zip(region, self.shape, strict=True)
        )
        return self._data[(*depth, *inside)]


@contextmanager
def _file(path: Path, *, pixels: bool) -> Iterator[Any]:
    h5py = needs("h5py", "formats")
    with h5py.File(path, "r", rdcc_nbytes=CACHE) if pixels else described(path) as file:
        for name in ("DataSet/ResolutionLevel 0", "DataSetInfo/Image"):
            check_links(path, file, name)
        if "DataSet/ResolutionLevel 0" not in file or "DataSetInfo/Image" not in file:
            raise ValueError("it is HDF5, but not of Imaris")
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[Callable[[tuple[int, ...]], Any]]:
    """The stacks of the times and channels."""
    with _file(path, pixels=True) as file:
        sizes = _sizes(path, file)
        leading = [letter for letter in "TC" if sizes[letter] > 1]
        shape = tuple(n for letter, n in sizes.items() if letter in "ZYX" and n > 1)

        def stack(index: tuple[int, ...]) -> _Volume:
            at = {"T": 0, "C": 0} | dict(zip(leading, index, strict=True))
            return _Volume(_data(path, file, at["T"], at["C"]), shape)

        yield stack


def _data(path: Path, file: Any, time: int, channel: int) -> Any:
    name = f"DataSet/ResolutionLevel 0/TimePoint {time}/Channel {channel}/Data"
    check_links(path, file, name)
    dataset = file[name]
    check_own(path, dataset)
    return Bounded(path, dataset)


def _sizes(path: Path, file: Any) -> dict[str, int]:
    """The size along T, C, Z, Y and X.

    Raises
    ------
    ValueError
        If a stack is smaller.
    """
    level = "DataSet/ResolutionLevel 0"
    check_links(path, file, f"{level}/TimePoint 0/Channel 0")
    times = file[level]
    count = sum(name.startswith("TimePoint") for name in times)
    channels = sum(name.startswith("Channel") for name in times["TimePoint 0"])
    facts = file[f"{level}/TimePoint 0/Channel 0"].attrs
    own = {letter: int(_text(facts, f"ImageSize{letter}") or 0) for letter in "ZYX"}
    for data in _stacks(path, file, count, channels):
        stored = data.shape
        if len(stored) != 3 or min(own.values()) < 1 or np.less(stored, [*own.values()]).any():
            raise ValueError(f"it should have {own} pixels but has {stored}")
    if min(own["Y"], own["X"]) < 2:
        raise ValueError(f"it has {own} pixels, a line and no image")
    return {"T": count, "C": channels, **own}


def _stacks(path: Path, file: Any, times: int, channels: int) -> Iterator[Bounded]:
    """All stacks of the full resolution, each of them once."""
    level = "DataSet/ResolutionLevel 0"
    for time in _distinct(file[level], "TimePoint", times):
        check_links(path, file, f"{level}/TimePoint {time}")
        for channel in _distinct(file[f"{level}/TimePoint {time}"], "Channel", channels):
            yield _data(path, file, time, channel)


def _distinct(group: Any, name: str, count: int) -> Iterator[int]:
    """Which of the numbered parts of a group are not others once more, by another name."""
    h5py = needs("h5py", "formats")
    seen = set()
    for number in range(count):
        key = f"{name} {number}"
        if isinstance(group.get(key, getlink=True), h5py.HardLink):  # of others all is looked at
            place = h5py.h5o.get_info(group.id, key.encode()).addr
            if place in seen:
                continue
            seen.add(place)
        yield number


def _images(path: Path) -> list[Image]:
    with _file(path, pixels=False) as file:
        sizes = _sizes(path, file)
        dtype = np.result_type(*(_data(path, file, 0, c).dtype for c in range(sizes["C"])))
        axes = "".join(letter for letter, n in sizes.items() if n > 1)
        shape = tuple(n for n in sizes.values() if n > 1)
        check_pixels(shape, dtype, path.name)
        scale, units = _scale(file, sizes)
        names = tuple(_text(_channel(file, c), "Name") for c in range(sizes["C"]))
        known = _acquisition(file, sizes["C"])
        volume = sizes["Z"], sizes["Y"], sizes["X"]
        gone = sum(one.missing(volume) for one in _stacks(path, file, sizes["T"], sizes["C"]))
    metadata: dict[str, Any] = {"source": "ims", "holds": [KEPT]}
    if gone:
        metadata["note"] = (
            f"{gone} of its chunks were never written and read as zeros, as if the recording was "
            f"broken off"
        )
    depth = 3 if "Z" in axes else 2
    return [
        Image(
            PlanePixels(path, "Imaris", _opened, shape, dtype, plane=depth),
            axes,
            scale={a: scale[a] for a in axes if a in scale},
            units={a: units[a] for a in axes if a in scale},
            channel_names=names if all(names) else (),
            path=path,
            metadata=metadata,
            acquisition=known,
        )
    ]


def _text(attributes: Any, name: str) -> str:
    """An attribute, which Imaris writes letter by letter; nothing where it is missing."""
    if name in attributes:
        _hdf5_types.check_type(attributes.get_id(name).get_type())
    value = attributes.get(name, b"")
    if isinstance(value, np.ndarray):
        value = value.astype("S1").tobytes() if value.dtype.kind == "S" else str(value.ravel()[0])
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ")


def _channel(file: Any, number: int) -> Any:
    group = file.get(f"DataSetInfo/Channel {number}")
    return {} if group is None else group.attrs


def _scale(file: Any, sizes: dict[str, int]) -> tuple[dict[str, float], dict[str, str]]:
    """The extent of the image by its pixels, and the mean time between frames."""
    facts = file["DataSetInfo/Image"].attrs
    scale: dict[str, float] = {}
    for i, letter in enumerate("XYZ"):
        with suppress(ValueError):
            extent = float(_text(facts, f"ExtMax{i}")) - float(_text(facts, f"ExtMin{i}"))
            step = positive(float(f"{abs(extent) / sizes[letter]:.9g}"))
            scale |= {letter: step} if step else {}
    unit = {"um": "µm", "": "µm"}.get(_text(facts, "Unit"), _text(facts, "Unit"))
    units = dict.fromkeys(scale, unit)
    first, last = _time(file, 1), _time(file, sizes["T"])
    spent = (last - first).total_seconds() if first and last else 0.0
    if spent > 0:
        scale, units = scale | {"T": spent / (sizes["T"] - 1)}, units | {"T": "s"}
    return scale, units


def _time(file: Any, number: int) -> datetime | None:
    """When a frame was taken, counted from 1."""
    group = file.get("DataSetInfo/TimeInfo")
    with suppress(ValueError):
        return datetime.fromisoformat(
            _text({} if group is None else group.attrs, f"TimePoint{number}")
        )
    return None


def _acquisition(file: Any, count: int) -> Acquisition:
    colors = []
    for number in range(count):
        parts: list[int] = []
        with suppress(ValueError):
            text = _text(_channel(file, number), "Color")
            parts = [round(255 * float(part)) for part in text.split()]
        colors.append(color(parts))
    date = _text(file["DataSetInfo/Image"].attrs, "RecordingDate").replace(" ", "T")
    with suppress(ValueError):
        datetime.fromisoformat(date)
        return Acquisition(tuple(colors) if any(colors) else (), date)
    return Acquisition(tuple(colors) if any(colors) else ())


_series = Series("Imaris", _images)
read, numbers = _series.read, _series.numbers
