"""Cases about few outliers that spoil all the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from case_work import INSTANT, N2V, Check, Outcome, Work, check, least, middle, most, rms

FAR, NEAR = 8, 4
"""Pixels from a hot one."""
HARM = 5.0
"""Most growth of the error by outliers, in percent."""


def hot(work: Work) -> Iterator[Check]:
    """Some 40 hot pixels among 65,536."""
    t, there = work.load("truth.npy"), work.load("hot.npy")
    near = ndimage.binary_dilation(there, iterations=NEAR) & ~there
    far = ~ndimage.binary_dilation(there, iterations=FAR)
    original = work.load("hot.tif")
    for road, options in work.roads(N2V).items():
        got, without = work.denoise("hot.tif", *options), work.denoise("nohot.tif", *options)
        for where, region, limit in (("far from", far, HARM), ("near", near, 2 * HARM)):
            yield most(
                "B",
                f"{road}: error {where} hot pixels above that without any",
                limit,
                "%",
                lambda got=got, without=without, region=region: (
                    100 * (rms(got.image - t, region) / rms(without.image - t, region) - 1)
                ),
            )
        yield most(
            "B",
            f"{road}: mean error in place of hot pixels, in errors near them",
            3,
            "",
            lambda got=got, without=without: (
                abs(np.median((got.image - t)[there])) / rms(without.image - t, near)
            ),
        )
    said = work.denoise("hot.tif", *INSTANT)
    yield check(
        "B", "outliers are counted in a line", f"about {there.sum()}", lambda: _counted(said, there)
    )
    kept = work.denoise("hot.tif", *INSTANT, "--keep-outliers")
    yield check("B", "--keep-outliers: hot pixels", "at least 90 % as they were", lambda: (
        f"{100 * (share := float((kept.image[there] == original[there]).mean())):.0f} %",
        share >= 0.9))  # fmt: skip
    movie = work.load("hotmovie.tif").astype(float)
    got, dark = work.denoise("hotmovie.tif", *INSTANT), there[:128, :128]
    scene = t[:128, :128]
    yield least("B", "movie: error off hot pixels, noisy over result", 2, "times", lambda: (
        rms(movie - scene, ~dark) / rms(got.image - scene, ~dark)))  # fmt: skip
    yield most("B", "movie: bias in place of hot pixels, over that of the input", 1, "%", lambda: (
        100 * abs(np.median((got.image - scene)[:, dark])) / (movie - scene)[:, dark].mean()
    ))  # fmt: skip


def _counted(said: Outcome, there: np.ndarray) -> tuple[str, bool]:
    lines = [s.strip() for s in said.good.err.splitlines() if re.search("outlier|hot pixel", s)]
    numbers = [int(n.replace(",", "")) for s in lines for n in re.findall(r"\b\d[\d,]*", s)]
    near = any(0.8 <= n / int(there.sum()) <= 1.2 for n in numbers)
    return (lines or ["nothing"])[0][:120], near


def extremes(work: Work) -> Iterator[Check]:
    """One absurd value in a prediction leaves all other pixels as they were."""
    rng = np.random.default_rng(6)
    noisy = rng.normal(100 + middle("coins", 96), 15).astype(np.float32)
    work.write("plain.tif", noisy)
    trained = work.tell(
        "train", "plain.tif", "--method", "n2v", "--steps", "20", "--no-report", "-o", "net.model"
    )
    for value in (1e4, 1e20, -3.4e38):
        spoilt = noisy.copy()
        spoilt[48, 48] = value
        work.write(f"with_{value:g}.tif", spoilt)

        def apart(name: str = f"with_{value:g}.tif") -> float:
            assert trained.good
            results = []
            for file in ("plain.tif", name):
                out = f"of_{file}"
                assert work.tell("predict", "net.model", file, "-o", out, "--no-report").good
                results.append(work.load(out).astype(float))
            difference = np.abs(results[1] - results[0])
            difference[46:51, 46:51] = 0  # the pixel is replaced from these, and they by it
            return float(difference.max() / 15)

        yield most("B", f"predict with one value {value:g}: others moved", 0.1, "noise sd", apart)
