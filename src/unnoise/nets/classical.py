"""Classic denoisers behind the interface of a net, and what their parameters cost in error.

A `Filter` holds the parameters of a library's filter as buffers, so that they are saved, loaded
and applied like the weights of a net. They are chosen without a clean image: a prediction that
does not see the pixel it predicts has the same error against the noisy image as against the clean
one, up to a constant (J-invariance; Batson and Royer, ICML 2019). `risk` is that error and
`candidates` are the parameters worth trying; the best are those of least risk::

    best = min(candidates("tv", planes), key=lambda p: sum(risk("tv", x, p) for x in planes))

The filters see values with mean 0 and standard deviation 1, as nets do. bm3d is free for
noncommercial use only, and so no dependency of unnoise.
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unnoise.errors import InputError
from unnoise.images.quiet import quiet
from unnoise.images.robust_sigma import noise_sigma

Plane = NDArray[np.float64]  # one channel, shape (y, x) or (z, y, x), normalised


@dataclass(frozen=True)
class Entry:
    """What `FILTERS` knows of a filter.

    Attributes
    ----------
    run : callable
        The filter: a plane and the parameters by name to the clean plane.
    values : callable
        The values to try of every parameter, by name, for noise of a standard deviation.
    n_masks : int
        How many sparse grids of pixels of a plane `risk` hides, one run of the filter for each, a
        quarter in stacks. All candidates on 256 x 256 pixels take 5 s at most, of bm3d 11 to 25.
    bytes_per_pixel : float
        Memory of a run beyond its input and output.
    reach : callable or None
        How far in pixels an output looks, by number of dimensions and parameters; None if at the
        whole plane.
    package : tuple of str or None
        The module it needs beyond scikit-image, and the name to install that by.
    """

    run: Callable[..., Plane]
    values: Callable[[float], dict[str, list[float]]]
    n_masks: int
    bytes_per_pixel: float
    reach: Callable[[int, Mapping[str, float]], int] | None = None
    package: tuple[str, str] | None = None


def _gaussian(x: Plane, *, sigma: float) -> Plane:
    from skimage.filters import gaussian

    # The default border "nearest" would weigh the outermost pixels by the whole outside.
    return np.asarray(gaussian(x, sigma, mode="reflect", truncate=4, preserve_range=True))  # type: ignore[no-untyped-call]


NLM_PATCH = {2: (5, 6), 3: (3, 3)}
"""Side of the patches and how far to look for their like: 169 and 343 places."""


def _nlm(x: Plane, *, h: float, sigma: float) -> Plane:
    from skimage.restoration import denoise_nl_means

    size, distance = NLM_PATCH[x.ndim]
    y = denoise_nl_means(x, size, distance, h=h, sigma=sigma, fast_mode=True, preserve_range=True)
    return np.asarray(y).reshape(x.shape)  # it drops dimensions of one pixel


def _tv(x: Plane, *, weight: float) -> Plane:
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(x, weight))  # type: ignore[no-untyped-call]


SHIFTS = {2: 4, 3: 2}
"""Shifts per dimension over which the wavelet filter is averaged."""


def _wavelet(x: Plane, *, sigma: float) -> Plane:
    """BayesShrink with Haar wavelets, averaged over shifts (Coifman and Donoho, 1995).

    The average is worth 2 dB on the camera man in noise of half his contrast. It is written out
    because cycle_spin names its workers differently from version to version.
    """
    from skimage.restoration import denoise_wavelet

    axes = tuple(range(x.ndim))
    total: Plane = np.zeros_like(x)
    with quiet(UserWarning):  # one pixel along a dimension has no wavelets, and is left alone
        for shift in itertools.product(range(SHIFTS[x.ndim]), repeat=x.ndim):
            shifted = np.roll(x, shift, axes)
            clean = denoise_wavelet(shifted, sigma=sigma, wavelet="db1", method="BayesShrink")
            total += np.roll(clean, tuple(-s for s in shift), axes)
    total /= SHIFTS[x.ndim] ** x.ndim
    return total


def _bm3d(x: Plane, *, sigma: float) -> Plane:
    # Its blocks have 8 pixels a side and it cannot place them in smaller planes.
    pads = [(0, max(16 - n, 0)) for n in x.shape]
    clean = importlib.import_module("bm3d").bm3d(np.pad(x, pads, "symmetric"), sigma)
    return np.asarray(clean)[: x.shape[0], : x.shape[1]]


def _times(noise: float, low: float, high: float, n: int) -> list[float]:
    """Multiples of the noise, evenly spaced on a logarithmic scale."""
    return [float(v) for v in noise * np.geomspace(low, high, n)]


FILTERS: dict[str, Entry] = {
    "gaussian": Entry(
        run=_gaussian,
        values=lambda noise: {"sigma": _times(1, 0.4, 6, 12)},
        n_masks=16,
        bytes_per_pixel=53,
        reach=lambda ndim, values: int(4 * values["sigma"] + 0.5),
    ),
    "nlm": Entry(
        run=_nlm,
        values=lambda noise: {"h": _times(noise, 0.2, 1.6, 8), "sigma": [noise]},
        n_masks=8,
        bytes_per_pixel=64,
        reach=lambda ndim, values: NLM_PATCH[ndim][1] + NLM_PATCH[ndim][0] // 2,
    ),
    "tv": Entry(
        run=_tv,
        values=lambda noise: {"weight": _times(noise, 0.15, 6, 12)},
        n_masks=8,
        bytes_per_pixel=120,
    ),
    "wavelet": Entry(
        run=_wavelet,
        values=lambda noise: {"sigma": _times(noise, 0.4, 2, 8)},
        n_masks=8,
        bytes_per_pixel=72,
        package=("pywt", "PyWavelets"),
    ),
    "bm3d": Entry(
        run=_bm3d,
        values=lambda noise: {"sigma": _times(noise, 0.5, 1.6, 6)},
        n_masks=1,
        bytes_per_pixel=600,
        package=("bm3d", "bm3d"),
    ),
}


def entry(name: str) -> Entry:
    """The filter of a name, if it can run.

    Raises
    ------
    InputError
        If there is none of that name, or its package is not installed.
    """
    if name not in FILTERS:
        raise InputError(f"unknown filter '{name}'; choose one of {', '.join(FILTERS)}")
    found = FILTERS[name]
    if found.package is not None:
        module, distribution = found.package
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"the filter {name} needs the package {distribution}: pip install {distribution}"
            ) from error
    return found


class Filter(nn.Module):
    """A classic denoiser whose parameters are its weights.

    Parameters
    ----------
    name : str
        Name out of `FILTERS`.
    ndim : int
        Number of space dimensions, 2 or 3.

    Attributes
    ----------
    grid : tuple of int
        Per space dimension 1: shifting the input by a pixel shifts the output.
    radius : tuple of int
        Per space dimension, how far in pixels an output may look; 0 where `whole`.
    whole : bool
        Whether every output may look at the whole plane, which must then not be cut into tiles.

    Raises
    ------
    InputError
        As `entry` does.

    Examples
    --------
    >>> net = Filter("gaussian", 2)
    >>> _ = net.load_state_dict({"sigma": torch.tensor(1.5)})
    >>> net.values
    {'sigma': 1.5}
    >>> net.radius, net.whole, net(torch.zeros(1, 1, 37, 50)).shape
    ((6, 6), False, torch.Size([1, 1, 37, 50]))
    """

    def __init__(self, name: str, ndim: int) -> None:
        super().__init__()
        self.name, self.ndim = name, ndim
        self.entry = entry(name)
        self.grid = (1,) * ndim
        self.whole = self.entry.reach is None
        for key, values in self.entry.values(0.5).items():
            self.register_buffer(key, torch.tensor(values[len(values) // 2]))

    @property
    def values(self) -> dict[str, float]:
        """The parameters by name."""
        return {key: float(buffer) for key, buffer in self.named_buffers()}

    @property
    def radius(self) -> tuple[int, ...]:
        """Per space dimension, how far in pixels an output may look; 0 where `whole`."""
        reach = self.entry.reach
        return ((0 if reach is None else reach(self.ndim, self.values)),) * self.ndim

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Denoise planes of shape (b, c, *space), each on its own."""
        # In float32 the running sums of non-local means would lose the differences of patches.
        noisy = x.detach().cpu().double().numpy()
        clean = torch.empty(x.shape, dtype=torch.float32)
        for at in np.ndindex(*x.shape[:2]):  # the libraries take one plane at a time
            clean[at] = torch.from_numpy(self.entry.run(noisy[at], **self.values))
        return clean.to(x.device)

    def memory(self) -> float:
        """Bytes per input pixel, an upper estimate: input and output in 12, and the run's own."""
        return 12 + self.entry.bytes_per_pixel


