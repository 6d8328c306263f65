"""Tiles of images by HTTP: small pictures of a region at a zoom level, in colours.

Who may see what is decided by whoever makes the router: it knows images by opaque names alone. Work
is done by a few threads of its own; what nobody waits for any longer is dropped before it starts.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Annotated, Any

import imagecodecs
import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray

from unnoise.app.pyramid import TILE, Place, Pyramid
from unnoise.app.web import rendering
from unnoise.app.web.rendering import Shown
from unnoise.errors import InputError
from unnoise.images.image import Image

Lookup = Callable[[str, Request], Image | None]
"""Gives the image of a name to those who may see it, None to others; called in a thread."""
CACHED = 2**26
"""Bytes of finished tiles that are kept, with `BESIDE` for each."""
BESIDE = 1000
"""Bytes that a tile costs beside its own, for key and entry; one of 64 x 64 pixels has 4 KB."""
OPENED = 32
"""Images of which zoom levels and limits are kept."""
TOGETHER = 32
"""Channels that are read at a time for their mean: of 400 a tile took 1.1 GB."""
WAITING = 500
"""Requests that may wait; further ones are told to come again."""
MODES = ("plain", "residual", "uncertainty")
CHANNEL = re.compile(r"(\d{1,4}):([-+.\deE]{1,30}):([-+.\deE]{1,30}):([0-9A-Fa-f]{6})")
At = Annotated[int, Query(ge=0, lt=2**31)]


def router(
    lookup: Lookup, *, prefix: str = "/tiles", threads: int | None = None, cached: int = CACHED
) -> APIRouter:
    """Routes that show images.

    ``GET prefix/NAME`` describes an image as JSON (see `describe`); the others are

    - ``prefix/NAME/tile/LEVEL/X/Y?s=&t=&z=&c=CHANNEL:LOW:HIGH:RRGGBB&c=...``: a tile, PNG or WebP,
      with ``mode=residual&other=NAME&high=`` noisy minus clean, with ``mode=uncertainty&high=`` a
      spread. The header ``X-Share`` is below 1 while an overview is being made: ask again later.
    - ``prefix/NAME/limits?low=&high=``: percentiles of each channel, from a sample.
    - ``prefix/NAME/high?other=``: a good ``high`` for residual or (without other) uncertainty.
    - ``prefix/NAME/value?y=&x=&s=&t=&z=``: the pixels of all channels at a place.

    Parameters
    ----------
    lookup : callable
        From a name and the request to the image, or None where there is none, or none for them. As
        long as it gives the same object, zoom levels and tiles are kept.
    prefix : str
    threads : int, optional
        By default as many as there are processors, at most four.
    cached : int
        Bytes of finished tiles that are kept.

    Examples
    --------
    >>> from fastapi import FastAPI
    >>> app, images = FastAPI(), {"a": Image.from_array(np.zeros((64, 64), np.uint8))}
    >>> app.include_router(router(lambda name, request: images.get(name)))
    """
    found = APIRouter(prefix=prefix)
    server = _Server(lookup, threads or min(os.cpu_count() or 1, 4), cached)

    @found.get("/{name}")
    async def description(name: str, request: Request) -> dict[str, Any]:
        return dict(await server.run(request, lambda: describe(server.opened(name, request))))

    @found.get("/{name}/tile/{level}/{x}/{y}")
    async def tile(
        request: Request,
        name: str,
        level: int,
        x: int,
        y: int,
        s: At = 0,
        t: At = 0,
        z: At = 0,
        c: Annotated[list[str] | None, Query(max_length=300)] = None,
        mode: str = "plain",
        other: str = "",
        high: float = 1.0,
    ) -> Response:
        if mode not in MODES or not (np.isfinite(high) and high > 0):
            raise HTTPException(422, f"mode is one of {', '.join(MODES)}, high a number above 0")
        channels = [channel(text) for text in c or ()]

        def make() -> tuple[bytes, float]:
            opened = server.opened(name, request)
            second = server.opened(other, request) if mode == "residual" else None
            what = (level, y, x), (s, t, z), channels, mode, high
            key = _key(opened.version, second and second.version, *what)
            return server.cached(key, lambda: _tile(opened, second, *what))

        # The description has a version for each opened image, which the page puts into addresses.
        return _answer(await server.run(request, make), "private, max-age=3600")

    @found.get("/{name}/limits")
    async def limits(
        name: str,
        request: Request,
        low: Annotated[float, Query(ge=0, le=100)],
        high: Annotated[float, Query(ge=0, le=100)],
    ) -> list[tuple[float, float]]:
        def make() -> list[tuple[float, float]]:
            opened = server.opened(name, request)
            pair = min(low, high), max(low, high)
            return rendering.limits(opened.sample, pair, joint=opened.image.is_rgb)

        return list(await server.run(request, make))

    @found.get("/{name}/high")
    async def best_high(name: str, request: Request, other: str = "") -> float:
        def make() -> float:
            image = server.opened(name, request).image
            if not other:
                return rendering.amount_limit(image)
            second = server.opened(other, request).image
            _same_sizes(image, second)
            return rendering.difference_limit(image, second)

        return float(await server.run(request, make))

    @found.get("/{name}/value")
    async def value(
        name: str, request: Request, y: At, x: At, s: At = 0, t: At = 0, z: At = 0
    ) -> list[float | None]:
        def make() -> list[float | None]:
            image = server.opened(name, request).image
            at = {"S": s, "T": t, "Z": z, "Y": y, "X": x}
            if any(i >= image.sizes[k] for k, i in at.items()):
                raise HTTPException(404, "there is no such pixel")
            found = image.original(at)[0, 0, :, 0, 0, 0]
            return [float(v) if np.isfinite(v) else None for v in found]

        return list(await server.run(request, make))

    return found


def channel(text: str) -> Shown:
    """A channel out of an address, ``CHANNEL:LOW:HIGH:RRGGBB``.

    Raises
    ------
    HTTPException
        422 for anything else.

    Examples
    --------
    >>> channel("0:10:20.5:00FF00")
    Shown(channel=0, low=10.0, high=20.5, color='00FF00')
    """
    parts = CHANNEL.fullmatch(text)
    try:
        if parts is not None:
            low, high = float(parts[2]), float(parts[3])
            if np.isfinite(high - low) and high > low:
                return Shown(int(parts[1]), low, high, parts[4])
    except ValueError:
        pass
    raise HTTPException(422, "c is CHANNEL:LOW:HIGH:RRGGBB, with low below high")


class Opened:
    """An image that is looked at: its zoom levels, a sample of its pixels, and a version."""

    def __init__(self, image: Image) -> None:
        self.image, self.version = image, secrets.token_hex(6)
        self._lock = threading.Lock()

    @cached_property
    def _levels(self) -> Pyramid:
        return Pyramid(self.image)

    @property
    def pyramid(self) -> Pyramid:
        """Its zoom levels."""
        with self._lock:
            return self._levels

    @cached_property
    def _some(self) -> list[NDArray]:
        return rendering.sample(self.image)

    @property
    def sample(self) -> list[NDArray]:
        """Some pixels of each channel."""
        with self._lock:
            return self._some


def describe(opened: Opened) -> dict[str, Any]:
    """What a viewer must know of an image, as plain values.

    Returns
    -------
    dict
        ``version``, ``sizes`` by letter, ``tile`` (side), ``levels``, ``dtype``, ``rgb``,
        ``channels`` (``channel``, ``name``, ``low``, ``high``, ``color``), ``pixel`` (size along X,
        or None) and its ``unit``.
    """
    image = opened.image
    names = image.channel_names or tuple(f"Channel {i + 1}" for i in range(image.sizes["C"]))
    if image.is_rgb:
        names = ("red", "green", "blue", "alpha")
    return {
        "version": opened.version,
        "sizes": image.sizes,
        "tile": TILE,
        "levels": opened.pyramid.levels,
        "dtype": image.dtype.name,
        "rgb": image.is_rgb,
        "channels": [
            {**vars(one), "name": names[one.channel]}
            for one in rendering.shown(image, opened.sample)
        ],
        "pixel": image.scale.get("X"),
        "unit": image.units.get("X", ""),
    }


def _tile(
    opened: Opened,
    second: Opened | None,
    at: tuple[int, int, int],
    plane: tuple[int, int, int],
    channels: Sequence[Shown],
    mode: str,
    high: float,
) -> tuple[bytes, float]:
    """A tile as a file, and how much of it is exact."""
    image, pyramid = opened.image, opened.pyramid
    level, row, column = at
    n = image.sizes
    used = tuple(one.channel for one in channels) or rendering.measured(image)
    if not (0 <= level < pyramid.levels and all(c < n["C"] for c in used)):
        raise HTTPException(404, "there is no such level or channel")
    height, width = pyramid.shape(level)
    is_inside = all(i < n[k] for k, i in zip("STZ", plane, strict=True))
    if not (is_inside and 0 <= row * TILE < height and 0 <= column * TILE < width):
        raise HTTPException(404, "there is no such tile")
    y = slice(row * TILE, min((row + 1) * TILE, height))
    x = slice(column * TILE, min((column + 1) * TILE, width))
    place = Place(*plane, used)
    if mode == "uncertainty":
        block, share = _mean(pyramid, level, y, x, place)
        return encoded(rendering.amount(block, high)), share
    if second is not None:
        _same_sizes(image, second.image)
        noisy, share = _mean(pyramid, level, y, x, place)
        clean, other_share = _mean(second.pyramid, level, y, x, place)
        return encoded(rendering.difference(noisy, clean, high)), min(share, other_share)
    if not channels:
        raise HTTPException(422, "name the channels that are to be shown with c")
    block, share = pyramid.read(level, y, x, place)
    return encoded(rendering.composite(block, channels)), share


def _mean(
    pyramid: Pyramid, level: int, y: slice, x: slice, place: Place
) -> tuple[NDArray[np.float64], float]:
    """The mean of the channels of a region, (1, y, x), and how much of it is exact."""
    total, least = np.zeros((1, y.stop - y.start, x.stop - x.start)), 1.0
    for i in range(0, len(place.channels), TOGETHER):
        some = place._replace(channels=place.channels[i : i + TOGETHER])
        block, share = pyramid.read(level, y, x, some)
        with np.errstate(invalid="ignore"):  # infinite minus infinite
            total += block.sum(axis=0, dtype=np.float64)
        least = min(least, share)
    return total / len(place.channels), least


def _key(*shown: object) -> bytes:
    """A short name of all that a tile depends on; addresses are as long as visitors like."""
    return hashlib.sha256(repr(shown).encode()).digest()


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as PNG (grey) or WebP (colours), both without loss.

    Of a noisy tile of 256 x 256 PNG with runs alone takes 0.6 ms and 56 KB in grey (Pillow's
    quickest PNG 2.4 ms and 60 KB, lossless WebP 2.0 ms and 56 KB); in colours lossless WebP takes
    1.8 ms and 56 KB, that PNG 1.6 ms and 136 KB, which is too much for a tunnel.
    """
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim == 2:
        runs, no_filter = imagecodecs.PNG.STRATEGY.RLE, imagecodecs.PNG.FILTER.NO
        room = pixels.nbytes * 5 // 4 + 2048  # its own guess is too small for a few pixels
        return bytes(
            imagecodecs.png_encode(pixels, level=1, strategy=runs, filter=no_filter, out=room)
        )
    return bytes(imagecodecs.webp_encode(pixels, level=0, lossless=True, method=0))


