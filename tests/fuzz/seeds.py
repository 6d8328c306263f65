"""Small files that are right, from which a fuzzer goes on."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tifffile
import yaml

import tiny
import unnoise
from unnoise.config.config import Config
from unnoise.errors import UnnoiseError
from unnoise.images import formats
from unnoise.images.levels import Level
from unnoise.models import folder as model_folder
from unnoise.models.model import EnsembleMember, Model

from . import json_changes
from .own_folder import folder

PARTS = b"\n\0\n"
"""Between the files of a store; each begins with the number of its place."""
PLACES = ("zarr.json", ".zgroup", ".zattrs", ".zarray", "0/zarr.json", "0/.zarray")
PLACES += (
    "1/zarr.json",
    "1/.zarray",
    "1/0.0",
    "1/c/0/0",
    "0/.zattrs",
    "0.0",
    "c/0/0",
    "0/0.0",
    "0/0/0",
    "0/c/0/0",
    "labels/zarr.json",
)

PARTS_OF_MODELS = tuple(model_folder.PARTS)


def stores() -> list[bytes]:
    """Arrays of both versions, and an image of OME-Zarr with shards."""
    import zarr

    found = []
    for i, version in enumerate((2, 3)):
        place = folder() / f"seed{i}.zarr"
        packer: Any = "auto" if version == 2 else (zarr.codecs.GzipCodec(),)
        more = {"zarr_format": version, "compressors": packer, "overwrite": True}
        zarr.create_array(place, data=PIXELS[0], chunks=(24, 20), **more)
        found.append(_parts(place))
        group = zarr.open_group(folder() / f"group{i}.zarr", mode="w", zarr_format=version)
        shards = {"shards": (24, 20)} if version == 3 else {}
        group.create_array("0", data=PIXELS[0], chunks=(12, 20), **shards)
        axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
        steps = [{"type": "scale", "scale": [0.5, 0.5]}]
        group.create_array("1", data=PIXELS[0, ::2, ::2], chunks=(12, 10))
        datasets = [{"path": "0", "coordinateTransformations": steps}]
        datasets += [{"path": "1", "coordinateTransformations": [{**steps[0], "scale": [1, 1]}]}]
        ome = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
        ome |= {"omero": {"channels": [{"label": "a", "color": "FF0000"}]}}
        group.attrs.put(ome if version == 2 else {"ome": {"version": "0.5", **ome}})
        found.append(_parts(folder() / f"group{i}.zarr"))
    return found


def settings() -> list[bytes]:
    """Each section, and all that a user meets: most of a long text would be comments to change."""
    whole = Config().to_yaml(comments=True)
    parts = yaml.safe_load(whole)
    sections = [{key: part} for key, part in parts.items() if isinstance(part, dict)]
    return [whole.encode(), *_texts(sections)]


@cache
def models() -> tuple[list[bytes], bytes]:
    """Small settings of models, with one of their parts each; the weights of the last one.

    That is a mean of two for each of two groups, whose weights have those of the others in them.
    """
    noisy = np.random.default_rng(0).normal(size=(32, 32))
    filtered = _values(unnoise.train(noisy, method="gaussian"))
    one = tiny.untrained(noisy, tiny.two_steps("n2v", "net.filters=1"))[0]
    net = _values(one)
    found = [{k: v for k, v in filtered.items() if k not in PARTS_OF_MODELS}]
    found += [found[0] | {k: filtered[k]} for k in PARTS_OF_MODELS if k in filtered]
    found += [net, {k: v for k, v in net.items() if k not in PARTS_OF_MODELS}]
    short = {k: net["config"]["net"][k] for k in ("depth", "filters")}
    found[-1]["config"] = {"method": "n2v", "ndim": 2, "net": short}
    own = [replace(one, weights={k: w.clone() for k, w in one.weights.items()}) for _ in range(4)]
    level = Level((0.0,), (1.0,))
    two, other = (
        replace(a, second=EnsembleMember(b, 0.5), level=level) for a, b in (own[:2], own[2:])
    )
    several = _values(replace(two, others=(other,)))
    members = [several, several["second"], *several["others"], several["others"][0]["second"]]
    for member in members:
        member["config"] = found[-1]["config"]
        for part in {*PARTS_OF_MODELS} - {"level"}:
            member.pop(part, None)
    found += [{k: v for k, v in several.items() if k not in ("others", "level")}, several]
    place = folder() / "model-of-seeds" / model_folder.WEIGHTS
    return _texts([_thinned(values) for values in found]), place.read_bytes()


def _texts(found: list[dict[str, Any]]) -> list[bytes]:
    """As YAML and, which is YAML too, as JSON."""
    texts = [json.dumps(values) for values in found]
    return [
        text.encode() for text in [*texts, *(yaml.safe_dump(v, sort_keys=False) for v in found)]
    ]


def _values(model: Model) -> dict[str, Any]:
    place = folder() / "model-of-seeds"
    model_folder.save(place, model)
    return yaml.safe_load((place / model_folder.CONFIG).read_bytes())


def _thinned(value: Any) -> Any:
    """The same with short lists."""
    if isinstance(value, dict):
        return {key: _thinned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_thinned(part) for part in [*value[:2], *value[2:][-2:]]]
    return value


def _parts(place: Path) -> bytes:
    parts = ((i, place / name) for i, name in enumerate(PLACES))
    return PARTS.join(bytes([i]) + path.read_bytes() for i, path in parts if path.is_file())


def changed_store(data: bytes, rng: Random) -> bytes | None:
    """Another value in one of the files that are JSON."""
    parts = data.split(PARTS)
    i = rng.randrange(len(parts))
    found = json_changes.changed(parts[i][1:], rng)
    return found and PARTS.join([*parts[:i], parts[i][:1] + found, *parts[i + 1 :]])


def changed_number(data: bytes, rng: Random) -> bytes | None:
    """Another number of as many characters in a text of UTF-16, as LIF and LOF have it."""
    places = [found.span() for found in re.finditer(rb"(?:[0-9]\0)+", data)]
    if not places:
        return None
    start, stop = rng.choice(places)
    count = (stop - start) // 2
    digits = [rng.choice("0123456789") for _ in range(count)]
    text = rng.choice(("9" * count, "0" * count, "".join(digits), "-1e9"[:count].ljust(count)))
    return data[:start] + text.encode("utf-16-le") + data[stop:]


def lif() -> list[bytes]:
    from images.formats.lif_files import Project, write, write_lof

    lengths = {"T": 2.0, "Y": 1e-5, "X": 1e-5}
    one = Project("a", PIXELS, "TYX", lengths)
    two = Project("b", PIXELS[0].astype(np.uint8), "YX", lengths)
    return [
        write(folder() / "seed.lif", [one, two]).read_bytes(),
        write_lof(folder() / "seed.lof", one).read_bytes(),
    ]


PIXELS = np.random.default_rng(0).poisson(20, (2, 24, 20)).astype(np.uint16)


def written(*suffixes: str) -> list[bytes]:
    """Small images as this program writes them."""
    found = []
    for suffix in suffixes:
        for pixels, letters in ((PIXELS, "ZYX"), (PIXELS[0].astype(np.uint8), "YX")):
            place = folder() / f"seed{suffix}"
            with contextlib.suppress(UnnoiseError):
                formats.save(place, pixels, axes=letters, overwrite=True)
                found.append(place.read_bytes())
    return found + ([pyramid()] if suffixes[0] == ".tif" else [])


def pyramid() -> bytes:
    """A TIFF with a smaller copy of its image, in tiles."""
    place = folder() / "pyramid.tif"
    more = {"tile": (16, 16), "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(place) as file:
        file.write(PIXELS[0], subifds=1, **more)  # type: ignore[arg-type]
        file.write(PIXELS[0, ::2, ::2], subfiletype=1, **more)  # type: ignore[arg-type]
    return place.read_bytes()


def nrrd() -> list[bytes]:
    head = b"NRRD0004\ntype: uint16\ndimension: 3\nsizes: 20 24 2\nendian: little\n"
    head += b"space directions: (1,0,0) (0,1,0) (0,0,2)\nspace: left-posterior-superior\n"
    plain = PIXELS.tobytes()
    more = head + b"kinds: domain domain list\nencoding: gzip\n\n" + gzip.compress(plain)
    return [head + b"encoding: raw\n\n" + plain, more]


def czi() -> list[bytes]:
    from images.formats.czi_files import Tile, write

    tiles = [Tile(PIXELS[t], {"T": t, "C": 0}) for t in range(2)]
    tiles += [Tile(PIXELS[0], {"T": 0, "C": 0}, (0, 20), compression=6)]
    return [write(folder() / "seed.czi", tiles).read_bytes()]


def dicom() -> list[bytes]:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset

    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = "1.2.3"
    one.Rows, one.Columns, one.SamplesPerPixel = 24, 20, 1
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 0
    one.PhotometricInterpretation, one.PixelData = "MONOCHROME2", PIXELS[0].tobytes()
    one.PixelSpacing, one.RescaleSlope, one.RescaleIntercept = [0.5, 0.5], 2, -10
    one.save_as(folder() / "seed.dcm", enforce_file_format=True)
    return [(folder() / "seed.dcm").read_bytes()]


def hdf5() -> list[bytes]:
    import h5py

    with h5py.File(folder() / "seed.h5", "w") as file:
        file.create_dataset("raw/data", data=PIXELS, chunks=(1, 12, 20), compression="gzip")
        file["raw/data"].attrs["axistags"] = '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}]}'
    return [(folder() / "seed.h5").read_bytes()]


def ims() -> list[bytes]:
    from images.formats.ims_files import write

    return [write(folder() / "seed.ims", PIXELS[:1, None, None]).read_bytes()]


def electrons(suffix: str) -> list[bytes]:
    """Files of electron microscopes."""
    from images.formats import em_files

    place = folder() / f"seed{suffix}"
    if suffix == ".emd":
        return [em_files.emd(place, PIXELS, "tyx", ["s", "nm", "nm"]).read_bytes()]
    scan = PIXELS[:, :3, :4, None].astype(np.uint8).repeat(4, 3)
    writer, pixels = {
        ".dm3": (em_files.dm3, PIXELS[0]),
        ".dm4": (em_files.dm4, PIXELS[0]),
        ".ser": (em_files.ser, PIXELS),
        ".blo": (em_files.blo, scan.reshape(2, 3, 4, 4)),
    }[suffix]
    return [writer(place, pixels).read_bytes()]


def vendor(suffix: str) -> list[bytes]:
    """TIFF of microscopes and slide scanners."""
    from images.formats import vendor_files as files

    place, pixels = folder() / f"seed{suffix}", PIXELS[:, :16, :16]
    bytes_, colours = pixels.astype(np.uint8), np.resize(PIXELS, (24, 20, 3)).astype(np.uint8)
    if suffix == ".lsm":
        found = [files.lsm(place, bytes_[:, None].repeat(3, 1), behind=6000).read_bytes()]
        return [
            *found,
            files.lsm(place, bytes_[:, None].repeat(3, 1), behind=6000, P=2).read_bytes(),
        ]
    if suffix == ".stk":
        return [files.stk(place, pixels, axis).read_bytes() for axis in "ZT"]
    return [{".svs": files.svs, ".ndpi": files.ndpi}[suffix](place, colours).read_bytes()]


def described(suffix: str) -> list[bytes]:
    """Descriptions of Leica, beside which the pixels and other descriptions lie."""
    from images.formats import lif_files as files

    place = folder() / f"seed{suffix}"
    one, beside, frames = leica(folder())
    if suffix == ".xlif":
        return [frames.read_bytes(), files.write_description(place, one, beside.name).read_bytes()]
    return [files.write_project(place, [frames.name, "inner.xlef"]).read_bytes()]


@cache
def leica(place: Path) -> tuple[Any, Path, Path]:
    """An image, an object and frames of it, and a project of the object."""
    from images.formats import lif_files as files

    one = files.Project("a", PIXELS, "TYX", {"T": 2.0, "Y": 1e-5, "X": 1e-5})
    beside = files.write_lof(place / "a.lof", one)
    files.write_project(place / "inner.xlef", [beside.name])
    return one, beside, files.write_xlif(place / "frames.xlif", one)


def changed_text(data: bytes, rng: Random) -> bytes | None:
    """Another value of an attribute of XML."""
    places = [found.span(1) for found in re.finditer(rb'="([^"]*)"', data)]
    if not places:
        return None
    start, stop = rng.choice(places)
    other = data[slice(*rng.choice(places))]
    number = str(rng.choice((0, -1, 2**31, 2**64, 10**400, 1e308, "nan", "x.xlef")))
    return data[:start] + rng.choice((b"", other, number.encode())) + data[stop:]


def raw() -> list[bytes]:
    from images.formats.raw_files import dng

    return [dng(folder() / "seed.dng", np.resize(PIXELS, (32, 36))).read_bytes()]


def archives() -> list[bytes]:
    """Stores of both versions in a ZIP file."""
    import zarr

    found = []
    for version in (2, 3):
        place = folder() / f"seed{version}.zarr.zip"
        with zarr.storage.ZipStore(place, mode="w") as store:
            zarr.create_array(store, data=PIXELS[0], chunks=(24, 20), zarr_format=version)
        found.append(place.read_bytes())
    return found


def packed() -> list[bytes]:
    from astropy.io import fits

    pixels = fits.CompImageHDU(PIXELS[0].astype(np.int16))
    fits.HDUList([fits.PrimaryHDU(), pixels]).writeto(folder() / "seed.fits.fz", overwrite=True)
    return [(folder() / "seed.fits.fz").read_bytes()]
