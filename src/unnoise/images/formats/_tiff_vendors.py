"""What TIFF files of microscopes and slide scanners say of their pixels, in tags of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tifffile

from unnoise.images.acquisition import UNKNOWN, Acquisition, color, positive


class Facts(NamedTuple):
    """What is known of an image; sizes that are not known are None."""

    steps: Mapping[str, float | None] = MappingProxyType({})
    unit: str = "µm"
    channel_names: tuple[str, ...] = ()
    acquisition: Acquisition = UNKNOWN


def facts(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Facts | None:
    """What is known of an image; None where no vendor has written the file."""
    found = VENDORS.get(series.kind)
    with suppress(KeyError, ValueError, TypeError, IndexError, OverflowError):
        return found(tif) if found else None
    return Facts()


def _lsm(tif: tifffile.TiffFile) -> Facts:
    """LSM of Zeiss: metres, seconds, and dates as days since 1899."""
    known: dict[str, Any] = dict(tif.lsm_metadata or {})
    steps = {a: _rounded(known.get(f"VoxelSize{a}", 0) * 1e6) for a in "XYZ"}
    times = known.get("TimeStamps", ())
    step = np.median(np.diff(times)) if len(times) > 1 else known.get("TimeIntervall")
    channels = dict(known.get("ChannelColors") or {})
    names = tuple(map(str, channels.get("ColorNames") or ()))
    scan = dict(known.get("ScanInformation") or {})
    days = positive(scan.get("Sample0time"))
    return Facts(
        {**steps, "T": positive(step)},
        channel_names=names if all(names) else (),
        acquisition=Acquisition(
            tuple(color(one[:3]) for one in channels.get("Colors") or ()),
            "" if days is None else _iso(datetime(1899, 12, 30) + timedelta(days=days)),
            str(scan.get("Objective") or ""),
        ),
    )


def _stk(tif: tifffile.TiffFile) -> Facts:
    """STK of MetaMorph, whose pixel size counts only where it was calibrated."""
    known: dict[str, Any] = dict(tif.stk_metadata or {})
    unit = str(known.get("CalibrationUnits") or "").strip("\0 ")
    unit = {"um": "µm", "micron": "µm", "microns": "µm"}.get(unit.lower(), unit)
    steps: dict[str, float | None] = {}
    if known.get("SpatialCalibration") and unit not in ("", "pixel", "pixels"):
        steps = {a: _rounded(known.get(f"{a}Calibration", 0)) for a in "XY"}
    depths = np.asarray(known.get("ZDistance", ()), float)
    steps["Z"] = _rounded(abs(np.median(depths))) if depths.size and steps else None
    when = known.get("DatetimeCreated")
    date = ""
    if when is not None and len(when):
        date = str(np.datetime_as_string(when[0], "ms"))
        spent = np.diff(when) / np.timedelta64(1, "s")
        steps["T"] = positive(np.median(spent)) if spent.size else None
    return Facts(steps, unit or "µm", acquisition=Acquisition(date=date))


def _svs(tif: tifffile.TiffFile) -> Facts:
    """SVS of Aperio: micrometres per pixel and the lens, in the description."""
    known = tifffile.tifffile.svs_description_metadata(tif.pages.first.description)
    step = positive(known.get("MPP"))
    lens = Acquisition(magnification=positive(known.get("AppMag")))
    return Facts({"X": step, "Y": step}, acquisition=lens)


def _ndpi(tif: tifffile.TiffFile) -> Facts:
    """NDPI of Hamamatsu: pixels per centimetre, and the lens in a tag of its own."""
    tags = tif.pages.first.tags
    steps: dict[str, float | None] = {}
    if tags.valueof(296) == 3:
        for letter, code in (("X", 282), ("Y", 283)):
            pixels, length = tags.valueof(code)
            steps[letter] = _rounded(1e4 * length / pixels)
    lens = Acquisition(magnification=positive(tags.valueof(65421)))
    return Facts(steps, acquisition=lens)


VENDORS: dict[str, Callable[[tifffile.TiffFile], Facts]] = {
    "lsm": _lsm,
    "stk": _stk,
    "svs": _svs,
    "ndpi": _ndpi,
}
"""What tifffile calls a file -> who reads its facts."""


def _rounded(step: Any) -> float | None:
    """A step without the last digits, which units and sums have made."""
    found = positive(step)
    return None if found is None else float(f"{found:.9g}")


def _iso(when: datetime) -> str:
    return (when + timedelta(microseconds=500_000)).isoformat(timespec="seconds")
