"""What TIFF files say about their pixels: scale, units, names, and extras worth keeping.

Three dialects are known: ImageJ hyperstacks, OME-TIFF, and plain files. Each has a function that
reads its metadata and one that gives the keywords with which `tifffile` writes them back. Those of
vendors are only read (`_tiff_vendors`).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.images.acquisition import Acquisition, color, positive, rgb
from unnoise.images.formats import _ome_xml, _tiff_vendors
from unnoise.images.formats._ome_xml import SIZES as OME_SIZES
from unnoise.images.formats._tiff_series import form
from unnoise.images.image import Image
from unnoise.images.units import spelled


class Meta(NamedTuple):
    """The part of an `Image` that metadata fill, extras for the writer of the dialect, and what
    they hold.
    """

    scale: dict[str, float]
    units: dict[str, str]
    channel_names: tuple[str, ...]
    extras: dict[str, Any]
    holds: tuple[str, ...] = ()
    acquisition: Acquisition = Acquisition()


CENTIMETRES = {"Å": 1e-8, "nm": 1e-7, "µm": 1e-4, "mm": 0.1, "cm": 1.0, "m": 100.0}
RESOLUTION_UNITS = {2: "inch", 3: "cm"}
OME_KNOWN = ("m", "cm", "mm", "µm", "nm", "pm", "Å", "in", "pixel", "s", "ms", "µs", "min", "h")
IMAGEJ_SIZES = ("images", "channels", "slices", "frames", "axes", "order")
IMAGEJ_SCALE = ("unit", "yunit", "zunit", "tunit", "spacing", "finterval")
PER_UNIT = 1e-6, 4e9
"""Pixels per unit of which the tags of TIFF, two integers of 32 bit, keep three digits and more."""
IMAGEJ_STEPS = {"Z": "spacing", "T": "finterval"}
SHAPED = ("shape", "axes", "truncated", "unnoise")
"""What tifffile and this program write into the description of a plain file."""
IMAGEJ_FORM = ("ImageJ", "hyperstack", "loop", "mode", "min", "max")
"""How ImageJ shows a file; nothing that would be missed elsewhere."""
IMAGEJ_BINARY = {
    **dict.fromkeys(("Info", "Labels", "Properties"), str),
    **dict.fromkeys(("Plot", "ROI", "Overlays"), bytes),
    "Ranges": float,
    "LUTs": np.ndarray,
}
"""What lies in tags of their own, and what it is made of."""
IMAGEJ_KEYWORDS = ("shape", "rgb", "colormapped", "colormaped")
"""What tifffile, when it writes, takes for words to itself."""


def read(
    tif: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    xml: ElementTree.Element | None,
) -> Meta:
    """Read the metadata of a series in the dialect of its file; `xml` is that of OME-TIFF."""
    if series.kind == "imagej":
        return _read_imagej(tif, series)
    vendor = _tiff_vendors.facts(tif, series)
    if vendor is not None:
        if "Y" not in series.axes:  # what was scanned along Z, or along T, is Y
            step = vendor.steps.get("Z") if "Z" in series.axes else None
            vendor = vendor._replace(steps={**vendor.steps, "Y": step})
        return _read_vendor(vendor, dict(zip(*form(series), strict=True)))
    return _read_ome(xml) if series.kind == "ome" else _read_plain(series)


def _read_vendor(found: _tiff_vendors.Facts, sizes: dict[str, int]) -> Meta:
    """What a microscope or scanner says; its own tags and descriptions are not written back."""
    scale = {a: n for a, n in found.steps.items() if n and (a in "XY" or sizes.get(a, 1) > 1)}
    units = {a: "s" if a == "T" else found.unit for a in scale}
    count, known = sizes.get("C", 1), found.acquisition
    return Meta(
        scale,
        units,
        found.channel_names if len(found.channel_names) == count else (),
        {},
        acquisition=known if len(known.colors) == count else replace(known, colors=()),
    )


def _resolution(series: tifffile.TiffPageSeries, unit: str = "") -> tuple[dict[str, float], str]:
    """Size of a pixel from the resolution tags, and the unit; (1, 1) without unit is no size."""
    tags = series.keyframe.tags
    unit = unit or RESOLUTION_UNITS.get(tags.valueof("ResolutionUnit", 1), "")
    rational = {a: tags.valueof(f"{a}Resolution", None) for a in "XY"}
    good = {a: r for a, r in rational.items() if isinstance(r, tuple) and len(r) == 2 and all(r)}
    if not unit and list(good.values()) == [(1, 1)] * 2:
        return {}, unit
    return _sizes({a: r[1] / r[0] for a, r in good.items()}), unit


def _sizes(steps: Any) -> dict[str, float]:
    """Of sizes of pixels by letter those that can be."""
    known = steps if isinstance(steps, dict) else {}
    sizes = {a: positive(known.get(a)) for a in "XYZT"}
    return {a: size for a, size in sizes.items() if size is not None}


def _read_imagej(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Meta:
    own = {k: v for k, v in dict(tif.imagej_metadata or {}).items() if _is_of_imagej(k, v)}
    if isinstance(own.get("LUTs"), np.ndarray):  # of a single channel
        own["LUTs"] = [own["LUTs"]]
    scale, unit = _resolution(series, _unescape(str(own.get("unit", ""))))
    steps = {a: own.get(key) for a, key in IMAGEJ_STEPS.items()}
    # ImageJ has negative spacings, of stacks that were recorded upwards.
    scale |= _sizes({a: abs(s) for a, s in steps.items() if isinstance(s, int | float)})
    names = {a: own.get(f"{a.lower()}unit", unit) for a in "YZ"}
    names |= {"X": unit, "T": own.get("tunit", "sec")}
    extras = {key: value for key, value in own.items() if key not in IMAGEJ_SIZES + IMAGEJ_SCALE}
    channels = _names(own.get("Labels"), dict(zip(series.axes, series.shape, strict=True)))
    held = [key for key in extras if key not in (*IMAGEJ_FORM, *["Labels"] * bool(channels))]
    holds = (f"ImageJ metadata ({', '.join(held)})",) if held else ()
    units = {a: _unescape(str(names[a])) for a in scale}
    tables = own.get("LUTs") or ()
    colors = tuple(_ramp(table) for table in tables) if len(tables) > 1 else ()
    return Meta(scale, units, channels, extras, holds, Acquisition(colors if any(colors) else ()))


def _is_of_imagej(key: str, value: Any) -> bool:
    """Whether ImageJ writes such a value: its text may hold anything under any name."""
    kind = IMAGEJ_BINARY.get({name.lower(): name for name in IMAGEJ_BINARY}.get(key.lower(), ""))
    if kind is None:
        return key not in IMAGEJ_KEYWORDS
    several = list(value.values()) if isinstance(value, dict) else value
    several = several if isinstance(several, list | tuple) else [several]
    is_list = isinstance(value, tuple) or kind is not float
    return key in IMAGEJ_BINARY and is_list and all(isinstance(one, kind) for one in several)


def _names(labels: Any, sizes: dict[str, int]) -> tuple[str, ...]:
    """Names of channels out of the labels of planes, where these tell channels apart alone."""
    count, planes = sizes.get("C", 1), math.prod(sizes.get(a, 1) for a in "TZC")
    if count == 1 or not isinstance(labels, list | tuple) or len(labels) != planes:
        return ()
    found = tuple(map(str, labels[:count]))  # ImageJ counts channels first
    is_same = all(label == found[i % count] for i, label in enumerate(labels))
    return found if is_same and all(found) and len(set(found)) == count else ()


def _ramp(table: NDArray) -> str:
    """The colour of a lookup table that rises evenly from black, or nothing."""
    if table.shape != (3, 256):
        return ""
    even = np.outer(table[:, -1], np.arange(256) / 255)
    return color(table[:, -1]) if np.abs(table - even).max() <= 2 else ""


def _lookup_tables(colors: tuple[str, ...]) -> list[NDArray]:
    """Lookup tables of ImageJ: each rises evenly from black to a colour."""
    ramp = np.arange(256) / 255
    return [np.rint(np.outer(rgb(text), ramp)).astype(np.uint8) for text in colors]


def imagej(image: Image) -> dict[str, Any]:
    """Keywords of `tifffile.imwrite` for the metadata of an ImageJ hyperstack."""
    extras = image.metadata.get("extras", {})
    source = image.metadata.get("source")
    if source != "imagej":
        extras = {"Info": _text(extras)} if source == "plain" and _text(extras) else {}
    unfit = _unfit(extras, image)
    extras = {k: v for k, v in extras.items() if k not in unfit}
    meta = {k: v if k in IMAGEJ_BINARY else _escape(v) for k, v in extras.items()}
    colors = image.acquisition.colors
    if "LUTs" not in meta and any(colors) and len(colors) == image.sizes["C"] > 1:
        meta |= {"mode": "composite", "LUTs": _lookup_tables(colors)}
    if "Labels" not in meta and image.sizes["C"] > 1 and len(image.channel_names) > 1:
        planes = image.sizes["T"] * image.sizes["Z"]
        meta["Labels"] = list(image.channel_names) * planes
    unit = image.units.get("X") or image.units.get("Z") or ""
    units = {"unit": unit, "yunit": image.units.get("Y", unit), "zunit": image.units.get("Z", unit)}
    meta |= {k: _escape(u) for k, u in units.items() if u and (k == "unit" or u != unit)}
    meta |= {key: image.scale[a] for a, key in IMAGEJ_STEPS.items() if a in image.scale}
    if "T" in image.scale and image.units.get("T", "sec") not in ("s", "sec"):
        meta["tunit"] = _escape(image.units["T"])
    keywords: dict[str, Any] = {"metadata": meta, "resolutionunit": "NONE"}
    if "X" in image.scale and "Y" in image.scale:
        keywords["resolution"] = _per_unit(image)
    return keywords


def fits_imagej(image: Image) -> bool:
    """Whether ImageJ has room for the size of a pixel: with a unit it takes an unknown X or Y for
    1, and it counts pixels per unit by two integers of 32 bit.
    """
    known = set(image.scale) & set("XYZ")
    if known <= {"Z"}:
        return not image.units.get("Z")
    return {"X", "Y"} <= known and _per_unit(image) is not None


def _per_unit(image: Image, factor: float = 1.0) -> tuple[float, float] | None:
    """Pixels per unit along X and Y; None where the tags cannot hold them in full precision."""
    x, y = image.scale["X"] * factor, image.scale["Y"] * factor
    least, most = PER_UNIT
    return (1 / x, 1 / y) if all(1 / most <= step <= 1 / least for step in (x, y)) else None


def _unfit(extras: dict[str, Any], image: Image) -> list[str]:
    """What was told of more, or fewer, channels and planes than an image has."""
    n = image.sizes
    counts = {"LUTs": n["C"], "Ranges": 2 * n["C"], "Labels": n["T"] * n["C"] * n["Z"]}
    several = {k: 1 if isinstance(v, str) else len(v) for k, v in extras.items() if k in counts}
    return [k for k, count in several.items() if count != counts[k]]


def imagej_lost(image: Image) -> list[str]:
    """What an ImageJ file does not hold of the ImageJ file that an image is a part of."""
    unfit = _unfit(image.metadata.get("extras", {}), image)
    if any(image.acquisition.colors):  # which make new tables
        unfit = [name for name in unfit if name != "LUTs"]
    return [f"ImageJ metadata of other planes ({', '.join(unfit)})"] if unfit else []


def _unescape(text: str) -> str:
    r"""ImageJ writes units in ASCII: ``\u00B5m`` is µm."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text)


