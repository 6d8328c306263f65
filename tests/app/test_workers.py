"""Laws of processes that share a prediction: the same bytes, also when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from unnoise.app import pieces, workers
from unnoise.app.large import Sharing
from unnoise.app.pieces import Work
from unnoise.errors import UnnoiseError

from .piecewise import content, run


def test_a_worker_that_dies_costs_its_pieces_alone(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes load PyTorch: about 6 s."""
    run(replace(work, result=tmp_path / "whole.tif"), Sharing(resume=True))
    opened = work.opened()
    opened.prepare()
    count = opened.plan.count
    start, started = SpawnProcess.start, []

    def halted(process: Any) -> None:
        """The second one makes nothing: who is late would find that both had made all."""
        start(process)
        started.append(process)
        if len(started) == 2:
            os.kill(process.pid, signal.SIGSTOP)

    monkeypatch.setattr(SpawnProcess, "start", halted)
    made = workers.predicted(work, range(count), 2, 1)
    first = next(made) // (count // 2)
    started[1 - first].kill()
    with pytest.raises(UnnoiseError, match=r"SIGKILL, as the system does.*run the same command"):
        list(made)
    assert opened.done() >= set(pieces.run_of(first, 2, count))
    assert len(opened.done()) < opened.plan.count
    run(work)
    assert content(work.result) == content(tmp_path / "whole.tif")


def test_what_a_worker_cannot_do_is_told(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # here it would stay
    ours, theirs = multiprocessing.Pipe()
    gone = replace(work, model=str(work.source.parent / "gone.model"))
    workers._run(gone, range(1), 0, 1, theirs)
    assert "gone.model" in ours.recv()
    ours.close()


@pytest.mark.parametrize(
    ("code", "text"),
    [(3, "exit code 3"), (-signal.SIGKILL, "without memory"), (-signal.SIGSEGV, "SIGSEGV")],
)
def test_the_end_of_a_process_in_words(code: int, text: str) -> None:
    assert text in workers._why(code)


@pytest.mark.slow
def test_processes_of_torchrun_share_a_prediction(zarr_work: Work, tmp_path: Path) -> None:
    run(replace(zarr_work, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    place = tmp_path / "ranks.zarr"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "unnoise", "predict", zarr_work.model]
    command += [str(zarr_work.source), "-o", str(place), "--dtype", "float32", "-q"]
    command += ["--no-report", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert content(place) == content(tmp_path / "whole.zarr")
