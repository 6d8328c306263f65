"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Inputs = Annotated[list[str], typer.Argument(help="Image files or folders.", show_default=False)]
Out = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--out",
        help="Result: a file, or a folder for several. Default: beside "
        "the input, as NAME_denoised.",
    ),
]
Minutes = Annotated[
    float | None, typer.Option(help="Training time in minutes (default: about 2 on two cores).")
]
Steps = Annotated[int | None, typer.Option(help="Training length in steps, for repeatable runs.")]
Axes = Annotated[
    str | None,
    typer.Option(help="Axes of the image out of STCZYX, e.g. ZYX; default: from the file."),
]
ThreeD = Annotated[
    bool | None,
    typer.Option(
        "--3d/--2d",
        help="3D net, or 2D slice by slice. Default: 3D from 16 slices on.",
        show_default=False,
    ),
]
Nan = Annotated[str, typer.Option(help="NaN and infinite pixels: refuse, or fill from around.")]
Dtype = Annotated[
    str | None, typer.Option(help="Type of the result, e.g. float32. Default: as the input.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; 0 by default.", min=0)]
Preset = Annotated[str, typer.Option(help="Settings: fast, or paper (the reference's, hours).")]
Method = Annotated[
    str | None, typer.Option(help="Method (default n2v); unnoise methods lists them.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file, as unnoise config METHOD prints it."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One setting, e.g. mask.percent=5; may be repeated."
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        help="Second images of pairs: noisy for n2n, clean for care. A folder, or repeated files."
    ),
]
Pairs = Annotated[
    str | None,
    typer.Option(help="Noise2Noise between neighbours along this axis: T, S or Z."),
]
Struct = Annotated[
    str | None,
    typer.Option(help="structN2V mask: horizontal:9, vertical:9, cross:5, square:3 or z:3."),
]
Uncertainty = Annotated[
    str | None,
    typer.Option(help="Also write the standard deviation of every pixel: a file or folder."),
]
Tta = Annotated[
    bool,
    typer.Option("--tta/--no-tta", help="Average eight flips and rotations: better, 8x slower."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]
