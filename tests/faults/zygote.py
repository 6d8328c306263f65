"""A process that has loaded everything, and forks a child for every trial.

    python -m faults.zygote

It reads one JSON object a line and answers with one. A child runs one command line under one fault
and cannot change the others. Python and PyTorch take seconds to start, a child takes none; PyTorch
computes in one thread here, so there are no threads that a fork would lose.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import threading
import traceback
from typing import Any, NoReturn

LOADED = (
    "unnoise.app.denoise",
    "unnoise.app.train",
    "unnoise.app.predict",
    "unnoise.app.calibrate",
    "unnoise.app.correct",
    "unnoise.app.cli.progress",
    "unnoise.app.cli.main",
    "unnoise.training.history",
    "unnoise.training.methods.n2v",
    "unnoise.images.formats.tiff",
    "unnoise.images.formats.npy",
    "torch.optim.adamw",
    "torch._dynamo",
    "tifffile",
    "zarr",
    "filelock",
    "psutil",
    "rich.console",
    "rich.progress",
    "scipy.ndimage",
    "skimage.metrics",
)


def serve() -> None:
    """Answer until nobody asks any more."""
    for name in LOADED:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    assert threading.active_count() == 1, threading.enumerate()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_trial(json.loads(line))), flush=True)


def _trial(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a child: its exit code (below 0: the signal), texts and acts."""
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        child = os.fork()
        if not child:
            _run(wanted, folder)
        _, status = os.waitpid(child, 0)
        texts = {}
        for name in ("out", "err", "seen"):
            try:
                with open(os.path.join(folder, name), errors="replace") as file:
                    texts[name] = file.read()
            except FileNotFoundError:
                texts[name] = ""
    return {"code": os.waitstatus_to_exitcode(status), **texts}


def _run(wanted: dict[str, Any], folder: str) -> NoReturn:
    """The child."""
    code = 70
    try:
        os.chdir(wanted["folder"])
        os.environ |= {"TMPDIR": wanted["tmp"], "HOME": wanted["tmp"]}
        tempfile.tempdir = None
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["unnoise", *wanted["arguments"]]
        for place, value in wanted["values"].items():
            module, name = place.rsplit(".", 1)
            if isinstance(value, dict):  # JSON knows no numbers as keys
                value = {int(key): one for key, one in value.items()}
            setattr(importlib.import_module(module), name, value)
        from faults.inject import Fault, install
        from unnoise.app.cli.main import main

        fault = Fault(**wanted["fault"])
        true_open = open
        install(fault, wanted["folder"])
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        with true_open(os.path.join(folder, "seen"), "w") as file:
            file.write("\n".join(fault.seen))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
