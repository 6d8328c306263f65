"""Help for people: options grouped by what they are for, the common ones first, and examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

PANELS = {
    "Input": "targets axes series channels time z positions sequence dark flat",
    "Pixels": "nan nodata mask keep_outliers fix_scan",
    "Result": "out overwrite skip_existing dtype compress uncertainty save_model preview report "
    "html",
    "Method": "method minutes steps noise_model tta each three_d kind estimate",
    "Training in detail": "preset config set_ pairs struct context seed log",
    "Long runs": "resume workers dask prepare part finish",
    "Page": "workspace no_browser upload_limit upload_count",
    "Network": "host port password tls_cert tls_key behind_proxy allow_host",
    "Running": "dry_run device backend as_json quiet debug help help_all",
}
"""Which option stands under which heading, by the names of parameters."""
ARGUMENTS = ["model", "names", "inputs", "method_name"]
"""What is told before all options."""
_PANELS = {panel: names.split() for panel, names in PANELS.items()}

COMMON = {
    "denoise": "out axes series overwrite dtype uncertainty method minutes save_model preview "
    "dry_run device quiet",
    "train": "out targets axes method minutes overwrite preview resume dry_run device quiet",
    "predict": "out axes series dtype tta uncertainty overwrite skip_existing workers dry_run "
    "device quiet",
}
"""What ``--help`` shows of commands with many options; ``--help-all`` shows the others too."""

EXAMPLES = {
    "": (
        ("unnoise denoise cells.tif", "writes cells_denoised.tif"),
        ("unnoise info cells.czi", "what the file holds, time and memory"),
        ("unnoise inspect cells.tif", "what its noise is"),
        ("unnoise train folder/ -o my.model", "one model for many images"),
        ("unnoise predict my.model more/ -o out/", "and its use"),
        ("unnoise samples cells", "an image to try it on"),
    ),
    "denoise": (
        ("unnoise denoise cells.tif", "writes cells_denoised.tif"),
        ("unnoise denoise folder/ -o out/", "one model for all files"),
        ("unnoise denoise cells.tif --method instant", "seconds, nothing is trained"),
        ("unnoise denoise cells.tif --minutes 10", "a longer training"),
        ("unnoise denoise folder/ --dry-run", "what would be done, time, memory"),
        ("unnoise denoise stack.tif --axes ZYX", "axes that the file does not tell"),
        ("unnoise denoise cells.czi --series 0", "one image of several"),
        ("unnoise denoise a.tif --save-model a.model", "keep what was learned"),
        ("unnoise denoise a.tif --noise-model cam.json", "noise of a calibrated camera"),
    ),
    "train": (
        ("unnoise train folder/ -o my.model", "on a folder of images"),
        ("unnoise train --resume my.model", "after Ctrl-C"),
        ("unnoise train low/ --targets high/ --method care -o m", "noisy and clean pairs"),
        ("unnoise train a/ --targets b/ --method n2n -o m", "noisy pairs"),
        ("unnoise train folder/ -o m --method n2v --minutes 30", "a longer training"),
    ),
    "predict": (
        ("unnoise predict my.model big.tif", "writes big_denoised.tif"),
        ("unnoise predict my.model folder/ -o out/", "all images of a folder"),
        ("unnoise predict my.model big.zarr --workers 4", "processes that share the work"),
        ("unnoise predict m a.tif --tta --dtype float32", "better, slower; with fractions"),
    ),
    "info": (
        ("unnoise info cells.czi", "format, images, axes, result, time"),
        ("unnoise info folder/ --no-estimate --json", "facts alone, for programs"),
    ),
    "inspect": (
        ("unnoise inspect cells.tif", "noise, and the method for it"),
        ("unnoise inspect cells.tif --html noise.html", "with pictures and curves"),
    ),
    "calibrate": (
        ("unnoise calibrate frames/ -o camera.json", "from repeats of still scenes"),
        ("unnoise denoise a.tif --noise-model camera.json", "and the use of it"),
    ),
    "correct": (
        ("unnoise correct a.tif --dark dark.tif -o even.tif", "offsets and hot pixels"),
        ("unnoise correct a.tif --dark d/ --flat f/ -o even/", "gains too"),
    ),
    "samples": (
        ("unnoise samples", "what there is"),
        ("unnoise samples cells stack -o try/", "two of them"),
    ),
    "app": (
        ("unnoise app", "on this machine, images of this folder"),
        ("unnoise app --workspace /data/lab", "images of another"),
    ),
    "config": (
        ("unnoise config n2v > run.yaml", "settings to change"),
        ("unnoise denoise cells.tif --config run.yaml", "and their use"),
    ),
}

TASKS = {
    "Denoise": "denoise train predict app",
    "Look at files and noise": "info inspect",
    "Measure a camera": "calibrate correct",
    "Methods and settings": "methods config plot-history",
    "Try and check": "samples demo doctor",
}
"""The commands by what they are for."""
EVERYTHING = "--help-all"
_ALL = "unnoise.help_all"


class Command(TyperCommand):
    """A command with grouped options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember whether the whole help is asked for."""
        ctx.meta[_ALL] = EVERYTHING in args
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What the command does, and examples."""
        rest = inspect.cleandoc(self.help or "").partition("\n")[2]
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{_about(self)}.\n{rest}")
        _write_examples(self.name or "", formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then the options by what they are for."""
        rows = _records(self, ctx)
        common = COMMON.get(self.name or "")
        if common is not None and not ctx.meta.get(_ALL):
            kept = {*ARGUMENTS, *common.split(), "help"}
            rows = {name: row for name, row in rows.items() if name in kept}
            rows["help_all"] = (EVERYTHING, "Show all options and exit.")
        _write_panels(rows, {"Arguments": ARGUMENTS, **_PANELS}, formatter)


class Group(TyperGroup):
    """The program, with its commands by what they are for."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What the program does, and examples."""
        super().format_help_text(ctx, formatter)
        _write_examples("", formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands in groups, each with the first words of its help; and options."""
        grouped = " ".join(TASKS.values()).split()
        more = [name for name in self.list_commands(ctx) if name not in grouped]
        rows = {name: (name, _about(self.get_command(ctx, name))) for name in (*grouped, *more)}
        tasks = {task: names.split() for task, names in TASKS.items()}
        _write_panels(rows, {**tasks, "More": more}, formatter)
        options = _records(self, ctx)
        _write_panels(options, {"Options": list(options)}, formatter)
        formatter.write("\nunnoise COMMAND --help tells what a command takes.\n")


def _records(command: Any, ctx: Any) -> dict[str, tuple[str, str]]:
    """What there is to say of every parameter, by its name."""
    rows = {}
    for param in command.get_params(ctx):
        if EVERYTHING in param.opts:  # one option for two helps, told apart by `Command`
            rows["help"] = ("-h, --help", "Show this message and exit.")
        elif record := param.get_help_record(ctx):
            rows[param.name] = record
    return rows


def _write_panels(
    rows: Mapping[str, tuple[str, str]], panels: Mapping[str, Sequence[str]], formatter: Any
) -> None:
    """Rows under the headings that they belong to."""
    for panel, names in panels.items():
        found = [rows[name] for name in names if name in rows]
        if found:
            with formatter.section(panel):
                formatter.write_dl(found)


def _about(command: Any) -> str:
    """The first sentence of a help, without its example."""
    return str(
        inspect.cleandoc(command.help or "").partition("\n")[0].partition(": ")[0].rstrip(".")
    )


def _write_examples(name: str, formatter: Any) -> None:
    """Commands to type, and what they do; never broken in two."""
    if name in EXAMPLES:
        width = max(len(command) for command, _ in EXAMPLES[name]) + 2
        formatter.write("\nExamples:\n")
        for command, what in EXAMPLES[name]:
            formatter.write(f"  {command:<{width}}{what}\n")
