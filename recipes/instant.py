"""Train the denoiser behind `instant`: Gaussian noise of any level and correlation, clean targets.

    python recipes/instant.py --hours 2 --photographs FOLDER
    python recipes/instant.py --hours 2 --photographs FOLDER --start    # from the shipped weights
    python recipes/instant.py --resume --photographs FOLDER   # go on where the last sitting ended
    python recipes/instant.py --export                        # weights into the package

Sources: a folder of clean photographs, those that scikit-image bundles (without `camera`, `coins`
and `cell`, which benchmarks report), dead leaves and simulated microscopy of `scenes.py`; with
--berkeley pictures of Berkeley's dataset, whose terms are for research. Levels are drawn between 3
and 400 of 255; half of the noise is white, half is correlated (`kernels.py`). The run stops at any
time (Ctrl-C) and goes on with --resume.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import imagecodecs
import numpy as np
import skimage
import torch
from kernels import autocorrelation, correlated
from numpy.typing import NDArray
from safetensors.torch import save_file
from scenes import dead_leaves, microscopy, warped
from scipy import ndimage
from skimage.transform import resize
from torch import Tensor, nn

from unnoise.nets import pretrained
from unnoise.nets.device import training_dtype
from unnoise.nets.gaussian_denoiser import BLOCKS, UP, WIDTHS, GaussianNet, lags

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "text.png", "moon.png",
)  # fmt: skip
"""Files that scikit-image bundles; `camera` and `coins` are reported on and stay out."""
SHARES = {
    "folder": 0.42, "berkeley": 0.3, "photographs": 0.1, "leaves": 0.1, "microscopy": 0.38,
}  # fmt: skip
"""How often a crop comes from each source, relative to those there are."""
FACTORS = (1.5, 2.0, 3.0, 4.0)
"""Photographs of the folder are made smaller: that takes compression and blur away."""
SIGMA = (3.0, 120.0, 400.0)
"""Least standard deviation of the noise, for an image of 0 to 255; greatest, and that of the very
strong noise of a tenth of the crops."""
WHITE = 0.55
"""Share of crops with white noise."""
MISMEASURED = 0.03
"""The correlation that the net is told is wrong by up to this standard deviation."""
N_SCENES = {"leaves": 300, "microscopy": 4000}
N_FIELDS = 3000
"""Fields of correlated noise."""
SCENE_SIDE = FIELD_SIDE = 192
STAGES = ((0.35, 8, 64), (0.8, 4, 96), (math.inf, 3, 128))
"""Up to which share of the run, crops in a batch and their side."""
PEAK = 255.0
HALF = training_dtype(torch.device("cpu")) == torch.bfloat16
"""Whether this processor computes with bfloat16."""
SHIPPED = Path(__file__).resolve().parents[1] / "src" / "unnoise" / "nets" / "pretrained"
Source = list[NDArray[np.floating]]


def sources(folder: Path | None, berkeley: Path | None, cache: Path) -> dict[str, Source]:
    """Clean images by source; simulated ones are kept in a file, since they take minutes."""
    found: dict[str, Source] = {"photographs": _photographs()}
    if folder is not None:
        found["folder"] = [smaller for path in _pictures(folder) for smaller in _pyramid(path)]
    if berkeley is not None:
        found["berkeley"] = [_grey(path) for path in _pictures(berkeley)]
    makers = {"leaves": dead_leaves, "microscopy": microscopy}
    for place, (name, make) in enumerate(makers.items()):
        path = cache / f"{name}.npy"
        if not path.exists():
            rngs = [np.random.default_rng([place, i]) for i in range(N_SCENES[name])]
            np.save(path, np.stack([make(SCENE_SIDE, rng) for rng in rngs]).astype(np.float16))
        found[name] = list(np.load(path))
    return found


def fields(cache: Path) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Fields of correlated noise and their autocorrelation, kept in a file."""
    path = cache / "fields.npz"
    if not path.exists():
        rngs = [np.random.default_rng([7, i]) for i in range(N_FIELDS)]
        noise, rho = zip(*(correlated(FIELD_SIDE, rng) for rng in rngs), strict=True)
        np.savez(path, noise=np.stack(noise).astype(np.float16), rho=np.stack(rho))
    with np.load(path) as kept:
        return kept["noise"], kept["rho"]


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg"))


