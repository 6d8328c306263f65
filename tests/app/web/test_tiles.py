"""Tiles by HTTP: what they show, what is refused, and what is kept."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import clear_cache, urlencode

import httpx
import numpy as np
import pytest
import tifffile
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image as Pillow

from unnoise.app.web import rendering, tiles
from unnoise.app.web.rendering import Shown
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image


def page(images: Mapping[str, Image], **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(tiles.router(lambda name, _: images.get(name), **options))
    return app


def get(app: FastAPI, *addresses: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return list(await asyncio.gather(*(client.get(f"/tiles{a}") for a in addresses)))

    return asyncio.run(ask())


def picture(answer: httpx.Response) -> NDArray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Pillow.open(io.BytesIO(answer.content)))


def stack() -> NDArray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 5000, (2, 3, 2, 300, 400)).astype(np.uint16)


def test_a_tile_is_the_rendering_of_its_region() -> None:
    pixels = stack()
    app = page({"a": Image.from_array(pixels, axes="TZCYX")})
    grey, coloured = get(
        app,
        "/a/tile/0/1/0?t=1&z=2&c=1:0:5000:FFFFFF",
        "/a/tile/0/1/1?t=0&z=1&c=0:10:4000:00FF00&c=1:5:3000:FF00FF",
    )
    expected = rendering.composite(pixels[1, 2, 1:, :256, 256:], [Shown(1, 0, 5000)])
    assert (picture(grey) == expected).all()
    assert grey.headers["content-type"] == "image/png"
    channels = [Shown(0, 10, 4000, "00FF00"), Shown(1, 5, 3000, "FF00FF")]
    expected = rendering.composite(pixels[0, 1, :, 256:, 256:], channels)
    assert np.abs(picture(coloured).astype(int) - expected).max() <= 1  # sums in 32 bits
    assert coloured.headers["content-type"] == "image/webp"
    assert coloured.headers["x-share"] == "1.000"
    assert "max-age" in coloured.headers["cache-control"]


def test_an_image_is_described() -> None:
    image = Image(stack(), "TZCYX", {"X": 0.5}, {"X": "µm"}, ("DAPI", "GFP"))
    (answer,) = get(page({"a": image}), "/a")
    about = answer.json()
    assert about["sizes"] == {"S": 1, "T": 2, "C": 2, "Z": 3, "Y": 300, "X": 400}
    assert (about["levels"], about["tile"], about["dtype"]) == (2, 256, "uint16")
    assert (about["pixel"], about["unit"]) == (0.5, "µm")
    assert [c["name"] for c in about["channels"]] == ["DAPI", "GFP"]
    assert all(c["low"] < 100 < 4900 < c["high"] for c in about["channels"])


def test_residual_and_uncertainty() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.normal(100, 9, (300, 280)).astype(np.float32)
    clean = np.full_like(noisy, 100)
    clean[5] = np.nan
    images = {"noisy": Image.from_array(noisy), "clean": Image.from_array(clean)}
    high, other, residual, spread, several = get(
        page(images),
        "/noisy/high?other=clean",
        "/noisy/high",
        "/noisy/tile/0/0/0?mode=residual&other=clean&high=20&c=0:0:1:FFFFFF",
        "/noisy/tile/1/0/0?mode=uncertainty&high=150",
        "/noisy/limits?low=0&high=100",
    )
    assert 20 < high.json() < 30
    assert 100 < other.json() < 150
    expected = rendering.difference(noisy[None, :256, :256], clean[None, :256, :256], 20)
    assert (picture(residual) == expected).all()
    assert picture(spread).shape == (150, 140, 3)
    ((low, top),) = several.json()
    assert noisy.min() <= low < 70 < 130 < top <= noisy.max()


def test_values_under_the_pointer() -> None:
    pixels = stack().astype(np.float32)
    pixels[1, 2, 0, 7, 8] = np.nan
    app = page({"a": Image.from_array(pixels, axes="TZCYX")})
    inside, outside = get(app, "/a/value?t=1&z=2&y=7&x=8", "/a/value?y=300&x=0")
    assert inside.json() == [None, pixels[1, 2, 1, 7, 8]]
    assert outside.status_code == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/b", 404),
        ("/b/tile/0/0/0?c=0:0:1:FFFFFF", 404),
        ("/a/tile/9/0/0?c=0:0:1:FFFFFF", 404),
        ("/a/tile/-1/0/0?c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/9/0?c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/0/-1?c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/0/99999999999999999999?c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/0/0?t=2&c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/0/0?z=3&c=0:0:1:FFFFFF", 404),
        ("/a/tile/0/0/0?c=2:0:1:FFFFFF", 404),
        ("/a/tile/0/0/0?t=-1&c=0:0:1:FFFFFF", 422),
        ("/a/tile/0/0/0?t=x&c=0:0:1:FFFFFF", 422),
        ("/a/tile/x/0/0?c=0:0:1:FFFFFF", 422),
        ("/a/tile/0/0/0", 422),
        ("/a/tile/0/0/0?c=0:1:1:FFFFFF", 422),
        ("/a/tile/0/0/0?c=0:nan:1:FFFFFF", 422),
        ("/a/tile/0/0/0?c=0:0:1e999:FFFFFF", 422),
        ("/a/tile/0/0/0?c=0:0:1:red", 422),
        ("/a/tile/0/0/0?c=0:-:1:FFFFFF", 422),
        ("/a/tile/0/0/0?c=../../etc/passwd", 422),
        ("/a/tile/0/0/0?mode=other", 422),
        ("/a/tile/0/0/0?mode=uncertainty&high=0", 422),
        ("/a/tile/0/0/0?mode=uncertainty&high=inf", 422),
        ("/a/tile/0/0/0?mode=residual&other=b&high=1", 404),
        ("/a/tile/0/0/0?mode=residual&other=small&high=1", 422),
        ("/a/high?other=small", 422),
        ("/a/limits?low=-1&high=2", 422),
        ("/a/limits", 422),
    ],
)
def test_what_is_not_there_is_refused(address: str, status: int) -> None:
    small = Image.from_array(np.zeros((9, 9)))
    images = {"a": Image.from_array(stack(), axes="TZCYX"), "small": small}
    (answer,) = get(page(images), address)
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text


def test_a_damaged_file_is_told_in_a_sentence_and_the_page_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512)).astype(np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[3]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"broken" * 9)
    good, bad = get(
        page({"a": formats.open(path)}),
        "/a/tile/0/0/0?c=0:0:255:FFFFFF",
        "/a/tile/0/1/1?c=0:0:255:FFFFFF",
    )
    assert (picture(good) == pixels[:256, :256]).all()
    assert bad.status_code == 422
    assert "damaged" in bad.json()["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("no"), 422), (MemoryError(), 503), (KeyError("secret"), 500)],
)
def test_whatever_a_decoder_raises_becomes_a_sentence(error: Exception, status: int) -> None:
    class Broken:
        shape, dtype = (64, 64), np.dtype("u1")

        def __getitem__(self, index: Any) -> NDArray:
            raise error

    (answer,) = get(page({"a": Image(Broken(), "YX")}), "/a/tile/0/0/0?c=0:0:255:FFFFFF")
    assert answer.status_code == status
    assert "secret" not in answer.text


class Slow:
    """An array whose reading waits."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.reads = (64, 64), np.dtype("u1"), 0
        self.go, self.begun = threading.Event(), threading.Event()

    def __getitem__(self, index: Any) -> NDArray:
        self.reads += 1
        self.begun.set()
        assert self.go.wait(30)
        return np.zeros((64, 64), np.uint8)[index]


