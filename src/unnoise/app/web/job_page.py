"""The page of a job: how far it is, what it will look like, and what came of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

from nicegui import ui

from unnoise.app.events import Preview
from unnoise.app.files import InputOptions
from unnoise.app.problems import sentence
from unnoise.app.session.job import Job, Made
from unnoise.app.session.request import Request
from unnoise.app.web import elements as el
from unnoise.app.web.gallery import Picture
from unnoise.app.web.home_page import WORDS, title, told_time
from unnoise.app.web.picture import picture_of, show
from unnoise.app.web.site import Site
from unnoise.errors import InputError
from unnoise.report.charts import chart
from unnoise.report.colour import grey_scale
from unnoise.report.page_parts import Chart, Series

EVERY = 0.5
"""Seconds between two looks at the job."""
FEWEST = 3
"""Points of a loss curve that tell something."""


def build(site: Site, name: str, owner: str) -> None:
    """The page of a job."""
    try:
        job = site.queue.job(name)
    except InputError as error:
        with el.page("No such job"):
            el.notice(sentence(error))
            el.link("All jobs", "/")
        return
    with el.page(title(job), "Job"):
        _JobPage(site, job, owner)


class _JobPage:
    """A job, kept up to date."""

    def __init__(self, site: Site, job: Job, owner: str) -> None:
        self._site = site
        self._job = job
        self._owner = owner
        self._next: Job | None = None
        self._drawn: dict[str, object] = {}
        with el.section("Progress"):
            self._state = el.text("p", "", role="status")
            self._bar = el.tag("progress", max=1, value=0, aria_label="Progress")
            self._problem = el.tag("div")
            self._buttons = el.tag("div", "buttons")
        self._result = el.tag("div")
        self._live = el.tag("div", "columns")
        with self._live:
            with el.section("Preview") as self._preview_part:
                self._preview = el.tag("div", "pair")
            with el.section("Training") as self._chart_part:
                self._chart = el.tag("div")
        with el.section("Messages") as self._messages_part:
            self._messages = el.tag("div")
        with el.section("The same as a command"):
            el.command(job.request.command())
        self._refresh()
        self._timer = ui.timer(EVERY, self._refresh)

    def _refresh(self) -> None:
        """Draw what changed."""
        job = self._job
        self._state.text = state_of(job)
        if self._new("bar", round(job.fraction, 3)):
            self._bar.props["value"] = job.fraction
            self._bar.update()
        self._bar.set_visibility(not job.is_over)
        if self._new("problem", job.error):
            self._tell_problem()
        if self._new("buttons", (job.state, job.stopping)):
            self._draw_buttons()
        if self._new("preview", id(job.preview)):
            self._draw_preview(job.preview)
        if self._new("history", job.history):
            self._draw_history()
        if self._new("messages", job.messages):
            self._tell_messages()
        self._preview_part.set_visibility(job.preview is not None and not job.results)
        self._chart_part.set_visibility(len(job.history) >= FEWEST)
        self._messages_part.set_visibility(bool(job.messages))
        if self._new("result", (job.is_over, job.results)) and job.is_over:
            self._draw_result()

    def _new(self, part: str, value: object) -> bool:
        """Whether a part has to be drawn."""
        known = part in self._drawn and self._drawn[part] == value
        self._drawn[part] = value
        return not known

    def _tell_problem(self) -> None:
        self._problem.clear()
        if self._job.error:
            with self._problem:
                el.notice(self._job.error)

    def _draw_buttons(self) -> None:
        """What can be done with the job now."""
        job = self._job
        self._buttons.clear()
        with self._buttons:
            if not job.is_over:
                stop = el.button("Stop", self._stop)
                if job.stopping:
                    stop.props["disabled"] = True
                el.text("span", "What was learned so far is kept.", "muted")
            else:
                inputs = [Path(name) for name in job.request.inputs]
                names = [self._site.workspace.name(p) for p in inputs if self._is_inside(p)]
                if job.state in ("interrupted", "stopped", "failed"):
                    el.button("Start again", self._again, "primary")
                if names:
                    places = [("place", name) for name in names]
                    el.link("Denoise it differently", el.place("/image", *places), "button")
                el.button("Remove from the list", self._remove)

    def _is_inside(self, path: Path) -> bool:
        try:
            self._site.workspace.inside(path)
        except InputError:
            return False
        return path.is_relative_to(self._site.workspace.root)

    def _stop(self) -> None:
        self._site.queue.stop(self._job.id)
        self._refresh()

    def _again(self) -> None:
        """The same once more."""
        with self._told():
            job = self._next
            if job is None or job.is_over:  # else it is a double click
                request = self._site.again(self._job.request)
                job = self._next = self._site.queue.submit(request, owner=self._owner)
            ui.navigate.to(f"/job/{job.id}")

    def _remove(self) -> None:
        with self._told():
            self._site.queue.remove(self._job.id)
            ui.navigate.to("/")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What is refused is told on the page."""
        try:
            yield
        except InputError as error:
            with self._problem:
                el.notice(sentence(error))

    def _draw_preview(self, preview: Preview | None) -> None:
        """A piece of the image, noisy and as it would be now."""
        if preview is None:
            return
        self._preview.clear()
        with self._preview:
            scale = grey_scale(preview.noisy, preview.clean)
            for name, plane in (("Noisy", preview.noisy), ("So far", preview.clean)):
                with el.tag("figure"):
                    el.tag("img", src=picture_of(plane, scale), alt=f"{name}, a piece of the image")
                    el.text("figcaption", name)

    def _draw_history(self) -> None:
        """The loss over the steps."""
        history = self._job.history
        if len(history) < FEWEST:
            return
        self._chart.clear()
        with self._chart:
            # Numbers of ours and texts that are escaped: nothing to sanitise.
            ui.html(str(chart(loss_chart(history))), sanitize=False)

    def _tell_messages(self) -> None:
        self._messages.clear()
        with self._messages:
            for kind, text in self._job.messages:
                if kind == "message":
                    el.text("p", text)
                else:
                    el.notice(text, "problem" if kind == "failure" else "warning")

    def _draw_result(self) -> None:
        """What was made, to look at and to take along."""
        job = self._job
        self._result.clear()
        if not (job.results or job.model or job.report):
            return
        base = f"/job/{job.id}"
        with self._result, el.section("Result"):
            if job.verdict:
                el.text("p", job.verdict[:1].upper() + job.verdict[1:], "verdict")
            for line in gains_of(job):
                el.text("p", line, "muted")
            with el.tag("div", "buttons"):
                for number, made in enumerate(job.made):
                    own = made.result.name if len(job.results) > 1 else ""
                    name = f"Download {own}".strip()
                    first = "button primary" if number == 0 else "button"
                    el.link(name, f"{base}/result/{number}", first, download=True)
                    if made.uncertainty is not None:
                        name = "Download the uncertainty" + (f" of {own}" if own else "")
                        el.link(name, f"{base}/uncertainty/{number}", "button", download=True)
                if job.report is not None:
                    el.link("Open the report", f"{base}/report", "button", target="_blank")
                if job.model is not None and self._is_inside(job.model):
                    self._model(job.model)
            self._compare()

    def _model(self, model: Path) -> None:
        """What to do with the model."""
        inputs = [Path(name) for name in self._job.request.inputs]
        places = [("place", self._site.workspace.name(p)) for p in inputs if self._is_inside(p)]
        if (
            places
            and self._job.state == "stopped"
            and model.is_relative_to(self._site.workspace.own)
        ):
            use = el.place("/image", *places, ("model", self._site.key(model)))
            el.link("Denoise with the model so far", use, "button primary")
        el.link("Download the model", f"/job/{self._job.id}/model", "button", download=True)
        if model.parent == self._site.workspace.models:
            el.text("span", f"Kept as '{model.name}': choose it under More options.", "muted")

    def _compare(self) -> None:
        """A result beside its source; which of several is chosen."""
        made = self._job.made
        if len(made) > 1:
            names = [(str(number), one.result.name) for number, one in enumerate(made)]
            el.choice("Shown", names, "0", lambda number: self._show(made[int(number)]))
        self._compared = el.tag("div")
        if made:
            self._show(made[0])

    def _show(self, made: Made) -> None:
        """A result beside its source."""
        noisy, clean, spread = pictures_of(self._job.request, made)
        self._compared.clear()
        with self._compared:
            try:
                show(self._site, noisy or clean, clean=noisy and clean, spread=spread)
            except Exception as error:
                el.notice(sentence(error))


