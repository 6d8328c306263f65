"""Denoising files: train on them, then write their clean versions, all as one stream of events.

As every job of this package, it is cancelled by closing the generator: temporary files go, finished
files stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from unnoise.app import batch, dry_run, rescue
from unnoise.app.batch import recorded
from unnoise.app.events import Batch, Event, Failed, Interrupt, Judged, Message, Saved, Stopped
from unnoise.app.files import (
    REPORT,
    InputOptions,
    OutputOptions,
    PreviewOptions,
    ReportOptions,
    notes,
    open_targets,
)
from unnoise.app.outputs import check_outputs
from unnoise.app.predict import MOST_SHOWN, copy_file, predict_file
from unnoise.app.preview import with_previews
from unnoise.app.settings import with_uncertainty
from unnoise.app.telling import announced, called, facts, reported, shifted_rows, trained
from unnoise.app.train import planned, planned_as
from unnoise.config.config import Config
from unnoise.errors import InputError, Interrupted, NotFiniteError, UnnoiseError
from unnoise.images.image import Image
from unnoise.models import backends
from unnoise.models import folder as model_folder
from unnoise.models.claim import all_claimed, claimed
from unnoise.models.model import Model
from unnoise.nets.device import select_device
from unnoise.noise.inspect import NoiseReport
from unnoise.report.middle_plane import show_unchanged
from unnoise.report.result_page import DenoisedPlane, RunFacts
from unnoise.training.auto import Auto, MethodChoice
from unnoise.training.finish import finish
from unnoise.training.run import Run
from unnoise.training.start import start


@recorded
def denoise_files(
    inputs: Sequence[str | Path | Image],
    settings: Config | Auto,
    *,
    reading: InputOptions,
    writing: OutputOptions,
    targets: Sequence[str | Path] | None = None,
    each: bool = False,
    save_model: str | None = None,
    device: str = "auto",
    reporting: ReportOptions = REPORT,
    dry: bool = False,
) -> Generator[Event]:
    """Train on the files themselves, or on images in memory, and write their clean versions.

    Files with the same channels and dimensions share one model, unless `each` is set. Of several
    those that cannot be read or denoised are left behind, and a ledger says so. A `dry` run tells
    what it would do.

    Raises
    ------
    InputError
        Before any training, if the input or an output place cannot be used.
    """
    backends.check(writing.backend, device)
    if writing.backend == "onnx" and isinstance(settings, Auto):
        settings = replace(settings, shipped=False)  # its transform cannot be exported
    given = reading.given(inputs)
    # Pairs belong together by their order, so none may be missing.
    tolerant = len(given) > 1 and targets is None
    opened, failed = batch.opened(given, reading) if tolerant else (reading.find(given), [])
    sources = reading.sources(given, opened, targets)
    results = writing.paths(opened, sources, several=bool(failed))
    spreads = writing.spreads(opened, results, sources, several=bool(failed))
    if len(opened) + len(failed) > 1:
        sources.refuse(results[0].parent / batch.LEDGER, "the ledger")
        yield Batch(results[0].parent, len(opened) + len(failed))
    yield from failed
    kept, skipped = batch.without_results(opened, results, writing)
    yield from skipped
    if skipped and targets is not None:
        raise InputError(
            "--skip-existing would leave out images of pairs; name the pairs that are left, or "
            "choose --overwrite"
        )
    if not kept:
        return
    if tolerant:
        kept, images, failed = batch.readable(opened, kept, reading)
        yield from failed
        if not kept:
            return
    else:
        images = [reading.check(opened[i]) for i in kept]
    results, spreads = [results[i] for i in kept], [spreads[i] for i in kept]
    paths = list(map(batch.place, images))
    sources.refuse(save_model, "the model", "with --save-model")
    reporting.check(sources, results, *spreads, save_model, overwrite=writing.overwrite)
    if writing.uncertainty is not None:
        settings = with_uncertainty(settings)
    config = settings.provisional if isinstance(settings, Auto) else settings
    partners = yield from open_targets(paths, targets, reading, config)
    if config.entry.pairs == "clean" and partners:  # the result has their units
        writing = writing.typed(partners[0].dtype)
    with all_claimed([*results, *filter(None, spreads)]):  # until they are written
        not_carried = check_outputs(images, results, spreads, writing)
        yield from notes(images)
        yield from not_carried

        def plans_of(numbers: Sequence[int]) -> list[tuple[list[int], tuple[MethodChoice, Model]]]:
            found = []
            for group in batch.alike(images, numbers, each, config):
                own = [partners[i] for i in group] if partners else None
                found.append((group, planned([images[i] for i in group], own, settings, reading)))
            return found

        plans, failed = batch.possible(images, plans_of, tolerant)
        yield from failed
        for _, (_, model) in plans:
            for level in model.levels:
                backends.check_model(level, writing.backend)  # before any training
        if save_model and len(plans) > 1:
            raise InputError(
                f"the images need {len(plans)} models, so one --save-model folder cannot hold "
                f"them; leave it out, or denoise alike images in one run"
            )
        if save_model:
            place, size = Path(save_model), model_folder.needed(plans[0][1][1])
            model_folder.check_place(place, overwrite=writing.overwrite, nbytes=size)
            with claimed(place):
                pass  # nobody else is at it
        if dry:
            places = dry_run.Places(images, results, spreads, writing, save_model)
            yield from dry_run.of_denoising(plans, places, partners, select_device(device))
            return
        work = _Batch(
            settings,
            images,
            partners,
            results,
            spreads,
            reading,
            writing,
            device,
            save_model,
            shown=[] if reporting.wanted else None,
            tolerant=tolerant,
            preview=reporting.preview,
        )
        for group, (choice, model) in plans:
            try:
                stopped = yield from work.denoise(group, choice, model)
            except UnnoiseError as error:  # a file is another one by now, or a loss is no number
                own = work.training and not isinstance(error.__cause__, OSError)
                left = [i for i in group if i not in work.ended]  # others keep their results
                alone = len(plans) == 1 and left == group
                if alone or not own or isinstance(error, Interrupted):
                    raise
                yield from (Failed(batch.place(images[i]), str(error)) for i in left)
                continue
            if stopped:
                return
        if work.shown is not None:
            path = reporting.place(results, overwrite=writing.overwrite)
            about = work.runs, work.shown, work.measured, work.lines
            yield from reported(path, "Denoising", reporting, *about)
        if work.problem is not None:
            raise work.problem


@dataclass
class _Batch:
    """The images of a run, and what its report will tell."""

    settings: Config | Auto
    images: Sequence[Image]
    partners: Sequence[Image] | None
    results: Sequence[Path]
    spreads: Sequence[Path | None]
    reading: InputOptions
    writing: OutputOptions
    device: str
    save_model: str | None
    shown: list[DenoisedPlane] | None
    tolerant: bool = False
    preview: PreviewOptions | None = None
    measured: list[NoiseReport] = field(default_factory=list)
    runs: list[RunFacts] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    saved: bool = False
    ended: set[int] = field(default_factory=set)  # images with a result, or that were left behind
    training: bool = False  # when what is wrong concerns no image but those of the group
    problem: InputError | None = None
    """Why the model was not saved, while the results are still to come."""

    def pair(self, group: Sequence[int]) -> tuple[list[Image], list[Image] | None]:
        """The images of a group, and their second images."""
        partners = None if self.partners is None else [self.partners[i] for i in group]
        return [self.images[i] for i in group], partners

    def denoise(
        self, group: Sequence[int], choice: MethodChoice, model: Model
    ) -> Generator[Event, None, bool]:
        """Train on a group and write its results; True if that was stopped.

        Where `auto` chose and a result is worse than its image, other methods are tried on these
        images alone; what none of them helps is written as it is.
        """
        tried: list[str] = []
        rest = list(group)
        while True:
            tried.append(model.config.method)
            dropped: list[int] = []
            if len(rest) == len(group):
                folder, own = self.save_model, choice
            else:  # the model in the folder, and what was measured, are of others too
                folder, own = None, replace(choice, reports=())
            stopped = yield from self._attempt(rest, own, model, folder, dropped)
            if stopped or not dropped:
                return stopped
            rest = dropped
            following = self._following(choice, rest)
            names = ", ".join(self.images[i].name for i in rest)
            worse = (
                f"{names}: {tried[-1]} gave a result farther from the clean image than the noisy"
            )
            if following is None:
                yield Message(f"{worse} one; no method is left")
                for i in rest:
                    try:
                        yield from self._unchanged(i, tried)
                    except InputError as error:
                        yield self._left_behind(i, error)
                return False
            choice, model = following
            yield Message(f"{worse} one, so {model.config.method} is tried")

    def _following(
        self, choice: MethodChoice, rest: Sequence[int]
    ) -> tuple[MethodChoice, Model] | None:
        """What auto tries next and that can be done with these images and options."""
        images = [self.images[i] for i in rest]
        assert isinstance(self.settings, Auto)
        while (found := self.settings.after(choice, images)) is not None:
            choice = found
            with contextlib.suppress(InputError):
                model = planned_as(choice, images, self.reading)
                for level in model.levels:
                    backends.check_model(level, self.writing.backend)
                if self.writing.uncertainty is not None:
                    model.check_probabilistic()
                return choice, model
        return None

    def _attempt(
        self,
        group: Sequence[int],
        choice: MethodChoice,
        model: Model,
        save_model: str | None,
        dropped: list[int],
    ) -> Generator[Event, None, bool]:
        """Train on images and predict them; those whose results are worse go to `dropped`."""
        images, partners = self.pair(group)
        device = select_device(self.device)
        self.training = True
        yield from announced(images, model, choice, device, partners)
        run = start(images, model, device, partners)
        yield from map(Message, run.notes())
        with Interrupt() as interrupt:
            for progress in with_previews(run, images[0], self.preview):
                yield progress
                if interrupt.requested:
                    break
            final = run.model()
            if run.fraction == 1:
                try:
                    final, told, found = finish(final, images, choice.reports, run.device, partners)
                except NotFiniteError as error:
                    if not isinstance(self.settings, Auto):
                        raise
                    dropped += group
                    for i in group:
                        yield _lost(self.images[i], final, error)
                    return False
                told = [*run.remarks(), *told]
                yield from map(Message, told)
                if not choice.reports:  # else `announced` has warned
                    yield from shifted_rows(found)
                yield trained(final, images, run)
                if self.shown is not None:  # of a thousand models all would stay in memory
                    known = {report.name for report in self.measured}
                    self.measured += [report for report in found if report.name not in known]
                    self.runs.append(facts(images, final, run.history))
                    self.lines += [line for line in (choice.why, *told) if line]
            self.training = False
            if save_model and run.fraction == 1:
                try:
                    over = self.writing.overwrite or self.saved
                    rescue.save(Path(save_model), final, run.history, overwrite=over)
                    self.saved = True
                    yield Saved(Path(save_model), "model")
                except InputError as error:  # the results are still to come
                    self.problem = error
            for i in group:
                if interrupt.requested:
                    break
                job = predict_file(
                    final,
                    self.images[i],
                    self.results[i],
                    self.spreads[i],
                    self.writing,
                    self.device,
                    self.shown,
                    must_help=isinstance(self.settings, Auto),
                    preview=self.preview,
                )
                try:
                    with contextlib.closing(job):
                        for event in job:
                            yield event
                            if isinstance(event, Judged):
                                dropped.append(i) if event.dropped else self.ended.add(i)
                            if interrupt.requested:
                                break
                except InputError as error:
                    if self.tolerant and not isinstance(error.__cause__, OSError):
                        yield self._left_behind(i, error)
                        continue
                    if save_model:
                        why = "" if self.problem is None else f"; {self.problem}"
                        raise InputError(f"{error}{why}") from error
                    place = rescue.free_folder(self.results[i])
                    raise rescue.kept(error, place, final, run.history) from error
            if interrupt.requested:
                free = rescue.free_folder(self.results[group[0]])
                folder = Path(save_model) if save_model else free
                yield _stopped(run, final, folder)
                return True
        return False

    def _left_behind(self, i: int, error: InputError) -> Failed:
        """Leave an image of several behind; what is no fault of it alone is raised again."""
        if not self.tolerant or isinstance(error.__cause__, OSError):
            raise error
        self.ended.add(i)
        return Failed(batch.place(self.images[i]), str(error))

    def _unchanged(self, i: int, tried: Sequence[str]) -> Generator[Event]:
        """Write an image as it is, and say so."""
        image, target = self.images[i], self.results[i]
        text = (
            f"no method helped ({', '.join(tried)} took it farther from the clean image), so it "
            f"was written unchanged"
        )
        yield from copy_file(image, target, self.writing)
        if self.shown is not None and len(self.shown) < MOST_SHOWN:
            self.shown.append(show_unchanged(image, text))
        yield Judged(
            called(image),
            "unchanged",
            "unchanged",
            warnings=(text,),
            output=target,
            axes=image.axes,
        )


def _lost(image: Image, model: Model, error: NotFiniteError) -> Judged:
    """The result of a model that makes no numbers."""
    method, text = model.config.method, str(error)
    return Judged(called(image), method, "worse", warnings=(text,), dropped=True)


def _stopped(run: Run, model: Model, folder: Path) -> Stopped:
    """Keep what was trained, and say how to use it."""
    done = run.fraction == 1
    rescue.save(folder, model, run.history, None if done else run.state(), overwrite=True)
    on = "" if done else f"go on with unnoise train --resume {folder}, or "
    return Stopped(
        f"stopped at step {run.step}; the model so far is in {folder}: {on}use it with unnoise "
        f"predict {folder} IMAGES",
        folder,
    )
