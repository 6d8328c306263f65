"""Train n2v on noisy images for so many CPU seconds, then denoise with it.

    .peers/n2v/bin/python benchmarks/peers/n2v_denoise.py JOB.npz OUT.npz --seconds 60

Arrays of the job named ``train*`` are trained on, the others (or, if there are none, the same)
are denoised. Settings are those that did best in our hands: 3x3 kernels, residual, MSE, 1.5 %
hidden, the rate halved twice over the budget. The budget is the CPU time of training alone, in
which the last weights count, as N2V has no better choice.
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

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf
from n2v.internals.N2V_DataGenerator import N2V_DataGenerator
from n2v.models import N2V, N2VConfig

RATE = 4e-4
HALVINGS = (0.5, 0.75)
STEPS = 100


def cpu() -> float:
    """CPU seconds of this process so far."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def settings(epochs: int) -> dict:
    """The U-Net of the comparison, in n2v's words."""
    return {
        "unet_n_depth": 2,
        "unet_kern_size": 3,
        "unet_n_first": 32,
        "unet_residual": True,
        "batch_norm": True,
        "train_loss": "mse",
        "train_learning_rate": RATE,
        "train_batch_size": 16,
        "train_epochs": epochs,
        "train_steps_per_epoch": STEPS,
        "train_tensorboard": False,
        "train_checkpoint": None,
        "train_reduce_lr": None,
        "n2v_patch_shape": (64, 64),
        "n2v_perc_pix": 1.5,
        "n2v_manipulator": "uniform_withCP",
        "n2v_neighborhood_radius": 5,
    }


class Budget(tf.keras.callbacks.Callback):
    """Ends a training after so many CPU seconds and halves the rate on the way."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.started, self.steps = seconds, 0.0, 0

    def on_train_begin(self, logs=None) -> None:  # noqa: D102
        self.started = cpu()

    def on_train_batch_end(self, batch, logs=None) -> None:  # noqa: D102
        self.steps += 1
        spent = (cpu() - self.started) / self.seconds
        rate = RATE / 2 ** sum(spent >= share for share in HALVINGS)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, default=60)
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
    x = patches(train)
    budget = Budget(args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        model = N2V(N2VConfig(x, **settings(10**6)), "n2v", basedir=folder)
        model.prepare_for_training()
        model.callbacks.append(budget)
        started, before = time.perf_counter(), cpu()
        with contextlib.suppress(StopIteration):
            model.train(x, x[:16])
        spent = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - started}
        before = cpu()
        results = {name: model.predict(x, axes="YX") for name, x in tests.items()}
        spent["predict_cpu_s"] = cpu() - before
    np.savez(args.out, **results)
    print(json.dumps({**spent, "steps": budget.steps, **vars(args)}), file=stdout)


if __name__ == "__main__":
    main()
