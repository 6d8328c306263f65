"""The commands that make models and use them: ``train`` and ``predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from unnoise.app.cli import completion
from unnoise.app.cli.noise_commands import command_line
from unnoise.app.cli.option_groups import Reading, Training, Writing, given, with_groups
from unnoise.app.cli.options import (
    Debug,
    Device,
    DryRun,
    Inputs,
    Json,
    LivePreview,
    Overwrite,
    Quiet,
    Report,
    Targets,
)
from unnoise.errors import InputError


@with_groups
def train(
    reading: Reading,
    training: Training,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Image files or folders.", show_default=False)
    ] = None,
    out: Annotated[str | None, typer.Option("-o", "--out", help="Model folder to write.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on with the interrupted training of this model folder.",
            autocompletion=completion.model_folders,
        ),
    ] = None,
    targets: Targets = None,
    overwrite: Overwrite = False,
    report: Report = True,
    log: Annotated[
        list[str] | None,
        typer.Option(
            help="Also log to tensorboard or wandb; may be repeated.",
            autocompletion=completion.LOGGERS,
        ),
    ] = None,
    device: Device = "auto",
    preview: LivePreview = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train one model on many images: unnoise train folder/ -o my.model.

    Ctrl-C leaves a usable model; unnoise train --resume my.model goes on with it.
    """
    from unnoise.app import files
    from unnoise.app.cli.preview import wanted as wanted_preview

    if resume is not None:
        over = overwrite and preview is None  # else it is about that
        if over or out is not None or log or given(reading) or given(training):
            raise InputError(
                "--resume goes on with the settings of its model folder; leave out the other "
                "training options"
            )
        if dry_run:
            raise InputError("--dry-run tells of a new training; leave it out, or --resume")
        from unnoise.app.cli.progress import show
        from unnoise.app.train import resume as go_on
        from unnoise.nets.ranks import of_torchrun

        leads = of_torchrun().leads
        drawn, previews = wanted_preview(preview, overwrite=overwrite)
        options = files.ReportOptions(report, command_line(), previews)
        show(
            go_on(resume, inputs or [], targets=targets, device=device, reporting=options),
            quiet or not leads,
            "train" if as_json and leads else None,
            drawn,
        )
        return
    if not inputs:
        raise InputError("no images to train on; name files or folders, or use --resume MODEL")
    if out is None:
        raise InputError("say where the model goes: add -o my.model")
    from unnoise.app.cli.progress import show
    from unnoise.app.dry_run import leaving_no_folders
    from unnoise.app.train import train_files
    from unnoise.nets.ranks import of_torchrun

    leads = of_torchrun().leads
    drawn, previews = wanted_preview(preview, overwrite=overwrite)
    settings = training.settings()
    with leaving_no_folders(*((out,) if dry_run else ())):
        show(
            train_files(
                inputs,
                out,
                settings,
                reading=reading.options(),
                targets=targets,
                overwrite=overwrite,
                device=device,
                loggers=log or [],
                reporting=files.ReportOptions(report, command_line(), previews),
                dry=dry_run,
            ),
            quiet or not leads,
            "train" if as_json and leads else None,
            drawn,
        )


@with_groups
def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="Model folder.", show_default=False, autocompletion=completion.model_folders
        ),
    ],
    inputs: Inputs,
    reading: Reading,
    writing: Writing,
    report: Report = True,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep finished pieces of small results too, and go on."),
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only lay the result out, for --part.")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(help="Make this part of a prepared result: K/N, K from 0 on; for clusters."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Complete a result whose parts are all made.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Processes of this machine that share the work.", min=1)
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(help="Let Dask share the work: local, or a scheduler like tcp://host:8786."),
    ] = None,
    device: Device = "auto",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Denoise images with a trained model: unnoise predict my.model big.tif -o big_clean.tif.

    Results above 256 MB are made in pieces: when a run is stopped, the same command goes on.
    """
    from unnoise.app import files
    from unnoise.app.cli.progress import show
    from unnoise.app.dry_run import leaving_no_folders
    from unnoise.app.large import Sharing
    from unnoise.app.predict import predict_files
    from unnoise.nets.ranks import of_torchrun

    leads = of_torchrun().leads
    with leaving_no_folders(*((writing.out, writing.uncertainty) if dry_run else ())):
        show(
            predict_files(
                model,
                inputs,
                reading=reading.options(),
                writing=writing.options(tta=writing.tta or False),
                device=device,
                reporting=files.ReportOptions(report, command_line()),
                dry=dry_run,
                sharing=Sharing(resume, prepare, part, finish, workers, dask),
            ),
            quiet or not leads,
            "predict" if as_json and leads else None,
        )
