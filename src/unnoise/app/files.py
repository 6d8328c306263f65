"""Where a job reads and writes: files opened, paired and named, and what is refused early."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.app.events import Event, Message, Warned
from unnoise.app.sources import Sources, identities
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats, labels, selection
from unnoise.images.file_digest import mask_files
from unnoise.images.formats import unfinished, urls
from unnoise.images.formats.registry import suffix_of
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image, as_image
from unnoise.images.pixel_types import pixel_type
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.fractions import needs_fractions
from unnoise.noise.realign import realigned


@dataclass(frozen=True)
class InputOptions:
    """How input files are read.

    Attributes
    ----------
    axes : str or None
        Axes that override those of the files.
    nan : str
        What is done with NaN: ``keep``, ``fill`` or ``refuse``.
    series : str or None
        Which image of files that hold several: a number, or ``all``; by default all of full size.
    nodata : float or None
        Value of pixels without a measurement; by default what the file says.
    mask : str or None
        An image that is nonzero where pixels are measurements.
    keep_outliers : bool
        Whether outliers come back as they were.
    fix_scan : bool
        Whether odd rows that are shifted against even ones are moved back.
    channels, time, z, positions : str or None
        What alone is read along an axis: numbers and ranges from 0 on, as ``0,2`` or ``10:20``.
        Positions are the images of files that hold several, else places along S.
    sequence : bool
        Whether all files together are one image.
    """

    axes: str | None = None
    nan: str = "keep"
    series: str | None = None
    nodata: float | None = None
    mask: str | None = None
    keep_outliers: bool = False
    fix_scan: bool = False
    channels: str | None = None
    time: str | None = None
    z: str | None = None
    positions: str | None = None
    sequence: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with which a training goes on from any folder."""
        mask = self.mask and str(urls.place(self.mask).absolute())
        return {**vars(self), "mask": mask, "sequence": False}  # its pattern is kept

    def paths(self, inputs: Sequence[str | Path]) -> list[Path]:
        """The files that are meant, or the pattern of those that are one image."""
        return formats.as_sequence(inputs, self.axes) if self.sequence else formats.find(inputs)

    def given(self, inputs: Sequence[str | Path | Image]) -> Sequence[Path | Image]:
        """The files that are meant, or images in memory as they are."""
        names = [name for name in inputs if not isinstance(name, Image)]
        if len(names) == len(inputs):
            return self.paths(names)
        if names:
            raise InputError(f"{names[0]} is a file among images in memory; give one or the other")
        return [image for image in inputs if isinstance(image, Image)]

    def find(self, paths: Sequence[Path | Image]) -> list[Image]:
        """The images of files, or those in memory, not checked yet."""
        named = [path for path in paths if not isinstance(path, Image)]
        if len(named) < len(paths):
            own = [as_image(image, self.axes) for image in paths if isinstance(image, Image)]
            places = {} if self.positions is None else {"S": self.positions}
            return [self._selected(image, **places) for image in own]
        return self._of_files(named)

    def _of_files(self, paths: Sequence[Path]) -> list[Image]:
        named = self.series in (None, "all")
        if not named and not str(self.series).isdecimal():
            raise InputError(f"there is no series '{self.series}'; give a number from 0 on, or all")
        series = self.series if named else int(str(self.series))
        if self.positions is None:
            found = formats.open_all(paths, axes=self.axes, series=series)
            return [self._selected(image) for image in found]
        if self.series is not None:
            raise InputError("--series and --positions both choose images; give one of the two")
        found = []
        for path in paths:
            images = formats.open_all([path], axes=self.axes, series="all")
            if len(images) > 1:
                chosen = selection.numbers(self.positions, len(images), "--positions")
                found += [self._selected(images[i]) for i in chosen]
            else:
                found += [self._selected(images[0], S=self.positions)]
        return found

    def _selected(self, image: Image, **also: str) -> Image:
        """The part of an image that is asked for."""
        wanted = {"C": self.channels, "T": self.time, "Z": self.z} | also
        return selection.select(image, {a: text for a, text in wanted.items() if text is not None})

    def sources(
        self,
        given: Sequence[Path | Image],
        opened: Sequence[Image],
        targets: Sequence[str | Path] | None = None,
    ) -> Sources:
        """All files that a run reads: those that it cannot open, targets and mask are of them."""
        others = formats.find(targets or [])
        mask = [] if self.mask is None else mask_files(self.mask)
        return Sources(given, opened, others, self.find(others), mask)

    def check(self, image: Image) -> Image:
        """The image, which then knows which of its pixels are no measurement."""
        mask = None if self.mask is None else formats.read_mask(self.mask)
        nan = None if self.nan == "keep" else self.nan  # what an image in memory was told stays
        known = with_mask(
            image, mask, nodata=self.nodata, nan=nan, keep_outliers=self.keep_outliers or None
        )
        return with_mask(realigned(known)) if self.fix_scan else known

    def open(self, path: Path) -> Image:
        """Open and check an image."""
        return self.check(self._selected(formats.open(path, axes=self.axes)))


