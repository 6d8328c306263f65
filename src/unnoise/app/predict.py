"""Denoising files with a trained model, each into its file, and what the report shows of them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from unnoise.app import batch, dry_run
from unnoise.app.batch import recorded
from unnoise.app.events import (
    Batch,
    Event,
    Failed,
    Judged,
    Message,
    Predicting,
    Saved,
    Warned,
)
from unnoise.app.files import (
    REPORT,
    InputOptions,
    OutputOptions,
    PreviewOptions,
    ReportOptions,
    notes,
)
from unnoise.app.large import ALONE, Sharing, check_finished, check_large, predict_large
from unnoise.app.outputs import check_outputs
from unnoise.app.pieces import Work
from unnoise.app.preview import of_result
from unnoise.app.rescue import elsewhere
from unnoise.app.telling import facts, judged, reported
from unnoise.errors import InputError, NotFiniteError
from unnoise.images.atomic import hidden
from unnoise.images.formats import unfinished
from unnoise.images.image import Image
from unnoise.models import backends
from unnoise.models import folder as model_folder
from unnoise.models.claim import all_claimed
from unnoise.models.model import Model
from unnoise.models.overlap import Behind
from unnoise.models.predict import predict
from unnoise.nets.device import select_device
from unnoise.nets.ranks import of_torchrun
from unnoise.report.middle_plane import MOST_CHANNELS, MiddlePlane, show
from unnoise.report.result_page import DenoisedPlane

MOST_SHOWN = 8
"""Images of a run that the report shows."""


@recorded
def predict_files(
    folder: str | Path,
    inputs: Sequence[str | Path | Image],
    *,
    reading: InputOptions,
    writing: OutputOptions,
    device: str = "auto",
    reporting: ReportOptions = REPORT,
    sharing: Sharing = ALONE,
    dry: bool = False,
) -> Generator[Event]:
    """Denoise files with a trained model; large ones in pieces that are kept when a run is stopped.

    Of several those that cannot be read or denoised are left behind, and a ledger says so. A `dry`
    run tells what it would do.

    Raises
    ------
    InputError
        Before any work, if the model, the input or an output place cannot be used.
    """
    sharing.check()
    backends.check(writing.backend, device)
    model = model_folder.load(folder)
    for level in model.levels:
        backends.check_model(level, writing.backend)
    if writing.uncertainty is not None:
        model.check_probabilistic()
    if model.target_affine is not None and model.provenance.target_dtype is not None:
        writing = writing.typed(model.provenance.target_dtype)
    given = reading.given(inputs)
    in_memory = any(isinstance(image, Image) for image in given)  # which no other run can open
    opened, failed = batch.opened(given, reading)
    sources = reading.sources(given, opened)
    results = writing.paths(opened, sources, several=bool(failed))
    spreads = writing.spreads(opened, results, sources, several=bool(failed))
    tolerant = len(opened) + len(failed) > 1
    if tolerant:
        sources.refuse(results[0].parent / batch.LEDGER, "the ledger")
        yield Batch(results[0].parent, len(opened) + len(failed))
    yield from failed
    for result in results:
        unfinished.tidy(result)
    kept, skipped = batch.without_results(opened, results, writing)
    yield from skipped

    def work(image: Image, result: Path, spread: Path | None) -> Work:
        which, source = image.metadata.get("which", ""), batch.place(image)
        return Work(str(folder), source, which, result, spread, reading, writing, device)

    if sharing.part is not None or sharing.finish:  # a part that is made again, or one too many
        whole = [i for i in kept if results[i].exists() and not hidden(results[i]).exists()]
        for i in whole:
            check_finished(work(opened[i], results[i], spreads[i]), opened[i])
            yield Message(f"{results[i]} is finished: nothing is left to do")
        kept = [i for i in kept if i not in whole]
    select_device(device)
    images, results = [opened[i] for i in kept], [results[i] for i in kept]
    spreads = [spreads[i] for i in kept]
    if not tolerant:
        for image in images:
            model.check(image)
    reporting.check(sources, results, *spreads, overwrite=writing.overwrite)
    for result, spread in zip(results, spreads, strict=True):
        unfinished.tidy(result, *filter(None, [spread]))
    several = list(zip(images, results, spreads, strict=True))
    alone = [work for work in several if in_memory or not sharing.wanted(*work[:2], writing)]
    own = [place for _, *both in alone for place in both if place is not None]
    with all_claimed(own):  # a large result is claimed by those who share it
        yield from check_outputs(images, results, spreads, writing)
        found = (level.joined for level in model.levels if level.joined is not None)
        joined = list(dict.fromkeys(frames.line() for frames in found))
        yield from map(Message, joined)
        if dry:
            places = dry_run.Places(images, results, spreads, writing)
            where = select_device(device)

            def refuse(i: int, image: Image) -> None:
                if sharing.wanted(image, results[i], writing) and not in_memory:
                    check_large(work(image, results[i], spreads[i]), model, image, sharing)

            yield from dry_run.of_prediction(model, places, reading, where, tolerant, refuse)
            return
        shown: list[DenoisedPlane] | None = [] if reporting.wanted else None
        done: list[Image] = []
        for image, result, spread in several:
            try:
                model.check(image)
                image = reading.check(image)
                yield from notes([image])
                unlike = model.unlike(image) if sharing.part is None else None  # --prepare has told
                if unlike:
                    yield Warned(unlike)
                if sharing.wanted(image, result, writing) and not in_memory:
                    wanted = shown is not None and len(shown) < MOST_SHOWN
                    plane = yield from predict_large(
                        work(image, result, spread), model, image, sharing, wanted=wanted
                    )
                    if wanted and shown is not None and plane is not None:
                        shown.append(plane)
                else:
                    how = writing, device, shown
                    yield from predict_file(
                        model, image, result, spread, *how, preview=reporting.preview
                    )
                done.append(image)
            except InputError as error:
                if not tolerant or isinstance(error.__cause__, OSError):
                    raise
                yield Failed(batch.place(image), str(error))
    if shown is not None and done and (shown or not (sharing.in_parts or of_torchrun().size > 1)):
        path = reporting.place(results, overwrite=writing.overwrite)
        runs, why = [facts(done, model)], [f"with the model {folder}", *joined]
        yield from reported(path, "Prediction", reporting, runs, shown, (), why)


def predict_file(
    model: Model,
    image: Image,
    target: Path,
    spread: Path | None,
    writing: OutputOptions,
    device: str,
    shown: list[DenoisedPlane] | None = None,
    *,
    must_help: bool = False,
    preview: PreviewOptions | None = None,
) -> Generator[Event]:
    """Denoise one image into its file, and its standard deviations into another.

    The middle plane is judged, with or without a report; what there is to show of it is appended
    to `shown`. With `must_help` nothing is written where the result is worse than the noisy image.
    A result that cannot be written is made again in another place.

    Raises
    ------
    InputError
        If it cannot be written where it belongs, with where it is.
    """
    try:
        how = shown, must_help, preview
        yield from _written(model, image, target, spread, writing, device, *how)
        return
    except InputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        problem = error
    with contextlib.closing(elsewhere(target)) as places:
        for place in places:
            std = None if spread is None else place.parent / "uncertainty" / spread.name
            with contextlib.suppress(InputError):
                yield from _written(model, image, place, std, writing, device)
                problem = InputError(f"{problem}; the result is kept in {place}")
                break
    raise problem


def _written(
    model: Model,
    image: Image,
    target: Path,
    spread: Path | None,
    writing: OutputOptions,
    device: str,
    shown: list[DenoisedPlane] | None = None,
    must_help: bool = False,
    preview: PreviewOptions | None = None,
) -> Generator[Event]:
    """Denoise one image into its files, and judge it."""
    started = time.monotonic()
    plane = MiddlePlane(image, model.channels[:MOST_CHANNELS])
    dtype = writing.type_of(image, target)
    wanted = shown is not None and len(shown) < MOST_SHOWN
    found: DenoisedPlane | None = None
    stop: KeyboardInterrupt | None = None

    def about() -> Judged:
        return judged(image, model, found, seconds=time.monotonic() - started)

    with contextlib.suppress(_Dropped):
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(writing.create(target, image, dtype))
            std = spread and stack.enter_context(writing.create_spread(spread, image))
            job = predict(model, image, device=device, tta=writing.tta, backend=writing.backend)
            try:
                with contextlib.closing(job) as blocks, Behind() as writer:
                    for block in blocks:
                        where = block.where  # the writer gets small types: blocks are float64
                        pixels = image.finished(block.values, where, out.dtype, block.copied)
                        writer(out.write, where, pixels)
                        if std:
                            assert block.std is not None
                            writer(std.write, where, image.spread(block.std, where))
                        plane.take(block)
                        yield Predicting(target, block.done, block.total)
            except NotFiniteError as error:
                if not must_help:
                    raise
                yield replace(about(), verdict="worse", warnings=(str(error),), dropped=True)
                raise _Dropped from error
            passed = None if preview is None else of_result(plane, preview)
            if passed is not None:
                yield passed
            try:
                found = show(model, plane, device, rounded=dtype.kind in "ui", copies=wanted)
            except Exception as error:  # the result is good: whatever fails here only costs this
                yield Message(f"{image.name} is not judged, and left out of the report: {error}")
            except KeyboardInterrupt as error:  # the result is whole, so it stays
                stop = error
            result = about()
            if must_help and result.verdict == "worse":
                yield replace(result, dropped=True)
                raise _Dropped
        for place in filter(None, (target, spread)):
            unfinished.remove(place)  # which an earlier run had begun
        yield Saved(target)
        if spread:
            yield Saved(spread)
        if stop is not None:
            raise stop
        yield replace(result, output=target, uncertainty=spread)
        if wanted and shown is not None and found is not None:
            shown.append(found)


def copy_file(image: Image, target: Path, writing: OutputOptions) -> Generator[Event]:
    """Write an image as it is, in the type that its result would have."""
    places = list(itertools.product(*(range(image.sizes[k]) for k in "STZ")))
    with writing.create(target, image, writing.type_of(image, target)) as out:
        for done, at in enumerate(places, 1):
            where = {k: slice(i, i + 1) for k, i in zip("STZ", at, strict=True)}
            out.write(where, image.original(where))
            yield Predicting(target, done, len(places))
    unfinished.remove(target)
    yield Saved(target)


class _Dropped(Exception):
    """Removes the files of a result that nobody should use."""
