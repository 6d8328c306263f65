"""Files of microscopes in pieces: what a worker opens anew is what the first process opened."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiny import tiny, untrained
from unnoise.app import dask_cluster, workers
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.large import Sharing
from unnoise.app.pieces import Work, run_of
from unnoise.images import formats
from unnoise.models import folder as model_folder
from unnoise.models import stream

from .piecewise import content, run

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats"
FILES = (
    pytest.param("czi/CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi", marks=pytest.mark.slow),
    "nd2/cluster.nd2",
    "lif/testdata_2channel_xz.lif",
)


@pytest.fixture(params=FILES)
def vendor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """The prediction of a file by a tiny model, into Zarr."""
    source = SHARED / str(request.param)
    if not source.exists():
        pytest.skip(f"{source} is not here")
    monkeypatch.setattr(stream, "ROOM", {2: 0.4e6})
    reading = InputOptions()
    image = formats.open(source)
    pixels = np.asarray(image.data[...])
    model, _ = untrained(pixels, tiny(steps=1).set("ndim=2"), image.axes)
    model_folder.save(tmp_path / "m", model, [], fresh=True)
    names = str(tmp_path / "m"), source, "", tmp_path / "out.zarr"
    return Work(*names, None, reading, OutputOptions(dtype="float32"), "cpu")


def test_workers_open_the_file_of_a_microscope_as_it_was(
    vendor: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # here it would stay
    run(replace(vendor, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    opened = vendor.opened()
    opened.prepare()
    count = opened.plan.count
    assert count > 1
    ours, theirs = multiprocessing.Pipe()
    sent = pickle.loads(pickle.dumps(vendor.absolute()))
    workers._run(sent, run_of(0, 2, count), 0, 1, theirs)
    assert [ours.recv() for _ in run_of(0, 2, count)] == list(run_of(0, 2, count))
    ours.close()
    names = ("config.yaml", "weights.safetensors")
    files = {name: Path(vendor.model, name).read_bytes() for name in names}
    parcel = dask_cluster.Parcel(sent, files, None)
    assert dask_cluster._made(list(range(count)), parcel) == list(run_of(1, 2, count))
    run(vendor, Sharing(finish=True))
    assert content(vendor.result) == content(tmp_path / "whole.zarr")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client's own threads and sockets
@pytest.mark.parametrize("sharing", [Sharing(workers=2), Sharing(workers=2, dask="local")])
def test_processes_share_the_file_of_a_microscope(
    vendor: Work, sharing: Sharing, tmp_path: Path
) -> None:
    run(replace(vendor, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    run(vendor, sharing)
    assert content(vendor.result) == content(tmp_path / "whole.zarr")
