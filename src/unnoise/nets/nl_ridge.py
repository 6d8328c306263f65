"""NL-Ridge, a closed-form denoiser of Gaussian noise of a given level; torch only.

Patches that look alike are the columns of a matrix Y, and their clean versions are estimated by
weighted means of them, Y Theta. The weights of least risk come from a ridge regression: twice, of
the noisy patches by Stein's unbiased risk estimate, and of those that the first pass has cleaned
(Herbreteau and Kervrann, Towards a unified view of unsupervised non-local methods for image
denoising: the NL-Ridge approach, ICIP 2022). The weights of a patch sum to 1, so a constant that is
added to the image is added to the result. There is nothing to learn, so it sees nothing but the
image itself.

The formulas ask that noise is independent from patch to patch and has one variance within them. So
where it is correlated between pixels (the paper knows white noise only), patches so near that they
share noise are no company, and the weights are found for each part of the spectrum of the patches:
what holds little noise is hardly averaged, what holds most of it strongly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unnoise.nets.gaussian_denoiser import FAR, lags

SEARCH = 18
"""How far from a patch its like are looked for: 37 x 37 places."""
STEP = 4
"""Distance of the patches whose like are looked for; all that are found are denoised."""
SIDES = (9, 7)
"""Side of the patches of the first and the second pass ..."""
COUNTS = (18, 56)
"""... and how many alike make a group. The paper changes both with the level of the noise; this one
choice lost 0.02 dB at most (4 development pictures at 10, 25 and 50 of 255). Even numbers, so that
solvers meet every matrix at a like place in memory: tiles give the same to the last bit."""
SIDES_CORRELATED = (13, 9)
"""The same for correlated noise, of which a patch holds less that is independent ..."""
PARTS = 3
"""... and parts of its spectrum with weights of their own, where noise is correlated along one axis
alone. On stripes over kodim07 and kodim01 one part has 27.7 and 24.5 dB, three have 28.1 and 25.5.
Where neighbours all around share noise, three lost 0.3 to 0.7 dB against one (simulated microscopy,
W2S, SIDD; `benchmarks/structured.py`)."""
SHARED = 0.05
"""Correlation from which two patches share noise."""
NEAR = 8
"""Up to this distance at all places, beyond at every second one along both: 0.4 of the places, for
-0.01 dB (12 development crops at 15, 25 and 50: -0.03 at 15, +0.02 at 50, where noise has a say in
the choice). Every fifth patch in the place of every fourth cost 0.04 then, 48 alike 0.02."""
GROUPS = 1024
"""Groups that are looked for, and those that are solved at once, for the sake of caches ..."""
SOLVED = 512
VARIES = 1.2
"""The noise of a group is at most this many times what it varies. That is less than its noise, as
its patches were chosen for being alike (a factor of 1 cost up to 0.3 dB); but without any bound,
noise that was believed to be 1.5 times as strong as it was cost 0.3 to 5 dB more."""
LAST = 1e30
"""Distance of what is taken last; patches that lie partly outside are infinitely far."""
ROUNDING, TINY = 1e-6, 1e-12
"""What keeps matrices invertible: a share of their trace, and the least noise of a patch."""


class NLRidge(nn.Module):
    """Removes white Gaussian noise of a given level from planes.

    Attributes
    ----------
    grid : tuple of int
        Shifting the input by it, in pixels, shifts the output.
    radius : tuple of int
        How far in pixels an output may look.
    told : bool
        It can be told a correlation.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 40).expand(1, 1, 30, 40)
    >>> noisy = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    >>> clean = NLRidge()(noisy, torch.tensor(0.1))
    >>> bool((clean - x).square().mean() < 0.1 * (noisy - x).square().mean())
    True
    """

    told = True

    def __init__(self) -> None:
        super().__init__()
        self.grid = (STEP,) * 2
        # Per pass: to another patch that covers a pixel, its centre of the search, the far end.
        self.radius = (sum(2 * SEARCH + side - 1 for side in SIDES_CORRELATED),) * 2

    @torch.no_grad()
    def forward(self, x: Tensor, sigma: Tensor, rho: Tensor | None = None) -> Tensor:
        """Denoise planes.

        Parameters
        ----------
        x : Tensor, shape (b, 1, y, x)
            Noisy planes, of any size.
        sigma : Tensor, shape ()
            Standard deviation of the noise, in the units of the planes.
        rho : Tensor, shape (b or 1, lags), optional
            Correlation of the noise at `unnoise.nets.gaussian_denoiser.lags`; white by default.

        Returns
        -------
        Tensor, shape (b, 1, y, x)
        """
        variance = float(sigma) ** 2
        rows = [None] * len(x) if rho is None else rho.cpu().expand(len(x), -1).unbind()
        # Solvers of linear systems are not everywhere on Apple's GPUs.
        planes = x.cpu() if x.device.type == "mps" else x
        clean = torch.empty_like(planes)
        for plane, result, row in zip(planes[:, 0], clean[:, 0], rows, strict=True):
            told = None if row is None or not row.any() else row
            pilot = _pass(plane, plane, variance, told, first=True)
            result.copy_(_pass(plane, pilot, variance, told, first=False))
        return clean.to(x.device)

    def memory(self) -> float:
        """Bytes per pixel, an upper estimate."""
        return 100.0


@dataclass(frozen=True)
class Spectrum:
    """Correlated noise of patches.

    Attributes
    ----------
    shared : tuple of (int, int)
        Shifts, but for none, to patches that share noise.
    parts : tuple of (Tensor, float)
        By part of their discrete cosine transform its rows, shape (numbers, pixels), and the mean
        variance of the noise in it, in units of that of a pixel.
    """

    shared: tuple[tuple[int, int], ...]
    parts: tuple[tuple[Tensor, float], ...]

    @classmethod
    def of(cls, rho: Tensor, side: int, like: Tensor) -> Spectrum:
        """From the correlation at `lags`, for patches of a side and the type of a plane."""
        known = torch.zeros(2 * side + 2 * FAR + 1, 2 * side + 2 * FAR + 1, dtype=torch.float64)
        middle = len(known) // 2
        known[middle, middle] = 1
        for (y, x), value in zip(lags(), rho.tolist(), strict=True):
            known[middle + y, middle + x] = known[middle - y, middle - x] = value
        shared = (known.abs() > SHARED).nonzero() - middle
        at = torch.arange(side, dtype=torch.float64)
        cosines = torch.cos(math.pi / side * (at + 0.5) * at[:, None]) * (2 / side) ** 0.5
        cosines[0] /= 2**0.5
        rows = torch.kron(cosines, cosines)
        place = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        apart = place[:, None] - place + middle
        covariance = known[apart[..., 0], apart[..., 1]]
        # A measured correlation may have a spectrum that is negative somewhere.
        power = ((rows @ covariance) * rows).sum(1).clamp(min=TINY)
        power = power / power.mean()
        along_one_axis = bool((shared == 0).all(0).any())
        order = power.round(decimals=9).argsort(stable=True)  # equal ones in the same order always
        parts = torch.tensor_split(order, PARTS if along_one_axis else 1)
        return cls(
            tuple((y, x) for y, x in shared.tolist() if (y, x) != (0, 0)),
            tuple((rows[part].to(like), float(power[part].mean())) for part in parts),
        )


def _pass(
    noisy: Tensor, pilot: Tensor, variance: float, rho: Tensor | None, *, first: bool
) -> Tensor:
    """Denoise all groups of patches that look alike in the pilot, and average their estimates."""
    side, count = (SIDES if rho is None else SIDES_CORRELATED)[not first], COUNTS[not first]
    spectrum = None if rho is None else Spectrum.of(rho, side, noisy)
    height, width = noisy.shape
    noisy, pilot = _filled(noisy, side), _filled(pilot, side)
    inside = torch.arange(side, device=noisy.device, dtype=torch.int32)
    inside = (inside[:, None] * noisy.shape[1] + inside).view(-1, 1)
    total, weights = torch.zeros_like(noisy).view(-1), torch.zeros_like(noisy).view(-1)
    for found in groups(pilot, side, count, spectrum.shared if spectrum else ()):
        for corners in torch.split(found.int(), SOLVED):
            at = corners[:, None] + inside  # (groups, pixels, patches)
            y = noisy.view(-1).index_select(0, at.view(-1)).view(at.shape)
            x = None if first else pilot.view(-1).index_select(0, at.view(-1)).view(at.shape)
            if spectrum is None:
                clean, norm = _estimated(y, x, variance)
            else:
                clean, norm = _by_parts(y, x, variance, spectrum)
            # The noise of an estimate has the variance of its pixels times the squared weights.
            weight = 1 / norm
            total.index_add_(0, at.view(-1), clean.mul_(weight).view(-1))
            weights.index_add_(0, corners.reshape(-1), weight.reshape(-1))
    weights = _covered(_covered(weights.view(noisy.shape), 0, side), 1, side)
    return (total.view(noisy.shape) / weights)[:height, :width]


def _estimated(y: Tensor, pilot: Tensor | None, variance: float) -> tuple[Tensor, Tensor]:
    """What `stein` gives, or `ridge` with a pilot."""
    return stein(y, variance) if pilot is None else ridge(y, pilot, variance)


def _by_parts(
    y: Tensor, pilot: Tensor | None, variance: float, spectrum: Spectrum
) -> tuple[Tensor, Tensor]:
    """The same for every part of the spectrum of patches, and the noise of the sum."""
    clean, norm = torch.zeros_like(y), y.new_zeros(len(y), 1, y.shape[2])
    for rows, power in spectrum.parts:
        into = rows.expand(len(y), -1, -1)
        x = None if pilot is None else into @ pilot
        found, squares = _estimated(into @ y, x, variance * power)
        clean += into.mT @ found
        norm += squares * (power * len(rows) / y.shape[1])
    return clean, norm


def _covered(x: Tensor, dim: int, side: int) -> Tensor:
    """Sums over all that lie less than a side before: what a pixel gets from patches there."""
    total = x.clone()
    for i in range(1, side):
        n = x.shape[dim] - i
        total.narrow(dim, i, n).add_(x.narrow(dim, 0, n))
    return total


def _filled(plane: Tensor, side: int) -> Tensor:
    """The plane with its last pixels repeated until patches on the grid cover it."""
    more = [max(side - n, 0) or (side - n) % STEP for n in reversed(plane.shape)]
    return F.pad(plane[None, None], (0, more[0], 0, more[1]), mode="replicate")[0, 0].contiguous()


def groups(
    plane: Tensor, side: int, count: int, shared: tuple[tuple[int, int], ...] = ()
) -> Iterator[Tensor]:
    """For every patch on the grid those around that look most like it, the patch itself included.

    Parameters
    ----------
    plane : Tensor, shape (y, x)
        A plane that patches on the grid cover.
    side : int
        Side of the patches.
    count : int
        How many are wanted; of a small plane all that there are in a corner at least.
    shared : tuple of (int, int)
        Shifts along y and x to patches that are taken where there are no others.

    Yields
    ------
    Tensor of int64, shape (patches on some rows of the grid, count)
        Places of their first pixels in the flat plane.
    """
    height, width = plane.shape
    rows, columns = ((n - side) // STEP + 1 for n in plane.shape)
    near = min(NEAR, SEARCH)
    count = min(count, math.prod(min(n - side, near) + 1 for n in plane.shape))
    # Patches that would lie partly outside are infinitely far.
    around = F.pad(plane, (SEARCH,) * 4, value=math.inf)
    place = torch.arange(height * width, device=plane.device).view(height, width)
    every = max(GROUPS // columns, 1)
    places = [(y, x) for y, *along in _searched() for x in range(along[0], along[1] + 1, along[2])]
    near_by = [i for i, shift in enumerate(places) if shift in shared]
    for row in range(0, rows, every):
        n = min(every, rows - row)
        top, tall = row * STEP, (n - 1) * STEP + side
        wanted = plane[top : top + tall]
        distances, shifts = list[Tensor](), list[int]()
        for dy, first, last, apart in _searched():
            others = around[top + SEARCH + dy : top + SEARCH + dy + tall, SEARCH + first :]
            others = others[:, : width + last - first].unfold(1, width, apart).transpose(0, 1)
            squares = (others - wanted).square_()
            distances.append(_sums(_sums(squares, 1, side, n), 2, side, columns))
            shifts += [dy * width + dx for dx in range(first, last + 1, apart)]
        distance = torch.cat(distances).view(len(shifts), -1)
        distance[near_by] += LAST
        distance[shifts.index(0)] = -1  # itself, also where all are alike
        nearest = distance.T.contiguous().topk(count, dim=1, largest=False, sorted=False).indices
        corner = place[top : top + (n - 1) * STEP + 1 : STEP, : (columns - 1) * STEP + 1 : STEP]
        yield corner.reshape(-1, 1) + torch.tensor(shifts, device=plane.device)[nearest]


def _searched() -> Iterator[tuple[int, int, int, int]]:
    """Where the like of a patch are looked for: a row of shifts, the first and the last along it,
    and how far they are apart. All that are near, and further away those of even numbers.
    """
    near, far = min(NEAR, SEARCH), SEARCH - SEARCH % 2
    for dy in range(-SEARCH, SEARCH + 1):
        if dy % 2 == 0:
            yield dy, -far, far, 2
        if abs(dy) <= near:
            odd = near - (1 - near % 2)
            yield (dy, -odd, odd, 2) if dy % 2 == 0 else (dy, -near, near, 1)


def _sums(x: Tensor, dim: int, side: int, n: int) -> Tensor:
    """Sums along a dimension over windows at every `STEP`: always in the same order."""
    x, span = x.movedim(dim, -1), (n - 1) * STEP + 1
    total = x[..., :span:STEP].clone()
    for i in range(1, side):
        total += x[..., i : i + span : STEP]
    return total.movedim(-1, dim)


def stein(y: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Groups of noisy patches, denoised by the weights of least estimated risk.

    The weights are ``Theta = I - n variance (Y^T Y)^-1``, here among those that sum to 1, for which
    Y may be taken less its mean patch.

    Parameters
    ----------
    y : Tensor, shape (groups, pixels, patches)
        Groups of noisy patches.
    variance : float
        Variance of the noise.

    Returns
    -------
    tuple of Tensor
        Clean patches, shape (groups, pixels, patches), and the sums of the squared weights of
        each, shape (groups, 1, patches).
    """
    pixels, patches = y.shape[1:]
    mean = y.mean(2, keepdim=True)
    y = y - mean
    gram = y.mT @ y
    noise = VARIES * _trace(gram) / max(patches - 1, 1)
    noise = noise.clamp(TINY, max(pixels * variance, TINY))
    return _weighted(y, mean, gram + noise / patches, noise)