def test_what_nobody_waits_for_is_dropped_before_it_starts() -> None:
    slow = Slow()
    app = page({"a": Image(slow, "YX")}, threads=1)

    async def ask(number: int, gone: asyncio.Event | None) -> list[int]:
        """A request, whose client may go away."""
        path = f"/tiles/a/tile/0/0/0?c=0:0:{number}:FFFFFF"
        raw, _, query = path.partition("?")
        scope = {"type": "http", "method": "GET", "path": raw, "headers": [], "http_version": "1.1"}
        scope |= {"query_string": query.encode(), "scheme": "http", "server": ("a", 80)}
        sent: list[int] = []

        async def receive() -> dict[str, Any]:
            if gone is None:
                await asyncio.sleep(60)
            else:
                await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message.get("status", 0))

        await app(scope, receive, send)
        return sent

    async def all_of_them() -> list[int]:
        gone = asyncio.Event()
        first = asyncio.create_task(ask(1, None))
        assert await asyncio.to_thread(slow.begun.wait, 30)
        others = [asyncio.create_task(ask(2 + i, gone)) for i in range(5)]
        await asyncio.sleep(0)
        gone.set()
        await asyncio.gather(*others)
        slow.go.set()
        return await first

    assert asyncio.run(all_of_them())[0] == 200
    assert slow.reads == 1


def test_too_many_requests_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "WAITING", 2)
    slow = Slow()
    threading.Timer(0.3, slow.go.set).start()
    addresses = [f"/a/tile/0/0/0?c=0:0:{i}:FFFFFF" for i in range(1, 6)]
    answers = get(page({"a": Image(slow, "YX")}), *addresses)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]


