"""The page of chosen images: how they are read, what will be done, and Denoise."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nicegui import ui

from unnoise.app.amounts import at_most
from unnoise.app.problems import sentence
from unnoise.app.session.job import Job
from unnoise.app.session.look import MOST_OPENED, Look, look
from unnoise.app.session.request import BUDGETS, Request
from unnoise.app.web import elements as el
from unnoise.app.web import screening
from unnoise.app.web.gallery import Picture
from unnoise.app.web.picture import show
from unnoise.app.web.site import Choices, Site
from unnoise.config.methods import known
from unnoise.errors import InputError
from unnoise.training.duration import in_words

DTYPES = ("uint8", "uint16", "int16", "float32")
COMPRESSIONS = ("none", "zlib", "zstd", "lzw")
MOST_PLACES = 500
"""Images that are chosen at once."""
MOST_SHOWN = 12
"""Images of several that can be looked at."""


def build(site: Site, places: Sequence[str], model: str, owner: str) -> None:
    """The page of images of the workspace."""
    try:
        if len(places) > MOST_PLACES:
            raise InputError(
                f"{len(places):,} images were chosen, and at most {MOST_PLACES} can be at once; "
                f"choose fewer, or denoise whole folders with unnoise denoise"
            )
        files = list(dict.fromkeys(site.workspace.image(site.workspace.path(p)) for p in places))
        if not files:
            raise InputError("no image was chosen; tick one, then press Open")
    except InputError as error:
        with el.page("No such image"):
            el.notice(sentence(error))
            el.link("Choose an image", "/")
        return
    names = files[0].name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    with el.page(names, "Denoise"):
        _ImagePage(site, files, model, owner)


class _ImagePage:
    """What is chosen, and what follows from it."""

    def __init__(self, site: Site, files: list[Path], model: str, owner: str) -> None:
        self._site = site
        self._files = files
        self._owner = owner
        kept = site.models()
        self._choices = Choices(model=model if model in dict(kept) else "")
        self._asked = 0
        self._begun: tuple[Choices, list[Job]] = self._choices, []
        self._shown = 0
        with el.tag("div", "columns"):
            with el.section("Image"):
                self._pick_shown()
                self._picture = el.tag("div")
            with el.tag("div"):
                with el.section("As read"):
                    self._read = el.tag("div", aria_live="polite")
                    self._reading_options()
                with el.section("What will be done"):
                    self._verdict = el.tag("div", aria_live="polite")
                    self._budget = el.tag("div")
                    with self._budget:
                        budgets = [(k, b.label.capitalize(), b.about) for k, b in BUDGETS.items()]
                        el.radios("How long may it take?", budgets, "auto", self._set("budget"))
                    self._options(kept)
                    self._problem = el.tag("div")
                    with el.tag("div", "buttons"):
                        self._start = el.button("Denoise", self._denoise, "primary")
                        el.text("span", "", "muted")
                with el.section("The same as a command"):
                    self._command = el.command("")
        self._budget.set_visibility(not self._choices.model)
        self._tell_command()
        ui.timer(0.05, self._measure, once=True)

    def _pick_shown(self) -> None:
        """Which of several images is looked at."""
        if len(self._files) > 1:
            names = [(str(i), path.name) for i, path in enumerate(self._files[:MOST_SHOWN])]
            el.choice("Shown", names, "0", self._show)

    def _show(self, number: str) -> None:
        self._shown = int(number)
        self._draw()

    def _reading_options(self) -> None:
        """What to change where a file does not tell, or tells wrongly."""
        with el.tag("details"):
            el.text("summary", "Read it differently, or a part of it")
            with el.tag("div"):
                self._axes = el.field("Axes", "", self._set("axes"), hint=AXES)
                el.field("Images of the file", "", self._set("series"), hint=SERIES)
                el.field("Channels", "", self._set("channels"), hint="As 0 or 0,2; the first is 0.")
                el.field("Frames", "", self._set("time"), hint="As 0:50; 50 is not among them.")
                el.field("Slices", "", self._set("z"), hint="As 10:20.")

    def _options(self, kept: Sequence[tuple[str, str]]) -> None:
        """What few will need."""
        with el.tag("details"):
            el.text("summary", "More options")
            with el.tag("div"):
                if len(self._files) > 1:
                    el.check("One net for all files", False, self._flag("together"), hint=TOGETHER)
                el.check(
                    "Uncertainty of every pixel", False, self._flag("uncertainty"), hint=SPREAD
                )
                methods = [("", "Chosen by the noise"), *_methods()]
                el.choice("Method", methods, "", self._set("method"))
                models = [("", "None: learn from this image"), *kept]
                el.choice("Model that was kept", models, self._choices.model, self._set_model)
                el.field("Keep the model as", "", self._set("save_model"), hint=KEPT)
                types = [("", "As the image"), *((name, name) for name in DTYPES)]
                el.choice("Type of the result", types, "", self._set("dtype"))
                packed = [("", "As the image"), *((name, name) for name in COMPRESSIONS)]
                el.choice("Compression (TIFF, Zarr)", packed, "", self._set("compress"))

    def _set(self, name: str) -> Callable[[str], None]:
        """Changes a choice, and looks again."""

        def change(value: str) -> None:
            setattr(self._choices, name, value)
            self._changed()

        return change

    def _flag(self, name: str) -> Callable[[bool], None]:
        def change(value: bool) -> None:
            setattr(self._choices, name, value)
            self._changed()

        return change

    def _set_model(self, name: str) -> None:
        self._choices.model = name
        self._budget.set_visibility(not name)
        self._changed()

    def _changed(self) -> None:
        self._tell_command()
        with self._budget:  # which stays, unlike the button that was pressed and its timers
            ui.timer(0.01, self._measure, once=True)

    def _tell_command(self) -> None:
        """The command lines that do the same."""
        try:
            requests = self._site.requests(self._files, self._choices)
            self._command.text = "\n".join(request.command() for request in requests)
        except InputError as error:
            self._command.text = sentence(error)

    async def _measure(self) -> None:
        """Look at the image off the event loop; what was asked for last is shown."""
        self._asked += 1
        mine = self._asked
        self._draw()
        self._verdict.clear()
        with self._verdict:
            el.text("p", "Measuring the noise ...", "muted")
        choices = replace(self._choices, together=True)
        result: Look | Exception | None
        try:
            request = self._site.requests(self._files, choices)[0]
            turns = self._site.measuring
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(turns, self._look, request, mine)
        except Exception as error:
            result = error
        if result is None or mine != self._asked:  # something else is wanted by now
            return
        self._read.clear()
        self._verdict.clear()
        if isinstance(result, Look):
            self._tell(result)
        else:
            self._refuse(sentence(result))
        self._start.props["disabled"] = not isinstance(result, Look)
        self._start.update()

    def _refuse(self, problem: str) -> None:
        """Why nothing can be done; where axes would help, they are a press away."""
        self._picture.clear()
        with self._picture:
            el.text("p", "There is nothing to see before the file can be read.", "hint")
        with self._verdict:
            el.notice(problem)
            axes = list(dict.fromkeys(re.findall(r"--axes ([STCZYX]+)", problem)))
            if axes:
                with el.tag("div", "buttons", role="group", aria_label="Axes"):
                    for one in axes:
                        el.button(one, functools.partial(self._take_axes, one))

    def _take_axes(self, axes: str) -> None:
        """Read the image with these."""
        self._axes.props["value"] = axes
        self._axes.update()
        self._set("axes")(axes)

    def _look(self, request: Request, mine: int) -> Look | None:
        """What is known of the images; nothing if another look was asked for before its turn."""
        if mine != self._asked:
            return None
        screening.check(map(Path, request.inputs[:MOST_OPENED]))
        found = look(request)
        self._site.queue.prepare()  # whoever looks is about to start
        return found

    def _tell(self, found: Look) -> None:
        """What was found, in words."""
        with self._read:
            el.facts(read_facts(found))
        with self._verdict:
            for warning in found.warnings:
                el.notice(warning, "warning")
            el.text("p", found.why[:1].upper() + found.why[1:], "verdict")
            el.facts(verdict_facts(found))
            for finding in found.noise[1:]:
                el.text("p", finding, "hint")

    def _draw(self) -> None:
        """The image as it is read."""
        self._picture.clear()
        with self._picture:
            try:
                request = self._site.requests([self._files[self._shown]], self._choices)[0]
                show(self._site, Picture(self._files[self._shown], request.reading()))
            except Exception:  # what is wrong with the file is told beside it
                el.text("p", "There is nothing to see.", "hint")

    async def _denoise(self) -> None:
        """Put the jobs into the queue, and go where they are shown."""
        self._problem.clear()
        choices, jobs = self._begun
        known = [job for job in self._site.queue.jobs() if job in jobs and not job.is_over]
        if choices != self._choices or not known:  # else it is a double click
            try:
                requests = self._site.requests(self._files, self._choices)
                jobs = []
                for request in requests:
                    jobs.append(self._site.queue.submit(request, owner=self._owner))
            except Exception as error:
                with self._problem:
                    el.notice(sentence(error))
                return
            self._begun = replace(self._choices), jobs
        ui.navigate.to(f"/job/{jobs[0].id}" if len(jobs) == 1 else "/")


def _methods() -> list[tuple[str, str]]:
    """The methods that need no second images."""
    return [(name, name) for name, method in sorted(known().items()) if not method.pairs]


def read_facts(found: Look) -> list[tuple[str, str]]:
    """Names and values of an image as it was read."""
    steps = [
        f"{axis} {size:.4g} {found.units.get(axis, '')}".strip()
        for axis, size in found.scale.items()
    ]
    pairs = [
        ("Axes", found.axes),
        ("Size", " \u00d7 ".join(map(str, found.shape))),
        ("Type", found.dtype),
        ("Pixel size", ", ".join(steps) or "not in the file"),
    ]
    if len(found.channels) > 1:
        count = len(found.channels)
        is_named = found.channels != tuple(map(str, range(count)))
        pairs.append(("Channels", ", ".join(found.channels) if is_named else f"{count}, not named"))
    if found.images > 1:
        pairs.append(("Images", f"{found.images}; this is the first"))
    return pairs


def verdict_facts(found: Look) -> list[tuple[str, str]]:
    """Names and values of what will be done."""
    time = "not known before it runs" if found.seconds is None else in_words(found.seconds)
    return [
        ("Noise", found.noise[0]),
        ("Method", found.method),
        ("Time", time),
        ("Memory", at_most(found.memory)),
    ]


AXES = (
    "One letter for each dimension, in order: X, Y, Z, T (frames), C (channels), S (positions); "
    "e.g. ZYX. Empty: as the file says."
)
SERIES = "A number from 0 on, or all, of files that hold several. Empty: all of full size."
TOGETHER = "For images of one kind: the net learns from all. Otherwise each is a job of its own."
SPREAD = "A second image with the standard deviation; takes a training."
KEPT = "A name, to denoise further images of this kind in seconds. Empty: not kept."