def ridge(y: Tensor, pilot: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Groups of noisy patches, denoised by the weights of least risk if the pilot is the truth.

    The weights are ``Theta = (X^T X + n variance I)^-1 X^T X`` for the pilot X, here among those
    that sum to 1.

    Parameters
    ----------
    y, pilot : Tensor, shape (groups, pixels, patches)
        Groups of noisy patches, and what the first pass has made of them.
    variance : float
        Variance of the noise.

    Returns
    -------
    tuple of Tensor
        As `stein` does.
    """
    pixels = y.shape[1]
    mean = y.mean(2, keepdim=True)
    x = pilot - pilot.mean(2, keepdim=True)
    noise = y.new_full((1, 1, 1), max(pixels * variance, TINY))
    gram = x.mT @ x
    gram.diagonal(dim1=1, dim2=2).add_(noise[0])
    return _weighted(y - mean, mean, gram, noise)


def _weighted(y: Tensor, mean: Tensor, gram: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Patches of mean 0, weighted by ``I - noise gram^-1``, and their mean patch.

    All that sums to 1 lies in the mean: along it the Gram matrix must be the noise.
    """
    gram.diagonal(dim1=1, dim2=2).add_((ROUNDING * _trace(gram) + TINY)[:, :, 0])
    weights = torch.cholesky_inverse(torch.linalg.cholesky_ex(gram).L).mul_(-noise)
    weights.add_(1 / y.shape[2])  # of the mean, which patches of mean 0 do not see
    weights.diagonal(dim1=1, dim2=2).add_(1)
    return torch.baddbmm(mean, y, weights), weights.square().sum(1, keepdim=True)


def _trace(matrices: Tensor) -> Tensor:
    """The trace of each, shape (n, 1, 1)."""
    return matrices.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
