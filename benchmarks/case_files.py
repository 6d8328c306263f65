"""Cases about what a file holds besides pixels, sets of files, and scanned rows."""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from case_work import Check, Outcome, Work, check, least, most, none, psnr

QUICK = ("--method", "gaussian")
"""A classic filter: these cases are about files, not about noise."""
OWN = {"ID", "Type", "BigEndian", "Interleaved", "DimensionOrder", "SignificantBits", "UUID"}
OWN |= {"SizeX", "SizeY", "SizeZ", "SizeC", "SizeT", "Creator", "schemaLocation", "Name"}
"""Attributes of OME that belong to the writer or follow from the pixels."""


def imagej(work: Work) -> Iterator[Check]:
    """Metadata of ImageJ and OME, pyramids, and several series."""
    for name in ("hyper.tif", "be.tif"):
        got = work.denoise(name, *QUICK)
        yield none(
            "G",
            f"{name}: fields lost and not named",
            lambda name=name, got=got: _fields(work, name, got),
        )
    for name in ("m.ome.tif", "pyr.ome.tif", "twopos.ome.tif"):
        got = work.denoise(name, *QUICK) if name[0] != "t" else work.beside([name], *QUICK)
        yield none(
            "G", f"{name}: OME lost and not named", lambda name=name, got=got: _ome(work, name, got)
        )  # fmt: skip
    got = work.denoise("m.ome.tif", *QUICK)
    yield none("G", "m.ome.tif: storage changed", lambda: _stored(work, "m.ome.tif", got))
    pyramid = work.denoise("pyr.ome.tif", *QUICK)
    yield check("G", "pyr.ome.tif: levels", "3, or named as lost", lambda: _levels(pyramid))
    yield none("G", "pyr.ome.tif: storage changed", lambda: _stored(work, "pyr.ome.tif", pyramid))
    thumb = work.denoise("thumb_first.tif", *QUICK)
    yield check("G", "thumb_first: what is denoised", "the image of 512x512", lambda: (
        str(shapes := _shapes(thumb)), (512, 512) in shapes))  # fmt: skip
    both = work.beside(["twopos.ome.tif"], *QUICK)
    yield check("G", "twopos: outputs", "both positions, one file each", lambda: (
        f"{len(both.good.files)} files, {_shapes(both)}",
        len(both.files) == 2 and _shapes(both) == [(5, 96, 96)] * 2))  # fmt: skip
    second = work.denoise("twopos.ome.tif", *QUICK, "--series", "1")
    first = work.denoise("twopos.ome.tif", *QUICK, "--series", "0")
    yield check("G", "twopos, --series: two different images", "yes", lambda: (
        "yes" if (apart := np.abs(first.image - second.image).mean() > 10) else "no",
        bool(apart)))  # fmt: skip
    every = work.beside(["twopos.ome.tif"], *QUICK, "--series", "all")
    yield most("G", "twopos, --series all: outputs missing", 0, "", lambda: (
        2 - len(every.good.files)))  # fmt: skip
    small = work.denoise("be.tif", *QUICK, "--compress", "zlib")
    yield check("G", "be.tif, --compress zlib", "compressed", lambda: (
        _compression(small), _compression(small) != "NONE"))  # fmt: skip


def _compression(got: Outcome) -> str:
    with tifffile.TiffFile(got.good.files[0]) as file:
        return str(file.pages[0].compression.name)


def _shapes(got: Outcome) -> list[tuple[int, ...]]:
    """Shapes of all series of all results, each file by itself."""
    found = []
    for path in got.good.files:
        with tifffile.TiffFile(path, _multifile=False) as file:
            found += [tuple(series.shape) for series in file.series]
    return found


def _levels(got: Outcome) -> tuple[str, bool]:
    with tifffile.TiffFile(got.good.files[0]) as file:
        levels = len(file.series[0].levels)
    named = re.search(r"pyramid|levels|resolutions", got.err, re.IGNORECASE) is not None
    return f"{levels}{', named' if named else ''}", levels == 3 or named


