"""Large predictions: piece by piece, by one process or many, and none is lost when a run dies.

Beside the result lies a hidden folder with its pixels, the plan of its pieces, and the ledger of
those that are finished. A piece gets into the ledger when it is safe on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.settings import words
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.atomic import settle
from unnoise.images.file_digest import mask_files, stamp
from unnoise.images.formats import unfinished, urls
from unnoise.images.formats.unfinished import Piece, Unfinished
from unnoise.images.image import Image
from unnoise.images.ledger import Ledger
from unnoise.models import folder as model_folder
from unnoise.models.frame_tiles import Block, Ready
from unnoise.models.model import Model
from unnoise.models.overlap import Behind
from unnoise.models.provenance import fingerprint
from unnoise.models.stream import ORDER, Plan
from unnoise.nets.device import select_device
from unnoise.report.middle_plane import MOST_CHANNELS, WHOLE, MiddlePlane

LARGE = 256e6
"""Bytes of a result from which its pieces are kept: with two cores about ten minutes of work."""
COMMIT_EVERY = 2.0
"""Seconds after which finished pieces are made safe; so much work a kill can cost."""


@dataclass(frozen=True)
class Work:
    """The prediction of one image, in plain values that any process can take up.

    Attributes
    ----------
    model : str
        Folder.
    source : Path
        File of the image.
    which : str
        Which image of its file, as the end of `Image.name` tells.
    result : Path
    spread : Path or None
    reading : InputOptions
    writing : OutputOptions
    device : str
    """

    model: str
    source: Path
    which: str
    result: Path
    spread: Path | None
    reading: InputOptions
    writing: OutputOptions
    device: str

    def on_card(self, k: int) -> Work:
        """The same for one of several processes: each takes a card of its own, if there are any."""
        device = select_device(self.device)
        if device.type != "cuda" or device.index is not None:
            return self
        return replace(self, device=f"cuda:{k % torch.cuda.device_count()}")

    def absolute(self) -> Work:
        """The same for processes that run in another folder."""
        mask = self.reading.mask
        return replace(
            self,
            model=os.path.abspath(self.model),
            source=self.source.absolute(),
            result=self.result.absolute(),
            spread=self.spread and self.spread.absolute(),
            reading=replace(self.reading, mask=mask and os.fspath(urls.place(mask).absolute())),
        )

    def command(self) -> list[str]:
        """A command that goes on with it from any folder, where all is absolute."""
        writing, source = self.writing, str(self.source)
        reading = replace(self.reading, sequence=False)
        if self.which.startswith(" (/"):  # a dataset of HDF5, as `provenance` names it
            source, reading = f"{source}:{self.which[2:-1]}", replace(reading, series=None)
        out, spread = (os.path.abspath(p) if p else p for p in (writing.out, writing.uncertainty))
        writing = replace(writing, out=out, uncertainty=spread)
        options = [*words(reading), *words(writing)]
        options += [] if self.device == "auto" else ["--device", self.device]
        return ["unnoise", "predict", self.model, source, *options, "--resume"]

    def opened(self) -> Pieces:
        """Open model and image in this process.

        Raises
        ------
        InputError
            If they are no longer there.
        """
        reading = self.reading
        if self.which and reading.positions is None:  # of HDF5 none is meant unless it is named
            reading = replace(reading, series="all")
        images = reading.find([self.source])
        found = [image for image in images if image.metadata.get("which", "") == self.which]
        if not found:
            raise InputError(f"{self.source} has changed: {self.which} is missing; begin anew")
        return Pieces(self, model_folder.load(self.model), self.reading.check(found[0]))

    def identity(self, image: Image) -> dict[str, str]:
        """What must be the same for whoever goes on, by the word that a message has for it."""
        given = self.reading.to_dict().items()
        kept = {k: v for k, v in given if v is not None and v is not False}  # 0 is a nodata
        kept |= {name: getattr(self.writing, name) for name in ("dtype", "tta", "backend")}
        kept |= {"uncertainty": self.spread is not None, "compress": self.writing.compress}
        files = image.metadata.get("files") or [self.source]
        own = {
            "model": model_folder.identity(self.model),
            "image": f"{fingerprint([image])} {stamp(files)}",
            "settings": " ".join(f"{k}={v}" for k, v in sorted(kept.items())),
            "version of unnoise": version("unnoise"),
        }
        return own | ({"mask": stamp(mask_files(mask))} if (mask := self.reading.mask) else {})

    def maker(self, image: Image) -> str:
        """A number for all of that, which a result of parts keeps when it is finished."""
        return hashlib.sha256(json.dumps(self.identity(image)).encode()).hexdigest()[:16]


def run_of(k: int, n: int, count: int) -> range:
    """The k-th of n runs of neighbouring pieces, which read and search the same surroundings.

    Examples
    --------
    >>> [run_of(k, 3, 7) for k in range(3)]
    [range(0, 2), range(2, 4), range(4, 7)]
    """
    return range(k * count // n, (k + 1) * count // n)


class Pieces:
    """The pieces of a result in this process.

    Parameters
    ----------
    work : Work
    model : Model
    image : Image
        Checked.
    """

    def __init__(self, work: Work, model: Model, image: Image) -> None:
        self.work, self.model, self.image = work, model, image
        writing = work.writing
        dtype = writing.type_of(image, work.result)
        marked = replace(image, metadata={**image.metadata, "maker": work.maker(image)})
        self.result = Unfinished(writing.create(work.result, marked, dtype))
        self.spread = None
        if work.spread is not None:
            self.spread = Unfinished(writing.create_spread(work.spread, image))
        self._ready: Ready | None = None
        self._plan: Plan | None = None
        self._blocks: Iterator[Block] = iter(())
        self._writer = Behind()
        self._known: Ledger | None = None

    @property
    def folder(self) -> Path:
        """Where pixels, ledger and middle lie, of the plan that this process has taken up."""
        assert self.plan
        return self.result.own

    @property
    def ready(self) -> Ready:
        """The nets, loaded when they are needed."""
        if self._ready is None:
            w = self.work
            options = {"device": w.device, "tta": w.writing.tta, "backend": w.writing.backend}
            self._ready = Ready(self.model, self.image, **options)  # type: ignore[arg-type]
        return self._ready

    @property
    def plan(self) -> Plan:
        """The plan as it was laid out.

        Raises
        ------
        InputError
            If there is none, or it is of something else.
        """
        if self._plan is None:
            kept = self._kept()
            if kept is None:
                raise InputError(
                    f"{self.work.result} is not prepared; run the same command with --prepare first"
                )
            self._plan = Plan.from_dict(kept.get("plan"), str(self.result.folder))
        return self._plan

    def _kept(self) -> Mapping[str, Any] | None:
        """What lies there to go on with."""
        kept = unfinished.header(self.work.result)
        if kept is None:
            return None
        own, other = self.work.identity(self.image), kept.get("identity")
        other = other if isinstance(other, dict) else {}
        differs = [name for name in own if own[name] != other.get(name)]
        if differs:
            raise InputError(
                f"{self.result.folder} holds an unfinished result of another {differs[0]}, so it "
                f"cannot go on with this one; give what it was begun with, or begin anew with "
                f"--overwrite"
            )
        self._take(kept["token"])
        return kept

    def _take(self, token: str | None) -> None:
        """Work on those pixels that were laid out under a token, and on no later ones."""
        self.result.token, self._known = token, None
        if self.spread is not None:
            self.spread.token = token

    def check_current(self) -> None:
        """Stop where another run has begun the result anew: nobody waits for these pieces.

        Raises
        ------
        InputError
        """
        if not self.result.is_current():
            raise InputError(
                f"{self.work.result} was begun anew by another run, so what this one makes of it "
                f"does not count; wait for that run, or choose another name with -o"
            )

    def prepare(self) -> int:
        """Lay the result out, unless one lies there to go on with; how many pieces are done.

        Raises
        ------
        InputError
            If there is one of something else, which is not to be replaced.
        """
        try:
            kept = self._kept()
        except InputError:
            if not self.work.writing.overwrite:
                raise
            kept = None
        if kept is not None:
            return len(self.done())
        chunks = self.result.chunks
        if self.spread is not None:
            chunks = {k: math.lcm(chunks[k], self.spread.chunks[k]) for k in chunks}
        self.result.create()
        self._take(self.result.token)
        if self.spread is not None:
            self.spread.create(self.result.token)
        plan = Plan.of(self.ready, chunks)
        work = self.work.absolute()
        about = {"model": work.model, "source": str(work.source), "result": str(work.result)}
        own = {"identity": self.work.identity(self.image), "plan": plan.to_dict()}
        # The last is for people, see `unnoise info`.
        self.result.keep({**own, "about": {**about, "command": work.command()}})
        self._plan = plan
        return 0

    def done(self) -> set[int]:
        """The finished pieces."""
        self._known = self._known or Ledger(self.folder)
        return self._known.done()

    def run(self, numbers: Iterable[int]) -> Iterator[int]:
        """Predict those pieces that are not finished, and yield the number of each.

        While one is computed, the next are read and the last ones written.
        """
        done = self.done()
        left = [number for number in numbers if number not in done]
        written: list[int] = []
        problem: BaseException | None = None
        last = time.monotonic()
        with Ledger(self.folder) as ledger:
            try:
                self._blocks = blocks = self.plan.stream(self.ready, left)
                with contextlib.closing(blocks), Behind() as self._writer:
                    try:
                        for number in left:
                            self._predict(number)
                            self._writer(written.append, number)
                            if time.monotonic() - last >= COMMIT_EVERY:
                                self._writer(self._commit, ledger, written)
                                last = time.monotonic()
                            yield number
                    except BaseException as error:  # what is computed is still written
                        problem = error
                if problem is not None:
                    raise problem
                self._commit(ledger, written)
            except BaseException as error:
                with contextlib.suppress(InputError, OSError):
                    self._commit(ledger, written)
                if isinstance(error, InputError | OSError):
                    self.check_current()  # its folder is gone
                raise

    def _commit(self, ledger: Ledger, written: list[int]) -> None:
        """Make pieces safe, then say so; of those that could not be made safe nothing is said.

        A disk tells only once that something is lost: asked again it says that all is well.
        """
        numbers, written[:] = written[:], []
        if numbers:
            self.check_current()
            self.result.flush()
            if self.spread is not None:
                self.spread.flush()
            ledger.add(numbers)

    def _predict(self, number: int) -> None:
        """Predict a piece and have it written: in one go, as tiles may share a chunk."""
        where = self.plan.where(number)
        results, spreads = (Piece(part, where) for part in (self.result, self.spread))
        for i in range(self.plan.block_count(number)):
            block = next(self._blocks)
            self._keep_middle(block, f"{number}.{i}")
            dtype = self.result.writer.dtype
            pixels = self.image.finished(block.values, block.where, dtype, block.copied)
            results.take(block.where, pixels)
            if self.spread is not None:
                assert block.std is not None
                spreads.take(block.where, self.image.spread(block.std, block.where))
        self._writer(results.write)
        self._writer(spreads.write)

    def _keep_middle(self, block: Block, name: str) -> None:
        """Keep what a block holds of the plane that is judged, before it is rounded."""
        middle = self.image.middle(WHOLE)
        regions = (ax.index(ORDER, where) for where in (middle, block.where))
        shared, source = {}, {}
        for k, own, other in zip(ORDER, *regions, strict=True):
            size = self.image.sizes[k]
            a, b = own.indices(size), other.indices(size)
            first, last = max(a[0], b[0]), min(a[1], b[1])
            if first >= last:
                return
            shared[k], source[k] = (first, last), slice(first - b[0], last - b[0])
        part = ax.index(ax.CANONICAL, source)
        arrays = {"values": block.values[part], "where": np.array([shared[k] for k in ORDER])}
        if block.error is not None:
            arrays["error"] = block.error[part]
        place = self.folder / f"middle.{name}.npz"
        partial = place.with_name(f"{place.name}.{os.getpid()}")
        with open(partial, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        settle(partial, place)

    def middle(self) -> MiddlePlane:
        """The plane that is judged, as the pieces have kept it."""
        plane = MiddlePlane(self.image, self.model.channels[:MOST_CHANNELS])
        for file in sorted(self.folder.glob("middle.*.npz")):
            with np.load(file) as kept:
                where = {k: slice(*map(int, kept["where"][i])) for i, k in enumerate(ORDER)}
                error = kept.get("error")
                plane.take(Block(where, kept["values"], 0, 0, error=error))
        return plane

    def finish(self) -> None:
        """Give the result its name, when all pieces are finished; what `middle` reads goes."""
        if self.spread is not None:
            self.spread.finish(keep=True)  # a run that is killed now goes on with the result
        self.result.finish()
        if self.spread is not None:
            unfinished.remove(self.spread.writer.path)
