"""Where a part of an image lies: what headers that travel with it say of its place and steps.

Only positions at even distances that rise have a place: of others a header keeps silent.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Meta = dict[str, Any]
STANDARD_ORIGIN = 4
"""The flag without which IMOD counts the origin of MRC from the planes on, not to them."""
NAMES = {"T": "frame interval"} | {letter: f"pixel size along {letter}" for letter in "ZYX"}


class Picks(NamedTuple):
    """Positions along an axis that are left.

    Attributes
    ----------
    axis : int
        Which axis of the image, the slowest first.
    first : int
    step : int
        0 where distances are uneven, or fall.
    left : int
        How many.
    """

    axis: int
    first: int
    step: int
    left: int


Parts = Mapping[str, Picks]


def picks(axis: int, positions: Sequence[int]) -> Picks:
    """What positions along an axis have in common.

    Examples
    --------
    >>> picks(0, [4, 6, 8]), picks(0, [0, 3, 4])
    (Picks(axis=0, first=4, step=2, left=3), Picks(axis=0, first=0, step=0, left=3))
    """
    steps = set(np.diff(positions).tolist()) or {1}
    step = steps.pop() if len(steps) == 1 else 0
    return Picks(axis, int(positions[0]), max(step, 0), len(positions))


def moved(
    metadata: Mapping[str, Any],
    axes: str,
    scale: Mapping[str, float],
    parts: Parts,
) -> dict[str, Any]:
    """The metadata of a part of an image, for the writer of its format.

    Parameters
    ----------
    metadata : mapping
        Of the whole image.
    axes : str
        Its letters.
    scale : mapping of str to float
        Its pixel size.
    parts : mapping of str to Picks
        What is left along the axes of which not all is.
    """
    found = dict(metadata)
    uneven = [letter for letter, part in parts.items() if not part.step]
    told = [NAMES[letter] for letter in uneven if letter in scale]
    change = FORMATS.get(str(metadata.get("source")))
    if change is not None:
        told += change(found, len(axes), scale, parts)
    if told:
        found["lost"] = [*metadata.get("lost", ()), *told]
    return found


def _nifti(meta: Meta, count: int, scale: Mapping[str, float], parts: Parts) -> list[str]:
    header = meta["header"] = meta["header"].copy()
    zooms, lost = list(header.get_zooms()), []
    if "T" in parts and len(zooms) > 3:
        header["toffset"] = float(header["toffset"]) + parts["T"].first * zooms[3]
    if "Z" in parts:
        first, step = parts["Z"].first, parts["Z"].step
        to_whole = np.eye(4)
        to_whole[2, 2:] = step, first
        for name in ("sform", "qform"):
            affine, code = getattr(header, f"get_{name}")(coded=True)
            if code:
                put = (affine @ to_whole, int(code)) if step else (None, 0)
                getattr(header, f"set_{name}")(*put)
                lost = [] if step else ["affine"]
        for name in ("slice_start", "slice_end", "slice_code", "slice_duration"):
            header[name] = 0  # when which plane was taken
    # NIfTI has no word for unknown sizes: readers take 0 for 1, too.
    for i, letter in enumerate("XYZT"[: len(zooms)]):
        zooms[i] = zooms[i] * parts[letter].step or 1 if letter in parts else zooms[i]
    header.set_zooms(zooms)
    return lost


def _mrc(meta: Meta, count: int, scale: Mapping[str, float], parts: Parts) -> list[str]:
    from mrcfile.dtypes import HEADER_DTYPE  # only who has such a file waits for its library

    from unnoise.images.formats import mrc

    header = np.frombuffer(meta["header"], HEADER_DTYPE).copy().view(np.recarray)[0]
    lost = []
    if meta["extended"]:  # it describes the planes one by one
        lost.append("extended header")
        meta["extended"], header.exttyp = b"", b""
        meta["holds"] = [name for name in meta["holds"] if name != "extended header"]
    if "Z" in parts and int(header.mz) > 0:
        first, step = parts["Z"].first, parts["Z"].step
        stamp, flags = np.frombuffer(bytes(header.extra2)[mrc.FLAGS], np.int32)
        sign = -1 if stamp == mrc.IMOD and not flags & STANDARD_ORIGIN else 1
        header.origin.z += sign * first * float(header.cella.z) / int(header.mz)
        start = next((start for axis, start in mrc.STARTS if int(header[axis]) == 3), "nzstart")
        header[start] = round((int(header[start]) + first) / max(step, 1))
    meta["header"] = header.tobytes()
    return lost


def _ome_zarr(meta: Meta, count: int, scale: Mapping[str, float], parts: Parts) -> list[str]:
    known = meta["ngff"]
    offset, shape = list(known.get("offset", ())), list(known.get("shape", ()))
    for i, letter in enumerate(known.get("axes", "") if offset else ""):
        if letter in parts:
            offset[i] += parts[letter].first * scale.get(letter, 1.0)
            shape[i] = parts[letter].left
    meta["ngff"] = {**known, "offset": tuple(offset), "shape": tuple(shape)}
    return []


def _fits(meta: Meta, count: int, scale: Mapping[str, float], parts: Parts) -> list[str]:
    header = meta["header"] = meta["header"].copy()
    lost = []
    for letter, part in parts.items():
        n = count - part.axis
        for alt in ("", *string.ascii_uppercase):  # further systems of coordinates
            told = [
                name
                for name in (
                    *(f"{key}{n}{alt}" for key in ("CRPIX", "CRVAL", "CDELT", "CTYPE", "CUNIT")),
                    *(f"{key}{i}_{n}{alt}" for key in ("CD", "PC") for i in range(1, count + 1)),
                )
                if name in header
            ]
            if told and part.step:
                at = f"CRPIX{n}{alt}"
                header[at] = (float(header.get(at, 0.0)) - 1 - part.first) / part.step + 1
                # A matrix has the steps in a column, unless only its diagonal is there.
                column = [name for name in told if name.startswith(("CD", "PC")) and "_" in name]
                own = f"PC{n}_{n}{alt}"
                if column in ([], [own]):
                    column = [f"CDELT{n}{alt}"]
                elif column[0].startswith("PC") and own not in column:
                    column.append(own)
                for name in column:
                    header[name] = float(header.get(name, 1.0)) * part.step
            elif told:
                for name in told:
                    del header[name]
                lost += [] if letter in scale or alt else [f"coordinates along {letter}"]
    return lost


def _imagej(meta: Meta, count: int, scale: Mapping[str, float], parts: Parts) -> list[str]:
    if "T" in parts:  # how fast it is played; the interval of frames is a pixel size
        meta["extras"] = {key: value for key, value in meta["extras"].items() if key != "fps"}
    return []


FORMATS: dict[str, Callable[..., list[str]]] = {
    "nifti": _nifti,
    "mrc": _mrc,
    "ome-zarr": _ome_zarr,
    "fits": _fits,
    "imagej": _imagej,
}
"""By ``metadata["source"]`` what puts the place of a part into a copy of what the writer knows;
returns names of what is known no more. Of all other formats no place is written."""
