"""Cases about pixels that are no measurement: padding, nodata, NaN, masked arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import tifffile
from scipy import ndimage

import unnoise
from case_work import (
    INSTANT,
    N2V,
    Check,
    Outcome,
    Work,
    check,
    least,
    loss,
    middle,
    most,
    none,
    off,
    rms,
)

RIM = 4
"""Pixels."""
AREA_DB, RIM_DB, LEVEL = 0.3, 0.5, 5.0
"""Most loss by padding in dB, and most error of the level in percent."""
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 305, 306)


def _same(result: np.ndarray, original: np.ndarray, where: np.ndarray) -> tuple[str, bool]:
    """Whether pixels came back bit for bit, NaN as NaN."""
    a, b = result[..., where], np.asarray(original, np.float64)[..., where]
    changed = int((~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())
    return f"{changed} of {a.size} changed", changed == 0


def _as_without(
    what: str, got: Outcome, whole: Outcome, truth: np.ndarray, valid: np.ndarray
) -> Iterator[Check]:
    """The valid area and its rim against the same picture without padding."""
    inside = ndimage.distance_transform_edt(valid)
    rim = valid & (inside <= RIM)
    for where, region, limit in (("valid area", valid, AREA_DB), ("rim", rim, RIM_DB)):
        yield most(
            "A",
            f"{what}: {where} below that without padding",
            limit,
            "dB",
            lambda region=region: loss(got.image, whole.image, truth, region),
        )


def gaps(work: Work) -> Iterator[Check]:
    """Padding of a letterbox, a rotated field and a CT circle."""
    t, hu = work.load("truth.npy"), work.load("truth_ct.npy")
    circle, rng = work.load("mask_ct.npy"), np.random.default_rng(3)
    noisy = (hu + rng.normal(0, 30, hu.shape)).round().astype(np.int16)
    work.write("ct_whole.tif", np.where(circle, work.load("ct.tif"), noisy))
    for name, whole, truth in (
        ("overhang", "full.tif", t),
        ("letterbox", "full.tif", t),
        ("ct", "ct_whole.tif", hu),
    ):
        file, valid, original = (
            f"{name}.tif",
            work.load(f"mask_{name}.npy"),
            work.load(f"{name}.tif"),
        )
        variance = 900.0 if name == "ct" else float(np.mean((4 * t + 64)[valid]))
        roads = work.roads(N2V)
        if name == "ct" and not work.quick:
            roads["auto"] = ("--minutes", "1")
        for road, options in roads.items():
            got, without = work.denoise(file, *options), work.denoise(whole, *options)
            yield from _as_without(f"{name}, {road}", got, without, truth, valid)
            yield check(
                "A",
                f"{name}, {road}: padding",
                "as it was",
                lambda got=got, original=original, valid=valid: _same(got.image, original, ~valid),
            )
        yield check(
            "A",
            f"{name}: noise level",
            f"within {LEVEL:g} % of {variance**0.5:.3g}, or of what it is without padding",
            lambda file=file, whole=whole, variance=variance: _level(
                work.level(file), work.level(whole), variance**0.5
            ),
        )
        said = work.tell("inspect", file)
        yield none(
            "A",
            f"{name}: sentences about clipping",
            lambda said=said: [s.strip() for s in said.good.out.split("\n") if "clipped" in s],
        )
    value = "-2000"
    given = work.denoise("ct.tif", *INSTANT, "--nodata", value)
    yield from _as_without(
        "ct, --nodata", given, work.denoise("ct_whole.tif", *INSTANT), hu, circle
    )
    work.write("measured.tif", circle.astype(np.uint8))
    given = work.denoise("ct.tif", *INSTANT, "--mask", "measured.tif")
    yield from _as_without("ct, --mask", given, work.denoise("ct_whole.tif", *INSTANT), hu, circle)


def misc(work: Work) -> Iterator[Check]:
    """A motion-corrected movie with NaN borders that differ by frame; an image of pure noise."""
    t, valid, movie = work.load("mc_truth.npy"), work.load("mc_valid.npy"), work.load("mc.tif")
    rng = np.random.default_rng(4)
    whole = np.where(valid, movie, t + rng.normal(0, 30, movie.shape)).astype(np.float32)
    keep = {"imagej": True, "metadata": {"axes": "TYX"}}
    work.write("mc_whole.tif", whole, **keep)
    roads = {"instant": INSTANT}
    if not work.quick:
        roads |= {"auto": ("--steps", "200"), "n2v": N2V}
    frames = np.broadcast_to(t, movie.shape)
    for road, options in roads.items():
        got, without = work.denoise("mc.tif", *options), work.denoise("mc_whole.tif", *options)
        yield check(
            "A",
            f"mc, {road}: NaN borders",
            "NaN there and only there",
            lambda got=got: (
                f"{int((np.isnan(got.image) != ~valid).sum())} pixels differ",
                bool((np.isnan(got.image) == ~valid).all()),
            ),
        )
        inside = np.stack([ndimage.distance_transform_edt(v) for v in valid])
        rim = valid & (inside <= RIM)
        for where, region, limit in (("valid area", valid, AREA_DB), ("rim", rim, RIM_DB)):
            yield most(
                "A",
                f"mc, {road}: {where} below that without borders",
                limit,
                "dB",
                lambda got=got, without=without, region=region: loss(
                    got.image, without.image, frames, region
                ),
            )
    yield most(
        "A",
        "mc, one transform: rim below that of frames cropped to what was measured",
        0,
        "dB",
        lambda: _against_cropped(movie, whole, valid, t),
    )
    yield check("A", "mc: noise level", f"within {LEVEL:g} % of 30, or as without", lambda: _level(
        work.level("mc.tif"), work.level("mc_whole.tif"), 30))  # fmt: skip
    filled = work.denoise("mc.tif", *INSTANT, "--nan", "fill")
    yield most("A", "mc, --nan fill: NaN left", 0, "", lambda: np.isnan(filled.image).sum())
    refused = work.denoise("mc.tif", *INSTANT, "--nan", "refuse")
    yield check(
        "A", "mc, --nan refuse: exit status", "2", lambda: (str(refused.rc), refused.rc == 2)
    )
    pure, noise = work.denoise("purenoise.tif", *INSTANT), work.load("purenoise.tif")
    yield most(
        "I",
        "pure noise: mean moved",
        0.5,
        "% of the counts",
        lambda: 100 * abs(pure.image.mean() - noise.mean()) / (noise.mean() - 100),
    )
    yield least(
        "F", "pure noise: its noise taken out", 10, "dB", lambda: -loss(
            pure.image, noise.astype(float), np.full(noise.shape, 120.0), np.ones(noise.shape, bool)
        )
    )  # fmt: skip


def _against_cropped(
    movie: np.ndarray, whole: np.ndarray, valid: np.ndarray, truth: np.ndarray
) -> float:
    """The rim beside NaN against the same pixels at the border of a smaller picture: dB.

    What lies beyond a border would help with strong noise, whatever stands in its place.
    """
    model = unnoise.train(whole, axes="TYX", method="instant")
    results = model.predict(movie, axes="TYX", tta=True)
    errors: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for frame, result, there in zip(movie, results, valid, strict=True):
        rows, columns = np.nonzero(there)
        part = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        cropped = np.zeros(truth.shape)
        cropped[part] = model.predict(np.ascontiguousarray(frame[part]), tta=True)
        rim = there & (ndimage.distance_transform_edt(there) <= RIM)
        for found, pixels in zip(errors, (result, cropped), strict=True):
            found.append((pixels - truth)[rim])
    beside, at_border = (np.concatenate(found) for found in errors)
    return 20 * float(np.log10(rms(beside) / rms(at_border)))


def geo(work: Work) -> Iterator[Check]:
    """GeoTIFFs with nodata, and the noise level beside gaps of every filling."""
    t, valid = work.load("truth.npy"), work.load("valid.npy")
    rng = np.random.default_rng(5)
    for name in ("dem_f32", "dem_nan", "s2_u16", "s2_4band"):
        file, original = f"{name}.tif", work.load(f"{name}.tif")
        got = work.denoise(file, *INSTANT)
        if original.ndim == 2:
            noisy = np.where(valid, original, t + rng.normal(0, 40, t.shape))
            without = work.denoise(
                work.write(f"{name}_whole.tif", noisy.astype(original.dtype)), *INSTANT
            )
            yield from _as_without(name, got, without, t, valid)
            yield check(
                "A",
                f"{name}: nodata",
                "as it was",
                lambda got=got, original=original: _same(got.image, original, ~valid),
            )
            yield check(
                "A",
                f"{name}: noise level",
                f"within {LEVEL:g} % of 40, or of what it is without padding",
                lambda file=file, name=name: _level(
                    work.level(file), work.level(f"{name}_whole.tif"), 40
                ),
            )
        else:
            yield most(
                "A",
                f"{name}: nodata changed",
                0,
                "values",
                lambda got=got: (got.image[~valid] != 0).sum(),
            )
        if name == "s2_u16":
            yield most(
                "A",
                f"{name}: valid pixels that became nodata",
                0,
                "pixels",
                lambda got=got: (got.image[valid] == 0).sum(),
            )
        yield none("G", f"{name}: tags lost", lambda file=file, got=got: _lost(work, file, got))
        yield none(
            "G", f"{name}: storage changed", lambda file=file, got=got: _stored(work, file, got)
        )
    yield from _levels()


def _lost(work: Work, name: str, got: Outcome) -> list[str]:
    with tifffile.TiffFile(work.path(name)) as a, tifffile.TiffFile(got.good.files[0]) as b:
        old = {tag.code: tag.value for tag in a.pages[0].tags}
        new = {tag.code: tag.value for tag in b.pages[0].tags}
    same = {code for code in GEO_TAGS if code in old and str(old[code]) == str(new.get(code))}
    return [str(code) for code in GEO_TAGS if code in old and code not in same]


def _stored(work: Work, name: str, got: Outcome) -> list[str]:
    with tifffile.TiffFile(work.path(name)) as a, tifffile.TiffFile(got.good.files[0]) as b:
        old, new = a.pages[0], b.pages[0]
        return [
            f"{what} {getattr(old, what)} to {getattr(new, what)}"
            for what in ("compression", "is_tiled", "predictor", "planarconfig", "dtype", "shape")
            if getattr(old, what) != getattr(new, what)
        ]


def _levels() -> Iterator[Check]:
    """Noise of 40 beside a gap that is NaN, nodata, zero, or the mean."""
    y, x = np.mgrid[:192, :192]
    valid = (x + 0.2 * y > 30) & (x - 0.3 * y < 170)
    measured: dict[str, list[float]] = {}
    for seed in (7, 8, 9):
        rng = np.random.default_rng(seed)
        for kind in ("gravel", "coins", "camera"):
            t = 200 + 3.0 * middle(kind, 192)
            noisy = (t + rng.normal(0, 40, t.shape)).astype(np.float32)
            for fill in ("none", np.nan, -9999, 0, noisy.mean()):
                name = {np.nan: "NaN"}.get(fill, fill if fill in ("none", -9999, 0) else "mean")
                padded = noisy if fill == "none" else np.where(valid, noisy, np.float32(fill))
                curve = unnoise.inspect(padded).channels[0].curve
                level = np.nan if curve is None else curve.level**0.5
                measured.setdefault(str(name), []).append(level)
    whole = measured.pop("none")
    yield most(
        "E",
        "without a gap: noise level off by, worst of 9",
        2 * LEVEL,
        "%",
        lambda: max(off(v, 40) for v in whole),
    )
    for name, found in measured.items():
        yield check(
            "A",
            f"gap filled with {name}: noise levels wrong",
            f"0 of 9 beyond {LEVEL:g} % of 40 and of what it is without a gap",
            lambda found=found: _wrong(
                [_level(v, w, 40) for v, w in zip(found, whole, strict=True)]
            ),
        )


def _level(measured: float, without: float, true: float) -> tuple[str, bool]:
    """Whether a level is right, or as wrong as it is without padding."""
    near = min(off(measured, true), off(measured, without)) <= LEVEL
    return f"{measured:.3g}, without padding {without:.3g}", near


def _wrong(found: list[tuple[str, bool]]) -> tuple[str, bool]:
    wrong = [text for text, right in found if not right]
    return f"{len(wrong)}: {'; '.join(wrong)}".rstrip(": ")[:150], not wrong


def api(_: Work) -> Iterator[Check]:
    """A NumPy masked array, and the same mask by keyword."""
    rng = np.random.default_rng(0)
    t = middle("coins", 96)
    noisy = rng.normal(t, 20)
    bad = np.zeros(t.shape, bool)
    bad[20:40, 20:40] = True
    hidden = np.where(bad, -9999, noisy)
    whole = unnoise.denoise(noisy, method="instant")

    @cache
    def masked() -> np.ma.MaskedArray:
        result = unnoise.denoise(np.ma.masked_array(hidden, bad), method="instant")
        if not isinstance(result, np.ma.MaskedArray):
            raise TypeError(f"the result is of the type {type(result).__name__}")
        return result

    yield check("A", "masked array: its mask", "comes back", lambda: (
        "kept", bool((np.ma.getmaskarray(masked()) == bad).all())))  # fmt: skip
    yield check("A", "masked array: hidden values", "as they were", lambda: _same(
        masked().data, hidden, bad))  # fmt: skip
    yield most("A", "masked array: below that without a hole", AREA_DB, "dB", lambda: loss(
        masked().data, whole, t, ~bad))  # fmt: skip
    yield most("A", "mask=: below that without a hole", AREA_DB, "dB", lambda: loss(
        unnoise.denoise(hidden, mask=~bad, method="instant"), whole, t, ~bad))  # fmt: skip
    yield most("A", "masked array: noise level off by", LEVEL, "%", lambda: off(
        unnoise.inspect(np.ma.masked_array(hidden, bad)).channels[0].curve.level ** 0.5,
        unnoise.inspect(noisy).channels[0].curve.level ** 0.5))  # fmt: skip


def stamp(work: Work) -> Iterator[Check]:
    """A region to protect, such as a burnt-in scale bar, is the same mask."""
    rng = np.random.default_rng(8)
    t = 100 + 2 * middle("coins", 128)
    whole = rng.normal(t, 25).clip(0).round().astype(np.uint16)
    bar = np.zeros(t.shape, bool)
    bar[112:118, 80:120] = True
    work.write("whole.tif", whole)
    work.write("stamped.tif", np.where(bar, np.uint16(4095), whole))
    work.write("measured.tif", (~bar).astype(np.uint8))
    got = work.denoise("stamped.tif", *INSTANT, "--mask", "measured.tif")
    yield from _as_without("scale bar, --mask", got, work.denoise("whole.tif", *INSTANT), t, ~bar)
    yield check("A", "scale bar, --mask: its pixels", "as they were", lambda: _same(
        got.image, work.load("stamped.tif"), bar))  # fmt: skip