def _stored(work: Work, name: str, got: Outcome) -> list[str]:
    with tifffile.TiffFile(work.path(name)) as a, tifffile.TiffFile(got.good.files[0]) as b:
        old, new = a.pages[0], b.pages[0]
        return [
            f"{what} {getattr(old, what)} to {getattr(new, what)}"
            for what in ("compression", "is_tiled", "tilewidth")
            if getattr(old, what) != getattr(new, what)
        ]


def _fields(work: Work, name: str, got: Outcome) -> list[str]:
    """Fields of ImageJ and tags of resolution that are neither the same nor named."""
    with tifffile.TiffFile(work.path(name)) as a, tifffile.TiffFile(got.good.files[0]) as b:
        old, new = dict(a.imagej_metadata or {}), dict(b.imagej_metadata or {})
        for code in (282, 283, 296):
            for file, values in ((a, old), (b, new)):
                tag = file.pages[0].tags.get(code)
                values[f"tag {code}"] = tag and str(tag.value)
        for file, values in ((a, old), (b, new)):
            values |= {"axes": file.series[0].axes, "shape": file.series[0].shape}
        old.pop("ImageJ"), new.pop("ImageJ")
    return [
        key for key, value in old.items() if not _alike(value, new.get(key)) and key not in got.text
    ]


def _alike(a: object, b: object) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, np.asarray(b))
    return str(a) == str(b)


def _attributes(xml: str) -> Counter[tuple[str, str, str]]:
    """What the OME description of images says: element, attribute or text, value."""
    found: Counter[tuple[str, str, str]] = Counter()
    for image in ET.fromstring(xml).iter():
        tag = image.tag.rpartition("}")[2]
        if tag in ("OME", "TiffData", "UUID"):
            continue
        for name, value in image.attrib.items():
            if name.rpartition("}")[2] not in OWN or (tag, name) in (
                ("Channel", "Name"),
                ("Image", "Name"),
            ):
                with contextlib.suppress(ValueError):
                    value = f"{float(value):g}"
                found[tag, name.rpartition("}")[2], value] += 1
        if (image.text or "").strip():
            found[tag, "text", image.text.strip()] += 1
    return found


def _ome(work: Work, name: str, got: Outcome) -> list[str]:
    """Attributes and texts of OME that no result holds and no line names."""
    with tifffile.TiffFile(work.path(name)) as file:
        old = _attributes(file.ome_metadata or "")
    new: Counter[tuple[str, str, str]] = Counter()
    for path in got.good.files:
        with tifffile.TiffFile(path) as file:
            new += _attributes(file.ome_metadata) if file.ome_metadata else Counter()
    lost = {(tag, attribute) for tag, attribute, _ in old - new}
    return sorted(
        f"{tag} {attribute}"
        for tag, attribute in lost
        if tag not in got.text and attribute not in got.text
    )


def multifile(work: Work) -> Iterator[Check]:
    """An OME set of two files, and one of its members alone."""
    files = [work.load(f"set_T{k}.ome.tif") for k in range(2)]
    means = [
        float(tifffile.imread(work.path(f"set_T{k}.ome.tif"), is_ome=False).mean())
        for k in range(2)
    ]
    done = work.beside(["set_T0.ome.tif", "set_T1.ome.tif"], *QUICK)
    yield check("G", "both members given: planes written", "2, those of the set", lambda: _once(
        done, means))  # fmt: skip
    folder = work.path("set")
    folder.mkdir()
    for k in range(2):
        (folder / f"set_T{k}.ome.tif").write_bytes(work.path(f"set_T{k}.ome.tif").read_bytes())
    (work.path("results")).mkdir()
    told = work.tell("denoise", "set", *QUICK, "--no-report", "-o", "results")
    found = Outcome(told.rc, told.out, told.err, tuple(sorted(work.path("results").rglob("*.tif"))))
    yield check("G", "the folder given: planes written", "2, those of the set", lambda: _once(
        found, means))  # fmt: skip
    lone = work.denoise("alone/set_T0.ome.tif", *QUICK)
    yield check("G", "a lone member", "its own plane", lambda: (
        f"shape {lone.image.shape}, mean {lone.image.mean() / means[0]:.3f} of its own",
        lone.image.squeeze().shape == (96, 96) and abs(lone.image.mean() / means[0] - 1) < 0.01
    ))  # fmt: skip
    assert files[0].shape == (2, 96, 96)


