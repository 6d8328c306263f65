"""ND2: positions, movies and stacks, and what is told of them."""

from __future__ import annotations

import hashlib
import math
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nd2 import ND2File

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import nd2

from .damaged import SHARED, refusal

DATA = SHARED / "nd2"
real = pytest.mark.skipif(not DATA.exists(), reason="needs ../shared")
Fake = Callable[..., Path]


@real
def test_a_real_file_has_the_pixels_that_its_library_reads_at_once() -> None:
    """The start of the SHA-256 of what ``nd2.imread`` gives."""
    image = formats.open(DATA / "cluster.nd2")
    assert (image.axes, image.shape, image.dtype) == ("TZCYX", (3, 10, 2, 31, 38), np.uint16)
    digest = hashlib.sha256(np.ascontiguousarray(image.data[...]).tobytes()).hexdigest()
    assert digest[:16] == "d9c5bf520e503b17"
    part = image.data[1:, 3, 1:, 4:9, ::2]
    np.testing.assert_array_equal(part, image.data[...][1:, 3, 1:, 4:9, ::2])
    assert image.scale == pytest.approx(
        {"T": 10.6475, "Z": 0.5, "Y": 0.1678, "X": 0.1678}, abs=1e-4
    )
    assert image.units == {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")
    lens = "Plan Apo λ 60x", 60.0, 0.95
    assert image.acquisition == Acquisition(("78E90F", "FE0100"), "2014-06-18T13:55:23Z", *lens)


@real
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, share: float) -> None:
    data = (DATA / "cluster.nd2").read_bytes()
    (tmp_path / "a.nd2").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.nd2 cannot be read as ND2"):
        formats.open(tmp_path / "a.nd2")


def lossless(path: Path, pack: Callable[[bytes], bytes], *numbers: int) -> Path:
    """The real file with deflated frames, of which those of some numbers are packed otherwise."""
    data = bytearray((DATA / "cluster.nd2").read_bytes())
    name = "eCompression".encode("utf-16-le") + bytes(2)
    struct.pack_into("<I", data, data.index(name) + len(name), 0)
    listed = struct.unpack("<Q", data[-8:])[0]
    body, end = data[:-40], bytes(data[-40:])
    for number in range(30):
        key = f"ImageDataSeq|{number}!".encode()
        at = data.index(key, listed) + len(key)
        place, _ = struct.unpack_from("<QQ", data, at)
        mark, length, size = struct.unpack_from("<IIQ", data, place)
        whole = bytes(data[place + 16 : place + 16 + length + size])
        plain = whole[length + 8 :][: 2 * 31 * 38 * 2]
        packed = (pack if number in numbers else zlib.compress)(plain)
        struct.pack_into("<QQ", body, at, len(body), length + 8 + len(packed))
        body += struct.pack("<IIQ", mark, length, 8 + len(packed)) + whole[: length + 8] + packed
    path.write_bytes(bytes(body) + end)
    return path


@real
def test_deflated_frames_are_unpacked_as_far_as_their_pixels_go(tmp_path: Path) -> None:
    expected = formats.open(DATA / "cluster.nd2").data[...]
    more = zlib.compress(bytes(2**24), 9)
    image = formats.open(
        lossless(tmp_path / "a.nd2", lambda plain: zlib.compress(plain + b"more"), 3)
    )
    np.testing.assert_array_equal(image.data[...], expected)
    with ND2File(tmp_path / "a.nd2") as file:
        assert file.attributes.compressionType == "lossless"
        np.testing.assert_array_equal(file.read_frame(7), expected.reshape(30, 2, 31, 38)[7])
    image = formats.open(lossless(tmp_path / "b.nd2", lambda _: more, 1))
    tracemalloc.start()
    assert not image.data[0, 1].any()
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    for packed in (zlib.compress(b"ABCD"), b"not packed", b""):
        path = lossless(tmp_path / "c.nd2", lambda _, packed=packed: packed, 1)
        assert "cannot be read as ND2" in refusal(path)


