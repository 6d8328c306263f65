"""A small prediction that is made in pieces."""

from __future__ import annotations

from pathlib import Path

from synthetic import photons
from tiny import tiny, untrained
from unnoise.app import large
from unnoise.app.events import Event, Predicting
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.large import Sharing, predict_large
from unnoise.app.pieces import Work
from unnoise.images import formats
from unnoise.models import folder as model_folder


def prediction(folder: Path, suffix: str = ".tif") -> Work:
    """The prediction of a small stack by a tiny model; 16 pieces of a TIFF with a small `ROOM`."""
    x = photons((4, 96, 80))
    source = folder / f"noisy{suffix}"
    if suffix == ".zarr":
        import zarr

        zarr.create_array(source, data=x, chunks=(1, 32, 40), dimension_names=["z", "y", "x"])
    else:
        formats.save(source, x, axes="ZYX")
    model, _ = untrained(x, tiny(steps=1).set("ndim=2"), "ZYX")
    model_folder.save(folder / "m", model, [], fresh=True)
    names = str(folder / "m"), source, "", folder / f"out{suffix}"
    return Work(*names, None, InputOptions(), OutputOptions(dtype="float32"), "cpu")


def run(work: Work, sharing: Sharing = large.ALONE, stop: int | None = None) -> list[Event]:
    """What a run tells, closed after so many pieces."""
    opened = work.opened()
    told: list[Event] = []
    events = predict_large(work, opened.model, opened.image, sharing)
    for event in events:
        told.append(event)
        if stop is not None and sum(isinstance(e, Predicting) for e in told) == stop:
            events.close()
    return told


def content(path: Path) -> dict[str, bytes]:
    """All bytes of a file or a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(f.relative_to(path)): f.read_bytes() for f in files if f.is_file()}
