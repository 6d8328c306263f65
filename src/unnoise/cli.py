"""The command line: options become jobs, events become lines. PyTorch loads with the first job."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from unnoise import __version__
from unnoise.errors import InputError, UnnoiseError

if TYPE_CHECKING:
    from unnoise.config import Config
    from unnoise.events import Event

app = typer.Typer(
    name="unnoise",
    help="Clean images from noisy images alone (Noise2Void). No clean data, no settings needed.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help comes up in half the time
)

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
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0)]
Preset = Annotated[str, typer.Option(help="Settings: fast, or paper (the reference's, hours).")]
Tta = Annotated[
    bool,
    typer.Option("--tta/--no-tta", help="Average eight flips and rotations: better, 8x slower."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Clean images from noisy images alone (Noise2Void)."""
    if version:
        print(f"unnoise {__version__}")
        raise typer.Exit


@app.command()
def denoise(
    inputs: Inputs,
    out: Out = None,
    minutes: Minutes = None,
    steps: Steps = None,
    axes: Axes = None,
    three_d: ThreeD = None,
    nan: Nan = "refuse",
    dtype: Dtype = None,
    tta: Tta = True,
    each: Annotated[
        bool, typer.Option("--each", help="A net for every image instead of one for all.")
    ] = False,
    save_model: Annotated[
        str | None, typer.Option(help="Keep the trained model in this folder.")
    ] = None,
    overwrite: Overwrite = False,
    preset: Preset = "fast",
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise images with a net trained on the images themselves.

    unnoise denoise cells.tif writes cells_denoised.tif beside it, with the same axes, pixel size
    and type. Several images share one net; --each trains one for every image.
    """
    from unnoise import jobs

    config = _config(preset, minutes, steps, seed, three_d)
    _show(
        jobs.denoise_files(
            inputs,
            config,
            reading=jobs.Reading(axes, nan),
            writing=jobs.Writing(out, dtype, overwrite, tta),
            each=each,
            save_model=save_model,
            device=device,
        ),
        quiet,
    )


@app.command()
def train(
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Image files or folders.", show_default=False)
    ] = None,
    out: Annotated[str | None, typer.Option("-o", "--out", help="Model folder to write.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with the interrupted training of this model folder.")
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    axes: Axes = None,
    three_d: ThreeD = None,
    nan: Nan = "refuse",
    overwrite: Overwrite = False,
    preset: Preset = "fast",
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train one model on many images: unnoise train folder/ -o my.model.

    Ctrl-C leaves a usable model; unnoise train --resume my.model goes on with it.
    """
    if resume is not None:
        chosen = [out, minutes, steps, axes, three_d is not None, preset != "fast", overwrite, seed]
        if any(chosen) or nan != "refuse":
            raise InputError(
                "--resume goes on with the settings of its model folder; leave out the other "
                "training options"
            )
        from unnoise import jobs

        _show(jobs.resume(resume, inputs or [], device=device), quiet)
        return
    if not inputs:
        raise InputError("no images to train on; name files or folders, or use --resume MODEL")
    if out is None:
        raise InputError("say where the model goes: add -o my.model")
    from unnoise import jobs

    config = _config(preset, minutes, steps, seed, three_d)
    reading = jobs.Reading(axes, nan)
    _show(
        jobs.train_files(inputs, out, config, reading=reading, overwrite=overwrite, device=device),
        quiet,
    )


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="Model folder.", show_default=False)],
    inputs: Inputs,
    out: Out = None,
    axes: Axes = None,
    nan: Nan = "refuse",
    dtype: Dtype = None,
    tta: Tta = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise images with a trained model: unnoise predict my.model big.tif -o big_clean.tif."""
    from unnoise import jobs

    _show(
        jobs.predict_files(
            model,
            inputs,
            reading=jobs.Reading(axes, nan),
            writing=jobs.Writing(out, dtype, overwrite, tta),
            device=device,
        ),
        quiet,
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pictures.")] = Path(
        "demo"
    ),
    steps: Steps = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise a simulated camera picture with known truth; print PSNR, write before and after."""
    from unnoise import demo as demonstration

    _show(demonstration.run(out, steps=steps, device=device), quiet)


def _config(
    preset: str, minutes: float | None, steps: int | None, seed: int, three_d: bool | None
) -> Config:
    from unnoise.api import budget
    from unnoise.config import Config

    config = budget(Config.preset(preset), minutes, steps, seed)
    return config if three_d is None else config.replace(ndim=3 if three_d else 2)


class Interrupted(UnnoiseError):
    """The user stopped a job; shells expect 128 + SIGINT."""

    exit_code = 130


def _show(events: Generator[Event], quiet: bool) -> None:
    """Run a job and show its events; a stopped one raises."""
    from unnoise.events import Stopped
    from unnoise.progress import reporter

    stopped = None
    with reporter(quiet) as report, contextlib.closing(events):
        for event in events:
            report(event)
            stopped = event if isinstance(event, Stopped) else None
    if stopped is not None:
        raise Interrupted(stopped.text)


_UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""Typer's own errors about options; where their class lives differs between its versions."""


def main() -> NoReturn:
    """Run the command line and turn errors into one sentence and an exit code."""
    debug = "--debug" in sys.argv
    # Threads that wait must sleep: spinning ones made steps 2 to 25 times slower when another
    # program held a core. OpenMP reads this when PyTorch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # 3D pooling is missing on MPS
    code: Any = 0
    try:
        code = app(standalone_mode=False)
    except _UsageProblem as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = Interrupted.exit_code
    except UnnoiseError as error:
        if debug:
            raise
        _fail(f"unnoise: {error}", error.exit_code)
    except OSError as error:
        if debug:
            raise
        where = f" {error.filename}" if error.filename else ""
        _fail(
            f"unnoise: the system refused{where}: {error.strerror or error}; choose another file "
            f"or place",
            2,
        )
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            _fail("unnoise: not enough memory; close other programs or use a smaller image", 1)
        _fail(
            f"unnoise: unexpected {type(error).__name__}: {error}; please report this with the "
            f"output of the same command with --debug",
            1,
        )
    if code == Interrupted.exit_code:  # typer turns Ctrl-C into this code without a word
        _fail("stopped by Ctrl-C; unfinished files were removed, finished ones stay", code)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    sys.stderr.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
