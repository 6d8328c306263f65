"""The worked example: denoise photographs with a net that never saw a clean one.

It loads or makes a set of noisy pictures, looks at patches and their blind spots, trains,
plots the losses, denoises pictures the net has not seen, compares them with the truth, and saves
the model and loads it again. Every picture that it draws lies in the output folder.

    python examples/bsd68.py                                 # scikit-image's own photographs
    python examples/bsd68.py --data ../shared/data/natural   # Train400 and BSD68
    python examples/bsd68.py --data ... --recipe paper       # as published; for a GPU

The folder of ``--data`` holds the clean pictures as PNG in ``train400/`` and ``bsd68/``. The noise
is Gaussian with a standard deviation of 25 grey levels, neither clipped nor rounded. The clean
training pictures are only used to make noisy ones; the net never sees them.

With the recipe ``cpu`` all ends within 10 minutes on two cores. The recipe ``paper`` is that of
Krull, Buchholz, Jug: Noise2Void - Learning Denoising from Single Noisy Images, CVPR 2019.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage import color, data

import unnoise
from unnoise import Config, Image, Model
from unnoise.nets.device import select_device
from unnoise.quality.metrics import psnr
from unnoise.training import history
from unnoise.training.loop import TrainingRun
from unnoise.training.methods.step import Step
from unnoise.training.plan import plan

SIGMA = 25.0
"""Standard deviation of the noise in grey levels."""
PEAK = 255.0
"""Largest grey level, the peak of the PSNR."""
SIDE = 180
"""Side of the training pictures, as in Train400."""
MINUTES = 7.0
"""Training time of the recipe cpu, which leaves three minutes for the rest."""
TRAIN = (
    "astronaut",
    "brick",
    "cell",
    "clock",
    "coffee",
    "grass",
    "gravel",
    "moon",
    "page",
    "stereo_motorcycle",
)
"""Photographs that come with scikit-image, to train on."""
TEST = ("camera", "chelsea", "coins", "rocket")
"""Others, to test on."""
DETAIL = 16
"""Side of the part of a patch in which single pixels can be seen."""
SPOT, HELD_OUT = "#ff7f0e", "#17becf"
"""Colours of blind spots and of held-out pixels."""

Pairs = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Pictures as (noisy, clean)."""


def main() -> None:
    """Run the example from the top to the bottom."""
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)

    train, test = pictures(args.data)
    if args.quick:
        train, test = train[:4], test[:2]
    print(f"{len(train)} noisy pictures to train on, {len(test)} to test on")

    config = settings(args)
    images = [Image.from_array(noisy) for noisy, _ in train]
    run = TrainingRun(images, plan(images, config), select_device("auto"))
    show_patches(run).savefig(args.output / "1_patches.png", dpi=120)

    print("\nThe settings of the run:\n\n" + run.model().config.to_yaml())
    fit(run, every=0 if args.quick else 20)
    model = Model.of(run.model())
    # Both losses compare with noisy pixels, so they fall to the variance of the noise, not to zero.
    history.plot(run.history, args.output / "2_losses.png", title="loss")

    results = predict(model, test)
    show_results(results).savefig(args.output / "3_results.png", dpi=120)
    table(results)

    folder = args.output / "bsd68.model"
    save_and_load(model, folder, test[0][0], results[0][1])
    print(f"\nPictures and model lie in {args.output}; the model denoises other pictures with")
    print(f"    unnoise predict {folder} noisy.tif -o clean.tif")


