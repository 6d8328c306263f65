"""What is finished and cannot be written where it belongs is kept elsewhere, and named."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unnoise.errors import InputError
from unnoise.models import folder as model_folder
from unnoise.models.claim import claimed
from unnoise.models.model import Model


def elsewhere(path: Path) -> Generator[Path]:
    """The same name in new folders, on whatever disks there are; those that stay empty go."""
    for parent in (tempfile.gettempdir, Path.home, Path.cwd):
        with contextlib.suppress(OSError, RuntimeError):
            folder = Path(tempfile.mkdtemp(prefix="unnoise-", dir=parent()))
            try:
                yield folder / path.name
            finally:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def save(
    folder: Path,
    model: Model,
    history: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any] | None = None,
    *,
    overwrite: bool,
) -> None:
    """Write a new model folder, or else keep what was trained.

    Raises
    ------
    InputError
        If it is not where it belongs, with where it is.
    """
    try:
        with claimed(folder):
            model_folder.check_place(folder, overwrite=overwrite)  # one may have come meanwhile
            model_folder.save(folder, model, history, state, fresh=True)
    except InputError as error:
        raise kept(error, folder, model, history, state) from error


def kept(
    problem: InputError,
    folder: Path,
    model: Model,
    history: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any] | None = None,
) -> InputError:
    """Keep a model that cannot be written to its folder, or whose results cannot be written.

    Parameters
    ----------
    problem : InputError
        Why.
    folder, model, history, state
        As for `unnoise.models.folder.save`.

    Returns
    -------
    InputError
        The problem with where the model is; the problem alone if no place takes it.
    """
    for rest in [None] if state is None else [state, None]:  # the state is the larger part
        with contextlib.closing(elsewhere(folder)) as places:
            for place in places:
                with contextlib.suppress(InputError):
                    model_folder.save(place, model, history, rest)
                    return InputError(f"{problem}; what was trained is kept in {place}")
    return problem


def free_folder(result: Path) -> Path:
    """A model folder beside a result that does not exist yet."""
    stem = result.with_suffix("")
    names = (stem.with_name(f"{stem.name}{n}.model") for n in ("", *map(str, range(2, 1000))))
    return next(name for name in names if not name.exists())
