"""Laws of a prediction shared by Dask: the same bytes, whoever is lost on the way."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from unnoise.app import dask_cluster, pieces
from unnoise.app.events import Judged, Predicting
from unnoise.app.large import Sharing, predict_large
from unnoise.app.pieces import Work
from unnoise.errors import InputError
from unnoise.images.together import read_files

from .piecewise import content, run

SOURCES = Path(pieces.__file__).parents[2]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, as ``dask scheduler`` and ``dask worker`` start them."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    # Pieces of 0.1 s, so that a worker can be lost between two of them.
    slow = folder / "slow.py"
    slow.write_text(
        "import time\n"
        "def dask_setup(worker):\n"
        "    from unnoise.app.pieces import Pieces\n"
        "    predict = Pieces._predict\n"
        "    def slowly(self, number):\n"
        "        time.sleep(0.1)\n"
        "        predict(self, number)\n"
        "    Pieces._predict = slowly\n"
    )
    worker = ["dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    worker += ["--local-directory", str(folder), "--preload", str(slow)]
    port = address.rsplit(":", 1)[1]
    parts = [["dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        for name, *options in [*parts, worker, worker]
    ]
    try:
        yield address, running
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


@pytest.mark.filterwarnings("default")  # of the client's own threads and sockets
def test_a_lost_worker_costs_nothing(zarr_work: Work, tmp_path: Path) -> None:
    """A scheduler and two workers, of which one is killed: about 12 s of four processes."""
    run(replace(zarr_work, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    with cluster(tmp_path) as (address, processes):
        wait_for_workers(address)
        opened = zarr_work.opened()
        sharing = Sharing(dask=address)
        told = []
        for event in predict_large(zarr_work, opened.model, opened.image, sharing):
            if len([e for e in told if isinstance(e, Predicting)]) == 2:
                processes[1].kill()
            told.append(event)
    assert isinstance(told[-1], Judged)
    assert content(zarr_work.result) == content(tmp_path / "whole.zarr")


def wait_for_workers(address: str) -> None:
    """Both must be there, or one would have all pieces."""
    import distributed

    deadline = time.monotonic() + 120
    while True:
        try:
            with distributed.Client(address, timeout=5) as client:
                client.wait_for_workers(2, timeout=120)
                return
        except (OSError, TimeoutError):
            assert time.monotonic() < deadline


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there_is_told(
    zarr_work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT", 0.3)
    with pytest.raises(InputError, match=r"no scheduler of Dask answers .* dask scheduler"):
        run(zarr_work, Sharing(dask=f"tcp://127.0.0.1:{free_port()}"))


def test_what_is_no_address_is_refused(work: Work) -> None:
    with pytest.raises(InputError, match="is no place; write local"):
        Sharing(dask="here").check()
    with pytest.raises(InputError, match=r"ends in \.zarr"):
        run(work, Sharing(dask="tcp://127.0.0.1:1"))


def test_dask_is_optional(zarr_work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"unnoise\[dask\]"):
        run(zarr_work, Sharing(dask="local"))


def test_a_worker_that_stays_makes_all_pieces_of_a_result_that_is_begun_anew(
    zarr_work: Work,
) -> None:
    work = replace(zarr_work, writing=replace(zarr_work.writing, overwrite=True))
    for _ in range(2):
        prepared = work.opened()
        prepared.prepare()
        files = read_files(Path(work.model), ("config.yaml", "weights.safetensors"))
        parcel = dask_cluster.Parcel(work.absolute(), files, None)
        numbers = list(range(prepared.plan.count))
        halves = numbers[:3], numbers[3:]
        made = [n for half in halves for n in dask_cluster._made(list(half), parcel)]
        assert made == numbers
        prepared.finish()
