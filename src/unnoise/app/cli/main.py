"""The command line: options become jobs, events become lines. PyTorch loads with the first job."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer

from unnoise import __version__
from unnoise.app.cli import about_commands, app_command, model_commands, noise_commands
from unnoise.app.cli.help import EVERYTHING, Command, Group
from unnoise.app.cli.noise_commands import command_line
from unnoise.app.cli.option_groups import Reading, Training, Writing, with_groups
from unnoise.app.cli.options import (
    Debug,
    Device,
    DryRun,
    Inputs,
    Json,
    LivePreview,
    Quiet,
    Report,
    Targets,
)
from unnoise.app.cli.terminal import fail, guarded, stopped
from unnoise.app.problems import exit_code, sentence
from unnoise.app.quiet_threads import quiet_threads
from unnoise.errors import Interrupted

app = typer.Typer(
    name="unnoise",
    cls=Group,
    help="Clean images from noisy images alone (Noise2Void). No clean data, no settings needed.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help", EVERYTHING]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes up in half the time
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Clean images from noisy images alone (Noise2Void)."""
    if version:
        print(f"unnoise {__version__}")
        raise typer.Exit


@app.command(cls=Command)
@with_groups
def denoise(
    inputs: Inputs,
    reading: Reading,
    writing: Writing,
    training: Training,
    each: Annotated[
        bool, typer.Option("--each", help="A net for every image instead of one for all.")
    ] = False,
    save_model: Annotated[
        str | None, typer.Option(help="Keep the trained model in this folder.")
    ] = None,
    targets: Targets = None,
    report: Report = True,
    device: Device = "auto",
    preview: LivePreview = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise images with a net trained on the images themselves.

    unnoise denoise cells.tif writes cells_denoised.tif beside it, with the same axes, pixel size
    and type. Several images share one net; --each trains one for every image.
    """
    from unnoise.app import files
    from unnoise.app.cli.preview import wanted as wanted_preview
    from unnoise.app.cli.progress import show
    from unnoise.app.denoise import denoise_files
    from unnoise.app.dry_run import leaving_no_folders

    drawn, previews = wanted_preview(preview, overwrite=writing.overwrite)
    settings = training.settings()
    places = (writing.out, save_model, writing.uncertainty) if dry_run else ()
    with leaving_no_folders(*places):
        show(
            denoise_files(
                inputs,
                settings,
                reading=reading.options(),
                writing=writing.options(),
                targets=targets,
                each=each,
                save_model=save_model,
                device=device,
                reporting=files.ReportOptions(report, command_line(), previews),
                dry=dry_run,
            ),
            quiet,
            "denoise" if as_json else None,
            drawn,
        )


for command in (
    model_commands.train,
    model_commands.predict,
    noise_commands.info,
    noise_commands.inspect,
    noise_commands.calibrate,
    noise_commands.correct,
    about_commands.demo,
    about_commands.samples,
    about_commands.methods,
    about_commands.config,
    about_commands.plot_history,
    about_commands.doctor,
):
    app.command(cls=Command)(command)
app.command("app", cls=Command)(app_command.page)


_UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""Typer's own errors about options; where their class lives differs between its versions."""


def main() -> NoReturn:
    """Run the command line and turn errors into one sentence and an exit code."""
    quiet_threads()
    with guarded() as signals:
        code = _run()
        if code == Interrupted.exit_code:
            stopped(signals)
    sys.exit(code)


def _run() -> int:
    """The exit code of a command; errors end in a sentence."""
    try:
        os.getcwd()
    except FileNotFoundError:  # on which PyTorch's libraries end the process
        fail(
            "unnoise: the current folder is there no longer; change to another one and run again", 2
        )
    try:
        # typer turns Ctrl-C into a code without a word
        code: Any = app(standalone_mode=False, prog_name="unnoise")
    except _UsageProblem as error:
        text = io.StringIO()
        error.show(text)
        fail(text.getvalue().rstrip(), 2)
    except (KeyboardInterrupt, typer.Abort):
        return Interrupted.exit_code
    except Exception as error:
        if "--debug" in sys.argv:
            fail(traceback.format_exc().rstrip(), exit_code(error))
        fail(f"unnoise: {sentence(error)}", exit_code(error))
    return code if isinstance(code, int) else 0
