"""What is fuzzed: functions that take any bytes, and may fail with an `UnnoiseError` alone.

Each has seeds, small inputs that are right, from which a fuzzer goes on.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

import unnoise
from unnoise.app.events import Message, Preview
from unnoise.app.session.frames import decode, encode
from unnoise.app.session.request import Request
from unnoise.config.config import Config
from unnoise.errors import UnnoiseError
from unnoise.images import axes, formats, selection
from unnoise.images.image import Image
from unnoise.images.ledger import Ledger
from unnoise.models import folder as model_folder
from unnoise.models.folder import LOG
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training import history

LARGEST = 2**22
"""Pixels above which an image is opened, and not read."""


FOLDER = "UNNOISE_FUZZ_FOLDER"
"""Environment variable: where a process that libFuzzer ends leaves its files to its parent."""


@dataclass(frozen=True)
class Target:
    """Something that reads bytes.

    Attributes
    ----------
    run : callable
        Takes bytes; raises `UnnoiseError`, or it is wrong.
    seeds : callable
        Gives inputs that are right.
    needs : str
        A module that must be installed.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    needs: str = "unnoise"


@cache
def folder() -> Path:
    """A folder of this process."""
    return Path(tempfile.mkdtemp(prefix="unnoise-fuzz-", dir=os.environ.get(FOLDER) or in_memory()))


