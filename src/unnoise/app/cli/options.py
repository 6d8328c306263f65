"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unnoise.app.cli import completion

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Image files, folders, addresses (s3://, https://), or patterns of one image like "
        "img_t{t}_z{z}.tif.",
        show_default=False,
    ),
]
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
Nan = Annotated[
    str,
    typer.Option(
        help="NaN and infinite pixels: keep them, fill them from around, or refuse.",
        autocompletion=completion.NAN,
    ),
]
Nodata = Annotated[
    float | None,
    typer.Option(help="Value of pixels without a measurement; default: what the file says."),
]
Mask = Annotated[
    str | None,
    typer.Option(help="Image that is 0 where pixels are to stay as they are, e.g. a time stamp."),
]
KeepOutliers = Annotated[
    bool, typer.Option("--keep-outliers", help="Leave hot pixels and other outliers as they are.")
]
Series = Annotated[
    str | None,
    typer.Option(
        help="Which image of files that hold several: a number from 0 on, or all. "
        "Default: all of full size."
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(help="Only these channels, counted from 0: 0,2 or 0:3.", show_default=False),
]
Time = Annotated[
    str | None,
    typer.Option(help="Only these frames, counted from 0: 0:50 (50 is not among them)."),
]
Slices = Annotated[str | None, typer.Option("--z", help="Only these slices, e.g. 10:20.")]
Positions = Annotated[
    str | None,
    typer.Option(help="Only these images of files that hold several, or places along S: 0,2."),
]
SequenceOfFiles = Annotated[
    bool,
    typer.Option(
        "--sequence", help="All files are one image, in natural order: frames, or see --axes ZYX."
    ),
]
Compress = Annotated[
    str | None,
    typer.Option(
        help="Compression of TIFF and Zarr: none, zlib, zstd, lzw, packbits, lzma, blosc. "
        "Default: as the input, where lossless.",
        autocompletion=completion.COMPRESSIONS,
    ),
]
FixScan = Annotated[
    bool,
    typer.Option("--fix-scan", help="Move odd rows back that a scan in both directions shifted."),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Type of the result, e.g. uint16. Default: as the input; float32 for few counts.",
        autocompletion=completion.TYPES,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Leave images alone whose result is there.")
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.DEVICES)
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; 0 by default.", min=0)]
Preset = Annotated[
    str,
    typer.Option(
        help="Settings: fast, or paper (the reference's, hours).", autocompletion=completion.PRESETS
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="Method (default auto: measured, then chosen); unnoise methods lists them.",
        autocompletion=completion.methods,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Settings file, as unnoise config METHOD prints it.",
        autocompletion=completion.files,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, e.g. mask.percent=5; may be repeated.",
        autocompletion=completion.settings,
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
    typer.Option(
        help="Noise2Noise between neighbours along this axis: T, S or Z.",
        autocompletion=completion.PAIRS,
    ),
]
Struct = Annotated[
    str | None,
    typer.Option(
        help="structN2V mask: horizontal:9, vertical:9, cross:5, square:3 or z:3.",
        autocompletion=completion.STRUCTS,
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        help="Look at so many frames before and after: T:2, or Z:1 for slices; T:0 for none."
    ),
]
Uncertainty = Annotated[
    str | None,
    typer.Option(help="Also write the standard deviation of every pixel: a file or folder."),
]
Tta = Annotated[
    bool | None,
    typer.Option(
        "--tta/--no-tta",
        help="Average eight flips and rotations: better, 8x slower. With neither, denoise takes as "
        "many as help, and predict one.",
        show_default=False,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="What computes the prediction: torch, onnx (ONNX Runtime, CPU), or bfloat16: faster, "
        "to about 0.1 % of the contrast.",
        autocompletion=completion.BACKENDS,
    ),
]
Report = Annotated[
    bool, typer.Option("--report/--no-report", help="Write report.html beside the result.")
]
NoiseModel = Annotated[
    Path | None,
    typer.Option(
        help="Noise of the camera, as unnoise calibrate wrote it; default: measured.",
        autocompletion=completion.files,
    ),
]
LivePreview = Annotated[
    str | None,
    typer.Option(
        "--preview", help="Draw noisy beside clean into this PNG while the training goes on."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Only say what would be read, done and written, and what it would take."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document of what was done; docs/json.md has it."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]
