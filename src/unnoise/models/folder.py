"""The model folder: everything a model is, readable without unnoise.

``config.yaml``          settings, statistics, axes, pixel size, versions, data; of a mean of two
                         also ``second``, the second model and its share; of images of very
                         different brightness ``others``, the models of the other groups
``weights.safetensors``  weights of the net; those of a second one are named ``second.*``, those of
                         others ``others.1.*`` and so on
``resume.pt``            state of an unfinished run, read with ``weights_only``
``log.jsonl``            one line per validation

A new folder appears whole, and files of one change together, so a folder is whole at any moment.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor

from unnoise.config.config import Config
from unnoise.config.plain_yaml import read_yaml, write_yaml
from unnoise.errors import InputError, ModelError, expect, first_line
from unnoise.images import formats
from unnoise.images.atomic import probe, recover, replacing
from unnoise.images.formats import urls
from unnoise.images.levels import Level
from unnoise.images.normalization import ChannelStatistics
from unnoise.images.together import (
    current,
    read_files,
    replace_files,
    settle_files,
    write_files,
)
from unnoise.models.integrity import fault
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.migration import upgraded, with_correlation
from unnoise.models.model import Choice, Coverage, EnsembleMember, Model, Passes
from unnoise.models.posterior import Posterior
from unnoise.models.provenance import Provenance
from unnoise.models.record import JoinedFrames, PosteriorTest, TrainingRecord, checked, plain
from unnoise.noise.image_noise import ImageNoise

CONFIG, WEIGHTS, RESUME, LOG = "config.yaml", "weights.safetensors", "resume.pt", "log.jsonl"
FORMAT = 2
"""Version of the folder's layout."""
PARTS: dict[str, Callable[[Any], Any]] = {
    "noise": ImageNoise.from_dict,
    "posterior": Posterior.from_dict,
    "record": TrainingRecord.from_dict,
    "provenance": Provenance.from_dict,
    "posterior_test": partial(checked, PosteriorTest),
    "choice": partial(checked, Choice),
    "passes": partial(checked, Passes),
    "coverage": partial(checked, Coverage),
    "mean_correction": MeanCorrection.from_dict,
    "joined": partial(checked, JoinedFrames),
    "level": Level.from_dict,
}
"""The parts of a model that may be missing, and what reads the plain values of each."""
SECOND, OTHERS = "second.", "others."
"""What the names of the weights of a second model begin with, and of those of other groups."""


def save(
    folder: str | os.PathLike[str],
    model: Model,
    history: Sequence[Mapping[str, Any]] = (),
    state: Mapping[str, Any] | None = None,
    *,
    fresh: bool = False,
) -> None:
    """Write a model, the history of its training and, unless that is finished, its state.

    A new folder appears whole. In an existing one these files are replaced, all of them or none,
    or with `fresh` the whole folder, whatever it held.

    Raises
    ------
    InputError
        If the folder cannot be written, or is something else than a model folder.
    """
    expect("folder", folder, (str, os.PathLike), "a name like 'my.model'")
    check_place(Path(folder), overwrite=True)  # and make the folders above it
    place = Path(os.path.realpath(folder))  # through a link, what it points to is replaced
    files = _files(model, history, state)
    try:
        if place.exists() and not fresh:
            replace_files(place, files)
            return
        with replacing(place) as part:
            part.mkdir()
            write_files(part, files)
    except OSError as error:
        raise _unwritable(Path(folder), error) from error


def _files(
    model: Model, history: Sequence[Mapping[str, Any]], state: Mapping[str, Any] | None
) -> dict[str, bytes | None]:
    """Content of every file of the folder; None for those that must not be there."""
    both, weights = _with_second(model)
    values = {"format": FORMAT, **both}
    if model.others:
        values["others"] = []
    for i, other in enumerate(model.others, 1):
        described, own = _with_second(other)
        values["others"].append(described)
        weights |= {f"{OTHERS}{i}.{name}": weight for name, weight in own.items()}
    unfinished = None
    if state is not None:
        buffer = io.BytesIO()  # torch.save reports a full disk as a RuntimeError
        torch.save(dict(state), buffer)
        unfinished = buffer.getvalue()
    return {
        WEIGHTS: serialize({name: w.contiguous() for name, w in weights.items()}),
        CONFIG: write_yaml(values, CONFIG).encode(),
        LOG: "".join(json.dumps(line) + "\n" for line in history).encode() if history else None,
        RESUME: unfinished,
    }


