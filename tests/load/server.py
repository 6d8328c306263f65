"""`unnoise app` as it is, which ends with its parent, and tells what it holds.

    python -m load.server HELD --workspace DIR --port 0

with `tests` on the path and a pipe as its standard input: its end is that of the parent. HELD is a
file for a line of JSON now and then; while a file HELD.ask exists, the objects are counted, too;
or, with LOAD_TRACED in the environment, HELD.lines gets what each line of Python holds.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

from load import traced

EVERY = 10.0
"""Seconds between two lines."""
PATIENCE = 120.0
"""Seconds after which it is gone, though it was asked to stop."""


BLOCK = 93
"""Bytes of a block of Python in the mean, as `sys._debugmallocstats` tells of this server."""


class _Heap(ctypes.Structure):
    """What glibc tells of its heaps: `struct mallinfo2`."""

    NAMES = "arena,ordblks,smblks,hblks,hblkhd,usmblks,fsmblks,uordblks,fordblks,keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split(",")]


def heap() -> dict[str, int]:
    """Bytes in use, free, and mapped in the heaps of C; nothing where it is not glibc."""
    try:
        told = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return {}
    told.restype = _Heap
    found = told()
    return {"used": found.uordblks, "free": found.fordblks, "mapped": found.hblkhd}


def held(*, objects: bool) -> dict[str, Any]:
    """What this process holds: blocks of Python, heaps of C, NiceGUI's clients; objects by type.

    What is in use of the memory that Python and C have taken tells of leaks earlier than its size:
    Python returns a megabyte when nothing in it is in use any more.
    """
    library = sys.modules.get("nicegui")
    found: dict[str, Any] = {
        "at": time.time(),
        "blocks": sys.getallocatedblocks(),
        "clients": len(library.Client.instances) if hasattr(library, "Client") else 0,
        **heap(),
    }
    parts = found["blocks"] * BLOCK, found.get("used", 0), found.get("mapped", 0)
    found["in use"] = sum(parts) if "used" in found else 0
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith(("RssAnon", "RssFile", "RssShmem")):
            name, value, _ = line.split()
            found[name[:-1]] = int(value) * 1024
    if objects:
        gc.collect()
        kinds = Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())
        found["objects"] = dict(kinds.most_common(400))
    return found


def attend(path: Path) -> None:
    """Tell, until the parent is gone."""
    is_traced = "LOAD_TRACED" in os.environ
    while not select.select([0], [], [], EVERY)[0]:
        if is_traced and not tracemalloc.is_tracing():  # what is imported before is held for good
            tracemalloc.start()
        asked = path.with_name(f"{path.name}.ask")
        found = held(objects=asked.exists() and not is_traced)
        with path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        if asked.exists() and is_traced:
            traced.write(path.with_name(f"{path.name}.lines"), found["used"] + found["mapped"])
        asked.unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGTERM)  # as a system that is shut down
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    threading.Thread(target=attend, args=(place,), name="attend", daemon=True).start()
    sys.argv[0] = "unnoise"
    from unnoise.app.cli.main import main

    main()
