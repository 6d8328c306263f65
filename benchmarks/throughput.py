"""CPU seconds of a training step and of prediction: the same U-Net, ours against the peers'.

    sh benchmarks/peers/setup.sh              # once: CAREamics and n2v in .peers
    python benchmarks/throughput.py           # 20 steps and 2048x2048 pixels, 5 turns
    python benchmarks/throughput.py --quick

U-Net of 32 filters and depth 2 with batch normalisation and without a stem, batch 16 of 64x64
patches, 0.2 % hidden, Adam; upsampling as the peer's (CAREamics: linear, n2v: nearest). Every
library trains in its own loop with its own data path, in its own process that stays alive; all are
pinned to one core and take turns, so that a busy machine disturbs all alike. The ratio is taken
turn by turn. The peers predict in the tiles (or in one piece) that were fastest in a first try;
ours with its own tiles, one pass without averaging. With onnx the export of the net, some seconds
once for a model, is not counted. Where the processor computes with bfloat16 our steps do too, as by
default; those of ``float32`` are beside them. Predictions are of 32 bits but for ``bfloat16``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import peer
from common import HERE, record
from unnoise.nets.device import has_bfloat16

FULL, HALF = "float32", "bfloat16"
"""Steps in 32 bits where those in 16 are the default, and predictions in 16 bits."""
TILES = (0, 256, 512, 1024)
"""Sides of tiles that peers may predict in; 0: the whole image."""


class Worker:
    """A library in its own process, which does what it is told and says how long it took."""

    def __init__(self, python: Path | str, script: Path, *arguments: str, core: int) -> None:
        self.process = subprocess.Popen(
            [str(python), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=peer.environment(),
            preexec_fn=lambda: pin(core),
        )

    def ask(self, *words: object) -> dict[str, float]:
        """Give an order and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(*words, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} stopped at {words}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def pin(core: int) -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def has_onnx() -> bool:
    """Whether predictions can run in ONNX Runtime here."""
    from unnoise.errors import InputError
    from unnoise.models.backends import check

    try:
        check("onnx")
    except InputError as error:
        print(error, flush=True)
        return False
    return True


@contextlib.contextmanager
def workers(core: int) -> Iterator[dict[str, Worker]]:
    """Every library that is installed, by name; ours with the net of each peer and its own."""
    ours = HERE / "unnoise_speed.py"
    starts: dict[str, tuple[Path | str, Path, tuple[str, ...]]] = {}
    for name in ("careamics", "n2v"):
        with contextlib.suppress(peer.Missing):
            starts[name] = (peer.python(name), HERE / "peers" / f"{name}_speed.py", ())
        starts[f"unnoise, net of {name}"] = (sys.executable, ours, (name,))
    starts["unnoise, default net"] = (sys.executable, ours, ("default",))
    variants = [*(["onnx"] if has_onnx() else []), *([FULL, HALF] if has_bfloat16() else [])]
    for variant in variants:
        for net, who in (("careamics", "net of careamics"), ("n2v", "net of n2v")):
            starts[f"unnoise, {who}, {variant}"] = (sys.executable, ours, (net, variant))
        starts[f"unnoise, default net, {variant}"] = (sys.executable, ours, ("default", variant))
    with contextlib.ExitStack() as stack:
        running = {}
        for name, (python, script, arguments) in starts.items():
            running[name] = Worker(python, script, *arguments, core=core)
            stack.callback(running[name].close)
        yield running


def summary(values: list[float]) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "low": float(min(values)),
        "high": float(max(values)),
    }


def rows_of(
    what: str, unit: str, measured: dict[str, list[float]], extra: dict[str, Any]
) -> list[dict[str, Any]]:
    """One row for every library, then one for every ratio, turn by turn."""
    rows = [
        {"what": what, "unit": unit, "who": who, **summary(values), "turns": values, **extra}
        for who, values in measured.items()
    ]
    for name in ("careamics", "n2v"):
        for who, values in measured.items():
            wanted = who.startswith(f"unnoise, net of {name}") or "default" in who
            if name in measured and wanted:
                ratios = [a / b for a, b in zip(values, measured[name], strict=True)]
                rows.append(
                    {
                        "what": what,
                        "unit": f"times {name}",
                        "who": who,
                        **summary(ratios),
                        "turns": ratios,
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1)
    parser.add_argument("--quick", action="store_true", help="5 steps, 512 pixels, 3 turns")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.side, args.turns = 5, 512, 3
    for name in peer.missing("careamics", "n2v"):
        print(f"{name} is missing: run sh benchmarks/peers/setup.sh {name}", flush=True)
    onnx = {p: version(p) for p in ("onnxruntime",) if has_onnx()}
    rows: list[dict[str, Any]] = []
    with workers(args.core) as running:
        steps: dict[str, list[float]] = {
            name: [] for name in running if not name.endswith(("onnx", HALF))
        }
        for name in steps:  # starts them up, one after the other
            running[name].ask("steps", 3)
        for _ in range(args.turns):
            for name, times in steps.items():
                times.append(running[name].ask("steps", args.steps)["cpu_s"])
        show(rows_of("step", "CPU s", steps, {"steps": args.steps}), rows)
        speeds: dict[str, list[float]] = {}
        tiles: dict[str, int] = {}
        for name, worker in running.items():
            if name.endswith(FULL):
                continue
            if name not in steps:
                worker.ask("steps", 1)
            wanted = [t for t in TILES if t < args.side] if name in peer.PACKAGES else [0]
            tried = {t: worker.ask("predict", args.side, t)["cpu_s"] for t in wanted}
            tiles[name] = min(tried, key=lambda t: tried[t])
            speeds[name] = []
        for _ in range(args.turns):
            for name, values in speeds.items():
                seconds = running[name].ask("predict", args.side, tiles[name])["cpu_s"]
                values.append(args.side**2 / seconds / 1e6)
        show(rows_of("predict", "Mpixel/s", speeds, {"side": args.side, "tiles": tiles}), rows)
    record(
        "throughput",
        vars(args),
        rows,
        peers=peer.versions("careamics", "n2v") | onnx,
        missing=peer.missing("careamics", "n2v"),
    )


def show(new: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Print rows and keep them."""
    for r in new:
        print(
            f"{r['what']:8} {r['who']:32} {r['median']:.3f} {r['unit']} "
            f"({r['low']:.3f} to {r['high']:.3f})",
            flush=True,
        )
    rows.extend(new)


if __name__ == "__main__":
    main()
