"""Compressed tiles of FITS: honest ones by any thread as they are, damaged ones within bounds."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
from unnoise.errors import InputError
from unnoise.images.formats import _fits_tiles

fits = pytest.importorskip("astropy.io.fits")

KINDS = {"RICE_1": (1, 40), "PLIO_1": (7, 40), "HCOMPRESS_1": (12, 20), "GZIP_2": (9, 13)}
DAMAGES = """
import random, sys
from pathlib import Path
import numpy as np
import unnoise
from unnoise.errors import UnnoiseError

rng, (path, start) = random.Random(0), (Path(sys.argv[1]), int(sys.argv[2]))
whole, read = path.read_bytes(), 0
for number in range(60):
    data = bytearray(whole)
    for _ in range(rng.choice((1, 2, 20))):
        data[rng.randrange(start, len(data))] = rng.choice((0, 0, 1, 127, 255))
    path.write_bytes(data)
    try:
        np.asarray(unnoise.open(path).data[...])
        read += 1
    except UnnoiseError:
        pass
print("whole", read)
"""


def picture(side: tuple[int, int] = (40, 60), seed: int = 0) -> NDArray[np.int16]:
    """A noisy one, of no sign, as PLIO wants it."""
    return np.random.default_rng(seed).integers(0, 900, side).astype(np.int16)


def write(path: Path, pixels: NDArray, kind: str, **more: object) -> bytes:
    """A file of tiles of one kind."""
    made = fits.CompImageHDU(pixels, compression_type=kind, tile_shape=KINDS[kind], **more)
    fits.HDUList([fits.PrimaryHDU(), made]).writeto(path, overwrite=True)
    return path.read_bytes()


def changed(path: Path, keyword: str, value: int) -> None:
    """Give a keyword of the tiles another value."""
    data = path.read_bytes()
    at = data.index(f"{keyword:8}=".encode(), data.index(b"BINTABLE"))
    card = f"{keyword:8}= {value:20}".ljust(80).encode()
    path.write_bytes(data[:at] + card + data[at + 80 :])


@pytest.mark.parametrize("kind", KINDS)
def test_honest_tiles_are_read_by_many_threads(tmp_path: Path, kind: str) -> None:
    pictures = [picture((120, 200), seed) for seed in range(2)]
    for seed, pixels in enumerate(pictures):
        write(tmp_path / f"{seed}.fits.fz", pixels, kind)

    def read(number: int) -> bool:
        found = unnoise.open(tmp_path / f"{number % 2}.fits.fz").data[...]
        return np.array_equal(found, pictures[number % 2])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(24)))


@pytest.mark.parametrize("method", [1, 2])
def test_honest_real_numbers_are_as_near_as_they_were(tmp_path: Path, method: int) -> None:
    pixels = picture().astype(np.float32) + 0.25
    write(tmp_path / "a.fits.fz", pixels, "RICE_1", quantize_method=method, quantize_level=16)
    found = unnoise.open(tmp_path / "a.fits.fz").data[...]
    with fits.open(tmp_path / "a.fits.fz", disable_image_compression=True) as hdus:
        step = hdus[1].data["ZSCALE"].max()
    assert 1 < np.abs(found - pixels).max() <= step * 0.5001
    changed(tmp_path / "a.fits.fz", "ZDITHER0", -5000)
    with pytest.raises(InputError, match="noise of the number"):
        np.asarray(unnoise.open(tmp_path / "a.fits.fz").data[...])


@pytest.mark.parametrize(
    ("keyword", "value", "told"),
    [
        ("ZVAL1", 0, "blocks of 0 pixels"),
        ("ZVAL1", -32, "blocks of -32 pixels"),
        ("ZVAL1", 2**30, "are not those of Rice"),
        ("ZVAL2", 8, "of 8 bytes are not those of Rice"),
        ("ZVAL2", 2_000_000, "are not those of Rice"),
    ],
)
def test_settings_of_rice_that_are_none_are_refused(
    tmp_path: Path, keyword: str, value: int, told: str
) -> None:
    write(tmp_path / "a.fits.fz", picture(), "RICE_1")
    changed(tmp_path / "a.fits.fz", keyword, value)
    with pytest.raises(InputError, match=told):
        np.asarray(unnoise.open(tmp_path / "a.fits.fz").data[...])


def test_a_stream_of_hcompress_with_other_sides_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.fz"
    data = write(path, picture(), "HCOMPRESS_1")
    at = data.index(b"\xdd\x99")
    for rows, columns in ((96, 20), (12, 160), (20, 12), (0, 0), (-12, -20), (2**16, 2**16)):
        sides = np.array([rows, columns], np.int64).astype(">i4").tobytes()
        path.write_bytes(data[: at + 2] + sides + data[at + 10 :])
        with pytest.raises(InputError, match="its stream has"):
            np.asarray(unnoise.open(path).data[...])
    path.write_bytes(data[: at + 22] + b"\x40" + data[at + 23 :])
    with pytest.raises(InputError, match="its pixels have 64 bits"):
        np.asarray(unnoise.open(path).data[...])


@pytest.mark.parametrize(
    "words", [[0, 7, -100, 0, 9], [0, 7, -100, 8, 0], [0, -1, -100, 7, 0], [0, 0, 8]]
)
def test_runs_of_plio_that_end_behind_the_tile_are_refused(words: list[int]) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError

    data = np.array([*words, *[0] * (7 - len(words))], np.int16).tobytes()
    with pytest.raises(ValueError, match="its runs are the words"):
        _fits_tiles._plio(never, data, 5)


def test_runs_of_plio_without_words_that_tell_of_an_end_are_none() -> None:
    data = np.array([0, 7], np.int16).tobytes()
    assert _fits_tiles._plio(lambda tile, _: bytes(tile), data, 5) == data


def test_what_lies_behind_a_tile_ends_its_decoding() -> None:
    seen = []

    def decode(tile: NDArray, *_: object) -> bytes:
        whole = tile.base
        assert whole is not None
        seen.append((bytes(tile), set(whole[len(tile) :].tolist()), whole.size - tile.size))
        return b""

    _fits_tiles._rice(decode, b"abc", 32, 2, 100)
    _fits_tiles._plio(decode, b"\0" * 20, 100)
    head = b"\xdd\x99" + np.array([40, 50], ">i4").tobytes()
    _fits_tiles._hcompress(decode, head, 40, 50, 0, 0, 8)
    assert seen == [(b"abc", {0xFF}, 224), (b"\0" * 20, {0}, 64), (head, {0x55}, 1064)]


@pytest.mark.parametrize("sizes", [(2**30, 2), (2**31, 1), (0, 4), (-1, 4)])
def test_tiles_whose_bytes_are_no_int_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        _fits_tiles._rice(lambda *_: b"", b"abcd", 32, sizes[1], sizes[0])


def test_tiles_that_lie_outside_of_the_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.fz"
    whole = write(path, picture(), "RICE_1")
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
    own = np.frombuffer(whole[start:][:8], ">i4")
    size, offset = map(int, own)
    for place in ((size, -(2**20)), (size, -(2**31)), (-1, offset), (size, 2**31 - 1), (9999, 0)):
        told = np.array(place, np.int64).astype(">i4").tobytes()
        path.write_bytes(whole[:start] + told + whole[start + 8 :])
        with pytest.raises(InputError, match="lies outside of its data"):
            np.asarray(unnoise.open(path).data[...])
    path.write_bytes(whole)
    assert np.array_equal(unnoise.open(path).data[...], picture())


@pytest.mark.parametrize("kind", ["RICE_1", "PLIO_1", "HCOMPRESS_1"])
def test_damaged_tiles_end_in_a_sentence_or_pixels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.fits.fz"
    write(path, picture(), kind)
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
        start += hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]  # the heap
    end = start + 2880
    path.write_bytes(path.read_bytes()[:end])
    command = [sys.executable, "-c", DAMAGES, str(path), str(start)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("whole")
