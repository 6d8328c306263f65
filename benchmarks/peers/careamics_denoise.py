"""Train CAREamics on noisy images for so many CPU seconds, then denoise with it.

    .peers/careamics/bin/python benchmarks/peers/careamics_denoise.py JOB.npz OUT.npz --seconds 60

Arrays with three axes are volumes, or movies with frames in the place of slices (its own advice for
movies): nets of volumes, patches of 16x64x64 unless ``--patch`` says otherwise.

Arrays of the job named ``train*`` are trained on, the others (or, if there are none, the same)
are denoised. OUT has one result per array, and one averaged over the eight symmetries, named
``*_8``, which CAREamics itself does not offer. Settings are those that did best in our hands: a
residual net (N2V; N2V2 is not residual), 1.5 % hidden, no plateau schedule but halvings of the
rate over the budget. The budget is the CPU time of training alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial

import numpy as np
from careamics_here import RATE, configuration, cpu, predicted
from symmetries import eightfold

from careamics import CAREamist  # isort: skip
from lightning.pytorch import Callback

HALVINGS = (0.5, 0.7, 0.85, 0.95)
"""Shares of the budget after which the rate is halved."""


class Budget(Callback):
    """Ends a training after so many CPU seconds and halves the rate on the way."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.started, self.steps = seconds, 0.0, 0

    def on_train_start(self, trainer, module) -> None:  # noqa: D102
        self.started = cpu()

    def on_train_batch_start(self, trainer, module, batch, index) -> None:  # noqa: D102
        spent = (cpu() - self.started) / self.seconds
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = RATE / 2 ** sum(spent >= share for share in HALVINGS)

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:  # noqa: D102
        self.steps += 1
        if cpu() - self.started >= self.seconds:
            trainer.should_stop = True
            trainer.limit_val_batches = 0


def padded(image: np.ndarray) -> np.ndarray:
    """Mirrored up to multiples of 8: it refuses sides that are no multiples of 4."""
    return np.pad(image, [(0, -n % 8) for n in image.shape], mode="symmetric")


def whole(careamist: CAREamist, image: np.ndarray) -> np.ndarray:
    """What the net makes of an image or volume in one piece."""
    return predicted(careamist, [padded(image)])[0][tuple(map(slice, image.shape))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--n2v2", action="store_true")
    parser.add_argument("--percent", type=float, default=1.5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, nargs="+", help="sides of patches")
    parser.add_argument("--filters", type=int, default=32, help="of the first level")
    parser.add_argument("--no-batch-norm", action="store_true")
    parser.add_argument("--no-tta", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    stdout, sys.stdout = sys.stdout, sys.stderr
    with np.load(args.job) as job:
        arrays = {name: job[name].astype(np.float32) for name in job.files}
    train = [x for name, x in arrays.items() if name.startswith("train")]
    tests = {n: x for n, x in arrays.items() if not n.startswith("train")} or arrays
    budget = Budget(args.seconds)
    volumes = next(iter(arrays.values())).ndim == 3
    config = configuration(
        n2v2=args.n2v2,
        percent=args.percent,
        residual=not args.n2v2,
        batch=args.batch,
        patch=tuple(args.patch or ((16, 64, 64) if volumes else (64, 64))),
        model={"num_channels_init": args.filters, "use_batch_norm": not args.no_batch_norm},
        seed=args.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        careamist = CAREamist(
            config, work_dir=folder, callbacks=[budget], enable_progress_bar=False
        )
        # A volume has few patches: none is lost to a validation that never runs.
        validation = {"val_data": train[0]} if volumes else {}
        started, before = time.perf_counter(), cpu()
        careamist.train(train_data=train if len(train) > 1 else train[0], **validation)
        spent = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - started}
        before, results = cpu(), {}
        for name, x in tests.items():
            results[name] = whole(careamist, x)
        spent["predict_cpu_s"] = cpu() - before
        if not args.no_tta:
            results |= {
                f"{name}_8": eightfold(partial(whole, careamist), x) for name, x in tests.items()
            }
    np.savez(args.out, **results)
    print(json.dumps({**spent, "steps": budget.steps, **vars(args)}), file=stdout)


if __name__ == "__main__":
    main()
