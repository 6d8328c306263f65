"""Train n2v on noisy images for so many CPU seconds, then denoise with it.

    .peers/n2v/bin/python benchmarks/peers/n2v_denoise.py JOB.npz OUT.npz --seconds 60

Arrays with three axes are volumes, or movies with frames in the place of slices: nets of volumes.
Arrays of the job named ``train*`` are trained on, the others (or, if there are none, the same)
are denoised. Settings are those that did best in our hands: 3x3 kernels, residual, MSE, 1.5 %
hidden, the rate halved twice over the budget. The budget is the CPU time of training alone, in
which the last weights count, as N2V has no better choice. ``--tta`` adds the mean over eight
orientations of the plane, named ``*_8``: n2v's own turns volumes from Z to Y.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf
from n2v.internals.N2V_DataGenerator import N2V_DataGenerator
from n2v.models import N2V, N2VConfig
from symmetries import eightfold

RATE = 4e-4
HALVINGS = (0.5, 0.75)
STEPS = 100


def cpu() -> float:
    """CPU seconds of this process so far."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def settings(epochs: int, args: argparse.Namespace) -> dict:
    """The U-Net of the comparison, in n2v's words."""
    return {
        "unet_n_depth": 2,
        "unet_kern_size": 3,
        "unet_n_first": args.filters,
        "unet_residual": True,
        "batch_norm": not args.no_batch_norm,
        "train_loss": "mse",
        "train_learning_rate": args.rate,
        "train_batch_size": args.batch,
        "train_epochs": epochs,
        "train_steps_per_epoch": STEPS,
        "train_tensorboard": False,
        "train_checkpoint": None,
        "train_reduce_lr": None,
        "n2v_patch_shape": tuple(args.patch),
        "n2v_perc_pix": args.percent,
        "n2v_manipulator": "uniform_withCP",
        "n2v_neighborhood_radius": 5,
    }


class Budget(tf.keras.callbacks.Callback):
    """Ends a training after so many CPU seconds and halves the rate on the way."""

    def __init__(self, seconds: float, rate: float) -> None:
        super().__init__()
        self.seconds, self.rate, self.started, self.steps = seconds, rate, 0.0, 0

    def on_train_begin(self, logs=None) -> None:  # noqa: D102
        self.started = cpu()

    def on_train_batch_end(self, batch, logs=None) -> None:  # noqa: D102
        self.steps += 1
        spent = (cpu() - self.started) / self.seconds
        rate = self.rate / 2 ** sum(spent >= share for share in HALVINGS)
        tf.keras.backend.set_value(self.model.optimizer.lr, rate)
        if spent >= 1:
            self.model.stop_training = True
            raise StopIteration


def patches(images: list[np.ndarray]) -> np.ndarray:
    """What 64x64 crops are drawn from, in eight orientations, by n2v's generator.

    Whole pictures where there are many of one shape, else pieces, of which a batch needs 16.
    """
    many = len(images) >= 16 and len({x.shape for x in images}) == 1
    shape = images[0].shape if many else (96, 96)
    return N2V_DataGenerator().generate_patches_from_list(
        [x[None, ..., None] for x in images], shape=shape, augment=True
    )


def orientations(volumes: list[np.ndarray]) -> np.ndarray:
    """Whole volumes in the eight orientations of their plane, which n2v draws patches from."""
    turned = [np.rot90(x, turns, (-2, -1)) for x in volumes for turns in range(4)]
    shape = turned[0].shape
    kept = [y for x in turned if x.shape == shape for y in (x, x[..., ::-1])]
    return np.stack(kept)[..., None]


def predicted(model: N2V, image: np.ndarray) -> np.ndarray:
    """What the net makes of an image or volume in one piece."""
    return model.predict(image, axes="ZYX"[-image.ndim :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--percent", type=float, help="hidden pixels")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float, default=RATE, help="of learning, at the start")
    parser.add_argument("--patch", type=int, nargs="+", help="sides of patches")
    parser.add_argument("--filters", type=int, default=32, help="of the first level")
    parser.add_argument("--no-batch-norm", action="store_true")
    parser.add_argument("--tta", action="store_true", help="average over eight orientations too")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    stdout, sys.stdout = sys.stdout, sys.stderr
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(args.seed)
    with np.load(args.job) as job:
        arrays = {name: job[name].astype(np.float32) for name in job.files}
    train = [x for name, x in arrays.items() if name.startswith("train")]
    tests = {n: x for n, x in arrays.items() if not n.startswith("train")} or arrays
    three = train[0].ndim == 3
    args.patch = args.patch or ((16, 64, 64) if three else (64, 64))
    args.batch = args.batch or (4 if three else 16)
    # In volumes it takes the square root, not the cube root, for the side of a box with one hidden
    # pixel: 6.25 makes it 4 pixels, and 1.6 % hidden; 1.5 would hide 0.2 %.
    args.percent = args.percent or (6.25 if three else 1.5)
    x = orientations(train) if three else patches(train)
    # Of volumes a single patch: nothing rests on the validation, which n2v cannot do without.
    held = x[(slice(1), *map(slice, args.patch))] if three else x[:16]
    budget = Budget(args.seconds, args.rate)
    with tempfile.TemporaryDirectory() as folder:
        model = N2V(N2VConfig(x, **settings(10**6, args)), "n2v", basedir=folder)
        model.prepare_for_training()
        model.callbacks.append(budget)
        started, before = time.perf_counter(), cpu()
        with contextlib.suppress(StopIteration):
            model.train(x, held)
        spent = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - started}
        before = cpu()
        results = {name: predicted(model, x) for name, x in tests.items()}
        spent["predict_cpu_s"] = cpu() - before
        if args.tta:
            once = partial(predicted, model)
            results |= {f"{name}_8": eightfold(once, x) for name, x in tests.items()}
    np.savez(args.out, **results)
    print(json.dumps({**spent, "steps": budget.steps, **vars(args)}), file=stdout)


if __name__ == "__main__":
    main()
