"""A process that has loaded everything, and forks a child for every trial.

    python -m faults.zygote

It reads one JSON object a line and answers with one. A child runs one command line under one fault
and cannot change the others. Of two that meet, the first one waits where its fault stops it until
the second one has ended, and then goes on or is killed. Python and PyTorch take seconds to start, a
child takes none; PyTorch computes in one thread here, so there are no threads that a fork would
lose.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
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
    "unnoise.app.session.jobs",
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
    "skimage.metrics.simple_metrics",
    "skimage.restoration.j_invariant",
    "unnoise.images.formats.zarr",
    "unnoise.report.page",
    "unnoise.report.result_page",
    "matplotlib.ticker",
    "PIL.GifImagePlugin",
    "PIL.PngImagePlugin",
    "faults.inject",
)


def serve() -> None:
    """Answer until nobody asks any more."""
    for name in LOADED:
        importlib.import_module(name)
    import torch
    import typer.main

    from unnoise.app.cli.main import app

    torch.set_num_threads(1)
    # The options are the same in every trial: made once they cost a fifth less of a short one.
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)
    assert threading.active_count() == 1, threading.enumerate()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_trial(json.loads(line))), flush=True)


def _trial(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a child, or two of which one waits for the other."""
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        child = _forked(wanted, folder)
        _, status = os.waitpid(child, os.WUNTRACED)
        other = None
        if os.WIFSTOPPED(status):
            other = _trial({**wanted, "fault": {}, "arguments": wanted["other"]})
            os.kill(child, getattr(signal, wanted["then"]))
            _, status = os.waitpid(child, 0)
        return {**_told(status, folder), "other": other}


def _forked(wanted: dict[str, Any], folder: str) -> int:
    child = os.fork()
    if not child:
        _run(wanted, folder)
    return child


def _told(status: int, folder: str) -> dict[str, Any]:
    """What a child gave: its exit code (below 0: the signal), texts and acts."""
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

        if wanted["arguments"][0] == "queue":
            from faults.queued import main  # type: ignore[assignment]

        fault = Fault(**wanted["fault"])
        true_open = open
        install(fault, wanted["folder"])
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        fault.end()
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