def _with_second(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Plain values and weights of a model and, of a mean of two, of the second one."""
    values, weights = _described(model), dict(model.weights)
    if model.second is not None:
        other = model.second.model
        values["second"] = {"share": model.second.share, **_described(other)}
        weights |= {f"{SECOND}{name}": weight for name, weight in other.weights.items()}
    return values, weights


def _described(model: Model) -> dict[str, Any]:
    """Everything but the weights, as plain values."""
    statistics = {"": model.affine, "target_": model.target_affine}
    parts = {name: getattr(model, name) for name in PARTS}
    return {
        "config": model.config.values(),
        **{
            f"{prefix}{name}": getattr(affine, name).tolist()
            for prefix, affine in statistics.items()
            if affine is not None
            for name in ("mean", "std")
        },
        "channels": list(model.channels),
        "patch": list(model.patch),
        **{
            name: part.to_dict() if hasattr(part, "to_dict") else plain(asdict(part))
            for name, part in parts.items()
            if part is not None
        },
    }


def _whole_model(values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Model:
    """What `_with_second` wrote."""
    model = _model(values, {k: w for k, w in weights.items() if not _is_second(k)})
    if "second" not in values:
        return model
    second = {k.partition(".")[2]: w for k, w in weights.items() if _is_second(k)}
    member = EnsembleMember(_model(values["second"], second), float(values["second"]["share"]))
    return replace(model, second=member)


def _model(values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Model:
    """What `_described` wrote."""
    config = Config.parse(values["config"])
    return Model(
        config=config,
        affine=_affine(values),
        target_affine=_affine(values, "target_") if "target_mean" in values else None,
        channels=tuple(int(c) for c in values["channels"]),
        patch=tuple(int(p) for p in values["patch"]),
        weights=with_correlation(weights) if config.entry.is_stabilized else weights,
        **{name: read(values[name]) for name, read in PARTS.items() if name in values},
    )


def _affine(values: Any, prefix: str = "") -> ChannelStatistics:
    return ChannelStatistics(
        np.array(values[f"{prefix}mean"], float), np.array(values[f"{prefix}std"], float)
    )


def _unwritable(place: Path, error: OSError) -> InputError:
    return InputError(
        f"the model cannot be written to {place}: {error.strerror or error}; free some space or "
        f"choose another folder with -o"
    )


def needed(model: Model) -> int:
    """Bytes of the folder of a model, and of the state of a run that can go on, at most."""
    weights = [w for part, _ in model.members for w in part.weights.values()]
    # weights; of a state also the net, its average, two moments, and the best weights
    return 6 * sum(w.numel() * w.element_size() for w in weights) + 2**20


def check_place(folder: Path, *, overwrite: bool, nbytes: int = 0) -> None:
    """Refuse to write a model over a file, another folder, or unasked over another model.

    Raises
    ------
    InputError
        Also if the place cannot be written at all, or its disk has less than so many bytes.
    """
    if isinstance(address := urls.place(folder), urls.Url):  # a path joins its slashes
        raise InputError(f"{address} is an address; a model is a folder of files, so name one here")
    if folder.is_symlink() and not folder.exists():
        raise InputError(
            f"{folder} is a link to {os.path.realpath(folder)}, which is missing; make that "
            f"folder, or choose another name with -o"
        )
    if os.path.exists(folder) and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a model folder; choose another name with -o")
    has_model = os.path.exists(folder / CONFIG)
    if folder.is_dir() and any(folder.iterdir()) and not has_model:
        raise InputError(
            f"{folder} holds other files and is no model folder; choose a new name with -o"
        )
    if folder.is_dir() and not has_model and folder.samefile(os.curdir):
        raise InputError(f"{folder} is the current folder; choose a new name with -o")
    if has_model and not overwrite:
        raise InputError(
            f"the model {folder} exists; add --overwrite, choose another name with -o, or go on "
            f"with it: unnoise train --resume {folder}"
        )
    place = Path(os.path.realpath(folder))
    try:
        probe(place)
        if shutil.disk_usage(place.parent).free < nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise _unwritable(folder, error) from error


def identity(folder: str | os.PathLike[str]) -> str:
    """A number for what a model is."""
    files = read_files(Path(folder), (CONFIG, WEIGHTS))
    return hashlib.sha256(b"".join(files.values())).hexdigest()[:16]


def settle(folder: Path) -> None:
    """Complete a change of the folder that a kill has interrupted; for who has claimed it."""
    with suppress(OSError):  # whoever reads sees the new files in any case
        settle_files(folder)


def is_resumable(folder: Path) -> bool:
    """Whether the folder holds an unfinished training."""
    return current(folder, RESUME) is not None


def data_paths(folder: Path, model: Model, *, targets: bool = False) -> list[Path]:
    """The files a model was trained on, or the second images of its pairs.

    Raises
    ------
    InputError
        If it was trained on arrays, or files are gone.
    """
    kept = model.provenance
    paths = [source.path for source in (kept.targets if targets else kept.data)]
    gone = [path for path in paths if path is None or not formats.is_there(urls.place(path))]
    if gone or not paths:
        lost = "arrays in memory" if None in paths or not paths else f"{gone[0]}, which is gone"
        again = " --targets TARGETS" if kept.targets else ""
        raise InputError(
            f"{folder} was trained on {lost}; name its images again: unnoise train IMAGES{again} "
            f"--resume {folder}"
        )
    return [urls.place(path) for path in paths if path is not None]


def load(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder.

    Raises
    ------
    ModelError
        If there is none, it is damaged, or it was written by a newer unnoise.
    """
    expect("folder", folder, (str, os.PathLike), "a name like 'my.model'")
    place = Path(folder)
    recover(place)
    if not place.is_dir():
        raise ModelError(f"there is no model folder {place}; make one with unnoise train")
    for name in (CONFIG, WEIGHTS):
        if current(place, name) is None:
            raise ModelError(
                f"{place} is not an unnoise model folder: it lacks {name}; give the folder that "
                f"unnoise train wrote"
            )
    try:
        files = read_files(place, (CONFIG, WEIGHTS))
        values = read_yaml(files[CONFIG].decode("utf-8"), CONFIG)
        if values["format"] > FORMAT:
            raise ModelError(f"{place} was written by a newer unnoise; update unnoise to read it")
        values = upgraded(values)
        weights = deserialize(files[WEIGHTS])
        groups = _by_group(weights)
        others = tuple(
            _whole_model(other, groups.get(f"{OTHERS}{i}.", {}))
            for i, other in enumerate(values.get("others", ()), 1)
        )
        model = replace(_whole_model(values, groups.get("", {})), others=others)
        found = fault(model)
    except ModelError:
        raise
    except (
        InputError,
        SafetensorError,
        OSError,
        UnicodeError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise _damaged(place, first_line(error)) from error
    if found:
        raise _damaged(place, found)
    return model


def _damaged(place: Path, why: str) -> ModelError:
    return ModelError(
        f"the model folder {place} is damaged ({why}); restore it from a copy or train again"
    )


def _by_group(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The weights of each group under their own names, by what stands before those."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        parts = name.split(".", 2) if name.startswith(OTHERS) else [name]
        found.setdefault(name.removesuffix(parts[-1]), {})[parts[-1]] = weight
    return found


def load_state(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The state of the unfinished training of a model folder.

    Raises
    ------
    ModelError
        If there is none, or it is damaged.
    """
    place = Path(folder)
    kept = current(place, RESUME)
    if kept is None:
        raise ModelError(f"{place} has no {RESUME}, so its training cannot go on; train anew")
    try:
        with zipfile.ZipFile(kept) as parts:
            # As torch writes them; compressed ones may be made to fill the memory.
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())
        state = stored and torch.load(kept, map_location="cpu", weights_only=True)
    except Exception:  # whatever the damaged bytes lead to; what torch advises then is unsafe
        state = None
    if not isinstance(state, dict):
        raise ModelError(
            f"{place / RESUME} is damaged; the model itself still works, but its training cannot "
            f"go on"
        )
    return state


def _is_second(name: str) -> bool:
    """Whether weights belong to the second model; in folders of format 1 to its ``partner``."""
    return name.startswith((SECOND, "partner."))
