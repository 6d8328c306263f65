"""Pictures with correlated noise for correlated.py: their halves, and how each is made or read.

Settings are chosen on the half `dev`; the half `report` is measured and never looked at. Noise is
added to clean pictures in the rows `widefield` and `stripes`, so a seed gives another picture;
elsewhere it only seeds the calibration.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import oracle
from common import HERE, data
from unnoise.quality.metrics import psnr, scale_invariant_psnr

TAP = (2 - np.sqrt(4 - 2.88)) / 2.4
"""Outer weights of three taps (w, 1, w) with a lag-1 correlation of 0.6, as after two linear
interpolations."""
KERNELS = {
    "widefield": np.outer([TAP, 1, TAP], [TAP, 1, TAP]),
    "stripes": np.ones((1, 5)),
}
"""The filter of the noise by row, known to the Wiener filter and to BM3D alone."""
NOISY_DB = 26.0
"""Scale-invariant PSNR of the noisy development pictures of `widefield`, about that of FMD."""


@dataclass(frozen=True)
class Spec:
    """A picture by its row of the table, its name and the seed of its noise."""

    row: str
    name: str
    seed: int


@dataclass(frozen=True)
class Picture:
    """A noisy picture and its truth.

    Attributes
    ----------
    noisy, truth : ndarray, shape (y, x) or (y, x, 3)
    peak : float or None
        Of the PSNR; None for the scale-invariant one.
    kernel : ndarray or None
        The filter of the noise, where it was made.
    """

    noisy: NDArray
    truth: NDArray
    peak: float | None
    kernel: NDArray | None = None

    def psnr(self, image: NDArray) -> float:
        """PSNR of a result in dB."""
        if self.peak is None:
            return scale_invariant_psnr(image, self.truth)
        return psnr(image, self.truth, data_range=self.peak)

    def ssim(self, image: NDArray) -> float:
        """Structural similarity (Wang et al., 2004), after the affine fit where PSNR has one."""
        from skimage.metrics import structural_similarity

        t, x = self.truth.astype(np.float64), np.asarray(image, np.float64)
        if self.peak is None:
            slope, offset = np.polyfit(x.ravel(), t.ravel(), 1)
            x = slope * x + offset
        axis = -1 if t.ndim == 3 else None
        span = self.peak or float(np.ptp(t))
        return float(structural_similarity(t, x, data_range=span, channel_axis=axis))

    def channels(self) -> list[tuple[NDArray, NDArray]]:
        """Noisy planes and their truths, in float64."""
        both = (np.atleast_3d(x).astype(np.float64) for x in (self.noisy, self.truth))
        return list(zip(*(np.moveaxis(x, -1, 0) for x in both), strict=True))


def read(stem: str) -> tuple[NDArray, NDArray]:
    """A noisy image of the data folder and its truth."""
    group, name = stem.split("/")
    noisy, truth = (imagecodecs.imread(str(data(group) / f"{name}__{k}.png")) for k in NOISY_GT)
    return noisy, truth


NOISY_GT = ("noisy", "gt")


def filtered(noise: NDArray, kernel: NDArray) -> NDArray:
    """White noise made correlated; its variance stays, place by place."""
    return ndimage.convolve(noise, kernel / np.sqrt((kernel**2).sum()), mode="wrap")


def poisson_gaussian(
    signal: NDArray, line: tuple[float, float], rng: np.random.Generator
) -> NDArray:
    """Noise of mean 0 and variance ``A signal + B``: photons, and what a camera adds."""
    a, b = line
    if a <= 0:
        return np.sqrt(max(b, 0.0)) * rng.standard_normal(signal.shape)
    photons = np.maximum(signal / a + min(b, 0.0) / a**2, 0)
    noise = a * (rng.poisson(photons) - photons)
    return noise + np.sqrt(max(b, 0.0)) * rng.standard_normal(signal.shape)


def widefield(name: str, seed: int) -> Picture:
    """A truth with noise of the measured kind, filtered."""
    rng = np.random.default_rng([seed, 15])
    if name.startswith("fmd/"):
        noisy, truth = read(name)
        line = oracle.line(noisy, truth)
        x, t = noisy.ravel().astype(np.float64), truth.ravel().astype(np.float64)
        slope, offset = np.polyfit(t, x, 1)
        signal = slope * truth + offset
    else:
        signal = clean(name)
        signal = signal - signal.min()
        a, b = 1.0, 0.1 * float(signal.mean())
        wanted = np.ptp(signal) ** 2 / 10 ** (NOISY_DB / 10)
        scale = wanted / float((a * signal + b).mean())
        line = (a * scale, b * scale)
    kernel = KERNELS["widefield"]
    noise = filtered(poisson_gaussian(signal, line, rng), kernel)
    return Picture((signal + noise).astype(np.float32), signal.astype(np.float32), None, kernel)


def clean(name: str) -> NDArray:
    """A clean development picture: a truth of W2S, a simulated scene, or scikit-image's cell."""
    kind, _, which = name.partition("/")
    if kind == "w2s":
        return read(name)[1].astype(np.float64)
    if kind == "scene":
        return scene(int(which), 256)
    from skimage import data as samples

    return samples.cell()[200:456, 150:406].astype(np.float64)