@dataclass(frozen=True)
class OutputOptions:
    """Where and how results are written.

    Attributes
    ----------
    out : str or None
        File or folder; by default beside the input.
    dtype : str or None
        Type of the pixels; by default that of the input, or float32 where it has so few grey
        levels that fractions matter.
    overwrite : bool
        Whether existing results may be replaced.
    tta : bool or None
        Average over the eight flips and rotations; with None over as many as still help.
    uncertainty : str or None
        File or folder for the standard deviation of every pixel (probabilistic nets).
    backend : str
        What computes the prediction, out of `unnoise.models.backends.BACKENDS`.
    compress : str or None
        Compression of TIFF files; by default as the input.
    skip_existing : bool
        Whether images are left alone whose result is there.
    """

    out: str | None = None
    dtype: str | None = None
    overwrite: bool = False
    tta: bool | None = False
    uncertainty: str | None = None
    backend: str = "torch"
    compress: str | None = None
    skip_existing: bool = False

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            text = "--skip-existing keeps results that --overwrite replaces; give one of the two"
            raise InputError(text)

    def paths(
        self, inputs: Sequence[Image], sources: Sources | None = None, *, several: bool = False
    ) -> list[Path]:
        """The result of every input, refused early if it cannot be written.

        With `several` there were more, which cannot be read.
        """
        own = [image.path or Path(image.name) for image in inputs]
        paths = formats.output_paths(inputs, self.out, several=several)
        sources = Sources(inputs) if sources is None else sources
        seen: dict[str, Path] = {}
        for source, path in zip(own, paths, strict=True):
            real = _real(path)
            if real in seen:
                raise InputError(
                    f"{source} and {seen[real]} would both be written to {path}; denoise them in "
                    f"two runs with different -o"
                )
            remedy = "with -o, or name only the noisy files"
            sources.refuse(path, f"the result of {source}", remedy)
            seen[real] = source
        return paths

    def spreads(
        self,
        inputs: Sequence[Image],
        results: Sequence[Path],
        sources: Sources | None = None,
        *,
        several: bool = False,
    ) -> list[Path | None]:
        """Where the standard deviation of every input goes, if anywhere; `several` as in `paths`.

        Named before any input is left out, or the names would depend on what is left.
        """
        if self.uncertainty is None:
            return [None] * len(inputs)
        paths = OutputOptions(self.uncertainty).paths(inputs, sources, several=several)
        clash = {_real(path) for path in results} & {_real(path) for path in paths}
        if clash:
            raise InputError(
                f"the result and its uncertainty would both be written to {clash.pop()}; choose "
                f"another place with --uncertainty"
            )
        return list(paths)

    def create(self, place: Path, image: Image, dtype: np.dtype) -> Writer:
        """The file of a result."""
        over = self.overwrite or unfinished.is_named(place)
        return formats.create(place, image, dtype=dtype, overwrite=over, compress=self.compress)

    def create_spread(self, place: Path, image: Image) -> Writer:
        """The file of the standard deviations of a result.

        It gets its name before the result does: what a run that was stopped in between has left is
        replaced, as only images without a result are worked on.
        """
        writing = replace(self, overwrite=True, skip_existing=False) if self.skip_existing else self
        return writing.create(place, image, np.dtype(np.float32))

    def typed(self, dtype: np.dtype | str) -> OutputOptions:
        """Results of this type where no other was asked for."""
        return replace(self, dtype=str(dtype) if self.dtype is None else self.dtype)

    def type_of(self, image: Image, place: Path) -> np.dtype:
        """The dtype of the result: float32 where fewer levels would cost too much."""
        if self.dtype is None and needs_fractions(image):
            with contextlib.suppress(InputError):  # formats of whole numbers
                kind = np.dtype(np.float32)
                return formats.create(
                    place, image, dtype=kind, overwrite=True, compress=self.compress
                ).dtype
        return pixel_type(self.dtype or image.dtype)


