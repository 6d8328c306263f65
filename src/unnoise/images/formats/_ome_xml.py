"""The XML of an OME-TIFF: what it tells of an image, and the same document for another file.

What a microscope has noted (time stamps, stage positions, objectives, annotations) is not
understood here; it is kept because the document of the input is written again, with only those
lines changed that describe the file. Schema: https://www.openmicroscopy.org/Schemas/OME/2016-06.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np

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
        Is changed.
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
    for other in [*images[:number], *images[number + 1 :]]:
        root.remove(other)
    if coordinates:
        _keep_planes(images[number], coordinates)
    return root


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


def serialised(root: ElementTree.Element) -> bytes:
    """The text of a document, with the namespace of its root as the one without prefix."""
    space = re.match(r"\{(.*)\}|", root.tag)
    names = [space[1]] if space and space[1] else []
    for name in names:
        ElementTree.register_namespace("", name)
    head = b'<?xml version="1.0" encoding="UTF-8"?>' if names else b""
    return head + bytes(ElementTree.tostring(root, "utf-8"))
