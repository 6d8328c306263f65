"""Leica files made for a test: an XML in UTF-16, then the memory of every image."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

NUMBERS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5, "M": 10}


class Project(NamedTuple):
    """An image: its name, its pixels, and the dimensions of the file, the slowest first.

    The length of each is that from the first element to the last.
    """

    name: str
    pixels: np.ndarray
    dimensions: str
    lengths: dict[str, float]


def xml(images: list[Project], version: int = 2) -> str:
    return (
        f'<LMSDataContainerHeader Version="{version}"><Element Name="project"><Children>'
        + "".join(map(element, images))
        + "</Children></Element></LMSDataContainerHeader>"
    )


def element(image: Project, frames: str = "") -> str:
    """The description of an image, whose frames may be files of their own."""
    pixels = image.pixels
    steps = dict(zip(image.dimensions, pixels.strides, strict=True))
    sizes = dict(zip(image.dimensions, pixels.shape, strict=True))
    channels = ""
    for c in range(sizes.get("C", sizes.get("S", 1))):
        table = ["Green", "Gradient (255, 0, 128)", "Fire"][c]
        channels += (
            f'<ChannelDescription DataType="0" ChannelTag="{c + 1 if "S" in sizes else 0}" '
            f'Resolution="{8 * pixels.itemsize}" NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" '
            f'LUTName="{table}" IsLUTInverted="0" BitInc="0" '
            f'BytesInc="{c * steps.get("C", steps.get("S", 0))}"><ChannelProperty>'
            f"<Key>DyeName</Key><Value>dye {c}</Value></ChannelProperty></ChannelDescription>"
        )
    dimensions = "".join(
        f'<DimensionDescription DimID="{NUMBERS[d]}" NumberOfElements="{sizes[d]}" Origin="0" '
        f'Length="{image.lengths.get(d, 0)}" Unit="{"s" if d == "T" else "m"}" BitInc="0" '
        f'BytesInc="{steps[d]}" />'
        for d in sizes
        if d not in "CS"
    )
    return (
        f'<Element Name="{image.name}"><Data><Image><ImageDescription><Channels>{channels}'
        f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
        f"<TimeStampList>1d710c6a9b1a170 1d710c6a9b5e7d0</TimeStampList>"
        f'<Attachment Name="HardwareSetting"><ATLConfocalSettingDefinition Magnification="63" '
        f'ObjectiveName="HC PL APO  63x/1.40 " NumericalAperture="1.4" /></Attachment>'
        f'</Image></Data><Memory Size="{pixels.nbytes}" MemoryBlockID="block {image.name}">'
        f"{frames}</Memory></Element>"
    )


def write(path: Path, images: list[Project]) -> Path:
    """A file of images."""
    text = xml(images)
    file = struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text)) + text.encode("utf-16-le")
    for image in images:
        name = f"block {image.name}"
        data = image.pixels.tobytes()
        head = struct.pack("<IIBQBI", 0x70, 0, 0x2A, len(data), 0x2A, len(name))
        file += head + name.encode("utf-16-le") + data
    path.write_bytes(file)
    return path


def write_lof(path: Path, image: Project) -> Path:
    """A file of one image, whose description follows its pixels."""
    head = "LMS_Object_File"
    text = f'<LMSDataContainerHeader Version="2">{element(image)}</LMSDataContainerHeader>'
    data = image.pixels.tobytes()
    file = struct.pack("<IIBI", 0x70, 2 * len(head) + 5, 0x2A, len(head)) + head.encode("utf-16-le")
    file += struct.pack("<BIBI", 0x2A, 2, 0x2A, 0) + struct.pack("<BQ", 0x2A, len(data)) + data
    file += struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text))
    path.write_bytes(file + text.encode("utf-16-le"))
    return path


def write_description(path: Path, image: Project, pixels: str) -> Path:
    """An XLIF whose pixels all lie in another file."""
    frames = f'<Frame File="{pixels}" Offset="0" Size="{image.pixels.nbytes}" />'
    text = f'<LMSDataContainerHeader Version="2">{element(image, frames)}</LMSDataContainerHeader>'
    path.write_text(f'<?xml version="1.0"?>{text}', "utf-8")
    return path


def write_xlif(path: Path, image: Project) -> Path:
    """A description, beside which every frame is a TIFF."""
    frames = ""
    planes = image.pixels.reshape(-1, *image.pixels.shape[-2:])
    for i, plane in enumerate(planes):
        tifffile.imwrite(path.with_name(f"frame {i}.tif"), plane)
        frames += (
            f'<Frame File="frame {i}.tif" Offset="{i * plane.nbytes}" Size="{plane.nbytes}" />'
        )
    text = element(image, frames)
    text = f'<LMSDataContainerHeader Version="2">{text}</LMSDataContainerHeader>'
    path.write_text(f'<?xml version="1.0"?>{text}', "utf-8")
    return path


def write_project(path: Path, names: list[str]) -> Path:
    """An XLEF whose images lie in other files."""
    named = "".join(f'<Reference File="{name}" />' for name in names)
    text = f'<Element Name="p"><Data><Experiment /></Data><Children>{named}</Children></Element>'
    text = f'<LMSDataContainerHeader Version="2">{text}</LMSDataContainerHeader>'
    path.write_text(f'<?xml version="1.0"?>{text}', "utf-8")
    return path