def scene(seed: int, side: int) -> NDArray:
    """Simulated microscopy of recipes/scenes.py."""
    folder = str(HERE.parent / "recipes")
    if folder not in sys.path:
        sys.path.append(folder)
    import scenes

    return scenes.microscopy(side, np.random.default_rng([seed, 1515])).astype(np.float64)


def stripes(name: str, seed: int) -> Picture:
    """A moving average of five pixels along X, half the contrast of the picture; see family.py."""
    if name.startswith("kodak4/"):
        truth = imagecodecs.imread(str(data("natural") / f"{name}.png"))
        truth = truth if truth.ndim == 2 else truth @ np.array([0.299, 0.587, 0.114])
    else:
        from skimage import data as samples

        truth = getattr(samples, name)()
    truth = truth[:300, :384].astype(np.float32)
    # As family.py draws it, so that its numbers of structN2V are those of seed 0.
    white = np.random.default_rng(5 + seed).standard_normal((2, *truth.shape))[0]
    noise = filtered(white, KERNELS["stripes"])
    noisy = (truth + 0.5 * truth.std() * noise).astype(np.float32)
    return Picture(noisy, truth, float(np.ptp(truth)), KERNELS["stripes"])


def photograph(name: str, seed: int) -> Picture:
    """A photograph of a camera's JPEG pipeline."""
    return Picture(*read(name), 255.0)


def microscope(name: str, seed: int) -> Picture:
    """A real image whose file was stretched by itself."""
    return Picture(*read(name), None)


@dataclass(frozen=True)
class Row:
    """A row of the table: what it is called, the names of its halves, and how one is loaded."""

    title: str
    halves: dict[str, tuple[str, ...]]
    load: Callable[[str, int], Picture]


def _w2s(*fields: str) -> tuple[str, ...]:
    return tuple(f"w2s/{field}_{dye}" for field in fields for dye in range(3))


def _sidd(*scenes: int) -> tuple[str, ...]:
    return tuple(f"photo_sidd/{scene}_{n}" for scene in scenes for n in (5, 21))


def _of(group: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{group}/{name}" for name in names)


FMD = _of("fmd", *(f"confocal_BPAE_{dye}_fov1" for dye in "BGR"))
ROWS: dict[str, Row] = {
    "widefield": Row(
        "synthetic widefield, lag-1 0.6",
        {
            "report": FMD,
            "dev": ("w2s/005_0", "w2s/009_2", "w2s/013_1", "scene/0", "scene/1", "cell"),
        },
        widefield,
    ),
    "stripes": Row(
        "stripes, lag 5 along X",
        {"report": ("coins", "camera"), "dev": ("kodak4/kodim01", "kodak4/kodim07")},
        stripes,
    ),
    "sidd": Row(
        "SIDD, plain PSNR",
        {"report": _sidd(5, 6, 7, 8), "dev": _sidd(1, 2, 3, 4)},
        photograph,
    ),
    # In the order of the alphabet: two of CC15 and three of PolyU for development, then the rest.
    "cc15": Row(
        "CC15, plain PSNR",
        {
            "report": _of("photo_cc15", "d800_iso3200_1", "d800_iso6400_2"),
            "dev": _of("photo_cc15", "5dmark3_iso3200_1", "d600_iso3200_2"),
        },
        photograph,
    ),
    "polyu": Row(
        "PolyU, plain PSNR",
        {
            "report": _of(
                "photo_polyu",
                "Canon80D_8_8_800_GO_11",
                "NikonD800_5_100_4000_flower_2",
                "Sony_3-5_200_1600_classroom_14",
            ),
            "dev": _of(
                "photo_polyu",
                "Canon5D2_5_160_3200_chair_11",
                "Canon5D2_5_160_6400_reciever_4",
                "Canon600D_4-5_125_1600_toy_16",
            ),
        },
        photograph,
    ),
    "confocal": Row(
        "FMD fov1, GigaDB",
        {"report": FMD + _of("gigadb", "actin-60x-noise1", "membrane"), "dev": ()},
        microscope,
    ),
    "w2s": Row(
        "W2S",
        {"report": _w2s("002", "007", "011", "015"), "dev": _w2s("001", "005", "009", "013")},
        microscope,
    ),
}
MADE = ("widefield", "stripes")
"""Rows whose noise is synthetic."""


def specs(rows: list[str], half: str, seeds: list[int], only: list[str] | None) -> list[Spec]:
    """All pictures of rows, one seed after the other."""
    return [
        Spec(row, name, seed)
        for seed in seeds
        for row in rows
        for name in ROWS[row].halves[half]
        if not only or any(part in name for part in only)
    ]


def load(spec: Spec, *, side: int | None = None) -> Picture:
    """The picture, or the middle of it."""
    picture = ROWS[spec.row].load(spec.name, spec.seed)
    if side is None:
        return picture
    top, left = ((max(n - side, 0) // 2) for n in picture.truth.shape[:2])
    part = np.s_[top : top + side, left : left + side]
    cropped = partial(Picture, peak=picture.peak, kernel=picture.kernel)
    return cropped(picture.noisy[part], picture.truth[part])
