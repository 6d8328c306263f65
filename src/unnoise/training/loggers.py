"""Optional sinks for the records of a training: TensorBoard and Weights & Biases.

Their files go to a folder of their own, which the jobs put beside the model as ``MODEL.logs``: the
model folder itself is replaced as a whole whenever it is saved.

A sink is a convenience. Whatever goes wrong in it, a full disk or a lost connection, must not end
a training that has run for hours: the sink falls silent and keeps the reason in `Logger.problem`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from unnoise.errors import InputError

T = TypeVar("T")


@dataclass
class Logger:
    """Where the records of a training go besides its model folder.

    Attributes
    ----------
    write : callable
        Writes the finite numbers of a record at a step; may raise anything.
    finish : callable
        Completes what was written; may raise anything.
    problem : str or None
        Why the logger fell silent, in one sentence; None while it works.
    """

    write: Callable[[int, dict[str, float]], None]
    finish: Callable[[], None]
    problem: str | None = None
    is_open: bool = True

    def log(self, record: Mapping[str, float]) -> None:
        """Pass on the finite numbers of a record at its ``step``; never raises, see `problem`."""
        if self.problem is not None or not self.is_open:
            return
        step = record.get("step", 0)
        try:
            values = {k: float(v) for k, v in record.items() if k != "step" and _is_finite(v)}
            self.write(int(step), values)
        except Exception as error:  # whatever the package raises
            self.problem = (
                f"logging stopped at step {step} ({_reason(error)}); the training goes on"
            )

    def close(self) -> None:
        """Complete what was written; never raises, and a second time does nothing."""
        if not self.is_open:
            return
        self.is_open = False
        try:
            self.finish()
        except Exception as error:
            self.problem = self.problem or (
                f"the log may lack its end ({_reason(error)}); the model is not affected"
            )


def tensorboard(folder: Path, settings: dict[str, Any]) -> Logger:
    """Event files for TensorBoard; watch them with ``tensorboard --logdir MODEL.logs``.

    Parameters
    ----------
    folder : Path
        Folder of the logs; the files go to its folder ``tensorboard``.
    settings : dict
        Settings of the training, shown as text.
    """
    module = _import("torch.utils.tensorboard", "tensorboard")
    writer = module.SummaryWriter(str(folder / "tensorboard"))
    rows = "".join(f"| {key} | {value} |\n" for key, value in settings.items())
    writer.add_text("settings", "| setting | value |\n|---|---|\n" + rows)

    def write(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()  # a record comes every few seconds at most, and someone is watching

    return Logger(write, writer.close)


def wandb(folder: Path, settings: dict[str, Any]) -> Logger:
    """A run in the project ``unnoise`` of Weights & Biases.

    Its environment variables decide where it goes, e.g. ``WANDB_MODE=offline`` into files only.

    Parameters
    ----------
    folder : Path
        Folder of the logs; it names the run and takes its files.
    settings : dict
        Settings of the training.
    """
    module = _import("wandb", "wandb")
    run = module.init(project="unnoise", dir=str(folder), config=settings, name=folder.name)
    return Logger(lambda step, values: run.log(values, step=step), run.finish)


LOGGERS = {"tensorboard": tensorboard, "wandb": wandb}


def check(names: Iterable[str]) -> None:
    """Refuse loggers that cannot be, before anything is measured or trained.

    Raises
    ------
    InputError
        If there is none of a name, or its package is not installed.

    Examples
    --------
    >>> check(["paper"])
    Traceback (most recent call last):
        ...
    unnoise.errors.InputError: unknown logger 'paper'; choose tensorboard or wandb
    """
    for name in names:
        if name not in LOGGERS:
            raise InputError(f"unknown logger '{name}'; choose {' or '.join(LOGGERS)}")
        _started(name, partial(_import, name, name))


def make(name: str, folder: Path, settings: dict[str, Any]) -> Logger:
    """Open a logger by name.

    Parameters
    ----------
    name : str
        Name out of `LOGGERS`.
    folder : Path
        Folder of the logs, beside the model folder; it must exist.
    settings : dict
        Settings of the training, as plain values.

    Returns
    -------
    Logger
        Ready to log.

    Raises
    ------
    InputError
        If there is none of that name, its package is not installed, or it cannot start.

    """
    check([name])
    return _started(name, lambda: LOGGERS[name](folder, settings))


def _started(name: str, start: Callable[[], T]) -> T:
    try:
        return start()
    except InputError:
        raise
    except Exception as error:  # better now than after the first hour
        raise InputError(
            f"--log {name} cannot start ({_reason(error)}); mend that, or leave --log {name} out"
        ) from error


def _import(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"--log {package} needs the package {package}: pip install {package}"
        ) from error


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _reason(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