def _pyramid(path: Path) -> Source:
    """A photograph in several sizes, as float16: 8-bit values are exact in it."""
    image = _grey(path)
    made = [resize(image, [round(n / f) for n in image.shape], anti_aliasing=True) for f in FACTORS]
    return [smaller.astype(np.float16) for smaller in made]


def _photographs() -> Source:
    folder = Path(skimage.__file__).parent / "data"
    return [_grey(folder / name) for name in PHOTOGRAPHS if (folder / name).exists()]


def _grey(path: Path) -> NDArray[np.float32]:
    image = imagecodecs.imread(str(path)).astype(np.float32)
    return image if image.ndim == 2 else image[..., :3] @ np.float32([0.299, 0.587, 0.114])


class Pool:
    """Clean crops, some smaller than they were taken, turned, with any contrast."""

    def __init__(self, found: dict[str, Source]) -> None:
        self.found = found
        self.names = list(found)
        shares = np.array([SHARES[name] for name in self.names])
        self.shares = shares / shares.sum()

    def batch(self, size: int, patch: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Crops, shape (size, 1, patch, patch), 0 to 255."""
        out = np.empty((size, 1, patch, patch), np.float32)
        for i in range(size):
            name = self.names[int(rng.choice(len(self.names), p=self.shares))]
            images = self.found[name]
            image = images[int(rng.integers(len(images)))]
            # Photographs are sharper when shown smaller; those of the folder already are.
            if name == "photographs":
                crop = warped(image, patch, rng)
            else:
                y, x = (int(rng.integers(n - patch + 1)) for n in image.shape)
                crop = image[y : y + patch, x : x + patch].astype(np.float32)
            if name == "microscopy":
                crop = crop * 10 ** rng.uniform(-0.7, 0)
            if rng.random() < 0.5:
                crop = crop[:, ::-1]
            out[i, 0] = np.rot90(crop, int(rng.integers(4)))
        return out


def noise_levels(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard deviations, shape (size, 1, 1, 1): most between 10 and 55, some anywhere."""
    low, high = (
        np.where(rng.random(size) < 0.6, 10.0, SIGMA[0]),
        np.where(rng.random(size) < 0.5, 55.0, SIGMA[1]),
    )
    strong = rng.random(size) < 0.1
    low, high = np.where(strong, 55.0, low), np.where(strong, SIGMA[2], high)
    drawn = np.exp(rng.uniform(np.log(low), np.log(high)))
    return drawn.astype(np.float32).reshape(-1, 1, 1, 1)


class Noise:
    """Noise of strength 1, white or correlated, and what the net is told of it."""

    def __init__(self, found: tuple[NDArray[np.float16], NDArray[np.float32]]) -> None:
        self.fields, self.rho = found

    def batch(
        self, size: int, patch: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Noise, shape (size, 1, patch, patch), and correlations, shape (size, lags)."""
        out = rng.standard_normal((size, 1, patch, patch), np.float32)
        told = np.zeros((size, len(lags())), np.float32)
        for i in range(size):
            if rng.random() >= WHITE:
                k = int(rng.integers(len(self.fields)))
                y, x = (int(rng.integers(n - patch + 1)) for n in self.fields.shape[1:])
                out[i, 0] = self.fields[k, y : y + patch, x : x + patch]
                if rng.random() < 0.5:  # a field turned upside down is another one, as likely
                    out[i, 0] = -out[i, 0, ::-1, ::-1]
                told[i] = self.rho[k]
            elif rng.random() < 0.8:  # what is found independent is told as such
                continue
            error = rng.uniform(0, MISMEASURED)
            told[i] = told[i] * rng.normal(1, error) + rng.normal(0, error, told.shape[1])
        return out, told


class Training:
    """The run: net, average, optimiser and how far it is."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.widths, self.blocks, self.up = (tuple(v) for v in (args.widths, args.blocks, args.up))
        self.net = GaussianNet(self.widths, self.blocks, self.up)
        if args.start:
            grow(self.net, pretrained.gaussian())
        self.net = self.net.to(memory_format=torch.channels_last)
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        self.hours, self.rate, self.seed = args.hours, args.rate, args.seed
        self.step, self.seconds, self.sittings = 0, 0.0, 0

    def advance(
        self, pool: Pool, noises: Noise, rng: np.random.Generator, fraction: float
    ) -> float:
        """One step; the loss weighs levels alike: squared errors grow like sigma ** 1.3."""
        rate = (
            self.rate * min(1.0, (self.step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * fraction))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        # Many small steps first, then larger batches, at last larger crops, nearer to whole images.
        size, patch = next((s, p) for until, s, p in STAGES if fraction < until)
        clean = torch.from_numpy(pool.batch(size, patch, rng)) / PEAK
        clean = clean - clean.mean((2, 3), keepdim=True)
        sigma = torch.from_numpy(noise_levels(size, rng)) / PEAK
        noise, rho = map(torch.from_numpy, noises.batch(size, patch, rng))
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            predicted = self.net(clean + sigma * noise, sigma, rho).float()
        weight = (sigma * PEAK / 25) ** -1.3
        loss = (weight * (predicted - clean) ** 2).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.2)
        self.optimizer.step()
        self.step += 1
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.net.parameters()), 1 - decay)
        return loss.item()

    def averaged(self) -> GaussianNet:
        """The net with the averaged weights."""
        net = GaussianNet(self.widths, self.blocks, self.up)
        with torch.no_grad():
            for mine, kept in zip(net.parameters(), self.average, strict=True):
                mine.copy_(kept)
        return net.eval()

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        state = {name: getattr(self, name) for name in STATE}
        parts = (self.net.state_dict(), self.average, self.optimizer.state_dict())
        state |= dict(zip(("net", "average", "optimizer"), parts, strict=True))
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    @classmethod
    def load(cls, path: Path, args: argparse.Namespace) -> Training:
        """Go on; --hours, where given, is the new length of the whole run."""
        state = torch.load(path, weights_only=True)
        args.widths, args.blocks, args.up = state["widths"], state["blocks"], state["up"]
        args.hours, args.rate = args.hours or state["hours"], args.rate or state["rate"]
        run = cls(args)
        run.net.load_state_dict(state["net"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.average = [weight.detach() for weight in state["average"]]
        run.seed, run.step, run.seconds = state["seed"], state["step"], state["seconds"]
        run.sittings = state["sittings"] + 1
        return run


STATE = ("widths", "blocks", "up", "hours", "rate", "seed", "step", "seconds", "sittings")


def grow(net: GaussianNet, weights: Mapping[str, Tensor]) -> None:
    """Start from a net with one level less, or from one of the same shape.

    The deepest level of the smaller net becomes the last but one, its last block that on the way
    down; the new level adds nothing at first.
    """
    wanted = net.state_dict()
    if any(name not in wanted or wanted[name].shape != w.shape for name, w in weights.items()):
        deep = len(net.pools) - 1
        last = max(int(name.split(".")[1]) for name in weights if name.startswith("middle."))
        found = {}
        for name, weight in weights.items():
            head, _, rest = name.partition(".")
            if head == "middle":
                if not rest.startswith(f"{last}."):
                    continue
                name = f"down.{deep}.0.{rest.split('.', 1)[1]}"
            elif head in ("lifts", "up"):
                place, _, rest = rest.partition(".")
                name = f"{head}.{int(place) + 1}.{rest}"
            found[name] = weight
        weights = found
        nn.init.zeros_(net.lifts[0].weight)
    net.load_state_dict(wanted | net.state_dict() | dict(weights))


def validate(net: GaussianNet, folder: Path, limit: int) -> list[float]:
    """Mean PSNR of the first pictures of a folder, noise neither clipped nor rounded.

    White noise of 15, 25, 50, 100, then noise of 25 that was blurred by a Gaussian of 0.7 pixels
    and by a kernel of 1x5 (none of training's).
    """
    scores = []
    fifth = np.array([1, 2, 3, 2, 1])[None] / np.sqrt(19)
    kinds = [(s, None) for s in (15.0, 25.0, 50.0, 100.0)] + [(25.0, 0.7), (25.0, fifth)]
    for sigma, kernel in kinds:
        found = []
        for i, path in enumerate(_pictures(folder)[:limit]):
            clean = _grey(path)[:256, :256]
            noise = np.random.default_rng([2, i]).standard_normal(clean.shape, np.float32)
            rho = None
            if kernel is not None:
                blur = ndimage.gaussian_filter if isinstance(kernel, float) else ndimage.convolve
                noise = blur(noise, kernel, mode="wrap")
                noise /= noise.std()
                large = blur(
                    np.random.default_rng(3).normal(size=(1024, 1024)), kernel, mode="wrap"
                )
                rho = torch.from_numpy(autocorrelation(large).astype(np.float32))
            x = torch.from_numpy(clean + np.float32(sigma) * noise)[None, None] / PEAK
            mean = x.mean()
            with torch.no_grad():
                y = (net(x - mean, torch.tensor(sigma / PEAK), rho) + mean) * PEAK
            found.append(10 * math.log10(PEAK**2 / float(((y[0, 0].numpy() - clean) ** 2).mean())))
        scores.append(float(np.mean(found)))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, help="length of the run (CPU hours of a thread)")
    parser.add_argument("--photographs", type=Path, help="folder of clean pictures")
    parser.add_argument("--berkeley", type=Path, help="folder of pictures of BSDS, for research")
    parser.add_argument("--start", action="store_true", help="begin with the shipped weights")
    parser.add_argument(
        "--validate", type=Path, help="folder of pictures to report on while it runs"
    )
    parser.add_argument("--folder", type=Path, default=Path("instant_run"))
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--blocks", type=int, nargs="+", default=BLOCKS)
    parser.add_argument("--up", type=int, nargs="+", default=UP)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export", action="store_true", help="write the weights into the package")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "state.pt"
    if args.export:
        weights = Training.load(path, args).averaged().state_dict()
        half = {k: v.half().contiguous() for k, v in weights.items()}
        save_file(half, SHIPPED / "gaussian.safetensors")
        print(
            f"{SHIPPED / 'gaussian.safetensors'}: {sum(v.numel() for v in half.values())} weights"
        )
        return
    if args.resume:
        run = Training.load(path, args)
    else:
        args.hours, args.rate = args.hours or 1.0, args.rate or 1.5e-3
        run = Training(args)
    pool = Pool(sources(args.photographs, args.berkeley, args.folder))
    noises = Noise(fields(args.folder))
    rng = np.random.default_rng([run.seed, run.sittings])
    before, saved, losses = run.seconds, time.monotonic(), []
    started = time.process_time()
    try:
        while run.seconds < 3600 * run.hours:
            losses.append(run.advance(pool, noises, rng, run.seconds / (3600 * run.hours)))
            run.seconds = before + time.process_time() - started
            if time.monotonic() - saved > 240:
                run.save(path)
                saved = time.monotonic()
                line = f"step {run.step}  {run.seconds:.0f} s  loss {np.mean(losses[-500:]):.3e}"
                if args.validate:
                    scores = validate(run.averaged(), args.validate, 8)
                    line += "  " + " ".join(f"{s:.3f}" for s in scores) + " dB"
                print(line, flush=True)
    except KeyboardInterrupt:
        print(f"stopped; go on with --resume --folder {args.folder}")
    run.save(path)


if __name__ == "__main__":
    sys.exit(main())
