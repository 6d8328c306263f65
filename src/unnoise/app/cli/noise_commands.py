"""The commands that measure: ``info``, ``inspect``, ``calibrate`` and ``correct``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from unnoise.app.cli import completion
from unnoise.app.cli.options import (
    Axes,
    Channels,
    Compress,
    Debug,
    DryRun,
    Dtype,
    Inputs,
    Json,
    Mask,
    Nodata,
    Out,
    Overwrite,
    Positions,
    Quiet,
    SequenceOfFiles,
    Series,
    Slices,
    Time,
)
from unnoise.app.cli.terminal import echo


def inspect(
    inputs: Inputs,
    axes: Axes = None,
    nodata: Nodata = None,
    mask: Mask = None,
    series: Series = None,
    channels: Channels = None,
    time: Time = None,
    z: Slices = None,
    positions: Positions = None,
    sequence: SequenceOfFiles = False,
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
    from unnoise.app.files import InputOptions

    reading = InputOptions(
        axes, "keep", series, nodata, mask, False, False, channels, time, z, positions, sequence
    )
    echo(
        inspect_job.run(
            inputs, reading, as_json=as_json, html=html, overwrite=overwrite, command=command_line()
        )
    )


def info(
    inputs: Inputs,
    axes: Axes = None,
    series: Series = None,
    channels: Channels = None,
    time: Time = None,
    z: Slices = None,
    positions: Positions = None,
    sequence: SequenceOfFiles = False,
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
    from unnoise.app.files import InputOptions

    reading = InputOptions(
        axes,
        series=series,
        channels=channels,
        time=time,
        z=z,
        positions=positions,
        sequence=sequence,
    )
    echo(info_job.run(inputs, reading, as_json=as_json, estimate=estimate))


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


def correct(
    inputs: Inputs,
    dark: Annotated[
        list[str], typer.Option(help="Frames without light; repeat the option for several files.")
    ],
    flat: Annotated[
        list[str] | None, typer.Option(help="Frames of even light, for the gain of every pixel.")
    ] = None,
    out: Out = None,
    axes: Axes = None,
    dtype: Dtype = None,
    compress: Compress = None,
    overwrite: Overwrite = False,
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
    from unnoise.app.files import OutputOptions

    writing = OutputOptions(out, dtype, overwrite, compress=compress)
    events = correct_files(inputs, dark, flat or (), axes=axes, writing=writing, dry=dry_run)
    with leaving_no_folders(*((out,) if dry_run else ())):
        show(events, quiet, "correct" if as_json else None)


def command_line() -> str:
    """What was typed, ready to be typed again."""
    import shlex

    return shlex.join(["unnoise", *sys.argv[1:]])
