"""The commands that show what the program can do: samples, methods, settings, a demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unnoise.app.cli import completion
from unnoise.app.cli.options import (
    Debug,
    Device,
    Json,
    Overwrite,
    Preset,
    Quiet,
    Set,
    Steps,
)
from unnoise.app.cli.terminal import echo
from unnoise.app.settings import settings_of


def document(command: str, **facts: object) -> str:
    """The document of a command that only tells."""
    from unnoise.app.document import telling

    return telling(command, facts)


def samples(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Which samples, or all; none: list them.",
            show_default=False,
            autocompletion=completion.samples,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for the files.", autocompletion=completion.files),
    ] = Path("samples"),
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write simulated images and their truth, to try things out: unnoise samples cells.

    Each is NAME.tif (or .png) with noise, and NAME_truth.tif without.
    """
    from unnoise.app import samples as simulated
    from unnoise.app.cli.progress import show

    if names:
        events = simulated.write(names, out, overwrite=overwrite)
        show(events, quiet, "samples" if as_json else None)
    elif as_json:
        found = [{"name": name, "about": kind.about} for name, kind in simulated.SAMPLES.items()]
        print(document("samples", samples=found))
    else:
        for name, kind in simulated.SAMPLES.items():
            print(f"{name:<12}{kind.about}")
        print("\nunnoise samples NAME -o FOLDER writes one, unnoise samples all every one")


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="Folder for the pictures.", autocompletion=completion.files
        ),
    ] = Path("demo"),
    overwrite: Overwrite = False,
    steps: Steps = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise a simulated camera picture with known truth; print PSNR, write before and after."""
    from unnoise.app import demo as demonstration
    from unnoise.app.cli.progress import show

    events = demonstration.run(out, steps=steps, device=device, overwrite=overwrite)
    show(events, quiet, "demo" if as_json else None)


def methods(as_json: Json = False) -> None:
    """List the methods, what they do, what they assume and what they cost."""
    from unnoise.config.methods import known

    auto = (
        "The default: measures the noise, then chooses by it and by the time: instant (up "
        "to half a minute), adapted, n2v, n2v2, structn2v or n2n, and says why"
    )
    if as_json:
        found = [
            {"name": n, "about": e.line, "assumes": e.assumes, "cost": e.cost}
            for n, e in known().items()
        ]
        first = {"name": "auto", "about": auto, "assumes": None, "cost": None}
        print(document("methods", methods=[first, *found]))
        return
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns, 60)
    lines = {"auto": f"{auto}."}
    lines |= {n: f"{e.line}. Assumes {e.assumes}. Time: {e.cost}." for n, e in known().items()}
    for name, text in lines.items():
        print(textwrap.fill(text, width, initial_indent=f"{name:<11}", subsequent_indent=" " * 11))
    scale = "Times are relative to n2v, which takes about two minutes on two cores by default."
    print(f"\n{textwrap.fill(scale, width)}")


def config(
    method: Annotated[
        str,
        typer.Argument(
            help="Method; unnoise methods lists them.", autocompletion=completion.methods
        ),
    ] = "n2v",
    preset: Preset = "fast",
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print every setting of a method with its default: unnoise config n2v2 > run.yaml."""
    settings = settings_of(method, preset, None, None, None, set_)
    if as_json:
        print(document("config", settings=settings.values()))
    else:
        print(settings.to_yaml(comments=True), end="")


def plot_history(
    model: Annotated[
        str,
        typer.Argument(
            help="Model folder.", show_default=False, autocompletion=completion.model_folders
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Picture; default: history.png in MODEL.",
            autocompletion=completion.files,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw the loss and the held-out loss of a training, and write them as a CSV table."""
    from unnoise.training import history

    written = history.write(model, out, overwrite=overwrite)
    if as_json:
        print(document("plot-history", written=list(map(str, written))))
    else:
        for path in written:
            echo(f"wrote {path}")


def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """Examine this installation: versions, devices, memory, optional packages, what to mend.

    The exit code is 1 where something is broken.
    """
    from unnoise.app import doctor as examination

    facts = examination.examine()
    if as_json:
        print(document("doctor", **facts))
    else:
        for line in examination.lines(facts):
            echo(line)
    if not facts["healthy"]:
        raise typer.Exit(1)
