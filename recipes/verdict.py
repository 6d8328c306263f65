"""The net that tells correlated noise from texture: simulated pictures, training, export.

    python recipes/verdict.py --photographs ../shared/data/natural/unsplash

Pictures are drawn from their numbers alone. Scenes: crops of photographs at several scales,
pictures of scikit-image, dead leaves, simulated microscopy. Half of them get correlated noise:
filtered by Gaussians, boxes, linear shifts, scans, random short kernels, demosaicing; enlarged with
the scene; whole lines; through JPEG. Strengths reach from 2.5 to 70 of 255, the same everywhere or
growing with the signal, before or after the scene was filtered. What `benchmarks/verdict.py` uses,
scenes and kernels, is left out. No picture of Berkeley's sets takes part, so the weights are free.
"""

from __future__ import annotations

import argparse
from dataclasses import astuple, dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import scenes
import skimage.data
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from unnoise.noise import noise_or_texture
from unnoise.noise.autocovariance import without_surface
from unnoise.noise.block_features import SCALES
from unnoise.noise.noise_or_texture import GROUPS, PAIRS, REACH, SIDE, measured, told

OUT = Path(noise_or_texture.__file__).with_suffix(".npz")
HELD_BACK = ("u22", "u23", "u24", "u25", "u26", "u27", "u28", "u29", "u30")
"""Photographs that no picture to learn from is cut from."""
SAMPLES = (
    *("camera", "coins", "moon", "page", "text", "clock", "immunohistochemistry", "coffee"),
    *("hubble_deep_field", "astronaut", "rocket", "retina", "colorwheel"),
)
SIDES, OFTEN = (64, 80, 96, 128, 192, 256, 384, 512), (6, 6, 8, 12, 14, 36, 10, 8)
HELD_BACK_BOXES = ((2, 2), (3, 3), (1, 3), (5, 1))
HIDDEN, NOISE = 96, 0.3
"""Width of the first layer, and noise on its inputs, which took a third of the errors away."""
WEAK, STRONG = 25.0, 70.0
"""Standard deviations of noise that is strongest."""
COMMON = [0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 12, 13, 10, 11]
"""How what both parts have in common changes places in the transposed picture."""


