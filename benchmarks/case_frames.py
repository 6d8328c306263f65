"""Cases about frames that are no repeats, several exposures, and kinds of noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tifffile
from scipy import ndimage, special

import unnoise
from case_work import Check, Outcome, Work, check, least, middle, most, off, psnr, rms

STEPS = ("--steps", "200")
MORE_STEPS = ("--steps", "300")
MANY_STEPS = ("--steps", "500")
OFFSET = 100
MEANS, LEVEL = 1.0, 10.0
"""Percent."""


def bleach(work: Work) -> Iterator[Check]:
    """Two exposures, bleaching, a flickering lamp and one flash."""
    for name in ("two", "bleach", "bleachmild", "transient", "flicker"):
        truth = work.load(f"{name}_truth.npy")
        noisy = work.load(f"{name}.tif").astype(float) - OFFSET
        for road, options in work.roads(STEPS).items():
            got = work.denoise(f"{name}.tif", *options)
            yield most(
                "D",
                f"{name}, {road}: frame means moved, worst",
                MEANS,
                "%",
                lambda got=got, noisy=noisy: _moved(got.image - OFFSET, noisy),
            )
            yield most(
                "D",
                f"{name}, {road}: error over that of the input",
                1,
                "",
                lambda got=got, noisy=noisy, truth=truth: (
                    rms(got.image - OFFSET - truth) / rms(noisy - truth)
                ),
            )
            if name == "transient":
                yield check(
                    "D",
                    f"{name}, {road}: height of the flash",
                    "0.9 to 1.1 of the true one",
                    lambda got=got, truth=truth: _flash(got.image, truth, work.load("cell.npy")),
                )
    for name in ("two", "flicker"):
        if work.quick:
            return
        asked = work.denoise(f"{name}.tif", "--pairs", "T", *STEPS)
        noisy = work.load(f"{name}.tif").astype(float) - OFFSET
        yield check(
            "D",
            f"{name}, --pairs T: frame means moved",
            f"at most {MEANS:g} %, or refused",
            lambda asked=asked, noisy=noisy: _moved_or_refused(asked, noisy),
        )


def _moved(result: np.ndarray, noisy: np.ndarray) -> float:
    """The largest change of a frame's mean, in percent."""
    axes = tuple(range(1, noisy.ndim))
    return float(100 * np.abs(result.mean(axes) / noisy.mean(axes) - 1).max())


def _moved_or_refused(asked: Outcome, noisy: np.ndarray) -> tuple[str, bool]:
    if asked.rc == 2:
        return "refused", True
    moved = _moved(asked.image - OFFSET, noisy)
    return f"{moved:.3g} %", moved <= MEANS


def _flash(result: np.ndarray, truth: np.ndarray, cell: np.ndarray) -> tuple[str, bool]:
    """Height of the flash in frame 12 above the frames before it, over that of the truth."""
    heights = [m[12] - m[:12].mean() for m in (s[:, cell].mean(1) for s in (result, truth))]
    ratio = heights[0] / heights[1]
    return f"{ratio:.2f}", 0.9 <= ratio <= 1.1


def dupframes(work: Work) -> Iterator[Check]:
    """Frames written twice, dropped frames, and a running mean over four."""
    truth = work.load("truth.npy")
    for name in ("plain", "twice", "dropped", "running"):
        noisy = work.load(f"{name}.tif").astype(float)
        filled = noisy.max((1, 2)) > 0
        steps = MANY_STEPS if name == "running" else STEPS  # n2v, and half of the noise is gone
        for road, options in work.roads(steps).items():
            got = work.denoise(f"{name}.tif", *options)
            yield most(
                "D",
                f"{name}, {road}: error over that of the input",
                1,
                "",
                lambda got=got, noisy=noisy, filled=filled: (
                    rms((got.image - truth)[filled]) / rms((noisy - truth)[filled])
                ),
            )
            if not filled.all():
                yield most(
                    "A",
                    f"{name}, {road}: black frames, largest value",
                    0,
                    "",
                    lambda got=got, filled=filled: np.abs(got.image[~filled]).max(),
                )
        wanted = name in ("plain",)
        if name != "dropped":
            yield check(
                "D",
                f"{name}: taken for independent repeats",
                "yes" if wanted else "no",
                lambda name=name, wanted=wanted: _repeated(work, f"{name}.tif", wanted),
            )
    if not work.quick:
        noisy = work.load("twice.tif").astype(float)
        asked = work.denoise("twice.tif", "--pairs", "T", *STEPS)
        yield check(
            "D",
            "twice, --pairs T",
            "refused, said, or better than the input",
            lambda: _copies(asked, noisy, truth),
        )


def _repeated(work: Work, name: str, wanted: bool) -> tuple[str, bool]:
    paired = work.inspect(name)["advice"]["pairs"] is not None
    return "yes" if paired else "no", paired == wanted


def _copies(asked: Outcome, noisy: np.ndarray, truth: np.ndarray) -> tuple[str, bool]:
    if asked.rc == 2:
        return "refused", True
    said = any(word in asked.err.lower() for word in ("copies", "copy", "independent"))
    ratio = rms(asked.image - truth) / rms(noisy - truth)
    return f"error {ratio:.2f} of the input's{', said' if said else ''}", said or ratio < 1


KINDS = ("sar1", "sar4", "sar4db", "emccd", "flatfield", "unit")
KINDS += ("zero_mean", "tinyscale", "bigoffset")
LOOKS = {"sar1": 1, "sar4": 4}
DECIBEL = 10 / np.log(10)


