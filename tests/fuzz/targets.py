"""What is fuzzed: functions that take any bytes, and may fail with an `UnnoiseError` alone.

Each has seeds, small inputs that are right, from which a fuzzer goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np

from unnoise.app.events import Message, Preview
from unnoise.app.session.frames import decode, encode
from unnoise.app.session.request import Request
from unnoise.app.web.workspace import Workspace
from unnoise.config.config import Config
from unnoise.errors import AxesError, UnnoiseError
from unnoise.images import axes, formats, selection
from unnoise.images.atomic import hidden
from unnoise.images.formats import unfinished
from unnoise.images.image import Image
from unnoise.images.ledger import Ledger
from unnoise.models import folder as model_folder
from unnoise.models.folder import LOG
from unnoise.models.stream import Plan
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training import history

from . import json_changes, records, seeds
from .own_folder import FOLDER, clean, folder, in_memory
from .seeds import PARTS, PLACES

__all__ = ["FOLDER", "TARGETS", "clean", "folder", "in_memory", "tried"]

AXES = "STCZYX"
LARGEST = 2**22
"""Pixels above which an image is opened, and not read."""


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
    change : callable, optional
        A change of bytes that leaves them what they are, such as JSON; gives None where it cannot.
    may_end : bool
        Whether a library is known to hang or end the process; that is counted, and goes on.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    needs: str = "unnoise"
    change: Callable[[bytes, Random], bytes | None] | None = None
    may_end: bool = False


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
    place = folder() / "events"  # a file, which takes memory for what it is asked
    place.write_bytes(data)
    with place.open("rb") as file:
        while decode(file) is not None:
            pass


def _request(text: str) -> None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(values, dict):
        Request.from_dict(values)


def _file_of_model(data: bytes, name: str) -> None:
    place = _model(name)
    (place / name).write_bytes(data)
    model_folder.load(place)


@cache
def _model(name: str) -> Path:
    """The folder of a target, whose other file is small: that is read each time, too."""
    place = folder() / f"model-of-{name}"
    place.mkdir()
    settings, weights = seeds.models()
    (place / model_folder.CONFIG).write_bytes(settings[-1])
    (place / model_folder.WEIGHTS).write_bytes(weights)
    return place


def _log(data: bytes) -> None:
    (folder() / LOG).write_bytes(data)
    history.read(folder())


def _image(data: bytes, suffix: str) -> None:
    place = folder() / f"x{suffix}"
    place.write_bytes(data)
    _read(place)


def _described(data: bytes, suffix: str) -> None:
    """A description of Leica, beside what it names."""
    seeds.leica(folder())
    _image(data, suffix)


def _read(place: Path) -> None:
    try:
        images = formats.open_all([place])
    except AxesError:  # a person would say which they are
        images = [formats.open(place, axes=AXES[-_dimensions(place) :])]
    for image in images:
        for copy in (image, *formats.smaller(image)):
            region = 16 * 16 * copy.sizes["C"]
            if region < LARGEST > np.prod([min(n, 64) for n in copy.shape]):
                copy.read(copy.middle(16))


def _dimensions(place: Path) -> int:
    """How many axes fit a file whose own are ambiguous."""
    for count in range(len(AXES), 2, -1):
        with contextlib.suppress(AxesError):
            formats.open(place, axes=AXES[-count:])
            return count
    return 2


def _store(data: bytes) -> None:
    place = folder() / "x.zarr"
    shutil.rmtree(place, ignore_errors=True)
    for part in data.split(PARTS)[:20]:
        if part:
            file = place / PLACES[part[0] % len(PLACES)]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(part[1:])
    place.mkdir(exist_ok=True)
    _read(place)


ND2 = Path(__file__).resolve().parents[2] / ".." / "shared/data/formats/nd2/cluster.nd2"


def _nd2(data: bytes) -> None:
    """A real file in which some bytes are others: place and value, again and again."""
    place, size = folder() / "changed.nd2", ND2.stat().st_size
    if not place.exists():
        place.write_bytes(ND2.read_bytes())
    changes = [
        (at % size, value) for at, value in struct.iter_unpack("<IB", data[: len(data) // 5 * 5])
    ]
    with place.open("r+b", buffering=0) as file, ND2.open("rb", buffering=0) as right:
        for at, value in changes:
            os.pwrite(file.fileno(), bytes([value]), at)
        try:
            _read(place)
        finally:
            for at, _ in changes:
                os.pwrite(file.fileno(), os.pread(right.fileno(), 1, at), at)


TOKEN = "0123456789abcdef"


def _plan(data: bytes) -> None:
    """What is kept with a result that is not finished, in both of its files."""
    result = folder() / "begun.npy"
    place = hidden(result)
    place.mkdir(exist_ok=True)
    (place / TOKEN).mkdir(exist_ok=True)
    (place / TOKEN / unfinished.PIXELS).touch()
    for name in (unfinished.PLAN, unfinished.NAMED):
        (place / name).write_bytes(data)
    list(unfinished.parts(folder()))
    unfinished.is_named(result)
    Plan.from_dict((unfinished.header(result) or {}).get("plan"), "here")


def _plans() -> list[bytes]:
    plan = Plan((1, 1, 1, 60, 64), (1, 1, 1, 30, 64), (30, 64)).to_dict()
    about = {"model": "m", "source": "a.npy", "result": "b.npy", "command": ["a"]}
    kept = {"identity": {"model": "1"}, "plan": plan, "about": about, "moved": "pixels"}
    kept["token"] = TOKEN
    return [json.dumps(kept).encode()]


def _upload(text: str) -> None:
    """A name that a browser says, which must lead to a new file in the folder of uploads."""
    shared = _workspace()
    with contextlib.suppress(UnnoiseError):
        name = shared.free_name(text)
        place = shared.uploads / name
        assert place.parent == shared.uploads, name
        assert not place.exists(), name
        place.write_bytes(b"")
        os.remove(place)
    found = shared.path(text)
    assert found.resolve().is_relative_to(shared.root), found


@cache
def _workspace() -> Workspace:
    place = folder() / "workspace"
    place.mkdir()
    (place / "in").mkdir()
    (place / "in" / "a.tif").write_bytes(b"")
    (place / "out").symlink_to(folder())
    found = Workspace(place)
    found.prepare()
    return found


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
        own = partial(seeds.written, suffix)
        yield suffix, Target(partial(_image, suffix=suffix), own, packages.get(suffix, "unnoise"))
    yield ".nrrd", Target(partial(_image, suffix=".nrrd"), seeds.nrrd, "nrrd")
    yield ".czi", Target(partial(_image, suffix=".czi"), seeds.czi, "czifile")
    yield ".dcm", Target(partial(_image, suffix=".dcm"), seeds.dicom, "pydicom")
    lif = partial(_image, suffix=".lif")
    yield ".lif", Target(lif, seeds.lif, "liffile", change=seeds.changed_number)
    yield ".zarr", Target(_store, seeds.stores, change=seeds.changed_store)
    if ND2.exists():
        yield ".nd2", Target(_nd2, lambda: [b""], "nd2")
    yield ".h5", Target(partial(_image, suffix=".h5"), seeds.hdf5, "h5py", may_end=True)
    for suffix in (".lsm", ".stk", ".svs", ".ndpi"):
        yield suffix, Target(partial(_image, suffix=suffix), partial(seeds.vendor, suffix))
    for suffix in (".xlif", ".xlef"):
        own, run = partial(seeds.described, suffix), partial(_described, suffix=suffix)
        yield suffix, Target(run, own, "liffile", change=seeds.changed_text)
    for suffix in (".dm3", ".dm4", ".ser", ".emd", ".blo"):
        own = partial(seeds.electrons, suffix)
        run = partial(_image, suffix=suffix)
        yield suffix, Target(run, own, "rsciio", may_end=suffix == ".emd")
    rest: dict[str, tuple[Callable[[], list[bytes]], str]] = {
        ".ims": (seeds.ims, "h5py"),
        ".dng": (seeds.raw, "rawpy"),
        ".zarr.zip": (seeds.archives, "zarr"),
        ".fits.fz": (seeds.packed, "astropy"),
    }
    for suffix, (own, package) in rest.items():
        run = partial(_image, suffix=suffix)
        yield suffix, Target(run, own, package, may_end=suffix == ".ims")


TARGETS = {
    "settings": Target(_text(_settings), seeds.settings, change=json_changes.changed),
    "assignments": Target(_text(_assignments), lambda: [b"mask.percent=5\nnet.depth=1"]),
    "axes": Target(_text(_axes), lambda: [b"TCYX 3x2x64x48", b"YX 64x48"]),
    "selection": Target(_text(_selection), lambda: [b"0,2", b"-1", b"0:5:2"]),
    "camera": Target(_text(Camera.from_json), _camera, change=json_changes.changed),
    "ledger": Target(_ledger, _lines),
    "events": Target(_events, _frames, change=json_changes.changed),
    "request": Target(
        _text(_request),
        lambda: [json.dumps(Request(("a.tif",)).to_dict()).encode()],
        change=json_changes.changed,
    ),
    "unfinished": Target(_plan, _plans, change=json_changes.changed),
    "jobs": Target(records.shown, records.right, "nicegui", change=json_changes.changed),
    "uploads": Target(
        _text(_upload), lambda: [b"../a.tif", b"in/a.tif", b"out/a.tif", b"a:b?.tif"]
    ),
    "model settings": Target(
        partial(_file_of_model, name=model_folder.CONFIG),
        lambda: seeds.models()[0],
        change=json_changes.changed,
    ),
    "model weights": Target(
        partial(_file_of_model, name=model_folder.WEIGHTS), lambda: [seeds.models()[1]]
    ),
    "model log": Target(
        _log,
        lambda: [b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n'],
        change=json_changes.changed,
    ),
    **{f"image{suffix}": target for suffix, target in _readers()},
}
"""By name."""