def smaller(picture: NDArray, by: int) -> NDArray:
    h, w = (n // by * by for n in picture.shape)
    return picture[:h, :w].reshape(h // by, by, w // by, by).mean((1, 3))


def crop(picture: NDArray, side: int, rng: np.random.Generator) -> NDArray:
    y, x = (rng.integers(0, max(n - side, 0) + 1) for n in picture.shape)
    return picture[y : y + side, x : x + side]


def scene(side: int, photographs: list[NDArray], rng: np.random.Generator) -> NDArray:
    """A clean picture from 0 to 255."""
    kind = rng.integers(12)
    if kind >= 8:  # fine texture all over: the hardest to tell from noise
        return texture(side, photographs, rng)
    if kind < 4:
        picture = photographs[rng.integers(len(photographs))][..., rng.integers(3)].astype(float)
        if kind < 2:
            picture = smaller(crop(picture, 4 * side, rng), int(rng.integers(2, 4)))
        elif kind == 2:
            zoom = rng.uniform(0.67, 1)
            picture = ndimage.gaussian_filter(crop(picture, 3 * side // 2 + 2, rng), 0.3 / zoom)
            picture = ndimage.zoom(picture, zoom, order=1)
        return crop(picture, side, rng)
    if kind == 4:
        return scenes.dead_leaves(side, rng).astype(float)
    if kind < 7:
        return scenes.microscopy(side, rng).astype(float)
    picture = getattr(skimage.data, SAMPLES[rng.integers(len(SAMPLES))])().astype(float)
    return crop(picture if picture.ndim == 2 else picture[..., rng.integers(3)], side, rng)


def texture(side: int, photographs: list[NDArray], rng: np.random.Generator) -> NDArray:
    """A scene with as much fine detail as there is: the busiest of some crops, made small."""
    if rng.random() < 0.1:
        return smaller(scenes.dead_leaves(2 * min(side, 128), rng).astype(float), 2)
    side, found = min(side, 256), []
    for _ in range(int(rng.integers(1, 7))):
        if rng.random() < 0.85:
            picture = photographs[rng.integers(len(photographs))][..., rng.integers(3)]
            by = int(rng.integers(1, 8))
        else:
            picture = getattr(skimage.data, SAMPLES[rng.integers(len(SAMPLES))])()
            picture = picture if picture.ndim == 2 else picture[..., rng.integers(3)]
            by = int(rng.integers(1, 3))
        small = smaller(crop(picture, side * by, rng).astype(float), by)
        detail = np.abs(np.diff(np.diff(small, axis=0), axis=1))
        found.append((float(np.median(detail)), small))
    picture = max(found, key=lambda one: one[0])[1]
    if rng.random() < 0.4:
        soft = ndimage.gaussian_filter(picture, rng.uniform(0.6, 1.2))
        picture = picture + rng.uniform(-0.5, 1.5) * (picture - soft)
    return picture


def gaussian(y: float, x: float) -> NDArray:
    t = np.arange(-4, 5)
    return np.outer(np.exp(-(t**2) / 2 / y**2), np.exp(-(t**2) / 2 / x**2))


def kernel(rng: np.random.Generator) -> NDArray:
    """A kernel of unit sum that correlates the next pixels by 0.15 to 0.85."""
    while True:
        kind = rng.integers(7)
        if kind < 2:
            y, x = rng.uniform(0.35, 1.2, 2)
            found = gaussian(y, y if rng.random() < 0.7 else x)
        elif kind == 2:
            y, x = rng.uniform(0, 0.5, 2) * (rng.random(2) < 0.8)
            found = np.outer([1 - y, y], [1 - x, x])
        elif kind == 3:
            size = tuple(int(n) for n in rng.integers(1, 6, 2))
            if (min(size) > 1 and size[0] * size[1] > 9) or size in HELD_BACK_BOXES:
                continue
            found = np.ones(size)
        elif kind == 4:
            keep = rng.uniform(0.15, 0.75)
            if abs(keep - 0.5) < 0.02:
                continue
            found = keep ** np.arange(20.0)[None]
            found = found if rng.random() < 0.6 else found.T
        elif kind == 5:
            half = rng.integers(0, 3, 2)
            y, x = np.mgrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
            fall = np.exp(-np.hypot(y, x) / rng.uniform(0.4, 1.2))
            found = fall * np.abs(rng.normal(0.8, 0.4, y.shape))
        else:
            mosaic = ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], [[0, 1, 0], [1, 4, 1], [0, 1, 0]])
            found = np.pad(np.array(mosaic[rng.integers(2)], float), 3)
            soft = ndimage.convolve(found, gaussian(0.5, 0.5) / gaussian(0.5, 0.5).sum())
            found = found + rng.uniform(-0.3, 0.8) * (soft - found)
        found = found / found.sum()
        if 0.15 <= nearest(of_kernel(found)) < 0.85:
            return found


def of_kernel(weights: NDArray) -> NDArray:
    """Autocorrelation of white noise filtered with a kernel."""
    power = np.abs(np.fft.fft2(weights, (64, 64))) ** 2
    return _middle(np.fft.ifft2(power).real)


def of_field(noise: NDArray) -> NDArray:
    """Autocorrelation of a field, measured."""
    return _middle(np.fft.ifft2(np.abs(np.fft.fft2(noise - noise.mean())) ** 2).real)


def _middle(covariance: NDArray) -> NDArray:
    shifted = np.fft.fftshift(covariance) / covariance[0, 0]
    y, x = (n // 2 for n in shifted.shape)
    return shifted[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1]


def nearest(rho: NDArray) -> float:
    return float(max(rho[REACH, REACH + 1], rho[REACH + 1, REACH]))


def spread(picture: NDArray, weights: NDArray) -> NDArray:
    odd = np.pad(weights, [(0, 1 - n % 2) for n in weights.shape])
    return ndimage.convolve(picture, odd, mode="reflect")


def noisy(
    clean: NDArray, rng: np.random.Generator, strongest: float
) -> tuple[NDArray, NDArray, NDArray]:
    """A noisy picture, its noise, and the autocorrelation of that."""
    chance, strength = rng.random(), float(np.exp(rng.uniform(np.log(2.5), np.log(strongest))))
    white = rng.standard_normal(clean.shape)
    shot = np.sqrt(0.1 + 0.9 * np.maximum(clean, 0) / max(clean.mean(), 1e-6))
    rho = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    rho[REACH, REACH] = 1
    if chance < 0.06:
        return _special(clean, strength, rng)
    if 0.52 < chance < 0.64:
        mean = np.exp(rng.uniform(np.log(0.2), np.log(300)))
        clean = np.maximum(clean, 0) / max(clean.mean(), 1e-6) * mean
        counts = rng.poisson(clean) + rng.normal(0, rng.uniform(0, 1.5) * (rng.random() < 0.3),
                                                 clean.shape)  # fmt: skip
        return counts, counts - clean, rho
    kind = rng.integers(3)
    noise = strength * (white if kind == 0 else white * shot)
    if chance < 0.52 or chance > 0.97:
        part = rng.uniform(0.05, 0.35)
        sharp = np.array([[0, -part, 0], [-part, 1 + 2 * part, -part], [0, -part, 0]])
        weights = kernel(rng) if chance < 0.52 else sharp / sharp.sum()
        noise = spread(noise, weights) / np.sqrt((weights**2).sum())
        clean = spread(clean, weights) if kind == 2 else clean
        rho = of_kernel(weights)
        if rng.random() < 0.15:
            part = rng.uniform(0.1, 0.5)
            noise = noise + rng.normal(0, np.sqrt(part / (1 - part) * noise.var()), noise.shape)
            rho = rho * (1 - part)
            rho[REACH, REACH] = 1
    if rng.random() < 0.15:
        y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in clean.shape), indexing="ij")
        noise = noise * np.sqrt(1 + rng.uniform(0, 3) * (y**2 + x**2))
    return clean + noise, noise, rho


def _special(
    clean: NDArray, strength: float, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Whole lines, noise enlarged with the picture, noise through JPEG."""
    kind = rng.integers(4)
    white = rng.standard_normal(clean.shape)
    if kind == 0:
        part = rng.uniform(0.2, 0.8)
        lines = rng.standard_normal((len(clean), 1))
        noise = strength * (np.sqrt(1 - part) * white + np.sqrt(part) * lines)
        rho = np.zeros((2 * REACH + 1, 2 * REACH + 1))
        rho[REACH] = part
        rho[REACH, REACH] = 1
        if rng.random() < 0.4:
            return clean.T + noise.T, noise.T, rho.T
        return clean + noise, noise, rho
    if kind < 3:
        by, order = rng.uniform(1.15, 2.2), int(rng.choice([1, 3]))
        small = ndimage.zoom(clean, 1 / by, order=1)
        noise = strength * ndimage.zoom(rng.standard_normal(small.shape), by, order=order)
        picture = ndimage.zoom(small, by, order=order) + noise
    else:
        soft = ndimage.gaussian_filter(white, rng.uniform(0.35, 0.8))
        eight = np.clip(clean + strength * soft / soft.std(), 0, 255).round().astype(np.uint8)
        stored = imagecodecs.jpeg_encode(eight, level=int(rng.integers(30, 96)))
        picture = imagecodecs.jpeg_decode(stored).astype(float)
        noise = picture - clean
    return picture, noise, of_field(noise)


@dataclass
class Table:
    """Pictures to learn from: features, truth, and the class: 1 correlated, 0 not, -1 between."""

    features: NDArray
    truth: NDArray
    kind: NDArray


def table(numbers: range, photographs: list[NDArray], *, fine: bool = False) -> Table:
    """Pictures of any kind, or those that are hardest: weak noise over fine texture."""
    features, truth, kind = [], [], []
    for number in numbers:
        rng = np.random.default_rng([29 if fine else 23, number])
        side = int(rng.choice(SIDES, p=np.array(OFTEN) / 100))
        clean = (texture if fine else scene)(side, photographs, rng)
        if rng.random() < 0.15:
            clean = clean * rng.uniform(0.1, 0.6) + rng.uniform(0, 120)
        if rng.random() < 0.1:
            clean = clean.max() - clean
        picture, noise, rho = noisy(clean, rng, WEAK if fine else STRONG)
        if rng.random() < 0.06:
            hot = rng.random(picture.shape) < 10 ** rng.uniform(-4.5, -3)
            picture = picture + hot * rng.uniform(20, 500)
        digits = rng.random()
        if digits < 0.55 and picture.std() > 3:
            picture = np.round(picture)
        if digits < 0.35:
            picture = np.clip(picture, 0, 255)
        found = measured(picture[None]) if min(picture.shape) >= 64 else None
        if found is None or not np.isfinite(found.features).all():
            continue
        near = nearest(rho)
        features.append(found.features)
        truth.append([*(rho[REACH + y, REACH + x] for y, x in told()), share(noise, found)])
        kind.append(-1 if rho.min() < -0.02 else 1 if near >= 0.15 else 0 if near <= 0.05 else -1)
    return Table(np.array(features), np.array(truth), np.array(kind))


def share(noise: NDArray, found: noise_or_texture.Measured) -> float:
    """Logarithm of the share of noise in the power of the calm blocks."""
    views = np.lib.stride_tricks.sliding_window_view(noise, (SIDE, SIDE))
    blocks = views[:: found.step, :: found.step].reshape(-1, SIDE * SIDE)
    blocks = without_surface(blocks - blocks.mean(1, keepdims=True), SIDE).reshape(-1, SIDE, SIDE)
    even = (blocks + blocks[:, ::-1, ::-1]) / 2
    power = [
        2 * (part[at] ** 2).mean((1, 2))
        for part, at in zip((even, blocks - even), found.calm, strict=True)
    ]
    return float(np.log(max(np.concatenate(power).mean() / found.power.mean(), 1e-6)))


def symmetries() -> list[tuple[NDArray, NDArray]]:
    """How features and lags change places in the transposed and in the mirrored picture."""
    found = []
    for transposed in (True, False):
        turned = [(x, y) if transposed else (y, -x) for y, x in told()]
        lags = np.array([told().index(max(lag, (-lag[0], -lag[1]))) for lag in turned])
        n, order = len(lags), []
        for _ in range(4):
            order += [*(len(order) + lags)]
        for _ in PAIRS:
            order += [*(len(order) + lags), len(order) + n, len(order) + n + 1]
            order += [*(len(order) + lags)]
        energies = [[0, 1, 3, 2]] * 3 + [[0, 2, 1]] + [COMMON] * 2
        for places in energies:
            order += [len(order) + p for p in (places if transposed else range(len(places)))]
        order += range(len(order), len(order) + 11)
        for by in SCALES:  # energies and what they have in common; places know no direction
            for same in ([[0, 1, 3, 2]] * len(GROUPS) + [COMMON]) * (by > 1):
                order += [len(order) + p for p in (same if transposed else range(len(same)))]
            order += range(len(order), len(order) + 4 * (len(GROUPS) - 1))
        found.append((np.array(order), lags))
    return found


def train(data: Table, members: int, epochs: int, path: Path) -> None:
    """Train the members of the ensemble one after the other, and export them."""
    lags, pairs = len(told()), len(PAIRS)
    mean, spread_ = data.features.mean(0), data.features.std(0) + 1e-3
    turns = symmetries()
    for order, _ in turns:
        mean, spread_ = (mean + mean[order]) / 2, (spread_ + spread_[order]) / 2
    first = 4 * lags
    cleaned = [first + i * (2 * lags + 2) + np.arange(lags) for i in range(pairs)]
    candidates = np.stack([*np.arange(first).reshape(4, lags), *cleaned])
    nets = []
    for member in range(members):
        torch.manual_seed(member)
        rng = np.random.default_rng(member)
        net = nn.Sequential(
            nn.Linear(data.features.shape[1], HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN // 2), nn.ReLU(), nn.Linear(HIDDEN // 2, lags + 9),
        )  # fmt: skip
        steps = epochs * len(data.kind) // 128
        optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.5)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 1)
        for _ in range(steps):
            at = rng.choice(len(data.kind), 128)
            x, y = data.features[at], data.truth[at].copy()
            for order, turned in turns:
                some = rng.random(len(at)) < 0.5
                x[some], y[some, :lags] = x[some][:, order], y[some][:, turned]
            z = torch.tensor(np.clip((x - mean) / spread_, -5, 5)).float()
            known = torch.tensor(x[:, candidates]).float()
            out = net(z + NOISE * torch.randn_like(z))
            loss = error(out, known, torch.tensor(y).float(), torch.tensor(data.kind[at]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        nets.append(net)
        print(f"member {member}: loss {loss.item():.3f}", flush=True)
    stored = {"mean": mean.astype(np.float32), "spread": spread_.astype(np.float32)}
    for place, name in ((0, "first"), (2, "second"), (4, "last")):
        for part, suffix in (("weight", ""), ("bias", "_bias")):
            values = [getattr(net[place], part).detach().numpy() for net in nets]
            stored[name + suffix] = np.stack(values).astype(np.float16)
    np.savez_compressed(path, **stored)


def error(
    out: torch.Tensor, candidates: torch.Tensor, truth: torch.Tensor, kind: torch.Tensor
) -> torch.Tensor:
    """Of the autocorrelation, the verdict, and the share of noise."""
    lags = candidates.shape[-1]
    gates = torch.softmax(out[:, lags + 2 :], 1)
    rho = (candidates * gates[..., None]).sum(1) + out[:, :lags]
    near = nn.functional.smooth_l1_loss(rho, truth[:, :lags], beta=0.03, reduction="none")
    weight = torch.where(kind == 0, 0.4, 1.0)[:, None]
    sure = kind >= 0
    verdict = nn.functional.binary_cross_entropy_with_logits(out[sure, lags], kind[sure].float())
    strength = nn.functional.smooth_l1_loss(out[:, lags + 1], truth[:, lags], beta=0.05)
    return 20 * (near * weight).mean() + verdict + 2 * strength


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=16000)
    parser.add_argument("--textures", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    paths = [p for p in sorted(asked.photographs.glob("*.jpg")) if p.stem not in HELD_BACK]
    photographs = [imagecodecs.imread(str(path)) for path in paths]
    every = table(range(asked.pictures), photographs)
    textures = table(range(asked.textures), photographs, fine=True)
    pairs = zip(astuple(every), astuple(textures), strict=True)
    data = Table(*(np.concatenate(pair) for pair in pairs))
    train(data, asked.members, asked.epochs, asked.out)


if __name__ == "__main__":
    main()
