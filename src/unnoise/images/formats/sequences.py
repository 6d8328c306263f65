"""Many files that are one image, as a pattern like ``img_t{t}_z{z}.tif`` names them."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import AxesError, InputError
from unnoise.images.file_version import FileSet, FileVersion
from unnoise.images.formats import urls
from unnoise.images.image import ArrayLike, Image

FIELD = re.compile(r"\{([stczSTCZ])\}")
GRID = "STCZ"
"""Axes along which files can follow one another, in this order."""
Opened = Callable[[Path, str | None], Image]


def is_pattern(path: Path) -> bool:
    """Whether a name has letters in braces, and no file has that name.

    Examples
    --------
    >>> is_pattern(Path("img_t{t}_z{z}.tif")), is_pattern(Path("img_{a}.tif"))
    (True, False)
    """
    return bool(FIELD.search(str(path))) and not os.path.exists(path)


def named(paths: Sequence[Path], letter: str) -> Path:
    """The pattern of the names of files that follow one another along an axis.

    Raises
    ------
    InputError
        If the names have nothing in common, or others follow the same pattern.

    Examples
    --------
    >>> str(named([Path("img_08.tif"), Path("img_09.tif"), Path("img_10.tif")], "T"))
    'img_{t}.tif'
    """
    texts = [os.fspath(path) for path in paths]
    if len(texts) < 2:
        raise InputError(f"{texts[0]} is one file; a sequence has two at least")
    start = _common(texts)
    end = _common([text[len(start) :][::-1] for text in texts])[::-1]
    start, end = start.rstrip("0123456789"), end.lstrip("0123456789")
    between = [text[len(start) : len(text) - len(end)] for text in texts]
    if any("/" in text or os.sep in text for text in between):
        raise InputError(
            f"{texts[0]} and {texts[1]} lie in different folders; write a pattern like "
            f"pos{{s}}/img_t{{t}}.tif"
        )
    pattern = urls.place(f"{start}{{{letter.lower()}}}{end}")
    there = {os.fspath(file) for file in _matching(pattern)[1].values()}
    extra = sorted(there - set(texts))
    if there and extra:
        raise InputError(
            f"{Path(extra[0]).name} belongs to the sequence {pattern.name} too; name it as well, "
            f"or take a part of the whole with --time, --z, --channels or --positions"
        )
    lost = sorted(set(texts) - there)
    if there and lost:
        raise InputError(
            f"{Path(lost[0]).name} is not named as the others of the sequence {pattern.name}; "
            f"rename it, or leave it out"
        )
    return pattern


def files(pattern: Path) -> list[Path]:
    """The files of a pattern, in their order."""
    return list(_matching(pattern)[1].values())


def _common(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)


def read(path: Path, axes: str | None, opened: Opened) -> Image:
    """Open the files of a pattern as one image.

    Parameters
    ----------
    path : Path
    axes : str or None
        Of the whole, or of each file.
    opened : callable
        Opens a file, with axes or None.

    Raises
    ------
    InputError
        If files are missing, or differ in shape, type or axes.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    letters, files = _matching(path)
    if not files:
        raise InputError(f"no files match {path}; check the name and the folder")
    texts = _texts(path, letters, files)
    given = axes and "".join(k for k in axes.upper() if k not in letters)
    first = opened(next(iter(files.values())), given or None)
    own, gone = _axes_of_members(path, letters, first)
    parts, versions = list[ArrayLike](), list[FileVersion | FileSet | None]()
    differ, members = dict[str, str](), dict[Path, None]()
    for file in files.values():
        image = opened(file, first.axes) if parts else first
        found = (image.shape, image.dtype, image.axes)
        if found != (first.shape, first.dtype, first.axes):
            raise InputError(
                f"{file.name} has shape {image.shape} and type {image.dtype}, but "
                f"{next(iter(files.values())).name} has {first.shape} and {first.dtype}; all files "
                f"of a sequence must agree"
            )
        if image.nodata != first.nodata:
            raise InputError(
                f"{file.name} has nodata {image.nodata}, but {next(iter(files.values())).name} has "
                f"{first.nodata}; write the same into all files of a sequence"
            )
        for word, name in {"pixel sizes": "scale", "units": "units"}.items():
            if getattr(image, name) != getattr(first, name):
                differ.setdefault(word, file.name)
        parts.append(image.data)
        versions.append(image.version)
        members |= dict.fromkeys([file, *image.metadata.get("files", ())])
    shape = tuple(len(texts[k]) for k in letters)
    names = tuple(texts["C"]) if "C" in letters else first.channel_names
    named = not all(name.isdecimal() for name in names)
    metadata = {**first.metadata, "files": list(members)}
    metadata.pop("which", None)
    if differ:
        others = ", ".join(f"{word} of {name}" for word, name in differ.items())
        text = f"the {others} are not those of the first file of the sequence, which are taken"
        metadata["note"] = "; ".join(filter(None, [metadata.get("note"), text]))
    return replace(
        first,
        data=_Joined(parts, versions, shape, gone),
        axes=letters + own,
        channel_names=names if named else (),
        is_rgb=first.is_rgb and "C" not in letters,
        path=path,
        metadata=metadata,
        version=None,
    )


def _axes_of_members(path: Path, letters: str, first: Image) -> tuple[str, list[int]]:
    """The axes of each file that go on in the whole, and those of length 1 that do not."""
    double = [k for k in first.axes if k in letters]
    gone = [i for i, k in enumerate(first.axes) if k in double and first.shape[i] == 1]
    if len(gone) < len(double):
        raise AxesError(
            f"the files of {path.name} have an axis {double[0]} of their own; choose another of "
            f"the letters s, t, c and z for the braces, or name their axes with --axes"
        )
    return "".join(k for i, k in enumerate(first.axes) if i not in gone), gone