def noise_level(planes: Sequence[NDArray]) -> float:
    """Standard deviation of white noise in the planes, shape (y, x) or (z, y, x): their median.

    At least 1e-3, so that a clean image has candidates, too.
    """
    return max(float(np.median([noise_sigma(plane) for plane in planes])), 1e-3)


def candidates(name: str, planes: Sequence[NDArray]) -> list[dict[str, float]]:
    """The parameters worth trying on an image.

    Parameters
    ----------
    name : str
        Name out of `FILTERS`.
    planes : sequence of ndarray
        Some noisy planes, shape (y, x) or (z, y, x), normalised.

    Returns
    -------
    list of dict
        Parameters by name, in the order from weak to strong.

    Raises
    ------
    InputError
        As `entry` does.

    Examples
    --------
    >>> [round(p["sigma"], 2) for p in candidates("gaussian", [np.zeros((8, 8))])][:4]
    [0.4, 0.51, 0.65, 0.84]
    """
    values = entry(name).values(noise_level(planes))
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def risk(
    name: str,
    plane: NDArray,
    parameters: Mapping[str, float],
    used: NDArray[np.bool_] | None = None,
    planes: int = 1,
    *,
    stride: int = 4,
) -> float:
    """Self-supervised error of a filter: that of predicting pixels it was not shown.

    Every `stride`-th pixel along each dimension is replaced by the mean of its neighbours, the
    filter runs, and its output there is compared with the noisy values: the error of the
    prediction plus the variance of the noise, if that is independent from pixel to pixel (Batson
    and Royer, Noise2Self: Blind Denoising by Self-Supervision, ICML 2019).

    Parameters
    ----------
    name : str
        Name out of `FILTERS`.
    plane : ndarray
        Noisy plane, shape (y, x) or (z, y, x), normalised.
    parameters : mapping
        Parameters by name.
    used : ndarray of bool, optional
        Of the shape of the plane, pixels at which the error counts; by default all.
    planes : int
        Among so many planes the runs of the filter are shared out.
    stride : int
        Distance of the hidden pixels.

    Returns
    -------
    float
        Mean squared error on the hidden pixels, NaN where none of them counts. Which those are
        depends on the shape of the plane alone, so that differences between parameters are known
        far better than the risk itself.

    Raises
    ------
    InputError
        As `entry` does.

    Notes
    -----
    The prediction misses the pixel itself, which matters the more the weaker the noise: with noise
    of 0.3 standard deviations of the image and more, the parameters of least risk were in most
    cases within 0.5 dB of the best and at worst 1.3 dB; with 0.1, too strong by up to 4 dB.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(size=(64, 64))  # nothing but noise
    >>> weak, strong = (risk("gaussian", noisy, {"sigma": s}) for s in (0.4, 6))
    >>> strong < weak
    True
    """
    from skimage.restoration import denoise_invariant

    found = entry(name)
    steps = [min(stride, n) for n in plane.shape]
    starts = list(np.ndindex(*steps))
    # In fixed disorder: evenly spaced ones would all lie in odd columns. Stacks have more pixels.
    n = -(-found.n_masks // (planes if plane.ndim == 2 else 4 * planes))
    order = np.random.default_rng(0).permutation(len(starts))[:n]
    masks = [
        tuple(slice(a, None, step) for a, step in zip(starts[i], steps, strict=True)) for i in order
    ]
    x = np.asarray(plane, np.float64)
    y = denoise_invariant(  # type: ignore[no-untyped-call]
        x, found.run, masks=masks, denoiser_kwargs=dict(parameters)
    )
    errors = [((y[mask] - x[mask]) ** 2).ravel() for mask in masks]
    if used is not None:
        errors = [error[used[mask].ravel()] for error, mask in zip(errors, masks, strict=True)]
    counted = np.concatenate(errors)
    return float(counted.mean()) if counted.size else math.nan
