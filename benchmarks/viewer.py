"""How soon the page shows a large image: tiles over 50 pans, the first picture, and the memory.

    python benchmarks/viewer.py [--side 20000] [--kinds plain,pyramid,zarr] [--blocks 64 [--model]]

Files of noise over slow structure are made once in a temporary folder (or that of --folder): tiled
OME-TIFF with zlib, without and with smaller copies, and OME-Zarr as this package writes it. A
server of its own serves tiles on the loopback interface; the client has six connections, as
browsers have, and asks at every pan for the new tiles of a window of 1280x800 at one of five zoom
levels. The time of a tile counts from the pan on, so waiting for a connection is in it. With --side
32768 the pixels have 2 GB. With --blocks the file is then denoised from the page, in Chromium, with
the budget `instant`, and stopped when so many blocks of 512x512 pixels are done: with the peaks of
server and job; with --model by a net that was trained for some steps before. Needs what
`make test-gui` installs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import numpy as np
import psutil
import tifffile

from common import record

WINDOW, TILE, CONNECTIONS, SEGMENT = (800, 1280), 256, 6, 512
OPTIONS = {"dtype": np.uint16, "tile": (SEGMENT, SEGMENT), "compression": "zlib"}
OPTIONS["compressionargs"] = {"level": 1}
KINDS = {"plain": "plain.ome.tif", "pyramid": "pyramid.ome.tif", "zarr": "image.ome.zarr"}


def segments(side: int, factor: int = 1) -> Iterator[np.ndarray]:
    """Tiles of a picture, the same for each factor but for the noise."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2048, 2048)).astype(np.float32)
    count = -(-side // (SEGMENT * factor))
    for i in range(count):
        for j in range(count):
            y, x = (factor * (np.arange(SEGMENT) + SEGMENT * k) for k in (i, j))
            clean = 200 + 150 * np.sin(y / 700)[:, None] * np.sin(x / 900)
            top, left = rng.integers(0, 2048 - SEGMENT, 2)
            part = noise[top : top + SEGMENT, left : left + SEGMENT]
            yield (clean + np.sqrt(clean) / factor * part).astype(np.uint16)


def make(kind: str, side: int, folder: Path) -> Path:
    """A file of a kind, unless it is there."""
    path = folder / f"{side}_{KINDS[kind]}"
    if path.exists():
        return path
    meta = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    if kind == "zarr":
        from unnoise.images import formats

        source = formats.open(make("plain", side, folder))
        with formats.create(path, like=source) as writer:
            for top in range(0, side, 1024):
                region = {"Y": slice(top, min(top + 1024, side))}
                writer.write(region, source.read(region))
        return path
    levels = []
    if kind == "pyramid":
        levels = [2**k for k in range(1, 12) if side >> k > TILE]
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        shape = (side, side)
        file.write(segments(side), shape=shape, subifds=len(levels), metadata=meta, **OPTIONS)
        for factor in levels:
            small = (-(-side // factor),) * 2
            file.write(segments(side, factor), shape=small, subfiletype=1, **OPTIONS)
    return path


def serve(path: Path) -> None:
    """Tiles of a file; tells the port on standard output."""
    import socket

    import uvicorn
    from fastapi import FastAPI

    from unnoise.app.web import tiles
    from unnoise.images import formats

    app, opened = FastAPI(), {}

    def image(name: str, _: object) -> object:
        if name not in opened:
            opened[name] = formats.open(path)
        return opened[name]

    app.include_router(tiles.router(image))
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    free.listen()
    print(free.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[free])


class Client:
    """Six connections to a server."""

    def __init__(self, port: int) -> None:
        self._port, self._own = port, local()
        self.pool = ThreadPoolExecutor(CONNECTIONS)

    def get(self, address: str) -> tuple[bytes, float]:
        """An answer, and the share that is exact."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port)
        self._own.connection.request("GET", address)
        answer = self._own.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body, float(answer.headers.get("X-Share", 1))

    def tiles(self, addresses: list[str]) -> list[tuple[float, float]]:
        """Seconds until each tile is there, and its share."""
        start = time.perf_counter()

        def one(address: str) -> tuple[float, float]:
            _, share = self.get(address)
            return time.perf_counter() - start, share

        return list(self.pool.map(one, addresses))


def window(level: int, corner: np.ndarray, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The tiles (row, column) of a window."""
    low = np.maximum(corner, 0) // TILE
    high = np.minimum(corner + WINDOW, shape)
    rows, columns = (range(a, -(-b // TILE)) for a, b in zip(low, high, strict=True))
    return [(i, j) for i in rows for j in columns]


def measure(path: Path, pans: int) -> dict[str, object]:
    """Times of a file."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        client = Client(int(server.stdout.readline()))
        client.pool.submit(lambda: client.get("/openapi.json")).result()
        process = psutil.Process(server.pid)
        start, spent = time.perf_counter(), sum(process.cpu_times()[:2])
        about = json.loads(client.get("/tiles/a")[0])
        c = about["channels"][0]
        query = f"?c=0:{c['low']}:{c['high']}:FFFFFF&v={about['version']}"
        side = about["sizes"]["Y"]
        fitting = next(k for k in range(99) if -(-side // 2**k) <= WINDOW[0])

        def address(level: int, at: tuple[int, int]) -> str:
            return f"/tiles/a/tile/{level}/{at[1]}/{at[0]}{query}"

        small = (-(-side // 2**fitting),) * 2
        fit = [address(fitting, at) for at in window(fitting, np.zeros(2, int), small)]
        shares = [share for _, share in client.tiles(fit)]
        first = time.perf_counter() - start
        first_cpu = sum(process.cpu_times()[:2]) - spent
        first_share = min(shares)
        while min(shares) < 1 and time.perf_counter() - start < 300:
            time.sleep(0.2)
            shares = [share for _, share in client.tiles(fit)]
        exact = time.perf_counter() - start
        exact_cpu = sum(process.cpu_times()[:2])
        rng, seconds, seen = np.random.default_rng(1), [], set()
        for pan in range(pans):
            level = pan * 5 // pans
            shape = np.array([-(-side // 2**level)] * 2)
            if pan == 0 or level != (pan - 1) * 5 // pans:
                corner = (rng.random(2) * np.maximum(shape - WINDOW, 1)).astype(int)
            angle = rng.random() * 2 * np.pi
            step = 0.6 * np.array(WINDOW) * (np.sin(angle), np.cos(angle))
            corner = np.clip(corner + step.astype(int), 0, np.maximum(shape - WINDOW, 0))
            wanted = [(level, at) for at in window(level, corner, tuple(shape))]
            new = [one for one in wanted if one not in seen]
            seen.update(new)
            seconds += [s for s, _ in client.tiles([address(*one) for one in new])]
        pans_cpu = sum(process.cpu_times()[:2]) - exact_cpu
        status = Path(f"/proc/{server.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    finally:
        server.terminate()
        server.wait()
    return {
        "file": path.name,
        "mb": round(sum(f.stat().st_size for f in [path, *path.rglob("*")]) / 2**20),
        "first_picture_s": round(first, 2),
        "first_picture_cpu_s": round(first_cpu, 2),
        "first_picture_share": round(first_share, 3),
        "exact_picture_s": round(exact, 2),
        "exact_picture_cpu_s": round(exact_cpu - spent, 2),
        "cpu_ms_per_tile": round(1e3 * pans_cpu / len(seconds), 1),
        "tiles": len(seconds),
        "median_ms": round(1e3 * float(np.median(seconds))),
        "p95_ms": round(1e3 * float(np.percentile(seconds, 95))),
        "longest_ms": round(1e3 * max(seconds)),
        "within_200_ms": round(float(np.mean(np.array(seconds) <= 0.2)), 3),
        "peak_mb": round(peak),
        "load": round(os.getloadavg()[0], 1),
    }


def peak(process: int) -> int:
    """The most memory that a process has had, in MB; 0 if it is gone."""
    try:
        return (
            int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
        )
    except (OSError, IndexError):
        return 0


def quick_model(folder: Path) -> Path:
    """The default net of Noise2Void after a few steps: a tenth of the time of instant."""
    place = folder / "unnoise-app/models/quick.model"
    if not place.exists():
        import unnoise

        tile = next(iter(segments(SEGMENT)))
        unnoise.train(tile, method="n2v", steps=10).save(place)
    return place


def denoise(path: Path, blocks: int, with_model: bool) -> dict[str, object]:
    """The memory that the page and its job take for the first blocks of a file."""
    from playwright.sync_api import sync_playwright

    from unnoise.app.session.job import TRAINING
    from unnoise.images import formats

    pixels = int(np.prod(formats.open(path).shape))
    before = 0 if with_model else TRAINING
    done = before + (1 - before) * blocks * SEGMENT**2 / pixels
    options = ["--workspace", str(path.parent), "--no-browser", "--port", "0"]
    command = [sys.executable, "-m", "unnoise", "app", *options]
    if with_model:
        quick_model(path.parent)
    found: dict[str, object] = {"blocks": blocks, "net": "n2v" if with_model else "instant"}
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page()
            page.set_default_timeout(3_000_000)
            page.goto(address)
            start = time.perf_counter()
            with page.expect_response(re.compile("/tile/")) as tile:
                page.click(f"a[href*='{path.name}']")
            assert tile.value.ok
            found["seen_s"] = round(time.perf_counter() - start, 2)
            if with_model:
                page.click("text=More options")
                place = "label:has-text('Model that was kept') select"
                page.select_option(place, label="quick.model")
                page.wait_for_selector(".verdict:has-text('quick.model')")
            else:
                page.check("input[value=instant]")
                page.wait_for_selector(".verdict:has-text('instant')")
            found["server_looked_mb"] = peak(server.pid)
            page.click("button:has-text('Denoise')")
            page.wait_for_url("**/job/**")
            most, start = 0, time.perf_counter()
            while True:
                jobs = psutil.Process(server.pid).children()
                most = max([most, *(peak(job.pid) for job in jobs)])
                share = page.locator("progress").get_attribute("value")
                if float(share or 0) >= done or page.locator("text=Download").count():
                    break
                time.sleep(0.2)
            found |= {"share": share, "denoise_s": round(time.perf_counter() - start, 1)}
            page.click("button:has-text('Stop')")
            page.wait_for_selector("button:has-text('Start again')")
            found |= {"server_mb": peak(server.pid), "job_mb": most}
        finally:
            browser.close()
            server.send_signal(signal.SIGINT)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--pans", type=int, default=50)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--blocks", type=int, default=0)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in given.kinds.split(","):
            path = make(kind, given.side, folder)
            rows.append(measure(path, given.pans) if given.pans else {"file": path.name})
            rows[-1] |= denoise(path, given.blocks, given.model) if given.blocks else {}
            print(json.dumps(rows[-1]), flush=True)
    record(f"viewer_{given.side}", {"side": given.side, "pans": given.pans, "seed": 1}, rows)
    return None


if __name__ == "__main__":
    main()