def _escape(value: Any) -> Any:
    r"""The inverse of `_unescape`; other values than text stay."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[^\x00-\x7f]", lambda m: f"\\u{ord(m[0]):04X}", value)


def _read_ome(root: ElementTree.Element | None) -> Meta:
    image = None if root is None else root.find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return Meta({}, {}, (), {})
    scale = _sizes({a: pixels.get(name) for a, name in OME_SIZES.items()})
    units = {a: pixels.get(f"{OME_SIZES[a]}Unit", "s" if a == "T" else "µm") for a in scale}
    channels = [dict(c.attrib) for c in pixels.findall("{*}Channel")]
    names = tuple(c.get("Name", "") for c in channels)
    extras: dict[str, Any] = {"Channel": channels}
    texts = {tag: image.findtext(f"{{*}}{tag}") for tag in ("AcquisitionDate", "Description")}
    extras |= {key: text for key, text in {"Name": image.get("Name"), **texts}.items() if text}
    known = _ome_xml.acquisition(image, root)
    return Meta(scale, units, names if all(names) else (), extras, ("OME metadata",), known)


def ome_unit(image: Image, letter: str) -> str:
    """The unit along an axis as OME spells it; nothing where OME does not know it."""
    unit = spelled(image.units.get(letter, ""))
    return unit if unit in OME_KNOWN else ""


def ome(image: Image) -> dict[str, Any]:
    """Keywords of `tifffile.imwrite` for the metadata of an OME-TIFF."""
    extras = image.metadata.get("extras", {}) if image.metadata.get("source") == "ome" else {}
    meta = dict(extras)
    count = 1 if image.metadata.get("samples") else image.sizes["C"]
    if len(meta.get("Channel", ())) != count:  # the axes were given anew, or nothing is known
        meta.pop("Channel", None)
        known = image.acquisition.colors
        named: dict[str, list[Any]] = {}
        named |= {"Name": list(image.channel_names)} if image.channel_names else {}
        named |= {"Color": [_ome_xml.number_of(text) for text in known]} if any(known) else {}
        if named and all(len(values) == count for values in named.values()):
            meta["Channel"] = named
    if image.acquisition.date:
        meta.setdefault("AcquisitionDate", image.acquisition.date)
    for letter, size in image.scale.items():
        name, unit = OME_SIZES[letter], ome_unit(image, letter)
        meta[name] = size
        # Without a unit readers assume µm or s, so an unknown one must be told apart.
        unknown = "s" if letter == "T" else "reference frame"
        meta[f"{name}Unit"] = unit or unknown
    return {"metadata": meta}


def _read_plain(series: tifffile.TiffPageSeries) -> Meta:
    page = series.keyframe
    shape = shaped(series)
    own = _own(shape)
    size, unit = _resolution(series)
    units = dict.fromkeys(size, unit)
    if own.get("scale") is not None:
        size, told = _sizes(own["scale"]), own.get("units")
        told = told if isinstance(told, dict) else {}
        units = {a: told[a] for a in size if isinstance(told.get(a), str)}
    names = own.get("channel_names")
    names = names if isinstance(names, list) else []
    is_known = all(isinstance(name, str) for name in names)
    taken = own.get("acquisition")
    extras: dict[str, Any] = {}
    if series.kind == "shaped":  # tifffile takes any keywords into its description
        kept = {key: value for key, value in shape.items() if key not in SHAPED}
        extras |= {"shaped": kept} if kept else {}
    elif page.description and not page.is_ome:
        extras["description"] = page.description.encode()
    return Meta(
        size,
        units,
        tuple(names) if is_known else (),
        extras,
        ("description",) if extras else (),
        Acquisition.of(taken if isinstance(taken, dict) else {}),
    )


def _own(shape: dict[str, Any]) -> dict[str, Any]:
    """What this program, or anybody, has written in its name."""
    own = shape.get("unnoise")
    return own if isinstance(own, dict) else {}


def _text(extras: dict[str, Any]) -> str:
    """The description of a plain file as text."""
    if "shaped" in extras:
        return json.dumps(extras["shaped"], ensure_ascii=True)
    return str(extras.get("description", b"").decode("utf-8", "replace"))


def own_axes(series: tifffile.TiffPageSeries) -> str | None:
    """The letters that this program has written into a plain file."""
    axes = _own(shaped(series)).get("axes")
    return axes if isinstance(axes, str) else None


def shaped(series: tifffile.TiffPageSeries) -> dict[str, Any]:
    """The JSON description that tifffile gives files of its own, or nothing."""
    text = series.keyframe.shaped_description if series.kind == "shaped" else None
    return dict(tifffile.tifffile.shaped_description_metadata(text)) if text else {}


def plain(image: Image) -> dict[str, Any]:
    """Keywords of `tifffile.imwrite` for the metadata of a plain TIFF."""
    own = {
        "axes": image.axes,
        "scale": dict(image.scale),
        "units": dict(image.units),
        "channel_names": list(image.channel_names),
    }
    taken = image.acquisition.as_dict()
    own |= {"acquisition": taken} if taken else {}
    source, extras = image.metadata.get("source"), image.metadata.get("extras", {})
    kept = dict(extras.get("shaped", {})) if source == "plain" else {}
    if source == "plain" and "description" in extras:
        kept["description"] = _text(extras)
    keywords: dict[str, Any] = {
        "metadata": kept | {"unnoise": own},
        "resolutionunit": "NONE",
    }
    unit = spelled(image.units.get("X", ""))
    if {"X", "Y"} <= set(image.scale) and spelled(image.units.get("Y", "")) == unit:
        factor = CENTIMETRES.get(unit, 1.0)
        keywords["resolution"] = _per_unit(image, factor)
        if keywords["resolution"] and (unit == "in" or unit in CENTIMETRES):
            keywords["resolutionunit"] = "INCH" if unit == "in" else "CENTIMETER"
    return keywords