def _once(done: Outcome, means: list[float]) -> tuple[str, bool]:
    """Whether the planes of all results are those of the set, each once."""
    planes: list[float] = []
    for path in done.good.files:
        with tifffile.TiffFile(path, _multifile=False) as file:
            planes += [float(page.asarray().mean()) for page in file.pages]
    right = len(planes) == 2 and bool(np.allclose(sorted(planes), sorted(means), rtol=0.02))
    files = ", ".join(Path(p).name for p in done.files)
    return f"{len(planes)} in {len(done.files)} files ({files})", right


def scan(work: Work) -> Iterator[Check]:
    """Line noise, odd rows shifted against even ones, lag, and doubled rows."""
    t, recorded = work.load("truth.npy"), work.load("truth_bidi_as_recorded.npy")
    roads = {"instant": ("--method", "instant")}
    if not work.quick:
        roads = {"auto": ("--steps", "300"), "instant": ("--minutes", "0.5")}
    for name in ("rows", "bidi", "lag", "linedup", "plain"):
        truth = recorded if name == "bidi" else t
        noisy = work.load(f"{name}.tif").astype(float)
        for road, options in roads.items():
            got = work.denoise(f"{name}.tif", *options)
            yield least(
                "H",
                f"{name}, {road}: above the input",
                0,
                "dB",
                lambda got=got, noisy=noisy, truth=truth: (
                    psnr(got.image, truth) - psnr(noisy, truth)
                ),
            )
    noisy = psnr(work.load("bidi.tif").astype(float), t)
    for road, options in roads.items():
        fixed = work.denoise("bidi.tif", "--fix-scan", *options)
        plain = work.denoise("plain.tif", *options)
        yield least(
            "H",
            f"bidi, --fix-scan, {road}: above the input, both against the scene",
            3,
            "dB",
            lambda fixed=fixed: _straightened(fixed.image, t) - noisy,
        )
        yield most(
            "H",
            f"bidi, --fix-scan, {road}: below a scan without a shift",
            0.3,
            "dB",
            lambda fixed=fixed, plain=plain: psnr(plain.image, t) - _straightened(fixed.image, t),
        )
    said = work.tell("inspect", "bidi.tif")
    yield check("H", "bidi: named with its shift", "2 pixels", lambda: _named(said))
    yield none("H", "plain, rows, lag, linedup: shift named", lambda: [
        name for name in ("plain", "rows", "lag", "linedup")
        if re.search(r"odd.*shift|bidirectional", work.tell("inspect", f"{name}.tif").good.text)
    ])  # fmt: skip
    warned = work.denoise("bidi.tif", "--method", "instant")
    yield check("H", "bidi: said while denoising", "2 pixels", lambda: _named(warned))


def _straightened(fixed: np.ndarray, truth: np.ndarray) -> float:
    """PSNR wherever the rows were moved to: odd ones, even ones, or half way each."""
    moved = (np.roll(fixed, shift, 1) for shift in range(-2, 3))
    return max(psnr(m[:, 4:-4], truth[:, 4:-4]) for m in moved)


def _named(said: Outcome) -> tuple[str, bool]:
    lines = [s.strip() for s in f"{said.good.out}\n{said.err}".splitlines() if "odd" in s.lower()]
    shifts = [float(n) for s in lines for n in re.findall(r"([\d.]+) pixel", s)]
    return (lines or ["nothing"])[0][:120], any(abs(n - 2) <= 0.1 for n in shifts)