@real
def test_frames_that_are_not_where_the_file_says_are_told(tmp_path: Path) -> None:
    whole = formats.open(DATA / "cluster.nd2")
    assert "note" not in whole.metadata
    expected = whole.data[...].reshape(30, -1)
    expected[[5, 7]] = 0
    data = bytearray((DATA / "cluster.nd2").read_bytes())
    listed = struct.unpack("<Q", data[-8:])[0]
    at = data.index(b"ImageDataSeq|5!", listed)
    data[at : at + 15] = b"ImageDataXXX|5!"
    at = data.index(b"ImageDataSeq|7!", listed) + 15
    struct.pack_into("<Q", data, at, len(data) - 5000)
    (tmp_path / "a.nd2").write_bytes(data)
    image = formats.open(tmp_path / "a.nd2")
    np.testing.assert_array_equal(image.data[...].reshape(30, -1), expected)
    assert image.metadata["note"] == "lacks 2 frames, which are read as zeros"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A file whose library gives an array: nothing else can write ND2."""

    def make(pixels: np.ndarray, letters: str, recorded: int | None = None, **facts: Any) -> Path:
        sizes = dict(zip(letters, pixels.shape, strict=True))
        loops = [a for a in letters if a not in "CYXS"]
        count = math.prod(sizes[a] for a in loops)
        points = [SimpleNamespace(name=f"well {i}") for i in range(sizes.get("P", 0))]

        class File:
            def __init__(self, path: Path) -> None:
                self.sizes, self.dtype = sizes, pixels.dtype
                self.experiment = [
                    SimpleNamespace(
                        count=sizes[a],
                        parameters=SimpleNamespace(points=points if a == "P" else ()),
                    )
                    for a in loops
                ]
                announced = count if recorded is None else recorded
                self.attributes = SimpleNamespace(compressionType=None, sequenceCount=announced)
                self.is_legacy = False
                vars(self).update(facts)

            def __enter__(self) -> File:
                return self

            def __exit__(self, *error: object) -> None: ...

            def read_frame(self, number: int) -> np.ndarray:
                return pixels.reshape(-1, *pixels.shape[len(loops) :])[number]

        monkeypatch.setattr(nd2, "needs", lambda *names: SimpleNamespace(ND2File=File))
        path = tmp_path / f"{letters}{len(list(tmp_path.iterdir()))}.nd2"
        path.write_bytes(b"\xda\xce\xbe\n".ljust(pixels.nbytes + 100))
        return path

    return make


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype("u2")


@pytest.mark.parametrize("letters", ["PYX", "PTZCYX", "TPCYX", "TZPYX"])
def test_positions_are_series_wherever_their_loop_stands(fake: Fake, letters: str) -> None:
    sizes = {"P": 3, "T": 2, "Z": 4, "C": 2, "Y": 20, "X": 24}
    pixels = noise(*(sizes[a] for a in letters))
    images = formats.open_all([fake(pixels, letters)])
    assert [image.metadata["title"] for image in images] == ["well 0", "well 1", "well 2"]
    for position, image in enumerate(images):
        assert image.axes == letters.replace("P", "")
        expected = pixels.take(position, letters.index("P"))
        np.testing.assert_array_equal(image.data[...], expected)
        np.testing.assert_array_equal(image.data[..., 3:9, 5:], expected[..., 3:9, 5:])


def test_colours_and_metadata_that_nd2_cannot_tell(fake: Fake) -> None:
    pixels = noise(2, 20, 24, 3)
    image = formats.open(fake(pixels, "ZYXS"))
    assert (image.axes, image.is_rgb, image.channel_names) == ("ZYXC", True, ())
    assert (image.scale, image.acquisition) == ({}, Acquisition())
    np.testing.assert_array_equal(image.data[...], pixels)
    several = noise(4, 2, 20, 24, 3)
    image = formats.open(fake(several, "TCYXS"))
    assert image.axes == "TSYXC"
    np.testing.assert_array_equal(image.data[...], several)


def test_frames_that_were_not_recorded_are_told(fake: Fake) -> None:
    image = formats.open(fake(noise(5, 20, 24), "TYX", recorded=3))
    assert image.metadata["note"] == "lacks 2 frames, which are read as zeros"


@pytest.mark.parametrize(
    ("letters", "facts", "reason"),
    [
        ("TYX", {"sizes": {"T": 10**9, "Y": 1000, "X": 1000}}, "two of its loops are of one kind"),
        ("TX", {}, "its axes are T, X, a line or a point and no image"),
        ("UYX", {}, "its loop U is unknown"),
        ("TYX", {"dtype": np.dtype("f8")}, "its 4 frames need 10240 bytes but it has 2660"),
    ],
)
def test_what_contradicts_itself_is_refused(
    fake: Fake, letters: str, facts: dict[str, Any], reason: str
) -> None:
    sizes = {"T": 4, "U": 4, "Y": 16, "X": 20}
    path = fake(noise(*(sizes[a] for a in letters)), letters, **facts)
    with pytest.raises(InputError, match=f"cannot be read as ND2.*{reason}"):
        formats.open(path)
