"""Our training loop and prediction, at the pace of throughput.py (see peers/pace.py).

python benchmarks/unnoise_speed.py [default|careamics|n2v] [BACKEND or float32]

With float32 the steps are of that precision, whatever the processor can do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent / "peers"))
from pace import Pace, answer, now  # isort: skip  (first: it turns standard output away)

import numpy as np
import torch

from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

FOREVER = 10**6
LIKE_THEM: dict[str, Any] = {
    "net": {
        "unshuffle": 1,
        "batch_norm": True,
        "activation": "relu",
        "depth": 2,
        "filters": 32,
        "kernel": 3,
    },
    "mask": {"percent": 0.2, "radius": 5},
    "training": {
        "batch_size": 16,
        "patch": 64,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
        "schedule": "constant",
        "steps": FOREVER,
        "validate_every": FOREVER,  # the peers do not validate within these steps either
    },
}
"""The net, batch and masks that both peers have in common."""
NETS = {
    "default": {"training": {"steps": FOREVER, "validate_every": FOREVER}},
    "careamics": LIKE_THEM | {"net": LIKE_THEM["net"] | {"upsample": "linear"}},
    "n2v": LIKE_THEM | {"net": LIKE_THEM["net"] | {"upsample": "nearest"}},
}


def main() -> None:
    torch.set_num_threads(1)
    net, variant = ([*sys.argv[1:], "", ""])[:2]
    rng, pace = np.random.default_rng(0), Pace()
    images = [Image.from_array(rng.poisson(50, (2048, 2048)).astype(np.float32))]
    config = Config.preset().replace(**NETS[net or "default"])
    if variant == "float32":
        config = config.set("training.precision=float32")
    run = TrainingRun(images, plan(images, config), torch.device("cpu"))
    for _ in run:
        if not pace.step():
            break
    model = run.model()
    extra = {"backend": variant} if variant not in ("", "float32") else {}
    for side, _ in pace.rest():
        image = rng.poisson(50, (side, side)).astype(np.float32)
        since = now()
        predict_array(model, image, dtype=np.float32, **extra)
        answer(since)


if __name__ == "__main__":
    sys.exit(main())
