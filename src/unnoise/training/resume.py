"""Going on with the unfinished training of a model folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from unnoise.errors import InputError
from unnoise.images.file_digest import Digests, digests
from unnoise.images.image import Image
from unnoise.models.folder import load_state
from unnoise.models.model import Model
from unnoise.models.provenance import fingerprint
from unnoise.noise.image_noise import image_noise, inspect_images
from unnoise.training.run import Run
from unnoise.training.start import start

FILES = "files"
"""Name of `files_of` in a saved state."""


def files_of(
    model: Model, images: Sequence[Image], targets: Sequence[Image] | None = None
) -> Digests:
    """What to keep in the state of a run, so that it goes on with the same files only."""
    return digests(images, targets, model.provenance.reading.get("mask"))


def resume(
    folder: str | os.PathLike[str],
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> Run:
    """The unfinished run of a model loaded from a folder, ready to go on.

    Parameters
    ----------
    folder : path
        Model folder.
    model : Model
        What is in it.
    images, targets : sequence of Image
        Those it was trained on.
    device : torch.device
        Where to compute.

    Raises
    ------
    InputError
        If the folder has no state to go on from, or the images are not those of the run.
    """
    state = load_state(folder)
    kept, now = state.pop(FILES, None), files_of(model, images, targets)
    if model.provenance.fingerprint != fingerprint([*images, *(targets or [])]):
        raise InputError(
            f"the images are not the ones {Path(folder)} was trained on, so its training cannot go "
            f"on with them; give the same images, or train a new model"
        )
    known = kept if isinstance(kept, dict) else {}  # older states have none
    changed = [name for name in known if known[name] != now.get(name)]
    if changed:
        raise InputError(
            f"the files of the {changed[0]} were changed since the training in {Path(folder)} "
            f"began, so it cannot go on with them; put those of then back, or train a new model"
        )
    if model.noise is None and model.config.noise_model is not None:
        # Folders of format 1 did not keep the noise of the camera file.
        reports, camera = inspect_images(images), model.config.noise_model
        model = replace(model, noise=image_noise(images, model.channels, reports, camera))
    run = start(images, model, device, targets)
    run.restore(state)
    return run
