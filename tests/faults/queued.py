"""A front end without a window: jobs in the queue of this folder, until all are done.

    queue NAME...    # images of `in`, whose results go to `out`

What an earlier program left goes on: a job that it did not end is put in again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image


def main() -> None:
    """Exit code 0: all is done; 1: something failed; 2: another program has the queue."""
    try:
        queue = JobQueue(Path("queue"))
    except InputError as error:
        print(f"unnoise: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        os.makedirs("out", exist_ok=True)
        done = {job.request.inputs[0] for job in queue.jobs() if job.state == "done"}
        for job in queue.jobs():
            print("found", job.request.inputs[0], job.state, flush=True)
            if job.state != "done":
                queue.remove(job.id)
        for name in sys.argv[2:]:
            if name not in done:
                pixels = Image.from_array(formats.open(f"in/{name}").read()[0, 0, 0, 0])
                options = {"method": "gaussian", "report": False, "overwrite": True}
                request = Request((name,), out=f"out/{name}", **options)
                queue.submit(request, [pixels])
                print("submitted", name, flush=True)
        queue.join()
        problems = [job.error for job in queue.jobs() if job.state != "done"]
    finally:
        queue.close(stop=True)
    if problems:
        print(f"unnoise: {problems[0]}", file=sys.stderr)
    sys.exit(int(bool(problems)))
