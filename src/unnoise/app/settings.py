"""What options, or the choices of a form, add up to: the settings of a run."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.errors import InputError

if TYPE_CHECKING:
    from unnoise.config.config import Config
    from unnoise.training.auto import Auto


def settings_of(
    method: str | None,
    preset: str,
    file: Path | None,
    pairs: str | None,
    struct: str | None,
    assignments: list[str] | None,
) -> Config:
    """Settings of a file or of a method and preset, with single ones changed."""
    from unnoise.config.config import Config

    if file is not None:
        if preset != "fast":
            raise InputError("settings come from --config or from --preset; give one of the two")
        try:
            config = Config.from_yaml(file.read_text("utf-8"))
        except (OSError, UnicodeError) as error:
            raise InputError(
                f"cannot read the settings file {file} ({getattr(error, 'strerror', error)}); "
                f"make one with unnoise config n2v > run.yaml"
            ) from error
        config = Config.of_method(config, method)
    else:
        implied = "n2n" if pairs is not None else "structn2v" if struct is not None else "n2v"
        config = Config.preset(preset, method or implied)
    chosen = [] if pairs is None else [f"pairs.axis={pairs.upper()}"]
    chosen += [] if struct is None else [f"mask.struct={struct}"]
    return config.set(*chosen, *(assignments or []))


def wanted(
    method: str | None,
    preset: str,
    file: Path | None,
    pairs: str | None,
    struct: str | None,
    assignments: list[str] | None,
    minutes: float | None,
    steps: int | None,
    seed: int | None,
    three_d: bool | None,
) -> Config | Auto:
    """The settings, or ``auto``, which waits for the images: the default."""
    ndim = None if three_d is None else 3 if three_d else 2
    explicit = preset != "fast" or any(option is not None for option in (file, pairs, struct))
    if explicit if method is None else method != "auto":
        settings = settings_of(method, preset, file, pairs, struct, assignments)
        return settings.with_budget(minutes, steps, seed, ndim)
    if explicit:
        raise InputError(
            "auto chooses the settings itself; leave out --preset, --config, --pairs and --struct, "
            "or name a method"
        )
    from unnoise.training.auto import Auto

    auto = Auto(tuple(assignments or ()), minutes, steps, seed, ndim)
    auto.provisional  # noqa: B018  what cannot work is refused before any file is opened
    return auto


def assigned(
    assignments: list[str] | None, noise_model: Path | None, context: str | None
) -> list[str]:
    """The settings with the camera file and the context among them, checked."""
    found = list(assignments or ())
    if noise_model is not None:
        from unnoise.noise.camera.file import Camera

        Camera.load(noise_model)
        found.append(f"noise_model={json.dumps(str(noise_model.absolute()))}")
    if context is not None:
        axis, _, reach = context.partition(":")
        if not axis.strip().isalpha() or not reach.strip().isdecimal():
            raise InputError(
                f"--context {context} is no axis with a number of frames; write T:2, Z:1, or T:0 "
                f"for frame by frame"
            )
        found.append(f"context={{{axis.strip().upper()}: {int(reach)}}}")
    return found


def with_uncertainty(settings: Config | Auto) -> Config | Auto:
    """The settings with a loss that predicts a spread; only asked for, never by itself.

    Raises
    ------
    InputError
        Where the method predicts none.
    """
    from unnoise.training.auto import Auto

    config = settings.provisional if isinstance(settings, Auto) else settings
    if config.is_probabilistic:
        return settings
    if config.net is None or config.entry.only_mse:
        raise InputError(f"the method {config.method} predicts no uncertainty; choose n2v")
    if config.training.loss != "mse":
        raise InputError(
            f"the loss {config.training.loss} predicts no uncertainty; choose gaussian or laplace"
        )
    if isinstance(settings, Auto):
        return replace(settings, assignments=(*settings.assignments, "training.loss=gaussian"))
    return config.replace(training={"loss": "gaussian"})


def words(options: Any) -> list[str]:
    """Options as a command line has them, without those that are left at their defaults.

    Parameters
    ----------
    options : InputOptions or OutputOptions

    Examples
    --------
    >>> from unnoise.app.files import InputOptions, OutputOptions
    >>> words(InputOptions("ZYX", keep_outliers=True))
    ['--axes', 'ZYX', '--keep-outliers']
    >>> words(OutputOptions("clean/", tta=False))
    ['--out', 'clean/', '--no-tta']
    """
    found: list[str] = []
    for field in fields(options):
        value, option = getattr(options, field.name), f"--{field.name.replace('_', '-')}"
        if value is False:
            found += ["--no-tta"] if field.name == "tta" else []
        elif value is True:
            found.append(option)
        elif value is not None and value != field.default:
            found += [option, str(value)]
    return found
