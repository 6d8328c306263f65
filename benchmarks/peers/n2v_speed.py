"""n2v's own training loop and prediction, at the pace of throughput.py (see pace.py)."""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile

from pace import Pace, answer, now  # isort: skip  (first: it turns standard output away)
import numpy as np
import tensorflow as tf
from n2v.models import N2V, N2VConfig
from n2v_denoise import patches, settings


class Paced(tf.keras.callbacks.Callback):
    """Stops where the pace says so."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def on_train_batch_end(self, batch, logs=None) -> None:  # noqa: D102
        if not self.pace.step():
            self.model.stop_training = True
            raise StopIteration


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng, pace = np.random.default_rng(0), Pace()
    x = patches([rng.poisson(50, (1024, 1024)).astype(np.float32)])
    # The net of the comparison: not residual, and n2v's smallest share of hidden pixels.
    same = {"unet_residual": False, "n2v_perc_pix": 0.198, "train_steps_per_epoch": 10_000}
    with tempfile.TemporaryDirectory() as folder:
        model = N2V(N2VConfig(x, **settings(1) | same), "n2v", basedir=folder)
        model.prepare_for_training()
        model.callbacks.append(Paced(pace))
        with contextlib.suppress(StopIteration):
            model.train(x, x[:16])
        for side, tile in pace.rest():
            image = rng.poisson(50, (side, side)).astype(np.float32)
            n = math.ceil(side / tile) if tile else 1
            since = now()
            model.predict(image, axes="YX", n_tiles=(n, n))
            answer(since)


if __name__ == "__main__":
    sys.exit(main())
