"""The model folder: everything a model is, readable without unnoise, nothing pickled.

``config.yaml``          settings, statistics, axes, pixel size, versions, data
``weights.safetensors``  weights of the net
``resume.pt``            state of an unfinished run, read with ``weights_only``
``log.jsonl``            one line per validation

Every file is written beside its place and moved over it, so a folder is whole at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from unnoise.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.image import Image
from unnoise.model import Model, build_net
from unnoise.normalize import Affine
from unnoise.plan import fingerprint
from unnoise.train import Run

CONFIG, WEIGHTS, RESUME, LOG = "config.yaml", "weights.safetensors", "resume.pt", "log.jsonl"
FORMAT = 1
"""Version of the folder's layout."""


def save(
    folder: str | os.PathLike[str], model: Model, run: Run | None = None, *, finished: bool = False
) -> None:
    """Write a model, its log, and the state of its run unless that is finished.

    Raises
    ------
    InputError
        If the folder cannot be written, or is something else than a model folder.
    """
    place = Path(folder)
    check_place(place, overwrite=True)
    values = {
        "format": FORMAT,
        "config": model.config.model_dump(),
        "mean": model.affine.mean.tolist(),
        "std": model.affine.std.tolist(),
        "channels": list(model.channels),
        "patch": list(model.patch),
        "origin": dict(model.origin),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        _replace(place / WEIGHTS, lambda path: save_file(_contiguous(model), path))
        _replace(
            place / CONFIG,
            lambda path: path.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8"),
        )
        if run is not None:
            lines = "".join(json.dumps(line) + "\n" for line in run.history)
            _replace(place / LOG, lambda path: path.write_text(lines, "utf-8"))
        if run is not None and not finished:
            _replace(place / RESUME, lambda path: torch.save(run.state(), path))
        else:
            (place / RESUME).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"the model cannot be written to {place}: {error.strerror or error}; free some space "
            f"or choose another folder with -o"
        ) from error


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write a model over a file, another folder, or unasked over another model.

    Raises
    ------
    InputError
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a model folder; choose another name with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).exists():
        raise InputError(
            f"{folder} holds other files and is no model folder; choose a new name with -o"
        )
    if (folder / CONFIG).exists() and not overwrite:
        raise InputError(
            f"the model {folder} exists; add --overwrite, choose another name with -o, or go on "
            f"with it: unnoise train --resume {folder}"
        )


def is_resumable(folder: Path) -> bool:
    """Whether the folder holds an unfinished training."""
    return (folder / RESUME).is_file()


def data_paths(folder: Path, model: Model) -> list[Path]:
    """The files a model was trained on.

    Raises
    ------
    InputError
        If it was trained on arrays, or files are gone.
    """
    paths = [entry["path"] for entry in model.origin.get("data", [])]
    gone = [path for path in paths if path is None or not Path(path).is_file()]
    if gone or not paths:
        what = "arrays in memory" if None in paths or not paths else f"{gone[0]}, which is gone"
        raise InputError(
            f"{folder} was trained on {what}; name its images again: unnoise train IMAGES "
            f"--resume {folder}"
        )
    return [Path(path) for path in paths]


def load(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder.

    Raises
    ------
    ModelError
        If there is none, it is damaged, or it was written by a newer unnoise.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ModelError(f"there is no model folder {place}; make one with unnoise train")
    for name in (CONFIG, WEIGHTS):
        if not (place / name).is_file():
            raise ModelError(
                f"{place} is not an unnoise model folder: it lacks {name}; give the folder that "
                f"unnoise train wrote"
            )
    try:
        values = yaml.safe_load((place / CONFIG).read_text("utf-8"))
        if values["format"] > FORMAT:
            raise ModelError(f"{place} was written by a newer unnoise; update unnoise to read it")
        model = Model(
            config=Config.parse(values["config"]),
            affine=Affine(np.array(values["mean"], float), np.array(values["std"], float)),
            channels=tuple(int(c) for c in values["channels"]),
            patch=tuple(int(p) for p in values["patch"]),
            weights=load_file(place / WEIGHTS),
            origin=values["origin"],
        )
    except ModelError:
        raise
    except (
        yaml.YAMLError,
        SafetensorError,
        OSError,
        UnicodeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"the model folder {place} is damaged ({_first_line(error)}); restore it from a copy "
            f"or train again"
        ) from error
    _check_whole(place, model)
    return model


def _check_whole(place: Path, model: Model) -> None:
    """Statistics, channels and weights must fit each other and be finite."""
    n = len(model.affine.mean)
    fits = (
        len(model.affine.std) == n
        and len(model.patch) in (2, 3)
        and bool(model.channels)
        and all(0 <= c < n for c in model.channels)
        and bool(np.isfinite([model.affine.mean, model.affine.std]).all())
        and all(bool(torch.isfinite(w).all()) for w in model.weights.values())
    )
    if not fits:
        raise ModelError(
            f"the model folder {place} is damaged: its numbers do not fit each other; "
            f"restore it from a copy or train again"
        )
    build_net(model)


def load_run(folder: str | os.PathLike[str], images: Sequence[Image], device: torch.device) -> Run:
    """The unfinished run of a model folder, ready to go on.

    Raises
    ------
    InputError
        If the folder has no resumable state or the images are not those of the run.
    """
    place, model = Path(folder), load(folder)
    if not (place / RESUME).is_file():
        raise ModelError(f"{place} has no {RESUME}, so its training cannot go on; train anew")
    try:
        state = torch.load(place / RESUME, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damaged bytes lead to
        raise ModelError(
            f"{place / RESUME} is damaged ({_first_line(error)}); the model itself still works, "
            f"but its training cannot go on"
        ) from error
    now = fingerprint(images)
    if model.origin.get("fingerprint") != now:
        raise InputError(
            f"the images are not the ones {place} was trained on, so its training cannot go on "
            f"with them; give the same images, or train a new model"
        )
    run = Run(images, model, device)
    run.restore(state)
    return run


def _contiguous(model: Model) -> dict[str, torch.Tensor]:
    return {name: weight.contiguous() for name, weight in model.weights.items()}


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the place, then move over it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
