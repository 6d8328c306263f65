"""The pieces of a prediction as tasks of Dask, on this machine or a cluster.

The model goes once to every worker; image and result are named by paths that all machines share.
Pieces of a worker that is lost are made by another one.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from unnoise.app.pieces import Pieces, Work
from unnoise.errors import InputError, UnnoiseError, first_line
from unnoise.images.atomic import hidden
from unnoise.images.file_version import FileVersion
from unnoise.images.formats import unfinished
from unnoise.images.together import read_files
from unnoise.models.folder import CONFIG, WEIGHTS

TASKS = 10_000
"""Most tasks: a scheduler holds a few kilobytes of each."""
QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}
"""Of local workers nobody looks at the profile, which is taken 100 times a second."""
SHARES, GROUP = 16, 16
"""Tasks that every worker gets at least, if there are so many pieces, and most tiles in a task."""
CONNECT = 20.0
"""Seconds after which a scheduler that does not answer is not there."""


@dataclass(frozen=True)
class Parcel:
    """All that a worker needs.

    Attributes
    ----------
    work : Work
        Without its model folder.
    files : mapping of str to bytes
        Which stands here.
    threads : int or None
        Of PyTorch; None for as many as the worker has.
    """

    work: Work
    files: Mapping[str, bytes]
    threads: int | None


def predicted(work: Work, pieces: Pieces, place: str, count: int, threads: int) -> Iterator[int]:
    """Let the workers of Dask make the pieces that are not finished; yields the number of each.

    Parameters
    ----------
    work : Work
        Whose result is laid out.
    pieces : Pieces
        The same, opened here.
    place : str
        ``local``, or the address of a scheduler.
    count, threads : int
        Workers of a local cluster, and threads of each.

    Raises
    ------
    InputError
        If Dask is missing or does not answer.
    UnnoiseError
        If a piece cannot be made.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise InputError("--dask needs Dask; pip install 'unnoise[dask]'") from error
    is_local = place == "local"
    with contextlib.ExitStack() as stack:
        try:
            if is_local:
                stack.enter_context(import_module("dask").config.set(QUIET))
                options = {"threads_per_worker": 1, "dashboard_address": None}
                cluster = distributed.LocalCluster(n_workers=count, **options)
                place = stack.enter_context(cluster)
            client = distributed.Client(place, timeout=CONNECT)
            stack.enter_context(client)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"no scheduler of Dask answers at {place} ({first_line(error)}); start one with "
                f"dask scheduler, or choose --dask local"
            ) from error
        files = read_files(Path(work.model), (CONFIG, WEIGHTS))
        parcel = Parcel(work.absolute(), files, threads if is_local else None)
        sent = client.scatter(parcel, broadcast=True, hash=False)
        done = pieces.done()
        left = [number for number in range(pieces.plan.count) if number not in done]
        size = _group_size(len(left), max(len(client.nthreads()), count if is_local else 1), pieces)
        groups = [left[i : i + size] for i in range(0, len(left), size)]
        tasks = client.map(_made, groups, parcel=sent, pure=False)
        try:
            for task in distributed.as_completed(tasks):
                yield from task.result()
                task.release()
        except distributed.KilledWorker as error:
            raise UnnoiseError(
                f"the workers of Dask died over one piece, perhaps for lack of memory "
                f"({first_line(error)}); give them more, and run the same command again to go on"
            ) from error
        except ModuleNotFoundError as error:
            raise UnnoiseError(
                f"the workers of Dask lack a library ({error}); install the same versions of "
                f"unnoise there, and run the same command again to go on"
            ) from error
        finally:
            client.cancel(tasks)


def _group_size(pieces: int, workers: int, of: Pieces) -> int:
    """How many neighbouring pieces make a task.

    A task reads the surroundings of its pieces and waits for the disk once; but what a lost worker
    had begun is made again, and at the end workers wait for the last task.
    """
    size = min(pieces // (SHARES * workers), max(GROUP // of.plan.tiles_per_piece, 1))
    return max(size, -(-pieces // TASKS), 1)


_opened: dict[str, tuple[Any, Pieces]] = {}
"""What this worker has at hand, by the result and its plan."""
_one_at_a_time = threading.Lock()


def _made(numbers: list[int], parcel: Parcel) -> list[int]:
    """Make pieces on a worker; those that the ledger has by now are left out."""
    with _one_at_a_time:  # PyTorch takes all threads for a piece
        return list(_pieces(parcel).run(numbers))


def _pieces(parcel: Parcel) -> Pieces:
    """Model and image, opened once for a result that is begun."""
    plan = hidden(parcel.work.result) / unfinished.PLAN
    key = f"{parcel.work.result} {FileVersion.of(plan)}"
    known = _opened.get(key)
    if known is None or known[0] != parcel:
        if parcel.threads is not None:
            torch.set_num_threads(parcel.threads)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in parcel.files.items():
                Path(folder, name).write_bytes(content)
            pieces = replace(parcel.work, model=folder).opened()
            pieces.plan  # noqa: B018  while the model is there to be compared
        _opened.clear()
        known = _opened[key] = (parcel, pieces)
    return known[1]