def in_memory() -> Path | None:
    """Where temporary files are in memory, on Linux."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


def clean() -> None:
    """Take the folder away."""
    shutil.rmtree(folder(), ignore_errors=True)
    folder.cache_clear()


def tried(data: bytes, target: Target) -> None:
    """Run a target; whatever but an error of ours is raised."""
    with contextlib.suppress(UnnoiseError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target.run(data)


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


def _settings(text: str) -> None:
    Config.from_yaml(text)


def _assignments(text: str) -> None:
    Config().set(*text.splitlines())


def _axes(text: str) -> None:
    letters, _, sizes = text.partition(" ")
    shape = tuple(int(n) for n in sizes.split("x") if n.isascii() and n.isdecimal() and len(n) < 9)
    with contextlib.suppress(UnnoiseError):
        axes.infer(shape)
    axes.check(letters, shape)


def _selection(text: str) -> None:
    image = Image.from_array(np.zeros((3, 4, 16, 16), np.uint8), "TCYX")
    with contextlib.suppress(UnnoiseError):
        selection.select(image, {"T": text, "C": text})
    selection.numbers(text, 7, "--channels")


def _ledger(data: bytes) -> None:
    place = folder() / "done.x"
    place.write_bytes(data)
    Ledger(folder()).done()


def _events(data: bytes) -> None:
    file = io.BytesIO(data)
    while decode(file) is not None:
        pass


def _request(text: str) -> None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(values, dict):
        Request.from_dict(values)


@cache
def _model() -> Path:
    place = folder() / "m"
    noisy = np.random.default_rng(0).normal(size=(32, 32))
    unnoise.train(noisy, method="gaussian").save(place)
    return place


def _file_of_model(data: bytes, name: str) -> None:
    place = _model() / name
    before = place.read_bytes()
    try:
        place.write_bytes(data)
        model_folder.load(_model())
    finally:
        place.write_bytes(before)


def _seed_of_model(name: str) -> list[bytes]:
    return [(_model() / name).read_bytes()]


def _log(data: bytes) -> None:
    (folder() / LOG).write_bytes(data)
    history.read(folder())


def _image(data: bytes, suffix: str) -> None:
    place = folder() / f"x{suffix}"
    place.write_bytes(data)
    for image in formats.open_all([place]):
        if np.prod([min(n, 64) for n in image.shape]) < LARGEST:
            image.read(image.middle(16))


PIXELS = np.random.default_rng(0).poisson(20, (2, 24, 20)).astype(np.uint16)


def _written(*suffixes: str) -> list[bytes]:
    """Small images as this program writes them."""
    found = []
    for suffix in suffixes:
        for pixels, letters in ((PIXELS, "ZYX"), (PIXELS[0].astype(np.uint8), "YX")):
            place = folder() / f"seed{suffix}"
            with contextlib.suppress(UnnoiseError):
                formats.save(place, pixels, axes=letters, overwrite=True)
                found.append(place.read_bytes())
    return found


def _nrrd() -> list[bytes]:
    head = b"NRRD0004\ntype: uint16\ndimension: 3\nsizes: 20 24 2\nendian: little\n"
    head += b"space directions: (1,0,0) (0,1,0) (0,0,2)\nspace: left-posterior-superior\n"
    plain = PIXELS.tobytes()
    more = head + b"kinds: domain domain list\nencoding: gzip\n\n" + gzip.compress(plain)
    return [head + b"encoding: raw\n\n" + plain, more]


def _czi() -> list[bytes]:
    from images.formats.czi_files import Tile, write

    tiles = [Tile(PIXELS[t], {"T": t, "C": 0}) for t in range(2)]
    tiles += [Tile(PIXELS[0], {"T": 0, "C": 0}, (0, 20), compression=6)]
    return [write(folder() / "seed.czi", tiles).read_bytes()]


def _dicom() -> list[bytes]:
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


def _hdf5() -> list[bytes]:
    import h5py

    with h5py.File(folder() / "seed.h5", "w") as file:
        file.create_dataset("raw/data", data=PIXELS, chunks=(1, 12, 20), compression="gzip")
        file["raw/data"].attrs["axistags"] = '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}]}'
    return [(folder() / "seed.h5").read_bytes()]


def _camera() -> list[bytes]:
    return [Camera((PoissonGauss(2.0, 100.0, 3.0),), "frames", ("note",)).to_json().encode()]


def _frames() -> list[bytes]:
    x = np.zeros((2, 3), np.float32)
    return [encode(Message("a")) + encode(Preview("a.tif", 1, 0.5, (0, 0), x, x))]


def _lines() -> list[bytes]:
    with Ledger(folder()) as ledger:
        ledger.add(range(12))
    (place,) = folder().glob("done.*.*")
    data = place.read_bytes()
    os.remove(place)
    return [data]


def _readers() -> Iterator[tuple[str, Target]]:
    packages = {".nii": "nibabel", ".fits": "astropy", ".nii.gz": "nibabel"}
    for suffix in (".npy", ".png", ".jpg", ".tif", ".ome.tif", ".mrc", ".nii", ".nii.gz", ".fits"):
        seeds = partial(_written, suffix)
        yield suffix, Target(partial(_image, suffix=suffix), seeds, packages.get(suffix, "unnoise"))
    yield ".nrrd", Target(partial(_image, suffix=".nrrd"), _nrrd, "nrrd")
    yield ".czi", Target(partial(_image, suffix=".czi"), _czi, "czifile")
    yield ".dcm", Target(partial(_image, suffix=".dcm"), _dicom, "pydicom")
    yield ".h5", Target(partial(_image, suffix=".h5"), _hdf5, "h5py")


TARGETS = {
    "settings": Target(_text(_settings), lambda: [Config().to_yaml(comments=True).encode()]),
    "assignments": Target(_text(_assignments), lambda: [b"mask.percent=5\nnet.depth=1"]),
    "axes": Target(_text(_axes), lambda: [b"TCYX 3x2x64x48", b"YX 64x48"]),
    "selection": Target(_text(_selection), lambda: [b"0,2", b"-1", b"0:5:2"]),
    "camera": Target(_text(Camera.from_json), _camera),
    "ledger": Target(_ledger, _lines),
    "events": Target(_events, _frames),
    "request": Target(
        _text(_request), lambda: [json.dumps(Request(("a.tif",)).to_dict()).encode()]
    ),
    "model settings": Target(
        partial(_file_of_model, name="config.yaml"), partial(_seed_of_model, "config.yaml")
    ),
    "model weights": Target(
        partial(_file_of_model, name="weights.safetensors"),
        partial(_seed_of_model, "weights.safetensors"),
    ),
    "model log": Target(_log, lambda: [b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n']),
    **{f"image{suffix}": target for suffix, target in _readers()},
}
"""By name."""