@dataclass(frozen=True)
class PreviewOptions:
    """Which piece of an image is shown while a run works: `unnoise.app.events.Preview`.

    Attributes
    ----------
    centre : tuple of int or None
        (y, x) in pixels of the image; by default its middle.
    file : Path or None
        Where it is drawn, if it becomes a file.
    """

    centre: tuple[int, int] | None = None
    file: Path | None = None


@dataclass(frozen=True)
class ReportOptions:
    """Whether a run writes its report, what that says of it, and what is shown on the way.

    Attributes
    ----------
    wanted : bool
    command : str
        What repeats the run.
    preview : PreviewOptions or None
        Whether a piece of the first image is shown while the run works.
    """

    wanted: bool = True
    command: str = ""
    preview: PreviewOptions | None = None

    def check(
        self,
        sources: Sources,
        results: Sequence[Path],
        *others: str | Path | None,
        overwrite: bool = False,
    ) -> None:
        """Refuse a preview over an input or another output, and a report over an input."""
        drawn = None if self.preview is None else self.preview.file
        sources.refuse(drawn, "the preview", "with --preview")
        own = set() if drawn is None else identities(drawn)
        for place in (*results, *others):
            if place is not None and own & identities(place):
                raise InputError(
                    f"the preview and another output would both be written to {place}; choose "
                    f"another place with --preview"
                )
        if self.wanted and results:
            sources.refuse(self.place(results, overwrite=overwrite), "the report")

    def place(self, results: Sequence[Path], *, overwrite: bool) -> Path:
        """Beside a single result, or in the folder of several; a free name unless replacing."""
        first = results[0]
        first = Path(first.name) if isinstance(first, urls.Url) else first  # it stays here
        known = len(suffix_of(first.name)) or len(first.suffix)
        own = first.name[: len(first.name) - known].removesuffix(".ome")
        stem = f"{own}.report" if len(results) == 1 else "report"
        ends = ("", *(f"_{n}" for n in range(2, 10_000)))
        places = (first.with_name(f"{stem}{end}.html") for end in ends)
        return next(place for place in places if overwrite or not place.exists())


REPORT = ReportOptions()
"""A report without a command: what scripts get."""


def _real(path: Path) -> str:
    """One name per file, on disks that ignore case too."""
    return os.path.normcase(os.path.realpath(path))


def notes(images: Sequence[Image]) -> Generator[Message]:
    """What the readers want people to know, what looks like no noisy image at all, and which
    pixels are no measurement.
    """
    for image in images:
        found = image.mask.notes if image.mask is not None else ()
        for text in (image.metadata.get("note"), *found):
            if text:
                yield Message(f"{image.name}: {text}")
        warning = labels.warning(image)
        if warning:
            yield Warned(f"{image.name}: {warning}")


def open_targets(
    paths: Sequence[Path],
    targets: Sequence[str | Path] | None,
    reading: InputOptions,
    config: Config,
) -> Generator[Event, None, list[Image] | None]:
    """The second image of every pair: of the same name, or the same place in the order."""
    if targets is None:
        return None
    others = reading.find(formats.find(targets))
    found = [image.path or Path(image.name) for image in others]
    if len(found) != len(paths):
        raise InputError(
            f"the numbers of images ({len(paths)}) and of targets ({len(found)}) differ; give one "
            f"target for each image"
        )
    names = {path.stem: i for i, path in enumerate(found)}
    alike = sorted(names) == sorted(path.stem for path in paths)
    if alike and all(_real(path) != _real(found[names[path.stem]]) for path in paths):
        order = [names[path.stem] for path in paths]
        found, others = [found[i] for i in order], [others[i] for i in order]
    elif len(found) > 1:
        yield Message(
            f"images and targets are paired in order, not by name: {paths[0].name} with "
            f"{found[0].name}, {paths[1].name} with {found[1].name}, ..."
        )
    for path, other in zip(paths, found, strict=True):
        if _real(path) == _real(other):
            raise InputError(
                f"{path} would be its own target, from which nothing can be learned; give other "
                f"files with --targets"
            )
    return [reading.check(image) for image in others]
