"""The XML of an OME-TIFF: what it tells of an image, and the same document for another file.

What a microscope has noted (time stamps, stage positions, objectives, annotations) is not
understood here; it is kept because the document of the input is written again, with only those
lines changed that describe the file. Schema: https://www.openmicroscopy.org/Schemas/OME/2016-06.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from unnoise.images.acquisition import Acquisition, color, positive, rgb

SIZES = {letter: f"PhysicalSize{letter}" for letter in "XYZ"} | {"T": "TimeIncrement"}
TYPES = {"float32": "float", "float64": "double", "bool": "bit"}
"""Names of pixel types that differ from those of NumPy."""
PLACES = ("TiffData", "BinData", "MetadataOnly")
"""Elements that say where the pixels of a file are."""


def parse(text: str | None) -> ElementTree.Element | None:
    """The document, or None where there is none or it is broken."""
    try:
        return ElementTree.fromstring(text or "")
    except ElementTree.ParseError:
        return None


def file_names(root: ElementTree.Element | None) -> list[str]:
    """The files that hold the planes of the images of a document."""
    names = [] if root is None else [u.get("FileName", "") for u in root.iterfind(".//{*}UUID")]
    return [name for name in dict.fromkeys(names) if name]


def companion(root: ElementTree.Element | None) -> str:
    """The file that holds the document in the place of this one, or nothing."""
    other = None if root is None else root.find("{*}BinaryOnly")
    return "" if other is None else other.get("MetadataFile", "")


def of_image(
    root: ElementTree.Element, number: int, coordinates: Mapping[str, list[int]] | None = None
) -> ElementTree.Element | None:
    """The document with a single image, of which only some planes may be there.

    Parameters
    ----------
    root : Element
    number : int
        Which image it is of those in the document.
    coordinates : mapping of str to list of int, optional
        Z, C and T that are kept.

    Returns
    -------
    Element or None
        None if there is no such image.
    """
    images = root.findall("{*}Image")
    if not 0 <= number < len(images) or images[number].find("{*}Pixels") is None:
        return None
    image, left_out = images.pop(number), set(images)
    own = deepcopy(image)
    if coordinates:
        _keep_planes(own, coordinates)
    found = ElementTree.Element(root.tag, root.attrib)
    found.text = root.text
    found.extend(own if child is image else child for child in root if child not in left_out)
    return found


def _keep_planes(image: ElementTree.Element, coordinates: Mapping[str, list[int]]) -> None:
    pixels = image.find("{*}Pixels")
    assert pixels is not None
    kept = {a: {old: new for new, old in enumerate(coordinates.get(a, [0]))} for a in "ZCT"}
    for a in "ZCT":
        pixels.set(f"Size{a}", str(len(kept[a])))
    for c, channel in enumerate(pixels.findall("{*}Channel")):
        if c not in kept["C"]:
            pixels.remove(channel)
    for plane in pixels.findall("{*}Plane"):
        at = {a: kept[a].get(int(plane.get(f"The{a}", 0))) for a in "ZCT"}
        if None in at.values():
            pixels.remove(plane)
        for a, new in at.items():
            plane.set(f"The{a}", str(new))


def written(text: str, dtype: np.dtype, planes: int) -> bytes:
    """The document for a file of its own that holds all planes, in their order, from the first on.

    Examples
    --------
    >>> pixels = '<Pixels Type="uint16"><Channel/><TiffData IFD="7"/><Plane/></Pixels>'
    >>> written(f'<OME UUID="x"><Image>{pixels}</Image></OME>', np.dtype("f4"), 1).decode()
    '<OME><Image><Pixels Type="float"><Channel /><TiffData IFD="0" PlaneCount="1" /><Plane /></Pixels></Image></OME>'
    """  # noqa: E501
    root = ElementTree.fromstring(text)
    root.attrib.pop("UUID", None)
    space = re.match(r"\{.*\}|", root.tag)
    pixels = root.find("{*}Image/{*}Pixels")
    assert pixels is not None and space is not None  # noqa: PT018
    kind = TYPES.get(dtype.name, dtype.name)
    if pixels.get("Type") != kind:
        pixels.set("Type", kind)
        pixels.attrib.pop("SignificantBits", None)
    pixels.attrib.pop("BigEndian", None)
    for child in list(pixels):
        if child.tag.removeprefix(space[0]) in PLACES:
            pixels.remove(child)
    data = ElementTree.Element(f"{space[0]}TiffData", IFD="0", PlaneCount=str(planes))
    pixels.insert(len(pixels.findall("{*}Channel")), data)
    return serialised(root)


def acquisition(image: ElementTree.Element, root: ElementTree.Element | None) -> Acquisition:
    """What a document tells of how an image was taken."""
    channels = image.findall("{*}Pixels/{*}Channel")
    colors = tuple(_color(channel.get("Color")) for channel in channels)
    used = image.find("{*}ObjectiveSettings")
    lenses = [] if root is None or used is None else root.findall("{*}Instrument/{*}Objective")
    lens = next((o for o in lenses if used is not None and o.get("ID") == used.get("ID")), None)
    facts = {} if lens is None else dict(lens.attrib)
    return Acquisition(
        colors if any(colors) else (),
        (image.findtext("{*}AcquisitionDate") or "").strip(),
        facts.get("Model", ""),
        positive(facts.get("NominalMagnification")),
        positive(facts.get("LensNA")),
    )


def _color(number: str | None) -> str:
    """``RRGGBB`` of the number of OME, whose bytes are red, green, blue and opacity."""
    try:
        value = int(number or "") % 2**32
    except ValueError:
        return ""
    return color((value >> 24, value >> 16 & 255, value >> 8 & 255))


def number_of(text: str) -> int:
    """The number of OME, of 32 bits with sign, for a colour ``RRGGBB``; white for an empty one.

    Examples
    --------
    >>> number_of("FF0000"), number_of("00FF00"), _color("-16776961"), _color("16711935")
    (-16776961, 16711935, 'FF0000', '00FF00')
    """
    red, green, blue = rgb(text)
    value = red << 24 | green << 16 | blue << 8 | 255
    return value - 2**32 if value >= 2**31 else value


def with_lens(
    known: Acquisition,
    metadata: Mapping[str, Any],
    dtype: np.dtype,
    shape: tuple[int, ...],
    stored: tuple[int, int, int, int, int, int],
) -> bytes:
    """A document with the lens, which tifffile leaves out.

    Parameters
    ----------
    known : Acquisition
    metadata : mapping
        Keywords of `tifffile.OmeXml.addimage`, the axes among them.
    dtype, shape
        Of the pixels.
    stored : tuple of int
        How a TIFF file holds them: pages, separate samples, depth, height, width, samples of a
        pixel.
    """
    document = tifffile.OmeXml()
    document.addimage(dtype, shape, stored, **metadata)
    root = ElementTree.fromstring(document.tostring())
    space = (re.match(r"\{.*\}|", root.tag) or [""])[0]
    facts = {
        "Model": known.objective,
        "NominalMagnification": known.magnification,
        "LensNA": known.aperture,
    }
    lens = {name: str(value) for name, value in facts.items() if value}
    image = root.find("{*}Image")
    assert image is not None
    instrument = ElementTree.Element(f"{space}Instrument", ID="Instrument:0")
    ElementTree.SubElement(instrument, f"{space}Objective", {"ID": "Objective:0"} | lens)
    root.insert(list(root).index(image), instrument)
    at = next(i for i, child in enumerate(image) if child.tag == f"{space}Pixels")
    for name, target in (("ObjectiveSettings", "Objective:0"), ("InstrumentRef", "Instrument:0")):
        image.insert(at, ElementTree.Element(f"{space}{name}", ID=target))
    return serialised(root)


def serialised(root: ElementTree.Element) -> bytes:
    """The text of a document, with the namespace of its root as the one without prefix."""
    space = re.match(r"\{(.*)\}|", root.tag)
    names = [space[1]] if space and space[1] else []
    for name in names:
        ElementTree.register_namespace("", name)
    head = b'<?xml version="1.0" encoding="UTF-8"?>' if names else b""
    return head + bytes(ElementTree.tostring(root, "utf-8"))
