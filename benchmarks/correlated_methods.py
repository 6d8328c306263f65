"""What correlated.py compares: methods of ours, and baselines that are told the noise.

Every method takes a `Picture` and a seed and gives a clean image. The best blur is chosen with the
truth. The Wiener filter and BM3D know the spectrum of the noise: from the filter that made it, or,
of real images, from the residual of the truth, which no user could have.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

import oracle
import peer
import unnoise
from correlated_pictures import MADE, ROWS, Picture
from unnoise.api import train
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import VarianceCurve
from unnoise.training.instant import VstCalibration, with_stabilizer
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

SIGMAS = np.geomspace(0.3, 8, 48)
"""Widths of the best blur."""
LAGS = 6
"""Largest lag of the noise of real images that the Wiener filter and BM3D are told."""
RANGES = 16
"""Ranges of signal of `residual_curve`."""
SMOOTH = 2.0
"""Width over which the Wiener filter averages the power of the picture, in coefficients."""
FLOOR = 0.0
"""Least gain of the Wiener filter."""
BLEND = 0.7
"""Width of the blur that blends the shuffled phases."""
CORRELATED = ("widefield", "stripes", "sidd", "cc15", "polyu")


def blurred(picture: Picture, sigma: float) -> NDArray:
    """A Gaussian blur of the planes."""
    width = (sigma, sigma, 0)[: picture.noisy.ndim]
    return ndimage.gaussian_filter(picture.noisy.astype(np.float64), width)


def best_blur(picture: Picture, seed: int) -> NDArray:
    """The Gaussian blur with the highest PSNR."""
    results = (blurred(picture, sigma) for sigma in SIGMAS)
    return max(results, key=picture.psnr)


def ours(method: str, **options: float) -> Callable[[Picture, int], NDArray]:
    """A method of the package by the public calls, averaged over symmetries."""

    def work(picture: Picture, seed: int) -> NDArray:
        seeded = None if method == "gaussian" else seed
        model = train(picture.noisy, method=method, seed=seeded, device="cpu", **options)
        return model.predict(picture.noisy, dtype=np.float64, tta=True, device="cpu")

    return work


def auto(picture: Picture, seed: int) -> NDArray:
    """What `unnoise denoise` gives without options."""
    return np.asarray(unnoise.denoise(picture.noisy, seed=seed, device="cpu"))


def structn2v(picture: Picture, seed: int) -> NDArray:
    """structN2V with the mask of these stripes, for a minute of one thread."""
    config = Config.preset(method="structn2v").replace(mask={"struct": "horizontal:9"})
    images, cpu = [Image.from_array(picture.noisy)], torch.device("cpu")
    planned = plan(images, config.with_budget(1.0, seed=seed))
    run = TrainingRun(images, planned, cpu, clock=time.process_time)
    for _ in run:
        pass
    return predict_array(run.model(), picture.noisy, dtype=np.float64, tta=True, device="cpu")


def shuffled(picture: Picture, seed: int) -> NDArray:
    """Stride-2 shuffling with blending (PD-denoising; Zhou et al., AAAI 2020).

    Noise that is correlated between neighbours is less so between every second pixel. Each of the
    four phases is denoised by `instant`, put back into place, and the seams are blended by a slight
    blur.
    """
    noisy = picture.noisy
    axes = "YXC" if noisy.ndim == 3 else "YX"
    phases = [(slice(y, None, 2), slice(x, None, 2)) for y in (0, 1) for x in (0, 1)]
    parts = [np.ascontiguousarray(noisy[at]) for at in phases]
    model = train(parts, axes=axes, method="instant", seed=seed, device="cpu")
    result = np.empty(noisy.shape, np.float64)
    for at, part in zip(phases, parts, strict=True):
        result[at] = model.predict(part, axes=axes, dtype=np.float64, tta=True, device="cpu")
    return ndimage.gaussian_filter(result, (BLEND, BLEND, 0)[: noisy.ndim])


@dataclass(frozen=True)
class Known:
    """What an oracle knows of the noise of a plane: variance ``A v + B``, and its autocorrelation.

    `rho` has odd sides and 1 in its centre.
    """

    line: tuple[float, float]
    rho: NDArray[np.float64]

    def variance(self, signal: NDArray) -> NDArray:
        """At a signal in units of the noisy image."""
        a, b = self.line
        # a line may cross zero below the darkest pixels
        return np.maximum(a * signal + b, 1e-2 * max(a * float(signal.mean()) + b, 1e-12))

    def power(self, frequencies: tuple[NDArray, NDArray]) -> NDArray:
        """Power at frequencies in cycles a pixel, along Y and X; its mean is 1."""
        ry, rx = (n // 2 for n in self.rho.shape)
        y, x = np.arange(-ry, ry + 1), np.arange(-rx, rx + 1)
        fy, fx = frequencies
        wave_y, wave_x = np.exp(2j * np.pi * np.outer(fy, y)), np.exp(2j * np.pi * np.outer(x, fx))
        return np.maximum((wave_y @ self.rho @ wave_x).real, 1e-3)


def known(noisy: NDArray, truth: NDArray, kernel: NDArray | None) -> Known:
    """The noise of a plane, from its filter or from the residual of the truth."""
    line = oracle.line(noisy, truth)
    if kernel is not None:
        energy = signal.correlate2d(kernel, kernel)
        return Known(line, energy / energy.max())
    slope, offset = np.polyfit(truth.ravel(), noisy.ravel(), 1)
    clean = slope * truth + offset
    residual = (noisy - clean) / np.sqrt(Known(line, np.ones((1, 1))).variance(clean))
    residual -= ndimage.uniform_filter(residual, 33)  # what drifts is no noise
    whole = np.fft.fftshift(np.fft.ifft2(np.abs(np.fft.fft2(residual)) ** 2).real)
    y, x = (n // 2 for n in whole.shape)
    rho = whole[y - LAGS : y + LAGS + 1, x - LAGS : x + LAGS + 1] / whole[y, x]
    taper = 1 - np.abs(np.arange(-LAGS, LAGS + 1)) / (LAGS + 1)
    return Known(line, rho * np.sqrt(np.outer(taper, taper)))


def planes(work: Callable[[NDArray, Known], NDArray]) -> Callable[[Picture, int], NDArray]:
    """A method that is told the noise, channel by channel."""

    def every(picture: Picture, seed: int) -> NDArray:
        found = [work(x, known(x, t, picture.kernel)) for x, t in picture.channels()]
        return found[0] if picture.noisy.ndim == 2 else np.stack(found, -1)

    return every


def wiener(x: NDArray, noise: Known) -> NDArray:
    """The empirical Wiener filter of the whole plane: ``max(1 - N / P, floor)``.

    P is the power of the noisy plane, averaged over neighbouring frequencies. Cosines instead of
    waves: the borders are mirrored.
    """
    mean = x.mean()
    coefficients = fft.dctn(x - mean, norm="ortho")
    frequencies = tuple(np.arange(n) / (2 * n) for n in x.shape)
    level = float(noise.variance(x).mean()) * noise.power(frequencies)
    power = ndimage.gaussian_filter(coefficients**2, SMOOTH, mode="mirror")
    gain = np.maximum(1 - level / np.maximum(power, 1e-30), FLOOR)
    return fft.idctn(gain * coefficients, norm="ortho") + mean


def bm3d(x: NDArray, noise: Known) -> NDArray:
    """BM3D told the spectrum, behind the transform of the variance line."""
    spectrum = noise.power(tuple(np.fft.fftfreq(n) for n in x.shape))
    line = [f"{v:.9f}" for v in noise.line]
    job = {"image": x, "spectrum": spectrum}
    return peer.call("bm3d", "bm3d_spectrum.py", job, "--line", *line)[0]["image"]


def vst_bm3d(how: str) -> Callable[[Picture, int], NDArray]:
    """VST-BM3D for white noise with the measured line, or with that of an oracle; see real.py."""

    def work(picture: Picture, seed: int) -> NDArray:
        if how == "oracle":
            line = oracle.line(picture.noisy, picture.truth)
        else:
            curve = unnoise.inspect(picture.noisy).channels[0].curve
            if curve is None:
                return picture.noisy
            line = (curve.gain, curve.intercept) if curve.is_signal_dependent else (0, curve.level)
        words = [f"{v:.9f}" for v in line]
        job = {"image": picture.noisy}
        return peer.call("bm3d", "bm3d_denoise.py", job, "--line", *words)[0]["image"]

    return work


def residual_curve(noisy: NDArray, truth: NDArray) -> VarianceCurve:
    """The variance of the residual of the truth, by ranges of signal.

    It is constant beyond them: a line that goes on below the darkest signal reaches zero, and then
    the transform blows up what noise has made darker.
    """
    slope, offset = np.polyfit(truth.ravel(), noisy.ravel(), 1)
    clean = (slope * truth + offset).ravel()
    parts = np.array_split(np.argsort(clean, kind="stable"), RANGES)
    residual = noisy.ravel() - clean
    signals = np.array([clean[part].mean() for part in parts])
    variances = np.array([residual[part].var() for part in parts])
    # ranges of one value (dark pixels of integer truths) are one knot
    knots = np.maximum.accumulate(signals + 1e-6 * np.arange(RANGES))
    return VarianceCurve(knots=knots, variances=np.maximum(variances, 1e-6))


def instant_told(picture: Picture, seed: int) -> NDArray:
    """`instant` where the noise is known and not measured: what better measuring could gain."""
    found = [known(x, t, picture.kernel) for x, t in picture.channels()]
    curves = tuple(residual_curve(x, t) for x, t in picture.channels())
    shapes = tuple(noise.rho for noise in found)
    error = (0.01,) * len(found)
    noise = ImageNoise(curves, error, correlated=("Y", "X"), autocorrelation=shapes)
    images, cpu = [Image.from_array(picture.noisy)], torch.device("cpu")
    config = Config.of_method(None, "instant").with_budget(None, None, seed)
    model = with_stabilizer(replace(plan(images, config), noise=noise), images)
    run = VstCalibration(images, model, cpu)
    for _ in run:
        pass
    return predict_array(run.model(), picture.noisy, dtype=np.float64, tta=True, device="cpu")


@dataclass(frozen=True)
class Method:
    """How an image is made clean; by whom, and for which rows.

    Attributes
    ----------
    title : str
        For people.
    group : str
        ``classic``, ``instant``, ``peers`` or ``slow``.
    work : callable
    rows : tuple of str
    is_ours : bool
        Whether the result depends on the code and the weights of the package.
    """

    title: str
    group: str
    work: Callable[[Picture, int], NDArray]
    rows: tuple[str, ...] = tuple(ROWS)
    is_ours: bool = False

    def seeded(self, row: str) -> bool:
        """Whether seeds differ: the noise is made, or the method draws numbers."""
        return row in MADE or (self.is_ours and self.group != "classic")


METHODS: dict[str, Method] = {
    "noisy": Method("noisy", "classic", lambda p, s: p.noisy),
    "blur": Method("best blur, truth known", "classic", best_blur),
    "gaussian": Method("blur, J-invariant", "classic", ours("gaussian")),
    "wiener": Method("Wiener, spectrum known", "classic", planes(wiener), CORRELATED),
    "instant": Method("**instant**", "instant", ours("instant"), is_ours=True),
    "told": Method("instant, noise known", "told", instant_told, CORRELATED, is_ours=True),
    "shuffled": Method("stride-2 shuffling", "shuffled", shuffled, CORRELATED, is_ours=True),
    "bm3d": Method("BM3D, spectrum known", "peers", planes(bm3d), CORRELATED),
    "vst_bm3d": Method("VST-BM3D", "peers", vst_bm3d("measured"), ("confocal", "w2s")),
    "vst_bm3d_oracle": Method(
        "VST-BM3D, oracle line", "peers", vst_bm3d("oracle"), ("confocal", "w2s")
    ),
    "structn2v": Method("structN2V", "slow", structn2v, ("stripes",), is_ours=True),
    "auto": Method("**auto**", "slow", auto, is_ours=True),
}
GROUPS = tuple(dict.fromkeys(method.group for method in METHODS.values()))