def _variances(work: Work) -> dict[str, float]:
    """Mean variance of the noise by kind."""
    truth = {name: work.load(f"{name}_truth.npy") for name in KINDS}
    y, x = np.mgrid[:192, :192]
    vignette = 1 / (1 + 3 * ((y - 96) ** 2 + (x - 96) ** 2) / 96**2 / 2)
    draws = np.random.default_rng(0).normal(0, 0.1, (400, *truth["unit"].shape))
    return {
        **{name: float(np.mean(truth[name] ** 2 / looks)) for name, looks in LOOKS.items()},
        "sar4db": float(DECIBEL**2 * special.polygamma(1, 4)),
        "emccd": float(np.mean(60 * (truth["emccd"] - 200))) + 400,
        "flatfield": float(np.mean(truth["flatfield"] / vignette)),
        "unit": float(np.clip(truth["unit"] + draws, 0, 1).var(0).mean()),
        "zero_mean": 0.25,
        "tinyscale": (20e-9) ** 2,
        "bigoffset": 400.0,
    }


def noisekinds(work: Work) -> Iterator[Check]:
    """Speckle, excess noise, vignetting, clipping, offsets and scales."""
    variances = _variances(work)
    for name in KINDS:
        truth, noisy = work.load(f"{name}_truth.npy"), work.load(f"{name}.tif").astype(float)
        yield check(
            "E",
            f"{name}: noise level",
            "within 10 %, or in an interval below 30 %",
            lambda name=name: _level(work.inspect(f"{name}.tif"), variances[name] ** 0.5),
        )
        for road, options in work.roads(MORE_STEPS).items():
            got = work.denoise(f"{name}.tif", *options)
            yield least(
                "E",
                f"{name}, {road}: above the input",
                0,
                "dB",
                lambda got=got, noisy=noisy, truth=truth: (
                    psnr(got.image, truth) - psnr(noisy, truth)
                ),
            )
            if noisy.min() > 0 and name != "bigoffset":
                yield check(
                    "H",
                    f"{name}, {road}: smallest value of positive data",
                    "above 0",
                    lambda got=got: (f"{got.image.min():.3g}", got.image.min() > 0),
                )
    yield from _speckle()


def _level(report: dict, sd: float) -> tuple[str, bool]:
    channel = report["channels"][0]
    found = channel["noise_sd"]
    if found is None:
        return "not measured", False
    half = 1.96 * channel["noise_sd_relative_error"]
    low, high = channel.get("noise_sd_interval") or (found * (1 - half), found * (1 + half))
    told = high - low < 0.3 * found and low <= sd <= high
    text = f"{found / sd:.2f} of the true one ({low / sd:.2f} to {high / sd:.2f})"
    return text, off(found, sd) <= LEVEL or told


def _speckle() -> Iterator[Check]:
    """Four looks on four scenes, seven draws each: none may be far off and sure of it."""
    for kind in ("coins", "camera", "cell", "gravel"):

        def judged(kind: str = kind) -> tuple[str, bool]:
            s = ndimage.gaussian_filter(middle(kind, 192), 1.0)
            intensity = (s / 255) ** 2 * 0.5 + 0.003
            found = []
            for seed in range(20, 27):
                gamma = np.random.default_rng(seed).gamma(4, 1 / 4, s.shape)
                report = unnoise.inspect((intensity * gamma).astype(np.float32))
                found.append(_level(report.to_dict(), float(np.mean(intensity**2 / 4) ** 0.5)))
            wrong = [text for text, good in found if not good]
            return f"{len(wrong)} of 7: {'; '.join(wrong)}".rstrip(": ")[:150], not wrong

        yield check("E", f"speckle of 4 looks, {kind}: levels wrong", "0 of 7", judged)


def exposures(work: Work) -> Iterator[Check]:
    """The same scene at 10, 100 and 1000 ms in one run."""
    rng = np.random.default_rng(9)
    picture = middle("coins", 128)
    names = []
    for ms in (10, 100, 1000):
        electrons = picture / 255 * 0.4 * ms
        noisy = rng.poisson(electrons) + rng.normal(0, 2, picture.shape) + OFFSET
        pixels = noisy.round().clip(0).astype(np.uint16)
        names.append(work.write(f"ms{ms}.tif", pixels))
    for road, options in work.roads(STEPS).items():
        together = work.beside(names, *options)
        each = work.beside(names, "--each", *options)
        for ms in (10, 100, 1000):
            truth = picture / 255 * 0.4 * ms + OFFSET
            yield most(
                "C",
                f"{ms} ms, {road}: below --each",
                1,
                "dB",
                lambda ms=ms, truth=truth, together=together, each=each: (
                    psnr(_of(each, ms), truth) - psnr(_of(together, ms), truth)
                ),
            )
    if not work.quick:
        work.tell("train", "ms1000.tif", "--method", "n2v", *STEPS, "--no-report", "-o", "bright")
        far = work.tell("predict", "bright", "ms10.tif", "-o", "dim.tif", "--no-report")
        yield check("C", "predict far from the training range", "said", lambda: _told(far))


def _told(done: Outcome) -> tuple[str, bool]:
    lines = [s.strip() for s in done.good.err.splitlines() if "train" in s.lower()]
    return (lines or ["silent"])[0][:120], bool(lines)


def _of(done: Outcome, ms: int) -> np.ndarray:
    (path,) = [p for p in done.good.files if p.name.startswith(f"ms{ms}_")]
    return np.asarray(tifffile.imread(path), np.float64)