def _answer(made: tuple[bytes, float], cached: str) -> Response:
    """A picture, which browsers keep if it is exact."""
    data, share = made
    kind = "image/png" if data[:4] == b"\x89PNG" else "image/webp"
    kept = cached if share == 1 else "no-store"
    return Response(
        data, media_type=kind, headers={"Cache-Control": kept, "X-Share": f"{share:.3f}"}
    )


def _same_sizes(image: Image, other: Image) -> None:
    if image.sizes != other.sizes:
        raise HTTPException(422, "the images differ in size, so there is no difference of them")


class _Server:
    """What the routes share: threads, opened images, and finished tiles."""

    def __init__(self, lookup: Lookup, threads: int, cached: int) -> None:
        self._lookup, self._most = lookup, cached
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tiles")
        self._opened: dict[str, Opened] = {}
        self._tiles: dict[bytes, tuple[bytes, float]] = {}
        self._bytes, self._waiting = 0, 0
        self._lock = threading.Lock()

    async def run(self, request: Request, make: Callable[[], Any]) -> Any:
        """What a function gives, in a thread; dropped before it starts if nobody waits for it."""
        if self._waiting >= WAITING:
            raise HTTPException(503, "too many requests wait; try again", {"Retry-After": "1"})
        self._waiting += 1
        job = self._pool.submit(contextvars.copy_context().run, make)
        try:
            result = asyncio.wrap_future(job)
            while not (await asyncio.wait([result], timeout=0.1))[0]:
                if await request.is_disconnected():
                    raise HTTPException(499, "nobody waits for the answer")
            return result.result()
        except HTTPException:
            raise
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except MemoryError as error:
            raise HTTPException(503, "there is too little memory to show this") from error
        except Exception as error:  # of a decoder; a page that shows tiles goes on
            raise HTTPException(500, f"this cannot be shown ({type(error).__name__})") from error
        finally:
            job.cancel()
            self._waiting -= 1

    def opened(self, name: str, request: Request) -> Opened:
        """The image of a name, if they may see it."""
        image = self._lookup(name, request)
        if image is None:
            raise HTTPException(404, "there is no such image")
        with self._lock:
            found = self._opened.pop(name, None)
            if found is None or found.image is not image:
                found = Opened(image)
            self._opened[name] = found
            while len(self._opened) > OPENED:
                del self._opened[next(iter(self._opened))]
        return found

    def cached(self, key: bytes, make: Callable[[], tuple[bytes, float]]) -> tuple[bytes, float]:
        """A finished tile, kept if it is exact."""
        with self._lock:
            if key in self._tiles:
                self._tiles[key] = self._tiles.pop(key)
                return self._tiles[key]
        made = make()
        if made[1] == 1:
            with self._lock:
                old = self._tiles.pop(key, None)
                self._tiles[key] = made
                self._bytes += len(made[0]) - len(old[0]) if old else len(made[0]) + BESIDE
                while self._bytes > self._most and len(self._tiles) > 1:
                    self._bytes -= len(self._tiles.pop(next(iter(self._tiles)))[0]) + BESIDE
        return made
