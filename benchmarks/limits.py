"""Where Noise2Void fails: the numbers and pictures of docs/limits.md.

    python benchmarks/limits.py                 # every case, pictures to docs/
    python benchmarks/limits.py spots stripes   # some of them

The scenes are synthetic or scikit-image's own photographs. Nets are the fast presets with 16
filters, trained on the very picture that is shown, on one thread, for a fixed number of steps with
seed 0, and applied in one pass; so the numbers come out again on the same machine.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage import data as samples

import unnoise
from common import HERE, processor
from family import checkerboard
from unnoise.config.config import Config
from unnoise.quality.metrics import psnr

Picture = np.ndarray
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Panel:
    """A picture with a title, shown from black at `low` to white at `high`."""

    title: str
    picture: Picture
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """What a case shows: pictures in rows, and a table whose first row is its head."""

    panels: list[list[Panel]]
    table: Rows


def trained(
    steps: int, *noisy: Picture, method: str = "n2v", targets: Any = None, **changes: Any
) -> unnoise.Model:
    """A small net trained on pictures."""
    values = {"net": {"filters": 16}, "training": {"steps": steps, "seed": 0}}
    for section, more in changes.items():
        values[section] = {**values.get(section, {}), **more}
    config = Config.preset(method=method).replace(**values)
    images = [np.asarray(x, np.float32) for x in noisy]
    return unnoise.train(images, targets, config=config, device="cpu")


def denoised(steps: int, noisy: Picture, method: str = "n2v", **options: Any) -> Picture:
    """A picture denoised from itself."""
    model = trained(steps, noisy, method=method, **options)
    return model.predict(np.asarray(noisy, np.float32), device="cpu")


def db(x: Picture, truth: Picture, peak: float = 255) -> str:
    return f"{psnr(x, truth, data_range=peak):.2f}"


def camera() -> Picture:
    """256x256 pixels of the cameraman, with edges, grass and sky."""
    return samples.camera()[60:316, 130:386].astype(np.float64)


def cells(rng: np.random.Generator) -> Picture:
    """A smooth synthetic specimen, grey levels 30 to 90."""
    blobs = samples.binary_blobs(256, blob_size_fraction=0.12, volume_fraction=0.4, rng=rng)
    return 30 + 60 * ndimage.gaussian_filter(blobs.astype(np.float64), 3)


# ------------------------------------------------------------------------------ the cases


def spots(steps: int) -> Case:
    """Isolated bright points of the specimen, sampled ever more finely."""
    rng = np.random.default_rng(1)
    ground, height, sigma = cells(rng), 120.0, 10.0
    y, x = np.mgrid[16:256:32, 16:256:32].reshape(2, -1) + rng.integers(-8, 9, (2, 64))
    points = np.zeros_like(ground)
    points[y, x] = 1
    table: Rows = [("spots", "method", "steps", "noisy", "result", "kept")]
    rows = []
    for name, width in (("one pixel", 0.0), ("width 1.6", 0.7), ("width 2.4", 1.0)):
        shape = ndimage.gaussian_filter(points, width) if width else points
        truth = ground + height * shape / shape.max()
        noisy, second = truth + sigma * rng.standard_normal((2, *truth.shape))
        runs = [("n2v", steps)]
        if not width:
            runs += [("b2u", steps), ("n2n", steps), ("n2n", 4 * steps)]
        for method, length in runs:
            pair = np.asarray(second, np.float32) if method == "n2n" else None
            result = denoised(length, noisy, method, targets=pair)
            over = [float((p - ground)[y, x].mean()) for p in (noisy, result)]
            kept = f"{round(100 * over[1] / height)} %"
            values = (f"{length:,}", f"{over[0]:.0f}", f"{over[1]:.0f}", kept)
            table.append((name, method, *values))
            if method == "n2v":
                shown = (("noisy", noisy), (f"n2v keeps {kept}", result), ("truth", truth))
                cut = [Panel(t, p[:112, :112], 10, 180) for t, p in shown]
                rows.append([Panel(f"{name}: noisy", *_rest(cut[0])), *cut[1:]])
    return Case([rows[0], rows[2]], table)


def _rest(panel: Panel) -> tuple[Picture, float, float]:
    return panel.picture, panel.low, panel.high


def stripes(steps: int) -> Case:
    """Noise that is correlated along the lines, as of a scanner."""
    truth, sigma = camera(), 25.0
    rng = np.random.default_rng(2)
    white = rng.standard_normal(truth.shape)
    noise = ndimage.convolve1d(white, np.ones(5) / np.sqrt(5), axis=1, mode="wrap")
    noisy = truth + sigma * noise
    results = {
        "n2v": denoised(steps, noisy),
        "structn2v horizontal:9": denoised(
            steps, noisy, "structn2v", mask={"struct": "horizontal:9"}
        ),
        "structn2v vertical:9": denoised(steps, noisy, "structn2v", mask={"struct": "vertical:9"}),
    }
    table: Rows = [("picture", "PSNR, dB", "noise left")]
    for name, x in {"noisy": noisy, **results}.items():
        table.append((name, db(x, truth), f"{round(100 * left(x - truth, sigma * noise))} %"))
    shown = {"noisy": noisy, **dict(list(results.items())[:2]), "truth": truth}
    row = [Panel(_with_db(t, p, truth), p[20:148, 20:148], 0, 255) for t, p in shown.items()]
    return Case([row], table)


def left(error: Picture, noise: Picture) -> float:
    """Share of the noise that is left in a result: the slope of its error on the noise."""
    return float((error * noise).sum() / (noise * noise).sum())


def _with_db(title: str, x: Picture, truth: Picture) -> str:
    return title if x is truth else f"{title}, {db(x, truth)} dB"


def correlated(steps: int) -> Case:
    """Noise of the same strength, independent, blurred over 3x3 pixels, or after JPEG."""
    from imagecodecs import jpeg_decode, jpeg_encode

    def jpeg(x: Picture, quality: int) -> Picture:
        values = np.clip(np.rint(x), 0, 255).astype(np.uint8)
        return jpeg_decode(jpeg_encode(values, level=quality)).astype(np.float64)

    truth, sigma = camera(), 25.0
    white = sigma * np.random.default_rng(3).standard_normal(truth.shape)
    blurred = 3 * ndimage.uniform_filter(white, 3, mode="wrap")
    inputs = {
        "independent": truth + white,
        "blurred": truth + blurred,
        "JPEG 75": jpeg(truth + white, 75),
        "JPEG 25": jpeg(truth + white, 25),
    }
    table: Rows = [("noise", "treatment", "noisy, dB", "result, dB", "gain, dB", "noise left")]
    before, after = [], []

    def add(name: str, treatment: str, noisy: Picture, result: Picture) -> None:
        gain = psnr(result, truth, data_range=255) - psnr(noisy, truth, data_range=255)
        share = f"{round(100 * left(result - truth, noisy - truth))} %"
        table.append((name, treatment, db(noisy, truth), db(result, truth), f"{gain:+.2f}", share))

    for name, noisy in inputs.items():
        result = denoised(steps, noisy)
        add(name, "n2v", noisy, result)
        for row, title, p in ((before, name, noisy), (after, "n2v", result)):
            row.append(Panel(_with_db(title, p, truth), p[20:148, 20:148], 0, 255))
        if name == "independent":
            first = jpeg(result, 25)
    add("independent", "n2v, then JPEG 25", inputs["independent"], first)
    square = {"mask": {"struct": "square:5"}}
    add(
        "blurred",
        "structn2v square:5",
        inputs["blurred"],
        denoised(steps, inputs["blurred"], "structn2v", **square),
    )
    return Case([before, after], table)


def clipped(steps: int) -> Case:
    """A dim picture whose noise is cut off at zero, and the same with an offset."""
    truth, sigma = 0.2 * camera(), 20.0
    full = truth + sigma * np.random.default_rng(4).standard_normal(truth.shape)
    cut = np.clip(np.rint(full), 0, 255)
    offset = np.clip(np.rint(full + 100), 0, 255)
    pictures = {
        "cut off at 0": cut,
        "n2v of it": denoised(steps, cut),
        "n2v with offset 100": denoised(steps, offset) - 100,
        "truth": truth,
    }
    dark, bright = truth < 10, truth > 30
    table: Rows = [("picture", "mean where truth < 10", "mean where truth > 30")]
    for name, x in pictures.items():
        table.append((name, f"{x[dark].mean():.1f}", f"{x[bright].mean():.1f}"))
    return Case([[Panel(t, p, 0, 55) for t, p in pictures.items()]], table)


def hot(steps: int) -> Case:
    """Hot pixels, which neighbours take as replacements."""
    rng = np.random.default_rng(5)
    truth = cells(rng)
    noisy = truth + 10 * rng.standard_normal(truth.shape)
    where = rng.random(truth.shape) < 0.005
    noisy[where] += 300
    runs: dict[str, dict[str, Any]] = {
        "n2v": {},
        "n2v on whole pixels": {"net": {"unshuffle": 1}},  # as n2v2, and as slow
        "n2v2": {"method": "n2v2"},
    }
    table: Rows = [("picture", "PSNR, dB", "checkerboard", "error around hot pixels")]
    near = ndimage.binary_dilation(where, iterations=3)
    results = {name: denoised(steps, noisy, **options) for name, options in runs.items()}
    for name, x in {"noisy": noisy, **results}.items():
        error = x - truth
        around = f"{np.sqrt((error[near] ** 2).mean()):.2f}"
        table.append((name, db(x, truth), f"{checkerboard(error):.4f}", around))
    shown = {"noisy": noisy, **results}
    row = [Panel(t, p[:96, :96], 10, 110) for t, p in shown.items()]
    errors = [Panel("truth", truth[:96, :96], 10, 110)]
    errors += [Panel(f"{t} - truth", (p - truth)[:96, :96], -15, 15) for t, p in results.items()]
    return Case([row, errors], table)


def texture(steps: int) -> Case:
    """How many pixels the net learns from, and what strong noise leaves of a fine texture."""
    head = ("picture", "noise", "trained on", "net", "noisy, dB", "result, dB", "texture kept")
    table: Rows = [head]
    middle = slice(224, 288)
    rows = []
    # Noise, side of the square to train on, filters of the net, and its steps.
    small, full = (16, steps), (32, 2 * steps)
    for name, runs in (
        ("brick", ((50, 64, *small), (50, 128, *small), (50, 512, *small))),
        ("grass", ((15, 512, *small), (50, 512, *small), (15, 512, *full))),
    ):
        picture = getattr(samples, name)().astype(np.float64)
        truth = picture[middle, middle]
        row: dict[str, Panel] = {}
        for sigma, side, filters, length in runs:
            noisy = picture + sigma * np.random.default_rng(6).standard_normal(picture.shape)
            part = slice(256 - side // 2, 256 + side // 2)
            model = trained(length, noisy[part, part], net={"filters": filters})
            seen = np.asarray(noisy[192:320, 192:320], np.float32)
            result = model.predict(seen, device="cpu")[32:96, 32:96]
            values = (db(noisy[middle, middle], truth), db(result, truth))
            kept = f"{round(100 * detail(result, truth))} %"
            net = f"{filters} filters, {length:,} steps"
            table.append((name, str(sigma), f"{side}x{side}", net, *values, kept))
            if filters == 16:
                shown = ((f"{name}, noise {sigma}", noisy[middle, middle]),)
                shown += ((f"n2v of {sigma} from {side}x{side}", result),)
                row |= {title: Panel(title, p, 20, 230) for title, p in shown}
        rows.append([*row.values(), Panel("truth", truth, 20, 230)])
    return Case(rows, table)


def detail(x: Picture, truth: Picture) -> float:
    """Share of the fine texture of the truth that is left: the slope of one on the other."""
    a, b = (p - ndimage.gaussian_filter(p, 2) for p in (np.asarray(x, np.float64), truth))
    return float((a * b).sum() / (b * b).sum())


CASES: dict[str, Callable[[int], Case]] = {
    "spots": spots,
    "stripes": stripes,
    "correlated": correlated,
    "clipped": clipped,
    "hot": hot,
    "texture": texture,
}


# -------------------------------------------------------------------------------- output


def draw(case: Case, path: Path) -> None:
    """The panels in rows, every pixel a square of whole pixels, under their titles."""
    from PIL import Image, ImageDraw, ImageFont

    font, gap, head = ImageFont.load_default(14), 8, 22
    rows = [[(panel.title, _grey(panel)) for panel in row] for row in case.panels]
    width = max(sum(p.shape[1] + gap for _, p in row) for row in rows)
    height = sum(max(p.shape[0] for _, p in row) + head + gap for row in rows)
    canvas = Image.new("L", (width - gap, height - gap), 255)
    top = head
    for row in rows:
        left = 0
        for title, picture in row:
            canvas.paste(Image.fromarray(picture), (left, top))
            middle = left + picture.shape[1] // 2
            ImageDraw.Draw(canvas).text((middle, top - 5), title, 0, font, anchor="ms")
            left += picture.shape[1] + gap
        top += max(p.shape[0] for _, p in row) + gap + head
    canvas.quantize(48).save(path, optimize=True)  # few grey levels, a small file


def _grey(panel: Panel) -> Picture:
    """The pixels of a panel as 8-bit squares, about 250 across in all."""
    zoom = max(1, round(250 / panel.picture.shape[1]))
    values = np.clip((panel.picture - panel.low) / (panel.high - panel.low), 0, 1)
    return np.kron(np.rint(255 * values).astype(np.uint8), np.ones((zoom, zoom), np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs")
    args = parser.parse_args()
    unknown = set(args.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the cases are {', '.join(CASES)}")
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    print(f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores, one used")
    for name in args.cases or CASES:
        start = time.process_time()
        case = CASES[name](args.steps)
        draw(case, args.output / f"limits_{name}.png")
        spent = time.process_time() - start
        print(f"\n{name}: {args.steps} steps a net, {spent:.0f} s of one thread in all\n")
        head, *body = case.table
        for row in (head, ("---",) * len(head), *body):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
