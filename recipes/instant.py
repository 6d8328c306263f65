"""Train the denoiser behind `instant`: any level of white Gaussian noise, clean targets.

    python recipes/instant.py --hours 2 --train400 ../shared/data/natural/train400
    python recipes/instant.py --resume                    # go on where the last sitting ended
    python recipes/instant.py --export                    # weights into the package

Sources: the photographs that scikit-image bundles (without `camera` and `coins`, which benchmarks
report), Train400, dead leaves and simulated microscopy of `scenes.py`. Levels are drawn between 3
and 120 of 255. The run stops at any time (Ctrl-C) and goes on with --resume.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

import imagecodecs
import numpy as np
import skimage
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scenes import dead_leaves, microscopy, warped

from unnoise.nets.gaussian_denoiser import BLOCKS, WIDTHS, GaussianNet

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "text.png", "moon.png",
)  # fmt: skip
"""Files that scikit-image bundles; `camera` and `coins` are reported on and stay out."""
SHARES = {"train400": 0.5, "photographs": 0.12, "leaves": 0.1, "microscopy": 0.28}
"""How often a crop comes from each source."""
SIGMA = (3.0, 120.0)
"""Least and greatest standard deviation of the noise, for an image of 0 to 255."""
N_SCENES = {"leaves": 120, "microscopy": 400}
SCENE_SIDE = 192
STAGES = ((0.5, 4, 64), (0.85, 8, 64), (math.inf, 4, 96))
"""Up to which share of the run, crops in a batch and their side."""
PEAK = 255.0
SHIPPED = Path(__file__).resolve().parents[1] / "src" / "unnoise" / "nets" / "pretrained"
Source = list[NDArray[np.float32]]


def sources(train400: Path | None, cache: Path) -> dict[str, Source]:
    """Clean images by source; simulated ones are kept in a file, since they take minutes."""
    found: dict[str, Source] = {"photographs": _photographs()}
    if train400 is not None:
        found["train400"] = [_grey(path) for path in sorted(train400.glob("*.png"))]
    makers = {"leaves": dead_leaves, "microscopy": microscopy}
    for place, (name, make) in enumerate(makers.items()):
        path = cache / f"{name}.npy"
        if not path.exists():
            rngs = [np.random.default_rng([place, i]) for i in range(N_SCENES[name])]
            np.save(path, np.stack([make(SCENE_SIDE, rng) for rng in rngs]))
        found[name] = list(np.load(path))
    return found


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
            # Photographs are sharper when shown smaller; Train400 already is.
            if name == "photographs" or (name == "train400" and rng.random() < 0.1):
                crop = warped(image, patch, rng)
            else:
                y, x = (int(rng.integers(n - patch + 1)) for n in image.shape)
                crop = image[y : y + patch, x : x + patch]
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
    drawn = np.exp(rng.uniform(np.log(low), np.log(high)))
    return drawn.astype(np.float32).reshape(-1, 1, 1, 1)


class Training:
    """The run: net, average, optimiser and how far it is."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.widths, self.blocks = tuple(args.widths), tuple(args.blocks)
        self.net = GaussianNet(self.widths, self.blocks).to(memory_format=torch.channels_last)
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        self.hours, self.rate, self.seed = args.hours, args.rate, args.seed
        self.step, self.seconds, self.sittings = 0, 0.0, 0

    def advance(self, pool: Pool, rng: np.random.Generator, fraction: float) -> float:
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
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        predicted = self.net(clean + sigma * noise, sigma)
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
        net = GaussianNet(self.widths, self.blocks)
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
        args.widths, args.blocks = state["widths"], state["blocks"]
        args.hours, args.rate = args.hours or state["hours"], args.rate or state["rate"]
        run = cls(args)
        run.net.load_state_dict(state["net"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.average = [weight.detach() for weight in state["average"]]
        run.seed, run.step, run.seconds = state["seed"], state["step"], state["seconds"]
        run.sittings = state["sittings"] + 1
        return run


STATE = ("widths", "blocks", "hours", "rate", "seed", "step", "seconds", "sittings")


def validate(net: GaussianNet, folder: Path, sigmas: tuple[float, ...], limit: int) -> list[float]:
    """Mean PSNR of the first pictures of a folder, noise neither clipped nor rounded."""
    scores = []
    for sigma in sigmas:
        found = []
        for i, path in enumerate(sorted(folder.glob("*.png"))[:limit]):
            clean = _grey(path)
            noise = np.random.default_rng([2, i]).standard_normal(clean.shape, np.float32)
            x = torch.from_numpy(clean + sigma * noise)[None, None] / PEAK
            mean = x.mean()
            with torch.no_grad():
                y = (net(x - mean, torch.tensor(sigma / PEAK)) + mean) * PEAK
            found.append(10 * math.log10(PEAK**2 / float(((y[0, 0].numpy() - clean) ** 2).mean())))
        scores.append(float(np.mean(found)))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, help="length of the run (CPU hours of a thread)")
    parser.add_argument("--train400", type=Path, help="folder of Train400 pictures; again to go on")
    parser.add_argument(
        "--validate", type=Path, help="folder of pictures to report on while it runs"
    )
    parser.add_argument("--folder", type=Path, default=Path("instant_run"))
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--blocks", type=int, nargs="+", default=BLOCKS)
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
    pool = Pool(sources(args.train400, args.folder))
    rng = np.random.default_rng([run.seed, run.sittings])
    before, saved, losses = run.seconds, time.monotonic(), []
    started = time.process_time()
    try:
        while run.seconds < 3600 * run.hours:
            losses.append(run.advance(pool, rng, run.seconds / (3600 * run.hours)))
            run.seconds = before + time.process_time() - started
            if time.monotonic() - saved > 120:
                run.save(path)
                saved = time.monotonic()
                line = f"step {run.step}  {run.seconds:.0f} s  loss {np.mean(losses[-500:]):.3e}"
                if args.validate:
                    scores = validate(run.averaged(), args.validate, (15, 25, 50), 8)
                    line += "  " + " ".join(f"{s:.3f}" for s in scores) + " dB"
                print(line, flush=True)
    except KeyboardInterrupt:
        print(f"stopped; go on with --resume --folder {args.folder}")
    run.save(path)


if __name__ == "__main__":
    sys.exit(main())