def arguments() -> argparse.Namespace:
    """What the user wants."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train400/ and bsd68/")
    parser.add_argument("--recipe", choices=("cpu", "paper"), default="cpu")
    parser.add_argument("--minutes", type=float, help="training time instead of the recipe's")
    parser.add_argument("-o", "--output", type=Path, default=Path("bsd68_example"))
    parser.add_argument("--quick", action="store_true", help="a few steps, to try the script")
    return parser.parse_args()


# ------------------------------------------------------------------- the noisy set


def pictures(folder: Path | None) -> tuple[Pairs, Pairs]:
    """Noisy and clean pictures to train and to test on: those of a folder, or bundled ones."""
    if folder is None:
        train = [patch for name in TRAIN for patch in cut(photograph(name))]
        test = [photograph(name) for name in TEST]
    else:
        train, test = (read(folder / part) for part in ("train400", "bsd68"))
    return add_noise(train, seed=1), add_noise(test, seed=2)


def photograph(name: str) -> NDArray[np.float32]:
    """A photograph of scikit-image, in grey, 0 to 255."""
    picture = getattr(data, name)()
    if isinstance(picture, tuple):  # a stereo pair and its disparity
        picture = picture[0]
    if picture.ndim == 3:
        picture = 255 * color.rgb2gray(picture)
    return np.asarray(picture, np.float32)


def cut(picture: NDArray) -> list[NDArray]:
    """As many squares as fit side by side."""
    rows, columns = (size // SIDE for size in picture.shape)
    return [
        picture[r * SIDE : (r + 1) * SIDE, c * SIDE : (c + 1) * SIDE]
        for r in range(rows)
        for c in range(columns)
    ]


def read(folder: Path) -> list[NDArray]:
    """All PNG pictures of a folder."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise SystemExit(f"there are no PNG pictures in {folder}; see --help for --data")
    return [imagecodecs.imread(str(path)).astype(np.float32) for path in paths]


def add_noise(clean: Sequence[NDArray], seed: int) -> Pairs:
    """(noisy, clean) of every picture. Clipping or rounding would shift the mean of the noise."""
    rng = np.random.default_rng(seed)
    return [(c + SIGMA * rng.standard_normal(c.shape, np.float32), c) for c in clean]


# ---------------------------------------------------------------- settings and patches


def settings(args: argparse.Namespace) -> Config:
    """The settings of a recipe, with the training time that was asked for."""
    config = Config.preset("paper" if args.recipe == "paper" else "fast")
    if args.quick:
        return config.replace(net={"filters": 8}).with_budget(steps=12)
    minutes = args.minutes or (MINUTES if args.recipe == "cpu" else None)
    return config.with_budget(minutes)