def test_finished_tiles_are_kept_within_bounds() -> None:
    class Counted:
        shape, dtype, reads = (1024, 1024), np.dtype("u1"), 0

        def __getitem__(self, index: Any) -> NDArray:
            self.reads += 1
            return np.random.default_rng(0).integers(0, 255, (1024, 1024), np.uint8)[index]

    data = Counted()
    app = page({"a": Image(data, "YX")}, cached=3 * 65_000)
    ask = [f"/a/tile/0/{i}/0?c=0:0:255:FFFFFF" for i in range(4)]
    get(app, *ask[:2])
    get(app, *ask[:2])
    assert data.reads == 2
    for address in ask:
        get(app, address)
    assert data.reads == 4
    get(app, ask[3])
    assert data.reads == 4
    get(app, ask[0])  # only the last ones fit
    assert data.reads == 5


def test_addresses_as_long_as_they_may_be_take_no_more_memory() -> None:
    app = page({"a": Image.from_array(np.zeros((64, 64), np.uint8))}, cached=100_000)
    many = "&c=0:0:1:FFFFFF" * 20 + f"&junk={'x' * 50_000}"
    ask = [f"/a/tile/0/0/0?c=0:0:{i}:FFFFFF{many}" for i in range(1, 32)]
    get(app, ask.pop())  # what is imported and compiled first
    tracemalloc.start()
    try:
        for address in ask:
            get(app, address)
        clear_cache()  # of addresses, which the client of this test has
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 5e5
    finally:
        tracemalloc.stop()


def test_a_tile_is_made_once_whatever_else_its_address_says() -> None:
    slow = Slow()
    slow.go.set()
    app = page({"a": Image(slow, "YX")})
    tile = "/a/tile/0/0/0?c=0:0:255:FFFFFF"
    for more in ("", "&v=1", "&v=2", "&s=0", "&high=1.0"):
        get(app, tile + more)
    assert slow.reads == 1
    for other in ("/a/tile/0/0/0?c=0:0:254:FFFFFF", f"{tile}&mode=uncertainty", f"{tile}&high=2"):
        get(app, other)
    assert slow.reads == 4


ODD = {
    "one pixel": Image(np.full((1, 1), 5, np.uint8), "YX"),
    "a row": Image(np.arange(10_000, dtype=np.uint16)[None], "YX"),
    "a column": Image(np.arange(10_000, dtype=np.float32)[:, None], "YX"),
    "200 channels": Image(np.arange(200 * 12).reshape(200, 3, 4), "CYX"),
    "nothing but NaN": Image(np.full((300, 20), np.nan, np.float32), "YX"),
    "infinite": Image(np.array([[np.inf, -np.inf], [0, 1]]), "YX"),
    "too large for 32 bits": Image(np.array([[1e300, -1e300], [0, 5e299]]), "YX"),
    "64 bits": Image(np.array([[2**64 - 1, 0]], np.uint64), "YX"),
    "half": Image(np.arange(12, dtype=np.float16).reshape(3, 4), "YX"),
    "a mask": Image(np.eye(300, dtype=bool), "YX"),
    "other byte order": Image(np.arange(12, dtype=">u2").reshape(3, 4), "YX"),
    "negative": Image(-np.arange(12).reshape(3, 4), "YX"),
    "independent images": Image(np.zeros((3, 4, 5)), "SYX"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_shown_without_warnings(name: str) -> None:
    app, sizes = page({"a": ODD[name]}), ODD[name].sizes
    ask = ("high", "limits?low=1&high=99", "value?y=0&x=0")
    about, *others = get(app, "/a", *(f"/a/{what}" for what in ask))
    assert [answer.status_code for answer in (about, *others)] == [200] * 4
    parts = [("c", "{channel}:{low}:{high}:{color}".format(**c)) for c in about.json()["channels"]]
    for level in range(about.json()["levels"]):
        (tile,) = get(app, f"/a/tile/{level}/0/0?{urlencode(parts)}")
        height, width = (-(-sizes[k] // 2**level) for k in "YX")
        assert picture(tile).shape[:2] == (min(height, 256), min(width, 256))


def test_another_image_of_the_same_name_is_not_mixed_up_with_it() -> None:
    images = {"a": Image.from_array(np.zeros((64, 64), np.uint8))}
    app = page(images)
    address = "/a/tile/0/0/0?c=0:0:255:FFFFFF"
    first, before = get(app, address, "/a")
    images["a"] = Image.from_array(np.full((64, 64), 255, np.uint8))
    second, after = get(app, address, "/a")
    assert (picture(first) == 0).all()
    assert (picture(second) == 255).all()
    assert before.json()["version"] != after.json()["version"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 256), (256, 1), (7, 3), (7, 4), (256, 256)])
def test_encoding_loses_nothing(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for form in (shape, (*shape, 3)):
        pixels = rng.integers(0, 256, form).astype(np.uint8)
        found = Pillow.open(io.BytesIO(tiles.encoded(pixels)))
        assert (np.asarray(found) == pixels).all()
