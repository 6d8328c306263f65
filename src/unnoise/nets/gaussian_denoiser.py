"""The denoiser of Gaussian noise of any level behind the method ``instant``; torch only.

A U-Net of residual blocks on 2x2 pixel-unshuffled input, told the noise level as one more channel
(FFDNet: Zhang, Zuo, Zhang, TIP 2018; DRUNet: Zhang et al., TPAMI 2021) and, by the gains and
offsets of its hidden maps (FiLM: Perez et al., AAAI 2018), how the noise of a pixel is correlated
with that of its neighbours. It has no biases, so it is homogeneous: an image twice as bright with
noise twice as strong gives twice the result (Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda, ICLR
2020). Levels it never met follow from those it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (48, 96, 160, 256)
"""Filters per level of the shipped net."""
BLOCKS = (1, 1, 1, 1)
"""Residual blocks per level of the shipped net on the way down, the deepest level last."""
UP = (1, 1, 0)
"""Residual blocks per level of the shipped net on the way up, the uppermost level first."""
NEAR, FAR = 3, 6
"""The net is told the correlation at all lags up to the first, and along Y and X up to the last."""
EMBEDDED = 64
"""Numbers that describe a correlation inside the net."""


def lags() -> list[tuple[int, int]]:
    """The lags (y, x) whose correlation the net is told: one of each pair of opposite ones.

    Examples
    --------
    >>> len(lags()), lags()[:4]
    (30, [(0, 1), (0, 2), (0, 3), (0, 4)])
    """
    row = [(0, x) for x in range(1, FAR + 1)]
    near = [(y, x) for y in range(1, NEAR + 1) for x in range(-NEAR, NEAR + 1)]
    return row + near + [(y, 0) for y in range(NEAR + 1, FAR + 1)]


def turned(rho: Tensor, turns: int, flip: bool) -> Tensor:
    """The correlation of an image that is flipped along X, if asked for, and turned afterwards.

    Parameters
    ----------
    rho : Tensor, shape (n, lags)
        Correlation at `lags`.
    turns : int
        Quarter turns, as for `torch.rot90` from Y to X.
    flip : bool
        Whether it is flipped before.

    Examples
    --------
    >>> along_x = torch.tensor([[float(y == 0) for y, x in lags()]])
    >>> turned(along_x, 1, False).equal(torch.tensor([[float(x == 0) for y, x in lags()]]))
    True
    """
    places = {lag: i for i, lag in enumerate(lags())}
    found = []
    for y, x in lags():
        for _ in range(turns % 4):  # a quarter turn back
            y, x = x, -y
        x = -x if flip else x
        found.append(places[y, x] if (y, x) in places else places[-y, -x])
    return rho[:, found]


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor, told: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Add what the two convolutions find, shape (b, width, y, x).

        Told gains and offsets of the hidden maps, shape (b, width, 1, 1), it looks otherwise.
        """
        if told is None:
            hidden = F.relu(self.first(x))
        else:
            gain, offset = told
            hidden = F.relu(self.first(x) + offset) * gain
        found: Tensor = self.second(hidden)
        return x + found


class CorrelationEmbedding(nn.Module):
    """Gains and offsets of hidden maps for a correlation; 1 and 0 for white noise, by design."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.first = nn.Linear(len(lags()), EMBEDDED)
        self.second = nn.Linear(EMBEDDED, 2 * sum(widths), bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, rho: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For every block its gains, and its offsets in units of the noise, shape (b, width, 1, 1).

        Parameters
        ----------
        rho : Tensor, shape (b or 1, lags)
            Correlation at `lags`.
        """
        white = torch.zeros_like(rho)
        embedded = F.silu(self.first(rho)) - F.silu(self.first(white))
        found = self.second(embedded)[..., None, None]
        pairs = iter(found.split([w for width in self.widths for w in (width, width)], 1))
        return ((1 + gain, offset) for gain, offset in zip(pairs, pairs, strict=True))


