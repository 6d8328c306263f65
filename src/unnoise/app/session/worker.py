"""``python -m unnoise.app.session.worker``: one job in a process of its own.

A request comes as a line of JSON on stdin; events go to stdout. Another line asks to stop, as
Ctrl-C does; so does the end of stdin, which the system brings about when whoever asked is gone. The
last events then go to a file, whose name comes with the request. PyTorch loads before that is read.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from typing import IO

from unnoise.app.quiet_threads import quiet_threads


def main() -> None:
    """Do one job."""
    quiet_threads()  # before the imports that load PyTorch
    import unnoise.app.denoise
    import unnoise.app.predict  # noqa: F401
    from unnoise.app.events import Stopped
    from unnoise.app.problems import exit_code, sentence
    from unnoise.app.session.frames import Framed, Problem, encode, thinned
    from unnoise.app.session.request import Request
    from unnoise.errors import naming_options

    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no event
    is_over = False

    def interrupt(*_: object) -> None:
        if not is_over:  # else what is told last would be lost, and the writer wait for it
            raise KeyboardInterrupt

    # Shells start what runs in the background with this signal ignored.
    signal.signal(signal.SIGINT, interrupt)
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as orders:
        line = orders.readline()
    if not line:  # no job came
        return
    order = json.loads(line)
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    # A thread writes, since an interrupt in the midst of an event would cut it off.
    writer = threading.Thread(target=_write, args=(out, waiting, order["last"]))
    writer.start()

    def tell(event: Framed) -> None:
        waiting.put(encode(event))

    last: Framed | None = Stopped("stopped; unfinished files were removed, finished ones stay")
    try:
        with naming_options():
            try:
                threading.Thread(target=_listen, daemon=True).start()
                request = Request.from_dict(order["request"])
                for event in thinned(request.events(), clock=time.monotonic):
                    tell(event)
                last = None
            except Exception as error:
                last = Problem(sentence(error), misuse=exit_code(error) == 2)
    except KeyboardInterrupt:
        pass  # at any moment: `last` is what is true of it
    finally:
        is_over = True
        if last is not None:
            tell(last)
        waiting.put(None)
        writer.join()


def _write(out: IO[bytes], waiting: queue.SimpleQueue[bytes | None], last: str) -> None:
    """Send what waits until there is no more; where nobody listens any longer, keep it."""
    while (content := waiting.get()) is not None:
        try:
            out.write(content)
            out.flush()
        except OSError:
            with contextlib.suppress(OSError):
                out = open(last, "ab")  # noqa: SIM115  until the process ends
                out.write(content)
                out.flush()


def _listen() -> None:
    """Wait for the wish to stop, or for the end of whoever could have it."""
    with contextlib.suppress(OSError):
        os.read(sys.stdin.fileno(), 1)
    if hasattr(signal, "pthread_kill"):  # which wakes a main thread that sleeps, too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


if __name__ == "__main__":
    main()
