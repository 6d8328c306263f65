"""A folder of many files, one in twenty broken: right answers, named failures, nothing else.

    python -m load.batch --files 1000          # one model for all
    python -m load.batch --files 1000 --each   # one model for each

with `tests` on the path. Every result is compared with what `unnoise.train` and `Model.predict`, or
`unnoise.denoise`, give for the same arrays in memory.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile
from numpy.typing import NDArray

import unnoise
from load.growth import Size, alive, growth
from load.ledger import SOURCE, arguments, run_once
from synthetic import between

SIDE = 48
BROKEN_EVERY = 20
WARM = 50
"""Results after which the command should have all that it needs."""


def noisy(seed: int) -> NDArray[np.uint16]:
    """A picture with noise of few photons."""
    clean = between(100, 600, (SIDE, SIDE), seed=seed)
    return np.random.default_rng(seed).poisson(clean).astype(np.uint16)


def truncated(path: Path, x: NDArray) -> None:
    """The first half of a file."""
    tifffile.imwrite(path, x)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def lying(path: Path, x: NDArray) -> None:
    """A header that tells of more pixels than there are, by far."""
    head = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({10**6}, {10**6}), }}"
    room = 118 - len(head) - 1
    start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    path.with_suffix(".npy").write_bytes(start + f"{head}{' ' * room}\n".encode() + x.tobytes())


def nan_alone(path: Path, x: NDArray) -> None:
    """No pixel is a number."""
    np.save(path.with_suffix(".npy"), np.full(x.shape, np.nan, np.float32))


def wrong_axes(path: Path, x: NDArray) -> None:
    """Five dimensions that nobody named."""
    np.save(path.with_suffix(".npy"), np.broadcast_to(x[:8, :8], (2, 2, 2, 8, 8)))


BREAKS: dict[str, Callable[[Path, NDArray], None]] = {
    "truncated": truncated,
    "empty": lambda path, x: path.write_bytes(b""),
    "text": lambda path, x: path.write_text("Not an image.\n" * 40) and None,
    "lying": lying,
    "nan": nan_alone,
    "axes": wrong_axes,
}


def folder_of(place: Path, count: int) -> tuple[dict[str, NDArray], dict[str, str]]:
    """Write so many files: the good ones by name, and how the others are broken."""
    place.mkdir(parents=True)
    good, broken, kinds = {}, {}, list(BREAKS)
    for number in range(count):
        x, path = noisy(number), place / f"field_{number:04d}.tif"
        if number % BROKEN_EVERY == BROKEN_EVERY // 2:
            kind = kinds[len(broken) % len(kinds)]
            BREAKS[kind](path, x)
            found = next(place.glob(f"{path.stem}.*"))
            broken[found.name] = kind
        else:
            tifffile.imwrite(path, x, metadata={"axes": "YX"})
            good[path.name] = x
    return good, broken


def oracle(good: dict[str, NDArray], each: bool) -> Iterable[tuple[str, NDArray]]:
    """What the calls for arrays make of the same pixels."""
    if each:
        for name, x in good.items():
            yield name, unnoise.denoise(x, method="gaussian", axes="YX")
        return
    model = unnoise.train(list(good.values()), method="gaussian", axes="YX")
    for name, x in good.items():
        yield name, model.predict(x, axes="YX", tta=None)


def watched(command: list[str], ledger: Path) -> tuple[int, str, list[tuple[int, Size]], float]:
    """Run a command: its exit code, what it said, its size at each number of results, seconds of
    the processor.
    """
    sizes: dict[int, Size] = {}
    environment = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    with tempfile.TemporaryFile() as said:
        process = psutil.Popen(command, stdout=said, stderr=said, env=environment)
        seconds = 0.0
        while process.poll() is None:
            now = alive(process)
            done = ledger.read_bytes().count(b"done") if ledger.exists() else 0
            if now is not None and now.memory and done:
                sizes.setdefault(done, now)  # it lets go of all at its very end
                seconds = sum(process.cpu_times()[:2]) if process.is_running() else seconds
            time.sleep(0.05)
        said.seek(0)
        return process.returncode, said.read().decode(), [*sizes.items()], seconds


def compared(
    out: Path, good: dict[str, NDArray], broken: dict[str, str], each: bool
) -> tuple[list[str], int]:
    """What is wrong with the results and their ledger, and how many are right."""
    losses, right = [], 0
    for name, expected in oracle(good, each):
        path = out / name
        if not path.exists():
            losses.append(f"{name} has no result")
        elif not np.array_equal(tifffile.imread(path), expected):
            losses.append(f"{name} has other pixels than the call gives")
        else:
            right += 1
    lines = [json.loads(line) for line in (out / "unnoise-run.jsonl").read_text().splitlines()]
    told = Counter((Path(line["input"]).name, line["status"]) for line in lines)
    wanted = Counter({(n, "done"): 1 for n in good} | {(n, "failed"): 1 for n in broken})
    losses += [
        f"the ledger has {told[k]} and not {wanted[k]} of {k}"
        for k in told | wanted
        if told[k] != wanted[k]
    ]
    for line in lines:
        name = Path(line["input"]).name
        if line["status"] == "failed" and len(line["why"].split()) < 4:
            losses.append(f"{name} ({broken[name]}) failed without a sentence: {line['why']}")
    left = {path.name for path in out.rglob("*")} - {*good, "unnoise-run.jsonl"}
    return losses + [f"{name} was left behind" for name in sorted(left)], right


def measured(count: int, each: bool, folder: Path) -> dict[str, Any]:
    """Denoise the folder, and look at all of it."""
    place = folder / "batch"
    shutil.rmtree(place, ignore_errors=True)
    good, broken = folder_of(place / "in", count)
    before = {path.name: path.read_bytes() for path in (place / "in").iterdir()}
    out = place / "out"
    command = [sys.executable, "-m", "unnoise", "denoise", str(place / "in"), "-o", f"{out}/"]
    command += ["--method", "gaussian", "--no-report", "-q", *(["--each"] if each else [])]
    code, said, sizes, seconds = watched(command, out / "unnoise-run.jsonl")
    losses, right = compared(out, good, broken, each)
    if code != 1:
        losses.append(f"the exit code is {code} and not 1: {said[-500:]}")
    losses += [
        f"{name} is named nowhere in what was printed" for name in broken if name not in said
    ]
    if "Traceback" in said:
        losses.append(f"a traceback was printed: {said[-500:]}")
    if {path.name: path.read_bytes() for path in (place / "in").iterdir()} != before:
        losses.append("an input was changed")
    told = f"{right} right, {len(broken)} named failures of {len(set(broken.values()))} kinds"
    told += f"; {seconds / count * 1e3:.0f} ms of the processor a file, start included"
    late = [(n, s) for n, s in sizes if n >= WARM]
    if len(late) >= 8:
        found = growth([n / 1000 for n, _ in late], [s.memory / 1e6 for _, s in late])
        early, last = late[0][1], late[-1][1]
        told += f"; {early.memory / 1e6:.1f} MB after {WARM} results and {last.memory / 1e6:.1f} "
        told += f"at the end, slope {found} MB per 1,000"
        for name in ("threads", "files"):
            if getattr(last, name) > getattr(early, name):
                losses.append(f"{name} grew from {early} to {last}")
    shutil.rmtree(place)
    amount = f"{count:,} files, {len(broken)} of them broken, by `gaussian`"
    return {
        "amount": amount + (", a model for each" if each else ""),
        "losses": losses,
        "told": told,
        "series": [[n, s.memory] for n, s in sizes],
    }


def main() -> int:
    """The load."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--each", action="store_true", help="a model for each file")
    options = parser.parse_args()
    amount = f"--files {options.files}" + (" --each" if options.each else "")
    work = partial(measured, options.files, options.each, options.folder)
    return run_once("batch", options, f"load.batch {amount}", work)


if __name__ == "__main__":
    sys.exit(main())
