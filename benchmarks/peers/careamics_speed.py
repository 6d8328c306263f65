"""CAREamics' own training loop and prediction, at the pace of throughput.py (see pace.py)."""

from __future__ import annotations

import sys
import tempfile

from pace import Pace, answer, now  # isort: skip  (first: it turns standard output away)
import numpy as np
from careamics_here import configuration, predicted

from careamics import CAREamist  # isort: skip
from lightning.pytorch import Callback


class Paced(Callback):
    """Stops where the pace says so."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:  # noqa: D102
        if not self.pace.step():
            trainer.should_stop = True
            trainer.limit_val_batches = 0


def main() -> None:
    pace = Pace()
    with tempfile.TemporaryDirectory() as folder:
        careamist = CAREamist(
            configuration(seed=0),
            work_dir=folder,
            callbacks=[Paced(pace)],
            enable_progress_bar=False,
        )
        rng = np.random.default_rng(0)
        careamist.train(train_data=rng.poisson(50, (2048, 2048)).astype(np.float32))
        for side, tile in pace.rest():
            image = rng.poisson(50, (side, side)).astype(np.float32)
            since = now()
            predicted(careamist, [image], tile)
            answer(since)


if __name__ == "__main__":
    sys.exit(main())
