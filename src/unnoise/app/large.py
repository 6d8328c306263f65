"""The job of one large prediction: who makes its pieces, and what is told of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from unnoise.app import dask_cluster, workers
from unnoise.app.events import Event, Message, Predicting, Saved
from unnoise.app.files import OutputOptions
from unnoise.app.pieces import LARGE, Pieces, Work, run_of
from unnoise.app.telling import judged
from unnoise.errors import InputError, Interrupted, ModelError
from unnoise.images import formats
from unnoise.images.formats import unfinished, urls
from unnoise.images.image import Image
from unnoise.models.claim import claimed
from unnoise.models.model import Model
from unnoise.nets.ranks import Ranks, of_torchrun
from unnoise.report.middle_plane import show
from unnoise.report.result_page import DenoisedPlane


@dataclass(frozen=True)
class Sharing:
    """By whom a prediction is made, and whether its pieces are kept.

    Attributes
    ----------
    resume : bool
        Whether pieces are kept of small results too.
    prepare : bool
        Lay the result out for parts, and no more.
    part : str or None
        ``k/n``: this process makes the k-th of n runs of pieces, counted from 0.
    finish : bool
        Complete a result whose parts are all made, and no more.
    workers : int
        Processes on this machine.
    dask : str or None
        ``local``, or the address of a scheduler of Dask.
    """

    resume: bool = False
    prepare: bool = False
    part: str | None = None
    finish: bool = False
    workers: int = 1
    dask: str | None = None

    @property
    def in_parts(self) -> bool:
        """Whether this run is one of several."""
        return self.prepare or self.finish or self.part is not None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        InputError
        """
        if sum((self.prepare, self.finish, self.part is not None)) > 1:
            raise InputError("--prepare, --part and --finish are three steps; give one of them")
        self.numbers(1)
        if (self.workers > 1 or self.dask) and self.in_parts:
            raise InputError(
                "--workers and --dask share a whole result, not a part; leave one of the two out"
            )
        if self.dask is not None and self.dask != "local" and "://" not in self.dask:
            raise InputError(
                f"--dask {self.dask} is no place; write local, or the address that dask scheduler "
                f"prints, e.g. tcp://host:8786"
            )

    def numbers(self, count: int) -> range:
        """The pieces of this run, out of so many.

        Examples
        --------
        >>> Sharing(part="1/3").numbers(7)
        range(2, 4)
        """
        if self.part is None:
            return range(count)
        k, _, n = self.part.partition("/")
        if not (k.isdecimal() and n.isdecimal() and int(k) < int(n)):
            raise InputError(
                f"--part {self.part} is no part of a whole; write K/N with K from 0 to N - 1, e.g. "
                f"0/64 to 63/64"
            )
        return run_of(int(k), int(n), count)

    def wanted(self, image: Image, place: Path, writing: OutputOptions) -> bool:
        """Whether the pieces of a result are kept."""
        shared = self.in_parts or self.workers > 1 or self.dask or of_torchrun().size > 1
        if writing.out is not None and isinstance(urls.place(writing.out), urls.Url):
            if self.resume or shared:
                raise InputError(
                    f"{writing.out}: pieces of several processes or runs are gathered on a disk, "
                    f"not at an address; name a path with -o, and copy what is whole"
                )
            return False
        if self.resume or shared:
            return True
        size = writing.type_of(image, place).itemsize
        for sides in image.shape:
            size *= sides
        return size > LARGE


def check_finished(work: Work, image: Image) -> None:
    """Refuse a finished result that other parts than those of this command have made.

    Raises
    ------
    InputError
    """
    found = formats.open(work.result).metadata.get("made_by")
    if found != work.maker(work.reading.check(image)):
        raise InputError(
            f"{work.result} exists, and is of another model, image or settings than this command; "
            f"begin anew with --prepare --overwrite, or choose another name with -o"
        )


THREADS = 4
"""Of a local worker of Dask, unless their number is given: a tile hardly gains by more."""
ALONE = Sharing()
"""One process makes everything."""


def predict_large(
    work: Work, model: Model, image: Image, sharing: Sharing = ALONE, *, wanted: bool = False
) -> Generator[Event, None, DenoisedPlane | None]:
    """Predict an image in pieces, going on where an earlier run was stopped.

    Parameters
    ----------
    work : Work
    model, image : Model, Image
        What it stands for.
    sharing : Sharing
    wanted : bool
        Whether the report shows the result.

    Returns
    -------
    DenoisedPlane or None
        The plane that was judged; None where others have still to do their parts.

    Raises
    ------
    InputError
        If what lies there is of something else, or cannot be written.
    """
    started = time.monotonic()
    ranks = of_torchrun()
    pieces = _opened(work, model, image, sharing)
    if ranks.size > 1:
        return (yield from _with_others(pieces, ranks, started, wanted))
    if sharing.part is not None:
        yield from _predicted(pieces, pieces.run(sharing.numbers(pieces.plan.count)))
        if len(pieces.done()) < pieces.plan.count:
            return None
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(claimed(work.result, "the result"))
            except InputError:
                return None  # another part is finishing it
            if unfinished.header(work.result) is None:
                return None  # or has done so
            pieces.check_current()
            return (yield from _finished(pieces, started, wanted))
    with claimed(work.result, "the result"):
        if not sharing.finish:
            done = pieces.prepare()
            if done:
                yield Message(f"{image.name}: going on after {done} of {pieces.plan.count} pieces")
        if sharing.prepare:
            yield Message(
                f"{work.result} is laid out in {pieces.plan.count} pieces; run the same command "
                f"with --part 0/N to N-1/N instead of --prepare"
            )
            return None
        if not sharing.finish:
            yield from _predicted(pieces, _made(pieces, sharing))
        return (yield from _finished(pieces, started, wanted))


