"""What headers that travel with an image say of a part of it: its place, steps and channels.

Only positions at even distances that rise have a place: of others a header keeps silent.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unnoise.images.formats.reader import reading
from unnoise.images.image import Image

Meta = dict[str, Any]
STANDARD_ORIGIN = 4
"""The flag without which IMOD counts the origin of MRC from the planes on, not to them."""
KINDS = {"nifti": "NIfTI", "ome-zarr": "OME-Zarr", "imagej": "ImageJ TIFF", "ome": "OME-TIFF"}
"""Names of formats in messages."""
NUMBERED = re.compile(
    r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CNAME|CROTA|CRDER|CSYER|PC|CD|PV|PS)(\d+)(?:_(\d+))?([A-Z]?)"
)
"""Words of FITS on an axis of a number; matrices have two of them."""
NAMES = {"T": "frame interval"} | {letter: f"pixel size along {letter}" for letter in "ZYX"}


class Picks(NamedTuple):
    """Positions along an axis that are left.

    Attributes
    ----------
    axis : int
        Which axis of the image, the slowest first.
    all : sequence of int
    step : int
        0 where distances are uneven, or fall.
    """

    axis: int
    all: Sequence[int]
    step: int

    @property
    def first(self) -> int:
        """Where the part begins."""
        return self.all[0]


Parts = Mapping[str, Picks]


def picks(axis: int, positions: Sequence[int]) -> Picks:
    """What positions along an axis have in common.

    Examples
    --------
    >>> picks(0, [4, 6, 8]).step, picks(0, [0, 3, 4]).step
    (2, 0)
    """
    steps = set(np.diff(positions).tolist()) or {1}
    step = steps.pop() if len(steps) == 1 else 0
    return Picks(axis, positions, max(step, 0))


def moved(whole: Image, parts: Parts) -> dict[str, Any]:
    """The metadata of a part of an image, for the writer of its format.

    Parameters
    ----------
    whole : Image
    parts : mapping of str to Picks
        What is left along the axes of which not all is, or not in its order.

    Raises
    ------
    InputError
        If its header is damaged.
    """
    found = dict(whole.metadata)
    uneven = [letter for letter, part in parts.items() if not part.step]
    told = [NAMES[letter] for letter in uneven if letter in whole.scale]
    source = str(found.get("source"))
    if source in FORMATS and whole.path is not None:
        with reading(
            whole.path, KINDS.get(source, source.upper())
        ):  # of headers that are not looked into before
            told += FORMATS[source](found, whole, parts)
    if told:
        found["lost"] = [*found.get("lost", ()), *told]
    return found


def _of_channels(values: Any, whole: Image, parts: Parts, each: int = 1) -> Any:
    """What is told of each channel, of those that are left."""
    if "C" not in parts or isinstance(values, str) or len(values) != each * whole.sizes["C"]:
        return values
    return [values[c * each + i] for c in parts["C"].all for i in range(each)]


def _nifti(meta: Meta, whole: Image, parts: Parts) -> list[str]:
    header = meta["header"] = meta["header"].copy()
    zooms = [abs(zoom) if np.isfinite(zoom) else 0 for zoom in header.get_zooms()]
    lost: list[str] = []
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


def _mrc(meta: Meta, whole: Image, parts: Parts) -> list[str]:
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


def _ome_zarr(meta: Meta, whole: Image, parts: Parts) -> list[str]:
    known = meta["ngff"]
    offset, shape = list(known.get("offset", ())), list(known.get("shape", ()))
    for i, letter in enumerate(known.get("axes", "") if offset else ""):
        if letter in parts:
            offset[i] += parts[letter].first * whole.scale.get(letter, 1.0)
            shape[i] = len(parts[letter].all)
    omero = dict(known.get("omero") or {})
    omero["channels"] = _of_channels(list(omero.get("channels") or ()), whole, parts)
    meta["ngff"] = {**known, "offset": tuple(offset), "shape": tuple(shape), "omero": omero}
    return []


def _fits(meta: Meta, whole: Image, parts: Parts) -> list[str]:
    header = meta["header"] = meta["header"].copy()
    lost = []
    for letter, part in parts.items():
        n = len(whole.axes) - part.axis
        for alt in ("", *string.ascii_uppercase):  # further systems of coordinates
            told = [
                name
                for name in (
                    *(f"{key}{n}{alt}" for key in ("CRPIX", "CRVAL", "CDELT", "CTYPE", "CUNIT")),
                    *(
                        f"{key}{i}_{n}{alt}"
                        for key in ("CD", "PC")
                        for i in range(1, len(whole.axes) + 1)
                    ),
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
                lost += [] if letter in whole.scale or alt else [f"coordinates along {letter}"]
    meta["header"] = _renumbered(header, whole, parts)
    return lost


def _renumbered(header: Any, whole: Image, parts: Parts) -> Any:
    """A header of FITS in which axes of one position, which are gone, come behind the others."""
    count = len(whole.axes)
    gone = {count - p.axis for p in parts.values() if len(p.all) == 1 < whole.shape[p.axis]}
    if not gone:
        return header
    order = sorted(range(1, count + 1), key=lambda n: (n in gone, n))
    new = {str(old): str(order.index(old) + 1) for old in order}
    found = type(header)()
    for card in header.cards:
        match = NUMBERED.fullmatch(card.keyword)
        if match is None:
            found.append(card, end=True)
            continue
        name, row, column, rest = match.groups("")
        column = new.get(column, column) if name in ("PC", "CD") else column
        keyword = f"{name}{new.get(row, row)}{'_' * bool(column)}{column}{rest}"
        found.append((keyword, card.value, card.comment), end=True)
    return found


def _imagej(meta: Meta, whole: Image, parts: Parts) -> list[str]:
    extras = meta["extras"] = dict(meta["extras"])
    if "T" in parts:  # how fast it is played; the interval of frames is a pixel size
        extras.pop("fps", None)
    if "Z" in parts and isinstance(extras.get("zorigin"), int | float):
        first, step = parts["Z"].first, parts["Z"].step
        origin = extras.pop("zorigin")
        extras |= {"zorigin": (origin - first) / step} if step else {}
    for key, each in (("LUTs", 1), ("Ranges", 2)):
        if key in extras:
            extras[key] = _of_channels(extras[key], whole, parts, each)
    if "C" in parts and "Ranges" in extras and "min" in extras:  # those of the first channel
        extras["min"], extras["max"] = extras["Ranges"][:2]
    labels, sizes = extras.get("Labels"), [whole.sizes[letter] for letter in "TZC"]
    if isinstance(labels, list | tuple) and len(labels) == np.prod(sizes):
        left = [parts[a].all if a in parts else range(whole.sizes[a]) for a in "TZC"]
        places = np.arange(len(labels)).reshape(sizes)[np.ix_(*left)]
        extras["Labels"] = [labels[i] for i in places.ravel()]
    return []


def _ome(meta: Meta, whole: Image, parts: Parts) -> list[str]:
    meta.pop("ome", None)  # it tells of the planes one by one
    extras = meta["extras"] = dict(meta["extras"])
    extras["Channel"] = _of_channels(extras.get("Channel", ()), whole, parts)
    return []


FORMATS: dict[str, Callable[..., list[str]]] = {
    "nifti": _nifti,
    "mrc": _mrc,
    "ome-zarr": _ome_zarr,
    "fits": _fits,
    "imagej": _imagej,
    "ome": _ome,
}
"""By ``metadata["source"]`` what puts the place of a part into a copy of what the writer knows;
returns names of what is known no more. Of all other formats nothing of the kind is written."""