def _text(path: Path) -> str:
    """A path or an address, with slashes."""
    return os.fspath(path) if isinstance(path, urls.Url) else path.as_posix()


def _matching(path: Path) -> tuple[str, dict[tuple[str, ...], Path]]:
    """The letters of a pattern, in their order in the image, and its files by their texts.

    Numbers are looked for first, and any text where there are none, as for names of channels.
    """
    pattern = _text(path)
    fields = [letter.upper() for letter in FIELD.findall(pattern)]
    letters = "".join(k for k in GRID if k in fields)
    if len(letters) < len(fields):
        raise InputError(f"{path} has a letter twice in braces; every axis needs one of its own")
    pieces = FIELD.split(pattern)
    wild = "".join("*" if i % 2 else glob.escape(piece) for i, piece in enumerate(pieces))
    found = urls.found(urls.Url(wild)) if isinstance(path, urls.Url) else map(Path, glob.glob(wild))
    candidates = [
        file for file in found if not file.stem.removesuffix(".ome").endswith("_denoised")
    ]
    for text in ("[0-9]+", "[^/]+?"):
        regex = "".join(
            f"(?P<{piece.upper()}>{'[^/]+?' if piece in 'cC' else text})"
            if i % 2
            else re.escape(piece)
            for i, piece in enumerate(pieces)
        )
        matches = ((re.fullmatch(regex, _text(file)), file) for file in candidates)
        files = {tuple(m[k] for k in letters): file for m, file in matches if m}
        if files:
            return letters, dict(sorted(files.items(), key=lambda item: [*map(_key, item[0])]))
    return letters, {}


def _texts(path: Path, letters: str, files: dict[tuple[str, ...], Path]) -> dict[str, list[str]]:
    """What stands in the braces of each letter, in its order; every combination must be there."""
    texts = {k: sorted(sorted({key[i] for key in files}), key=_key) for i, k in enumerate(letters)}
    for k, values in texts.items():
        for a, b in itertools.pairwise(values):
            if _key(a) == _key(b):
                raise InputError(
                    f"{path}: '{a}' and '{b}' are the same place along {k}; rename one"
                )
    absent = [key for key in itertools.product(*texts.values()) if key not in files]
    if absent:
        shown = []
        for key in absent[:3]:
            pieces = FIELD.split(path.name)
            pieces[1::2] = [key[letters.index(field.upper())] for field in pieces[1::2]]
            shown.append("".join(pieces))
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise InputError(
            f"{path}: {len(absent)} of {len(absent) + len(files)} files are missing "
            f"({', '.join(shown)}{more}); add them, or move away what is incomplete"
        )
    return texts


def _key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Natural order: numbers by their value, before text."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in pieces)


def cleaned(path: Path) -> Path:
    """The name for the result of a pattern, beside the first folder without braces.

    Examples
    --------
    >>> cleaned(Path("a/img_t{t}_z{z}.tif")).as_posix(), cleaned(Path("a/p{s}/{t}.tif")).as_posix()
    ('a/img.tif', 'a/a.tif')
    """
    folder = next(parent for parent in path.parents if not FIELD.search(str(parent)))
    field = r"(?:[_\-. ]+[A-Za-z]{0,2})?\{[stczSTCZ]\}"
    name = re.sub(field, "", path.name).lstrip("_-. ")
    bare = re.sub(field, "", path.name).startswith(".")
    return folder / (f"{folder.name or 'sequence'}.{name}" if bare else name)


class _Joined:
    """Arrays of one shape on a grid, as one array whose pixels are read when asked for.

    Each of its own file, of which pixels are refused once it is another one.
    """

    def __init__(
        self,
        parts: Sequence[ArrayLike],
        versions: Sequence[FileVersion | FileSet | None],
        grid: tuple[int, ...],
        gone: Iterable[int],
    ):
        self._parts, self._grid, self._gone = list(parts), grid, set(gone)
        self._versions = list(versions)
        inner = parts[0].shape
        self.shape = grid + tuple(n for i, n in enumerate(inner) if i not in self._gone)
        self.dtype = np.dtype(parts[0].dtype)

    def __getitem__(self, index: Any, /) -> NDArray:
        index = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
        named = (*index[:at], *index[at + 1 :])
        rest = (slice(None),) * (len(self.shape) - len(named))
        index = (*named[:at], *rest, *named[at:])
        outer, own = index[: len(self._grid)], iter(index[len(self._grid) :])
        inner = tuple(0 if i in self._gone else next(own) for i in range(len(self._parts[0].shape)))
        picks = [np.arange(n)[part] for n, part in zip(self._grid, outer, strict=True)]
        form = tuple(len(pick) for pick in picks if pick.ndim)
        grid = np.ravel_multi_index(np.ix_(*map(np.atleast_1d, picks)), self._grid)
        numbers = [int(number) for number in grid.ravel()]
        first = self._read(numbers[0], inner)
        block = np.empty((len(numbers), *first.shape), self.dtype)
        for i, number in enumerate(numbers):
            block[i] = self._read(number, inner) if i else first
        return block.reshape((*form, *first.shape))

    def _read(self, number: int, inner: tuple[Any, ...]) -> NDArray:
        """A region of the array of one file."""
        version = self._versions[number]
        if version is not None:
            version.check()
        return np.asarray(self._parts[number][inner])