def check_large(work: Work, model: Model, image: Image, sharing: Sharing) -> None:
    """Refuse what `predict_large` would, for a dry run.

    Raises
    ------
    InputError
    """
    pieces = _opened(work, model, image, sharing)
    later = sharing.part is not None or sharing.finish
    if later or (not work.writing.overwrite and unfinished.header(work.result) is not None):
        pieces.done()  # if what lies there is of the same model and image
    if sharing.finish:
        _check_whole(pieces)


def _opened(work: Work, model: Model, image: Image, sharing: Sharing) -> Pieces:
    """The pieces of a result that those who share it can write."""
    ranks = of_torchrun()
    pieces = Pieces(work.on_card(ranks.local_rank) if ranks.size > 1 else work, model, image)
    several = ranks.local_size < ranks.size or (sharing.in_parts and not sharing.finish)
    if (several or sharing.dask not in (None, "local")) and not pieces.result.shared:
        raise InputError(
            f"{work.result}: several machines can only write to a folder of chunks; choose a name "
            f"that ends in .zarr with -o"
        )
    return pieces


def _check_whole(pieces: Pieces) -> None:
    missing = pieces.plan.count - len(pieces.done())
    if missing:
        raise InputError(
            f"{missing} of {pieces.plan.count} pieces of {pieces.work.result} are not finished; "
            f"run the parts that are missing again, then --finish"
        )


def _made(pieces: Pieces, sharing: Sharing) -> Iterator[int]:
    """The pieces, whoever makes them."""
    cores = torch.get_num_threads()
    if sharing.dask is not None:
        count = sharing.workers if sharing.workers > 1 else max(cores // THREADS, 1)
        threads = max(cores // count, 1)
        return dask_cluster.predicted(pieces.work, pieces, sharing.dask, count, threads)
    if sharing.workers > 1:
        threads = max(cores // sharing.workers, 1)
        done = pieces.done()
        left = [number for number in range(pieces.plan.count) if number not in done]
        return workers.predicted(pieces.work, left, sharing.workers, threads)
    return pieces.run(range(pieces.plan.count))


def _with_others(
    pieces: Pieces, ranks: Ranks, started: float, wanted: bool
) -> Generator[Event, None, DenoisedPlane | None]:
    """Share the pieces with the other processes of torchrun; the first one begins and ends it."""
    ranks.begin(torch.device("cpu"))  # they only wait for one another
    result = pieces.work.result
    with claimed(result, "the result") if ranks.leads else contextlib.nullcontext():
        if ranks.leads:
            pieces.prepare()
        ranks.meet()
        own = run_of(ranks.rank, ranks.size, pieces.plan.count)
        yield from _predicted(pieces, pieces.run(own))
        ranks.meet()
        return (yield from _finished(pieces, started, wanted)) if ranks.leads else None


def _predicted(pieces: Pieces, made: Iterator[int]) -> Generator[Event]:
    """Tell of pieces while they are made, and what is left where that is stopped."""
    total = pieces.plan.count
    done = len(pieces.done())
    try:
        for _ in made:
            done += 1
            yield Predicting(pieces.work.result, done, total)
    except ModelError:
        own = pieces.work.result, pieces.work.spread
        for place in filter(None, own if pieces.result.is_current() else ()):
            unfinished.remove(place)  # to go on would end the same way
        raise
    except InputError as error:
        if not pieces.result.is_current():
            raise
        raise InputError(f"{error}; {_kept(pieces)}") from (error.__cause__ or error)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {_kept(pieces)}") from None


def _kept(pieces: Pieces) -> str:
    count = f"{len(pieces.done())} of {pieces.plan.count} pieces of {pieces.work.result}"
    return f"{count} are kept: run the same command again to go on"


def _finished(
    pieces: Pieces, started: float, wanted: bool
) -> Generator[Event, None, DenoisedPlane | None]:
    """Complete a result, and judge it."""
    _check_whole(pieces)
    work, model, image = pieces.work, pieces.model, pieces.image
    found = problem = None
    try:
        plane = pieces.middle()
    except Exception as error:  # the pixels are good: whatever fails here only costs the verdict
        plane, problem = None, error
    pieces.finish()
    yield Saved(work.result)
    if work.spread:
        yield Saved(work.spread)
    try:
        rounded = pieces.result.writer.dtype.kind in "ui"
        if plane is not None:
            found = show(model, plane, work.device, rounded=rounded, copies=wanted)
    except Exception as error:
        problem = error
    if problem is not None:
        yield Message(f"{image.name} is not judged, and left out of the report: {problem}")
    about = judged(image, model, found, seconds=time.monotonic() - started)
    yield replace(about, output=work.result, uncertainty=work.spread)
    return found
