"""Files of strangers read no other files than those beside them, and ask for no absurd memory."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import reader
from unnoise.images.formats.beside import beside, check_beside

from . import lif_files
from .czi_files import Tile, write

SECRET = np.full((64, 64), 4242, np.uint16)
OUTSIDE = "outside its folder|another file"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, beside which lies what they must not show."""
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", SECRET)
    SECRET.tofile(tmp_path / "secret.raw")
    np.savetxt(tmp_path / "secret.txt", SECRET, "%d")
    return tmp_path / "in"


def ome(folder: Path, other: str) -> Path:
    """An OME-TIFF whose second frame lies in another file."""
    frames = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:0000000{t}'
        f"-0000-0000-0000-000000000000</UUID></TiffData>"
        for t, name in enumerate(("a.ome.tif", other))
    )
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:00000000-0000-0000-0000-000000000000"><Image ID="Image:0"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="64" SizeY="64" SizeZ="1" '
        f'SizeC="1" SizeT="2"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{frames}</Pixels>'
        "</Image></OME>"
    )
    place = folder / "a.ome.tif"
    tifffile.imwrite(place, np.zeros((64, 64), np.uint16), metadata=None, description=text)
    return place


def nrrd(folder: Path, other: str, encoding: str = "raw") -> Path:
    """A header whose pixels lie in another file."""
    place = folder / "a.nhdr"
    place.write_text(
        f"NRRD0004\ntype: uint16\ndimension: 2\nsizes: 64 64\nencoding: {encoding}\n"
        f"endian: little\ndata file: {other}\n\n"
    )
    return place


def leica(folder: Path, other: str) -> Path:
    """A project whose image lies in another file."""
    pixels = lif_files.Project("a", SECRET, "YX", {"Y": 1e-5, "X": 1e-5})
    lif_files.write(folder.parent / "secret.lif", [pixels])
    return lif_files.write_project(folder / "a.xlef", [other])


@pytest.mark.parametrize("make", [ome, nrrd, leica])
@pytest.mark.parametrize("absolute", [False, True])
def test_names_that_lead_out_of_the_folder_are_refused(
    folder: Path, make: Callable[[Path, str], Path], absolute: bool
) -> None:
    package, name = {
        ome: ("tifffile", "secret.tif"),
        nrrd: ("nrrd", "secret.raw"),
        leica: ("liffile", "secret.lif"),
    }[make]
    pytest.importorskip(package)
    other = str(folder.parent / name) if absolute else f"../{name}"
    with pytest.raises(InputError, match=OUTSIDE):
        formats.open(make(folder, other))


def test_text_beside_a_header_too(folder: Path) -> None:
    pytest.importorskip("nrrd")
    with pytest.raises(InputError, match=OUTSIDE):
        formats.open(nrrd(folder, "../secret.txt", "ascii"))


def test_files_beside_are_read(folder: Path) -> None:
    pytest.importorskip("nrrd")
    (folder / "inner").mkdir()
    SECRET.tofile(folder / "inner" / "b.raw")
    assert (formats.open(nrrd(folder, "inner/b.raw")).read() == 4242).all()


def test_pixels_beside_a_header_are_neither_mixed_nor_written_over(folder: Path) -> None:
    pytest.importorskip("nrrd")
    pixels = folder / "b.raw"
    SECRET.tofile(pixels)
    image = formats.open(nrrd(folder, pixels.name))
    assert image.metadata["files"] == [folder / "a.nhdr", pixels]
    SECRET[1:].tofile(pixels)
    with pytest.raises(InputError, match=r"b\.raw was changed while it was read"):
        image.read()
    SECRET.tofile(folder / "b.npy")
    with pytest.raises(InputError, match=r"b\.npy is the input itself"):
        formats.create(folder / "b.npy", formats.open(nrrd(folder, "b.npy")), overwrite=True)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "..\\x", "a/../../x", "C:\\x", "file:///x", "s3://b/x", "\\\\host\\x", "a\0b"],
)
def test_every_way_out_is_known(name: str) -> None:
    with pytest.raises(InputError, match="outside its folder"):
        beside(Path("in/a.nhdr"), name)


@pytest.mark.parametrize("name", ["b.raw", "inner/b.raw", "inner/../b.raw", "..b.raw", "a b.raw"])
def test_names_within_stay(name: str) -> None:
    assert beside(Path("in/a.nhdr"), name) == Path("in", name)
    check_beside(Path("in/a.nhdr"), [Path("in", name)])


def test_external_links_of_imaris_and_emd_are_not_followed(folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder.parent / "secret.h5", "w") as file:
        file["d"] = SECRET[None]
    secret = h5py.ExternalLink(str(folder.parent / "secret.h5"), "/d")
    with h5py.File(folder / "a.ims", "w") as file:
        about = file.create_group("DataSetInfo/Image")
        level = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        for key, n in {"X": 64, "Y": 64, "Z": 1}.items():
            text = np.array([bytes([c]) for c in str(n).encode()], "S1")
            about.attrs[key] = level.attrs[f"ImageSize{key}"] = text
        level["Data"] = secret
    with pytest.raises(InputError, match=OUTSIDE):
        formats.open(folder / "a.ims").read()
    pytest.importorskip("rsciio")
    with h5py.File(folder / "a.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/one")
        group.attrs["emd_group_type"] = 1
        group["again"] = file["data"]  # a circle, which must end
        group["data"] = secret
    with pytest.raises(InputError, match=OUTSIDE):
        formats.open(folder / "a.emd")


