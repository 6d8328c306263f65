"""Laws of a training that processes of torchrun share: the weights of one process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import unnoise
from synthetic import clean_and_noisy
from tiny import CPU, finish, run_of, tiny
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.nets import ranks
from unnoise.training import start as runs
from unnoise.training.plan import plan

HERE = Path(__file__).resolve().parents[1]
SOURCES = Path(ranks.__file__).parents[2]
SETTINGS = {"steps": 20, "batch_size": 4, "precision": "float32"}
SHARED = """
import sys, torch
from synthetic import clean_and_noisy
from tiny import finish, run_of, tiny
x = clean_and_noisy(64)[1]
run = run_of(tiny(**{"steps": 20, "batch_size": 4, "precision": "float32"}), x)
torch.save(dict(finish(run).weights), sys.argv[1])
run = run_of(tiny(minutes=0.002), x)
finish(run)
print(run.step, run.seconds)
"""


def free_port() -> int:
    """A port that nobody has, below those that the system gives to whoever asks for any.

    One of these could be given away before the processes have loaded PyTorch.
    """
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_two_processes_train_the_weights_of_one(tmp_path: Path) -> None:
    """Two processes load PyTorch: about 6 s."""
    port = free_port()
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    shared |= {"PYTHONPATH": os.pathsep.join([str(SOURCES), str(HERE)])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, str(tmp_path / f"{rank}.pt")],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=250) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode == 0 for process in processes), told
    assert told[0][0] == told[1][0], "a budget in minutes is spent by the clock of one"
    alone = finish(run_of(tiny(**SETTINGS), clean_and_noisy(64)[1])).weights
    for rank in range(2):
        weights = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert weights.keys() == alone.keys()
        for name, weight in alone.items():
            np.testing.assert_allclose(weights[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (tiny(batch_size=2), "batch_size=3"),
        (tiny(batch_size=4, net={"batch_norm": True}), "batch_norm=false"),
        (Config(method="tv"), "without torchrun"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    config: Config, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.from_array(clean_and_noisy(64)[1])
    model = plan([image], config)
    monkeypatch.setattr(runs, "of_torchrun", lambda: ranks.Ranks(0, 3, 0, 3))
    with pytest.raises(InputError, match=words):
        runs.start([image], model, CPU)


def test_what_torchrun_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert ranks.of_torchrun() == ranks.Ranks()  # RANK alone may be anybody's
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    found = ranks.of_torchrun()
    assert found == ranks.Ranks(5, 8, 1, 4)
    assert not found.leads
    assert list(range(20))[found.share] == [5, 13]
    assert replace(found, rank=0).leads
    monkeypatch.setenv("RANK", "a")
    with pytest.raises(InputError, match=r"RANK=a, .* are not all numbers; start by torchrun"):
        ranks.of_torchrun()


@pytest.mark.slow
def test_torchrun_trains_a_model_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", clean_and_noisy(64)[1])
    options = [f"--set={o}" for o in ("net.filters=4", "net.depth=1", "training.batch_size=4")]
    options += ["--set=training.precision=float32", "--method=n2v", "--steps=20", "--no-report"]
    options += ["--device=cpu", "-q"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    for name, start in (("one", [sys.executable]), ("two", [*launch, "--nproc-per-node", "2"])):
        command = [*start, "-m", "unnoise", "train", "a.npy", "-o", name, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = (unnoise.load(tmp_path / name).weights for name in ("one", "two"))
    for name, weight in one.items():
        np.testing.assert_allclose(two[name], weight, rtol=0, atol=1e-5)
