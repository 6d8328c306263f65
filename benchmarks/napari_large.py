"""How soon a file of 2 GB is seen in napari, and what memory its first blocks take to denoise.

    xvfb-run -a python benchmarks/napari_large.py [--side 32768] [--blocks 64] [--crop] [--model]

The files are those of benchmarks/viewer.py: tiled OME-TIFF with zlib, without and with smaller
copies. A viewer that has opened a small file before opens the large one: until its layer is drawn.
The layer is then denoised from the widget with the budget `instant`, and stopped when the first
blocks of 512x512 pixels are done: by a process of its own, whose peak is told beside that of
napari. With --crop the blocks are a layer of their own, which napari denoises
itself, as it is no file. With --model the net is that of Noise2Void, trained for some steps before:
it takes as much memory for a tenth of the time.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import record
from viewer import make, quick_model

BLOCK = 512


def wait(done: Callable[[], Any], seconds: float) -> bool:
    """Let the window live until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        QApplication.processEvents()
        time.sleep(0.02)
        if time.monotonic() > end:
            return False
    return True


def peak(process: int | str = "self") -> int:
    """The most memory that a program has had, in MB; 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    if "VmHWM:" not in status:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def measure(path: Path, blocks: int, crop: bool, model: Path | None) -> dict[str, Any]:
    """Times and memory of a file, in a viewer of its own."""
    import napari
    import numpy as np

    import unnoise
    from unnoise.app.session.job import TRAINING

    viewer = napari.Viewer(show=True)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.tif"
        unnoise.save(small, np.eye(64, dtype=np.uint16), axes="YX")
        viewer.open(small, plugin="unnoise")
        wait(lambda: False, 1)
        viewer.layers.clear()
    empty = peak()
    start, spent = time.perf_counter(), time.process_time()
    (layer,) = viewer.open(path, plugin="unnoise")
    wait(lambda: True, 1)
    viewer.screenshot(flash=False)
    found: dict[str, Any] = {
        "file": path.name,
        "gb": round(math.prod(layer.data[0].shape) * layer.dtype.itemsize / 2**30, 2),
        "seen_s": round(time.perf_counter() - start, 2),
        "seen_cpu_s": round(time.process_time() - spent, 2),
        "share": round(layer.data[layer.data_level].share, 3),
    }
    wait(lambda: layer.data[layer.data_level].share == 1, 300)
    found["exact_s"] = round(time.perf_counter() - start, 1)
    found |= {"empty_mb": empty, "open_mb": peak()}
    if blocks:
        pixels, before = layer.data[0], TRAINING if model is None else 0
        done = before + (1 - before) * blocks * BLOCK**2 / pixels.size
        if crop:
            side, done = math.isqrt(blocks) * BLOCK, 2.0
            viewer.layers.clear()
            viewer.add_image(pixels[:side, :side], contrast_limits=layer.contrast_limits)
        _, widget = viewer.window.add_plugin_dock_widget("unnoise", "Denoise")
        widget.budget.setCurrentIndex(widget.budget.findData("instant"))
        if model is not None:
            widget.use_model(str(model))
        wait(lambda: "noise:" in widget.verdict.text(), 300)
        found["looked_mb"] = peak()
        start, own = time.perf_counter(), [0]
        widget.denoise()

        def is_far() -> bool:
            own[0] = max(own[0], peak(widget.job.pid or "none"))
            return bool(widget.job.is_over or widget.job.fraction >= done)

        wait(is_far, 6000)
        found |= {
            "blocks": blocks,
            "crop": crop,
            "net": "instant" if model is None else "n2v",
            "fraction": round(widget.job.fraction, 4),
        }
        found["denoise_s"] = round(time.perf_counter() - start, 1)
        widget.stop()
        wait(lambda: widget.job.is_over, 100)
        found |= {"state": widget.job.state, "napari_mb": peak(), "process_mb": own[0]}
    viewer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=32768)
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--kinds", default="plain,pyramid")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--crop", action="store_true")
    parser.add_argument("--model", nargs="?", type=Path, const=Path("quick.model"))
    parser.add_argument("--measure", type=Path)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.blocks, given.crop, given.model)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in given.kinds.split(","):
            path = make(kind, given.side, folder)
            own = [sys.executable, __file__, "--measure", str(path), "--blocks", str(given.blocks)]
            own += ["--crop"] if given.crop else []
            own += ["--model", str(quick_model(folder))] if given.model else []
            out = subprocess.run(own, capture_output=True, text=True, check=True).stdout
            rows.append(json.loads(out.splitlines()[-1]))
            print(json.dumps(rows[-1]), flush=True)
    record(f"napari_large_{given.side}", {"side": given.side, "block": BLOCK}, rows)


if __name__ == "__main__":
    main()