def test_links_in_a_circle_end(folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["one"], file["two"] = SECRET, SECRET
    with pytest.raises(InputError):
        formats.open(f"{folder / 'a.h5'}:/a")


def test_mrc_asks_for_no_room_that_its_file_has_not(folder: Path) -> None:
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(folder / "a.mrc") as file:
        file.set_data(np.zeros((64, 64), np.int16))
    data = bytearray((folder / "a.mrc").read_bytes())
    data[92:96] = struct.pack("<i", 2**31 - 1)
    (folder / "a.mrc").write_bytes(data)
    with pytest.raises(InputError, match="2147483647 further bytes"):
        formats.open(folder / "a.mrc")


def test_what_is_decoded_at_once_must_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of 60,000 x 60,000 zeros has 3.5 MB as PNG; its size is read before its pixels."""
    monkeypatch.setattr(reader, "free_memory", lambda: 10**9)

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", bytes(3_500_000)) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    with pytest.raises(InputError, match=r"3\.6 GB at once, and 1\.0 GB of memory are free"):
        formats.open(folder / "a.png")
    monkeypatch.setattr(reader, "MAX_RECENT", 1000)
    monkeypatch.setattr(reader, "free_memory", lambda: 2000)
    tifffile.imwrite(folder / "a.tif", SECRET, compression="zlib", rowsperstrip=64)
    with pytest.raises(InputError, match="one strip or tile need"):
        formats.open(folder / "a.tif").read()


def test_paths_in_zarr_stay_in_their_store(folder: Path) -> None:
    zarr.create_array(folder.parent / "secret.zarr", data=SECRET)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1, 1]}]
    absolute = str(folder.parent / "secret.zarr")
    for where in ("../secret.zarr", "/../../secret.zarr", "a/../../../secret.zarr", absolute):
        place = folder / "a.zarr"
        place.mkdir(exist_ok=True)
        dataset = {"path": where, "coordinateTransformations": scale}
        about = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [dataset]}]}
        (place / ".zgroup").write_text('{"zarr_format": 2}')
        (place / ".zattrs").write_text(json.dumps(about))
        with pytest.raises(InputError):
            formats.open(place).read()
        with zipfile.ZipFile(folder / "a.zarr.zip", "w") as file:
            file.write(place / ".zgroup", ".zgroup")
            file.write(place / ".zattrs", ".zattrs")
        with pytest.raises(InputError):
            formats.open(folder / "a.zarr.zip").read()


class Evil:
    """Runs when a pickle of it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("evil",)


def test_pickles_in_zarr_and_numpy_are_not_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder / "a.zarr"
    place.mkdir()
    about = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "|O", "order": "C"}
    about |= {"compressor": None, "fill_value": 0, "filters": [{"id": "pickle", "protocol": 5}]}
    (place / ".zarray").write_text(json.dumps(about))
    (place / "0.0").write_bytes(pickle.dumps(Evil()))
    np.save(folder / "a.npy", np.array([[Evil()] * 4] * 4, object), allow_pickle=True)
    for name in ("a.zarr", "a.npy"):
        with pytest.raises(InputError):
            formats.open(folder / name).read()
    assert "evil" not in capsys.readouterr().out


MULTIPLYING = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 20}">' for i in range(10)
)
FOREIGN = '<!DOCTYPE x [<!ENTITY k SYSTEM "file:///etc/hostname">'


@pytest.mark.parametrize("entities", [MULTIPLYING, FOREIGN], ids=["multiplying", "foreign"])
def test_entities_of_xml_neither_multiply_nor_read_files(folder: Path, entities: str) -> None:
    """Some 10^14 letters, or a file of this machine, would be in the document."""
    text = f'<?xml version="1.0"?>{entities}]>'
    ome_xml = f'{text}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&k;</OME>'
    place = folder / "a.ome.tif"
    tifffile.imwrite(place, SECRET, metadata=None, description=ome_xml)
    with contextlib.suppress(InputError):
        image = formats.open(place)
        formats.save(folder / "b.ome.tif", image.read()[0, 0, 0, 0], like=image)
        assert (folder / "b.ome.tif").stat().st_size < 20_000
    pytest.importorskip("czifile")
    xml = f"{text}<ImageDocument><Metadata>&k;</Metadata></ImageDocument>"
    write(folder / "a.czi", [Tile(SECRET, {"C": 0})], xml)
    with contextlib.suppress(InputError):
        assert (formats.open(folder / "a.czi").read() == 4242).all()