def show_patches(run: TrainingRun) -> Figure:
    """Two training patches and a validation patch, before and after pixels are hidden.

    While training, random pixels (the blind spots) are overwritten and the net has to tell what
    was there; the weight is 1 where its answer counts. One pixel in 64 is held out: it is never
    asked for in training, and validation hides exactly these.
    """
    patches = run.crops.batch(24, np.random.default_rng(0))
    busiest = patches.noisy.std(axis=(1, 2, 3)).argsort()[-3:]  # there is more to see in them
    x, held_out = (torch.from_numpy(a[busiest]) for a in (patches.noisy, patches.held_out))
    generator = torch.Generator().manual_seed(0)
    step = Step(x, x, held_out, generator, fraction=0.0, predict=run.net)
    training, validation = (
        [a.numpy() for a in batch]  # input, target and weight
        for batch in (run.method.batch(step), run.method.validation(step))
    )
    rows = [
        ("training", training, 0),
        ("training", training, 1),
        ("validation", validation, 2),
    ]

    figure = Figure(figsize=(11.5, 8.6), layout="constrained")
    axes = figure.subplots(len(rows), 4)
    titles = ("noisy patch", "part of it", "what the net sees", "weight of the loss")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    side = min(DETAIL, *x.shape[-2:])
    first = (x.shape[-1] - side) // 2
    part = (slice(first, first + side), slice(first, first + side))
    for line, (kind, (seen, target, weight), i) in zip(axes, rows, strict=True):
        line[0].imshow(target[i, 0], cmap="gray")
        line[0].add_patch(_frame(part))
        around = target[i, 0][part]
        grey = {"cmap": "gray", "vmin": float(around.min()), "vmax": float(around.max())}
        line[1].imshow(around, **grey)
        line[2].imshow(seen[i, 0][part], **grey)
        line[3].imshow(weight[i, 0][part], cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(kind, fontsize="large")
        spots = np.nonzero(weight[i, 0][part])
        held = np.nonzero(patches.held_out[busiest[i], 0][part])
        for ax in line[1:3]:
            ax.plot(spots[1], spots[0], ".", color=SPOT, markersize=6)
        line[3].plot(held[1], held[0], ".", color=HELD_OUT, markersize=9)
        for ax in line:
            ax.set(xticks=[], yticks=[])
    figure.supxlabel(
        "orange: blind spots, whose value the net must tell     "
        "blue: held-out pixels, for validation only",
        fontsize="medium",
    )
    return figure


def _frame(part: tuple[slice, slice]) -> object:
    """The outline of a part of a patch."""
    from matplotlib.patches import Rectangle

    y, x = part
    size = (x.stop - x.start, y.stop - y.start)
    return Rectangle((x.start - 0.5, y.start - 0.5), *size, fill=False, color=SPOT, linewidth=1.5)


# ----------------------------------------------------------------------------- training


def fit(run: TrainingRun, every: float) -> None:
    """Train, with a line every few seconds. The run can be stopped and continued at any step."""
    shown = time.monotonic()
    for p in run:
        if time.monotonic() - shown >= every or p.fraction == 1:
            shown = time.monotonic()
            held_out = "     -" if p.held_out is None else f"{p.held_out:.4f}"
            left = f"{int(p.remaining) // 60}:{int(p.remaining) % 60:02d}"
            print(
                f"step {p.step:6d} of about {p.steps}   loss {p.loss:.4f}   held-out {held_out}   "
                f"{left} left",
                flush=True,
            )


# -------------------------------------------------------------------------- the results


Results = list[tuple[NDArray, NDArray, NDArray]]
"""Pictures as (noisy, denoised, clean)."""


def predict(model: Model, test: Pairs) -> Results:
    """Denoise pictures the net has not seen. They are float, so the result is not rounded."""
    start = time.monotonic()
    results = [(noisy, model.predict(noisy), clean) for noisy, clean in test]
    print(f"\npredicted {len(test)} pictures in {time.monotonic() - start:.0f} s")
    return results


def quality(results: Results) -> NDArray[np.float64]:
    """PSNR in dB of every noisy and every denoised picture, shape (pictures, 2)."""
    return np.array([[psnr(x, truth, data_range=PEAK) for x in xs] for *xs, truth in results])


def show_results(results: Results, most: int = 4) -> Figure:
    """Input, result and truth side by side, and the difference, which should look like noise."""
    chosen = results[:most]
    scores = quality(chosen)
    ratios = [r[2].shape[0] / r[2].shape[1] for r in chosen]
    figure = Figure(figsize=(14, 3.6 * sum(ratios)), layout="constrained")
    axes = figure.subplots(len(chosen), 4, squeeze=False, height_ratios=ratios)
    for line, (noisy, denoised, clean), (before, after) in zip(axes, chosen, scores, strict=True):
        shown = (
            (noisy, f"input, {before:.2f} dB"),
            (denoised, f"result, {after:.2f} dB"),
            (clean, "truth"),
        )
        for ax, (picture, title) in zip(line, shown, strict=False):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=PEAK)
            ax.set_title(title)
        line[3].imshow(noisy - denoised, cmap="gray", vmin=-3 * SIGMA, vmax=3 * SIGMA)
        line[3].set_title("input - result")
        for ax in line:
            ax.set_axis_off()
    return figure


def table(results: Results) -> None:
    """PSNR of every picture, and the mean over pictures."""
    scores = quality(results)
    print("\npicture  noisy  denoised   (PSNR in dB)")
    for number, (before, after) in enumerate(scores, 1):
        print(f"{number:7d}  {before:5.2f}  {after:8.2f}")
    before, after = scores.mean(0)
    print(f"   mean  {before:5.2f}  {after:8.2f}")


def save_and_load(model: Model, folder: Path, noisy: NDArray, denoised: NDArray) -> None:
    """A model is a folder; loaded again, it predicts the same to the last bit."""
    model.save(folder)
    again = unnoise.load(folder).predict(noisy)
    if not np.array_equal(again, denoised):
        raise SystemExit("the loaded model predicts something else than the saved one")
    print(f"\nsaved {folder} and loaded it again: the predictions are identical")


if __name__ == "__main__":
    main()
