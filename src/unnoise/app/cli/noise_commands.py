"""The commands that measure: ``info``, ``inspect``, ``calibrate`` and ``correct``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from unnoise.app.cli import completion
from unnoise.app.cli.option_groups import Measured, Result, Selection, with_groups
from unnoise.app.cli.options import Axes, Debug, DryRun, Inputs, Json, Overwrite, Quiet
from unnoise.app.cli.terminal import echo
from unnoise.errors import without_passwords


@with_groups
def inspect(
    inputs: Inputs,
    reading: Measured,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object, or a list for several images.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Also write a report with pictures and curves: a file.",
            autocompletion=completion.files,
        ),
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Measure the noise of images and say which method suits them: unnoise inspect cells.tif.

    Noise curve, correlation, clipping, hot pixels, stripes, traces of compression; takes seconds.
    """
    from unnoise.app import inspect as inspect_job

    echo(
        inspect_job.run(
            inputs,
            reading.options(),
            as_json=as_json,
            html=html,
            overwrite=overwrite,
            command=command_line(),
        )
    )


@with_groups
def info(
    inputs: Inputs,
    reading: Selection,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate/--no-estimate", help="Tell memory and time, which takes some seconds."
        ),
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object, or a list for several files.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what files hold and what denoising them needs: unnoise info cells.czi.

    Format, images, axes, size, type, pixel size, channels, chunks, where the result would go.
    """
    from unnoise.app import info as info_job

    echo(info_job.run(inputs, reading.options(), as_json=as_json, estimate=estimate))


def calibrate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Frames: repeats of a still scene, or dark and bright frames.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="Camera file to write, camera.json.",
            autocompletion=completion.files,
        ),
    ],
    axes: Axes = None,
    kind: Annotated[
        str,
        typer.Option(
            help="auto, poisson_gauss, emccd, curve, histogram or mixture.",
            autocompletion=completion.KINDS,
        ),
    ] = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure the noise of a camera from frames: unnoise calibrate frames/ -o camera.json.

    unnoise denoise cells.tif --noise-model camera.json uses it.
    """
    from unnoise.app.calibrate import calibrate_files
    from unnoise.app.cli.progress import show

    events = calibrate_files(inputs, out, axes=axes, kind=kind, overwrite=overwrite)
    show(events, quiet, "calibrate" if as_json else None)


@with_groups
def correct(
    inputs: Inputs,
    writing: Result,
    dark: Annotated[
        list[str], typer.Option(help="Frames without light; repeat the option for several files.")
    ],
    flat: Annotated[
        list[str] | None, typer.Option(help="Frames of even light, for the gain of every pixel.")
    ] = None,
    axes: Axes = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make sCMOS pixels alike: unnoise correct cells.tif --dark dark.tif -o even.tif.

    Offset and gain of every pixel are evened out, and hot pixels replaced, before denoising.
    """
    from unnoise.app.cli.progress import show
    from unnoise.app.correct import correct_files
    from unnoise.app.dry_run import leaving_no_folders

    events = correct_files(
        inputs, dark, flat or (), axes=axes, writing=writing.options(), dry=dry_run
    )
    with leaving_no_folders(*((writing.out,) if dry_run else ())):
        show(events, quiet, "correct" if as_json else None)


def command_line() -> str:
    """What was typed, ready to be typed again."""
    import shlex

    return without_passwords(shlex.join(["unnoise", *sys.argv[1:]]))