def pictures_of(request: Request, made: Made) -> tuple[Picture | None, Picture, Picture | None]:
    """The image of a result, where it is known, the result, and its standard deviations."""
    noisy = None
    # Of a result that an earlier job made the image is not told; in a folder both have one name.
    alike = [name for name in request.inputs if Path(name).name == made.result.name]
    if len(request.inputs) == 1 or (not made.image and len(alike) == 1):
        noisy = Picture(Path((alike or request.inputs)[0]), request.reading())
    for name in request.inputs:
        rest = made.image.removeprefix(name)  # of several images of the file it tells which
        if made.image.startswith(name) and (not rest or rest.startswith(" (")):
            noisy = Picture(Path(name), request.reading(), rest)

    def written(path: Path) -> Picture:
        # NumPy files tell no axes, so theirs are those of the image, however that was read.
        axes = made.axes or None
        return Picture(path, InputOptions(axes=axes if path.suffix == ".npy" else None))

    spread = None if made.uncertainty is None else written(made.uncertainty)
    return noisy, written(made.result), spread


def state_of(job: Job) -> str:
    """Where a job stands, in words."""
    if job.state != "running":
        words = WORDS[job.state]
        return words[:1].upper() + words[1:] + (f", {told_time(job)}" if job.is_over else "")
    phase = "stopping" if job.stopping else job.phase or "starting"
    left = told_time(job)
    share = f", {job.fraction:.0%}" if job.fraction else ""
    return phase[:1].upper() + phase[1:] + share + (f", {left}" if left else "")


def gains_of(job: Job) -> list[str]:
    """How much closer to the truth the results are, as far as it can be told without it."""
    lines = []
    for judged in job.judged:
        parts = []
        for gain in judged["gains"]:
            if len(gain) == 4 and all(map(math.isfinite, gain[1:3])):  # else nothing is known
                name, value, low, high = gain
                which = f" (channel {name})" if len(judged["gains"]) > 1 else ""
                between = f"between {low:.1f} and {high:.1f}"
                if not math.isfinite(high):
                    between = f"at least {low:.1f}"
                parts.append(f"{value:.1f} dB{which}, {between}")
        if parts:
            name = f"{Path(judged['image']).name}: " if len(job.judged) > 1 else ""
            lines.append(
                f"{name}Estimated gain in PSNR: {'; '.join(parts)}; method {judged['method']}"
            )
    return lines


def loss_chart(history: tuple[tuple[int, float | None, float | None], ...]) -> Chart:
    """Loss and held-out loss against steps."""
    series = []
    for label, column in (("training", 1), ("held-out pixels", 2)):
        found = [(row[0], row[column]) for row in history if row[column] is not None]
        if found:
            steps, values = zip(*found, strict=True)
            series.append(Series(label, steps, values))
    return Chart("Loss against steps", "step", "loss (normalised units)", tuple(series))
