"""Images of any size: memory, processes, Dask, and the share of the net in the time.

    python benchmarks/scale.py                       # all, about 10 minutes on two quiet cores
    python benchmarks/scale.py --only memory --sizes 1 20

The images are Zarr folders of uint16 planes whose chunks are links to a few real ones, so 20 GB
take a few megabytes of the disk. Of every size the same number of pieces is predicted
(``--prepare``, then ``--part``), since pieces are alike: what grows with the image is the plan, the
folder, the ledger and the search for pixels that are no measurement. The last step, the smaller
copies, is measured by itself on results whose chunks are links, too.

Seconds are those of the processors (of all processes together), as others may use the machine; wall
seconds stand beside them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import zarr

from common import origin, record, recorded

CHUNK = 1024
PLANE = 4096
KINDS = 4
"""Chunks that are different."""
TINY = ("--set", "net.filters=4", "--set", "net.depth=1")
Row = dict[str, object]


def command(*arguments: object) -> dict[str, float]:
    """Peak memory of a command and its processes, their seconds of processor, and wall seconds."""
    words = [sys.executable, "-m", "unnoise", *map(str, arguments)]
    started = time.perf_counter()
    child = subprocess.Popen(words, stderr=subprocess.PIPE)
    assert child.stderr is not None
    told = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)}\n{told.decode()}")
    return {
        "peak_mb": used.ru_maxrss / 1024,
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - started,
    }


def linked(folder: Path, name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Path:
    """An array of Zarr whose chunks are links to some real ones."""
    path = folder / name
    names = ["z", "y", "x"][-len(shape) :]
    array = zarr.create_array(
        path, shape=shape, chunks=chunks, dtype="uint16", dimension_names=names
    )
    link(path, array, photons(chunks))
    return path


def photons(chunks: tuple[int, ...]) -> list[np.ndarray]:
    """Chunks of a smooth scene under photon noise."""
    rng = np.random.default_rng(0)
    y, x = (np.arange(n)[:, None] for n in chunks[-2:])
    light = 60 + 30 * np.sin(y / 9) * np.sin(x.T / 13)
    return [rng.poisson(np.broadcast_to(light, chunks)).astype(np.uint16) for _ in range(KINDS)]


def link(path: Path, array: zarr.Array, pixels: Iterable[np.ndarray]) -> None:
    """Write the first chunks, and link all others to them."""
    grid = [range(-(-n // c)) for n, c in zip(array.shape, array.chunks, strict=True)]
    cells = list(itertools.product(*grid))
    files = [path / array.path / array.metadata.encode_chunk_key(cell) for cell in cells]
    blocks = list(pixels)
    for cell, block in zip(cells, blocks, strict=False):
        region = tuple(slice(i * c, (i + 1) * c) for i, c in zip(cell, array.chunks, strict=True))
        array[region] = block
    for i, file in enumerate(files[len(blocks) :]):
        file.parent.mkdir(parents=True, exist_ok=True)
        os.link(files[i % len(blocks)], file)


def model(folder: Path, name: str, image: Path, *options: object) -> Path:
    """A model that was trained for one step."""
    path = folder / name
    words = ["train", image, "-o", path, "--method", "n2v", "--steps", 1, "--no-report", "-q"]
    command(*words, "--device", "cpu", *options)
    return path


def planes(gigabytes: float) -> tuple[int, int, int]:
    """A stack of so many gigabytes."""
    return max(round(gigabytes * 1e9 / 2 / PLANE**2), 1), PLANE, PLANE


def predicting(net: Path, image: Path, out: Path) -> list[object]:
    return ["predict", net, image, "-o", out, "--no-report", "-q", "--device", "cpu"]


def memory(folder: Path, sizes: list[float], share: float) -> list[Row]:
    """Peak memory against the size of the image."""
    rows: list[Row] = []
    small = linked(folder, "small.zarr", (1, CHUNK, CHUNK), (1, CHUNK, CHUNK))
    net = model(folder, "tiny", small, "--2d", *TINY)
    for size in sizes:
        image = linked(folder, f"{size:g}.zarr", planes(size), (1, CHUNK, CHUNK))
        words = predicting(net, image, folder / f"out_{size:g}.zarr")
        begun = command(*words, "--prepare")
        parts = max(round(size / share), 1)
        made = command(*words, "--part", f"0/{parts}")
        rows.append(
            {
                "what": "predict, tiny net, 2D",
                "gb": size,
                "pixels_share": 1 / parts,
                "prepare_mb": begun["peak_mb"],
                "part_mb": made["peak_mb"],
                "cpu_s": made["cpu_s"],
                "wall_s": made["wall_s"],
            }
        )
        print(rows[-1], flush=True)
    return rows


def finishing(folder: Path, sizes: list[float]) -> list[Row]:
    """Peak memory of the last step: smaller copies, and the name."""
    rows: list[Row] = []
    small = linked(folder, "small.zarr", (1, CHUNK, CHUNK), (1, CHUNK, CHUNK))
    net = model(folder, "tiny", small, "--2d", *TINY)
    for size in sizes:
        image = linked(folder, f"{size:g}.zarr", planes(size), (1, CHUNK, CHUNK))
        out = folder / f"out_{size:g}.ome.zarr"
        words = predicting(net, image, out)
        command(*words, "--prepare")
        hidden = out.with_name(f".{out.name}.unfinished")
        pixels = hidden / kept(hidden)["token"] / "pixels" / "0"
        array = zarr.open_array(pixels, mode="r+")
        link(pixels, array, photons(array.chunks))
        mark_done(hidden)
        rows.append({"what": "finish", "gb": size, **command(*words, "--finish")})
        print(rows[-1], flush=True)
    return rows


def kept(hidden: Path) -> Any:
    """What lies there of an unfinished result."""
    return json.loads((hidden / "plan.json").read_text("utf-8"))


def mark_done(hidden: Path) -> None:
    """Put all pieces into the ledger."""
    from unnoise.images.ledger import Ledger
    from unnoise.models.stream import Plan

    plan = Plan.from_dict(kept(hidden)["plan"], str(hidden))
    with Ledger(hidden / kept(hidden)["token"]) as ledger:
        ledger.add(range(plan.count))


def volume(folder: Path) -> list[Row]:
    """Peak memory of the default net on stacks of 1 and 4 GB, in 3D and in 2D; a few pieces."""
    from unnoise.models.stream import Plan

    rows: list[Row] = []
    chunk = (16, 256, 256)
    small = linked(folder, "volume.zarr", (32, 256, 256), chunk)
    nets = {ndim: model(folder, f"n2v_{ndim}", small, f"--{ndim}") for ndim in ("2d", "3d")}
    for depth, (ndim, pieces) in itertools.product((128, 512), (("2d", 2), ("3d", 1))):
        image = folder / f"{depth}.zarr"
        if not image.exists():
            linked(folder, image.name, (depth, 2048, 2048), chunk)
        words = predicting(nets[ndim], image, folder / f"out_{ndim}_{depth}.zarr")
        command(*words, "--prepare")
        hidden = folder / f".out_{ndim}_{depth}.zarr.unfinished"
        plan = Plan.from_dict(kept(hidden)["plan"], str(hidden))
        parts = max(plan.count // pieces, 1)  # one in the middle, where tiles are largest
        made = command(*words, "--part", f"{parts // 2}/{parts}")
        own = {"what": f"predict, default n2v, {ndim}", "gb": depth * 2048**2 * 2 / 1e9}
        own |= {"tile": list(plan.tile), "sides": list(plan.sides), "pieces": plan.count}
        rows.append({**own, **made})
        print(rows[-1], flush=True)
    return rows


def sharing(folder: Path, some: int, many: int) -> list[Row]:
    """Seconds of one process, of two, and of Dask with two, and what a further piece costs.

    A piece is a chunk of 1024 x 1024 pixels. What starting costs is in all runs, so the seconds of
    a piece are the difference of two.
    """
    rows: list[Row] = []
    small = linked(folder, "small.zarr", (1, CHUNK, CHUNK), (1, CHUNK, CHUNK))
    net = model(folder, "default", small, "--2d")
    ways = {"one process": ["--resume"], "2 workers": ["--workers", 2]}
    ways["Dask, 2 workers"] = ["--dask", "local", "--workers", 2]
    for name, options in ways.items():
        found = {}
        for count in (some, many):
            shape = (count, CHUNK, CHUNK)
            image = linked(folder, f"{name} {count}.zarr", shape, (1, CHUNK, CHUNK))
            out = folder / f"{name} {count} out.zarr"
            found[count] = command(*predicting(net, image, out), *options)
        piece = {
            key: (found[many][key] - found[some][key]) / (many - some)
            for key in ("cpu_s", "wall_s")
        }
        start = found[some]["cpu_s"] - some * piece["cpu_s"]
        own = {"what": f"sharing: {name}", "piece_cpu_s": piece["cpu_s"], "start_cpu_s": start}
        rows.append({**own, "piece_wall_s": piece["wall_s"], "pieces": many})
        print(rows[-1], flush=True)
    rows.append(alone(net, small))
    print(rows[-1], flush=True)
    return rows


def alone(net: Path, image: Path) -> Row:
    """The net and the transforms around it, on an array in memory."""
    import torch

    import unnoise
    from unnoise.images.image import Image
    from unnoise.models.frame_tiles import Ready
    from unnoise.models.stream import Plan

    torch.set_num_threads(1)
    pixels = np.array(zarr.open_array(image, mode="r")[0])
    ready = Ready(unnoise.load(net), Image.from_array(pixels), device="cpu")
    plan, spent = Plan.of(ready, {}), []
    for _ in range(4):
        started = time.process_time()
        for _ in plan.blocks(ready, 0):
            pass
        spent.append(time.process_time() - started)
    return {"what": "sharing: net alone", "piece_cpu_s": float(np.median(spent[1:]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=("memory", "finish", "volume", "sharing"))
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--finish-sizes", type=float, nargs="+", default=[1, 5])
    parser.add_argument("--share", type=float, default=0.25, help="gigabytes that are predicted")
    parser.add_argument("--pieces", type=int, nargs=2, default=[4, 24])
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    parts = {
        "memory": lambda place: memory(place, args.sizes, args.share),
        "finish": lambda place: finishing(place, args.finish_sizes),
        "volume": volume,
        "sharing": lambda place: sharing(place, *args.pieces),
    }
    for name in args.only or parts:
        with tempfile.TemporaryDirectory() as folder:
            rows = [{"part": name, **row, **origin()} for row in parts[name](Path(folder))]
        if not args.no_record:  # other parts stay as they were measured
            kept = [row for row in recorded("scale") if row["part"] != name]
            record("scale", vars(args), kept + rows)


if __name__ == "__main__":
    main()