class GaussianNet(nn.Module):
    """Removes Gaussian noise of a given level and correlation from planes.

    Parameters
    ----------
    widths : sequence of int
        Filters per level.
    blocks, up : sequence of int
        Residual blocks per level on the way down, the deepest level included, and on the way up.
    told : bool
        Whether it can be told a correlation.

    Attributes
    ----------
    grid : tuple of int
        Shifting the input by it, in pixels, shifts the output.
    radius : tuple of int
        How far in pixels an output may look.

    Examples
    --------
    >>> net = GaussianNet()
    >>> x, sigma = torch.rand(1, 1, 37, 50), torch.tensor(0.1)
    >>> net(x, sigma).shape
    torch.Size([1, 1, 37, 50])
    >>> bool(torch.allclose(net(3 * x, 3 * sigma), 3 * net(x, sigma), rtol=1e-3, atol=1e-3))
    True
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        blocks: Sequence[int] = BLOCKS,
        up: Sequence[int] = UP,
        *,
        told: bool = True,
    ) -> None:
        super().__init__()

        def chain(level: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(Residual(widths[level]) for _ in range(count))

        levels = range(len(widths) - 1)
        self.stem = nn.Conv2d(5, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(chain(n, blocks[n]) for n in levels)
        self.pools = nn.ModuleList(
            nn.Conv2d(widths[n], widths[n + 1], 2, stride=2, bias=False) for n in levels
        )
        self.middle = chain(len(widths) - 1, blocks[-1])
        self.lifts = nn.ModuleList(
            nn.Conv2d(widths[n + 1], 4 * widths[n], 1, bias=False) for n in reversed(levels)
        )
        self.up = nn.ModuleList(chain(n, up[n]) for n in reversed(levels))
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1, bias=False)
        self.grid = (2 * 2 ** len(levels),) * 2
        self.radius = (_reach(blocks, up),) * 2
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, Residual):
                # Near the identity at first, so that depth does not multiply the signal.
                module.second.weight.data.mul_(0.2)
        self.head.weight.data.mul_(0.1)
        chains = [*self.down, self.middle, *self.up]
        hidden = [block.width for part in chains for block in part]
        self.told = CorrelationEmbedding(hidden) if told else None

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> GaussianNet:
        """A net of the shape of these weights: model folders keep those of their time."""

        def blocks(chain: str) -> int:
            return len(
                {n.removeprefix(chain).split(".")[1] for n in weights if n.startswith(chain)}
            )

        levels = sum(name.startswith("pools.") for name in weights)
        pools = [weights[f"pools.{n}.weight"] for n in range(levels)]
        return cls(
            widths=(len(weights["stem.weight"]), *map(len, pools)),
            blocks=(*(blocks(f"down.{n}") for n in range(levels)), blocks("middle")),
            up=[blocks(f"up.{n}") for n in reversed(range(levels))],
            told=any(name.startswith("told.") for name in weights),
        )

    def forward(self, x: Tensor, sigma: Tensor, rho: Tensor | None = None) -> Tensor:
        """Denoise planes.

        Parameters
        ----------
        x : Tensor, shape (b, 1, y, x)
            Noisy planes around 0, of any size.
        sigma : Tensor, shape () or (b, 1, 1, 1) or that of `x`
            Standard deviation of the noise, in the units of the planes; where it differs from pixel
            to pixel, a plane of it.
        rho : Tensor, shape (lags,) or (b, lags), optional
            Correlation of the noise at `lags`; by default the noise is white.

        Returns
        -------
        Tensor, shape (b, 1, y, x)
        """
        height, width = x.shape[2:]
        padding = [-n % g for n, g in zip((width, height), self.grid, strict=True)]
        noisy = F.pad(x, (0, padding[0], 0, padding[1]), mode="replicate") if any(padding) else x
        cells = F.pixel_unshuffle(noisy, 2)
        if sigma.ndim == 4 and sigma.shape[2:] == x.shape[2:]:
            sigma = F.pad(sigma, (0, padding[0], 0, padding[1]), mode="replicate")
            sigma = F.avg_pool2d(sigma, 2)
        else:
            sigma = sigma.reshape(-1, 1, 1, 1)
        level = sigma.expand(len(x), 1, *cells.shape[2:])
        told: Iterator[tuple[Tensor, Tensor]] | None = None
        if rho is not None:
            if self.told is None:
                raise ValueError("this net knows white noise only")
            told = self.told(rho.reshape(-1, rho.shape[-1]))

        def through(chain: nn.Module, h: Tensor) -> Tensor:
            assert isinstance(chain, nn.ModuleList)
            for block in chain:
                if told is None:
                    h = block(h)
                else:  # offsets are in units of the noise, so the net stays homogeneous
                    gain, offset = next(told)
                    side = sigma.shape[2] // h.shape[2]
                    here = F.avg_pool2d(sigma, side) if side > 1 else sigma
                    h = block(h, (gain, offset * here))
            return h

        h = self.stem(torch.cat([cells, level], 1))
        skips = []
        for down, pool in zip(self.down, self.pools, strict=True):
            h = through(down, h)
            skips.append(h)
            h = pool(h)
        h = through(self.middle, h)
        for lift, up in zip(self.lifts, self.up, strict=True):
            h = through(up, F.pixel_shuffle(lift(h), 2) + skips.pop())
        clean = noisy - F.pixel_shuffle(self.head(h), 2)
        return clean[..., :height, :width]

    def memory(self) -> float:
        """Bytes of activations per pixel in evaluation, an upper estimate."""
        return 4.0 * (4 * self.stem.out_channels / 4 + 12)


def _reach(blocks: Sequence[int], up: Sequence[int]) -> int:
    """How far in pixels an output looks: convolutions of every level in pixels of that level."""
    last = len(blocks) - 1
    cells = 2 + 2 * 2**last  # stem, head, and the cells that a position of a lower level covers
    for level, count in enumerate(blocks):
        cells += 2**level * 2 * (count + (up[level] if level < last else 0))
    return int(2 * cells + 1)
