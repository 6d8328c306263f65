"""Train n2v 0.3.3 on noisy pictures and denoise the test pictures: the peer of parity.py.

Run by the Python of the peer's own environment (setup.sh); parity.py does so. The folder holds
train.npy and validation.npy (noisy, SYX, float32) and test.npz (noisy, one array a picture): the
peer never sees a clean pixel. Writes OUT.json, OUT_best.npz and OUT_last.npz (predictions).

    .peers/n2v/bin/python benchmarks/peers/n2v_bsd68.py FOLDER --steps 1000 --seed 0 --out OUT

The recipe is that of n2v's BSD68 notebook in small (32 filters, batch 16): residual net, 3x3
kernels, batch norm, MSE, Adam 4e-4, 0.198 % hidden, replaced from 5x5 with the centre, 64x64 crops
drawn anew for each step from the eight flips and rotations of whole pictures. Best weights: those
with the lowest loss on the hidden pixels of the validation pictures after an epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf
from n2v.internals.N2V_DataGenerator import N2V_DataGenerator
from n2v.models import N2V, N2VConfig


def cpu() -> float:
    """CPU seconds of this process so far."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def eightfold(pictures: np.ndarray) -> np.ndarray:
    """Whole pictures with their flips and rotations, SYXC, by n2v's own generator."""
    return N2V_DataGenerator().generate_patches_from_list(
        [pictures[..., None]], shape=pictures.shape[1:], augment=True
    )


def predict(model: N2V, weights: str, folder: Path, out: str) -> None:
    """Denoise every test picture, without tiles and without 8-fold averaging."""
    model.load_weights(weights)
    with np.load(folder / "test.npz") as test:
        values = {name: model.predict(test[name], axes="YX") for name in test.files}
    np.savez(out, **values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    if args.steps % args.steps_per_epoch:
        parser.error("--steps must be a multiple of --steps-per-epoch")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(args.seed)  # python, numpy and TensorFlow

    x = eightfold(np.load(args.folder / "train.npy"))
    validation = np.load(args.folder / "validation.npy")[..., None]
    settings = {
        "unet_n_depth": 2,
        "unet_kern_size": 3,
        "unet_n_first": args.filters,
        "unet_residual": True,
        "batch_norm": True,
        "train_loss": "mse",
        "train_learning_rate": 4e-4,
        "train_batch_size": 16,
        "train_epochs": args.steps // args.steps_per_epoch,
        "train_steps_per_epoch": args.steps_per_epoch,
        "train_reduce_lr": {"factor": 0.5, "patience": 10},
        "train_tensorboard": False,
        "n2v_patch_shape": (64, 64),
        "n2v_perc_pix": 0.198,
        "n2v_manipulator": "uniform_withCP",
        "n2v_neighborhood_radius": 2,
    }
    with tempfile.TemporaryDirectory() as folder:
        model = N2V(N2VConfig(x, **settings), "n2v", basedir=folder)
        before, start = cpu(), time.perf_counter()
        history = model.train(x, validation)
        seconds = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - start}
        before = cpu()
        for name in ("best", "last"):
            predict(model, f"weights_{name}.h5", args.folder, f"{args.out}_{name}.npz")
        seconds["predict_cpu_s"] = (cpu() - before) / 2
    losses = [float(v) for v in history.history["val_loss"]]
    result = {
        "seed": args.seed,
        "steps": args.steps,
        **seconds,
        "best_epoch": 1 + int(np.argmin(losses)),
        "validation": losses,
        "learning_rate": [float(v) for v in history.history["lr"]],
        "training_patches": list(x.shape),
        "validation_patches": list(validation.shape),
        "settings": settings,
        "versions": {p: version(p) for p in ("n2v", "csbdeep", "tensorflow-cpu", "numpy")},
    }
    Path(f"{args.out}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
