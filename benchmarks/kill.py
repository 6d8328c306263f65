"""Predictions that are killed at random moments and started again: is a pixel ever different?

    python benchmarks/kill.py --kills 200

A prediction of 48 pieces by a tiny net is killed (SIGKILL) at a random moment of its time, started
again, and so on, in turn for a bare TIFF, a compressed one and a Zarr folder. After every kill the
pieces in the ledger are compared with those of the uninterrupted run, and in the end all bytes.
Pieces are made safe one by one, where a user's run does so every two seconds, so that every kill
meets a ledger.

Processes are forked with the libraries loaded: a start takes milliseconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads do not survive a fork

import numpy as np
import torch

from common import record
from unnoise.app import pieces
from unnoise.app.cli.terminal import guarded
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.large import Sharing, predict_large
from unnoise.app.pieces import Pieces, Work
from unnoise.config.config import Config
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models import folder as model_folder
from unnoise.models import stream
from unnoise.training.plan import plan
from unnoise.training.start import start

KINDS: dict[str, tuple[str, str | None]] = {
    "bare TIFF": ("out.tif", "none"),
    "compressed TIFF": ("out.tif", "zlib"),
    "Zarr": ("out.zarr", None),
}
SHAPE = 12, 96, 96
CHUNKS = 3, 48, 48
ROOM = 0.4e6
"""Bytes of a tile: a plane is four pieces."""


def scene(folder: Path, suffix: str) -> tuple[str, Path]:
    """A tiny model whose weights are random, and a noisy stack."""
    x = np.random.default_rng(0).poisson(20, SHAPE).astype(np.uint16)
    source = folder / f"noisy{suffix}"
    if suffix == ".zarr":
        import zarr

        zarr.create_array(source, data=x, chunks=CHUNKS, dimension_names=["z", "y", "x"])
    else:
        formats.save(source, x, axes="ZYX")
    config = Config(method="n2v").replace(
        net={"filters": 4, "depth": 1}, training={"batch_size": 2, "patch": 32, "steps": 1}, ndim=2
    )
    image = Image.from_array(x, "ZYX")
    run = start([image], plan([image], config), torch.device("cpu"))
    model_folder.save(folder / "m", run.model(), [], fresh=True)
    return str(folder / "m"), source


def work(model: str, source: Path, result: Path, compress: str | None) -> Work:
    """The prediction of the stack."""
    writing = OutputOptions(dtype="float32", compress=compress)
    return Work(model, source, "", result, None, InputOptions(), writing, "cpu")


def predict(job: Work) -> None:
    """As the command line does it."""
    opened = job.opened()
    for _ in predict_large(job, opened.model, opened.image, Sharing(resume=True)):
        pass


def forked(call: Callable[[], None]) -> int:
    """The number of a process that does something and ends."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with guarded():
            call()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def content(path: Path) -> dict[str, bytes]:
    """All bytes of a file or a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(f.relative_to(path.parent)): f.read_bytes() for f in files if f.is_file()}


def wrong_pieces(job: Work, whole: Path) -> tuple[int, int]:
    """Finished pieces of an interrupted run, and how many differ from those of the whole one."""
    opened: Pieces = job.opened()
    if not (opened.result.folder / "plan.json").exists():
        return 0, 0
    done, part = opened.done(), opened.result
    expected = formats.open(whole)
    wrong = 0
    for number in done:
        where = opened.plan.where(number)
        wrong += not np.array_equal(part.read(where), expected.read(where))
    return len(done), wrong


def killed(kind: str, kills: int, rng: np.random.Generator, folder: Path) -> dict[str, object]:
    """So many kills, and what differs."""
    name, compress = KINDS[kind]
    model, source = scene(folder, Path(name).suffix)
    (folder / "whole").mkdir()
    whole = work(model, source, folder / "whole" / name, compress)
    job = replace(whole, result=folder / name)
    predict(whole)  # here, so that forked processes find all libraries loaded
    started = time.perf_counter()
    timed = replace(whole, result=folder / "whole" / f"timed_{name}")
    if os.waitpid(forked(lambda: predict(timed)), 0)[1]:
        raise SystemExit("a run failed")
    took = time.perf_counter() - started
    expected = content(whole.result)
    count = finished = wrong = resumed = 0
    while True:
        child = forked(lambda: predict(job))
        if count < kills:
            time.sleep(took * rng.uniform(0, 1.0))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        was_killed = os.WIFSIGNALED(status)
        count += was_killed
        if not was_killed and status:
            raise SystemExit("a run failed")
        if job.result.exists():
            finished += 1
            wrong += content(job.result) != expected
            left = [p.name for p in folder.glob(".*unfinished")]
            if not was_killed and left:
                raise SystemExit(f"left behind: {left}")
            if count >= kills:
                break
            if job.result.is_dir():
                shutil.rmtree(job.result)
            else:
                job.result.unlink()
        else:
            done, bad = wrong_pieces(job, whole.result)
            resumed += done > 0
            wrong += bad
    return {"kind": kind, "kills": count, "found_pieces": resumed, "ends": finished, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pieces.COMMIT_EVERY = 0.0
    stream.ROOM = {2: ROOM, 3: ROOM}
    rng = np.random.default_rng(args.seed)
    rows = []
    share = [len(part) for part in np.array_split(np.arange(args.kills), len(args.kinds))]
    for kind, kills in zip(args.kinds, share, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(killed(kind, kills, rng, Path(folder)))
        print(*(f"{name} {value}" for name, value in rows[-1].items()), sep="  ", flush=True)
    if not args.no_record:
        record("kill", vars(args), rows)
    if any(row["wrong"] for row in rows):
        sys.exit("results differ")


if __name__ == "__main__":
    main()
