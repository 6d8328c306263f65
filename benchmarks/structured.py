"""Structured noise, self-trained: recorruption, structN2V, and a hole as wide as the correlation.

    python benchmarks/structured.py                  # development pictures, 60 CPU seconds each
    python benchmarks/structured.py --seconds 25

Crops of 256x256 of development pictures of correlated.py and an OCT scan, one channel. All are told
what was measured on the noisy picture alone: *r2r* adds noise of the measured strength and
autocorrelation; *mask* is structN2V that hides pixels with a correlation above 0.08, as `adapted`
does; *hole* hides all above 0.02. Both take a pixel's own value in where the posterior mean helps.
Results are means over the symmetries that keep the correlation. PSNR as in correlated.py.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from common import record
from correlated_pictures import Picture, Spec, load, read
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.noise.advice import joined
from unnoise.noise.correlation import without_gaps
from unnoise.training.auto import MASKED
from unnoise.training.center_pixel import with_posterior
from unnoise.training.held_out_regions import regions
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

SIDE = 256
CPU = torch.device("cpu")
PICTURES = {
    "stripes": ("stripes", "kodak4/kodim07", "kodak4/kodim01"),
    "all around": ("widefield", "scene/0", "scene/1"),
    "widefield": ("widefield", "w2s/005_0", "w2s/013_1"),
    "SIDD, green": ("sidd", *(f"photo_sidd/{scene}_5" for scene in (1, 2, 3, 4))),
    "OCT": ("", "oct/subj2", "oct/subj5"),
}
"""By kind: the row of correlated_pictures.py, and pictures."""
MASKS = {"mask": 0.08, "hole": 0.02}


def picture(row: str, name: str) -> Picture:
    """The middle of a channel of a picture."""
    if row:
        found = load(Spec(row, name, 0), side=SIDE)
    else:
        noisy, truth = read(name)
        top, left = ((n - SIDE) // 2 for n in truth.shape[:2])
        part = np.s_[top : top + SIDE, left : left + SIDE]
        found = Picture(noisy[part], truth[part], None)
    if found.noisy.ndim == 3:
        return Picture(found.noisy[..., 1], found.truth[..., 1], found.peak)
    return found


def settings(method: str, shapes: list[NDArray], minutes: float, seed: int) -> Config:
    """What the method is told."""
    values: dict[str, Any] = {"method": "r2r", "ndim": 2}
    if method in MASKS:
        mask = joined([without_gaps(np.abs(rho) > MASKS[method]) for rho in shapes])
        percent = min(25.0, max(0.5, MASKED / int(mask.sum())))
        struct = {"struct": mask.astype(int).tolist(), "percent": percent}
        values |= {"method": "structn2v", "mask": struct, "use_center_pixel": True}
    return Config.parse({**values, "training": {"minutes": minutes, "seed": seed}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=tuple(PICTURES), default=list(PICTURES))
    parser.add_argument("--methods", nargs="+", default=["instant", "r2r", *MASKS])
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds of a training")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    pictures = [(kind, name) for kind in args.kinds for name in PICTURES[kind][1:]]
    for kind, name in pictures:
        shown = picture(PICTURES[kind][0], name)
        image = Image.from_array(np.ascontiguousarray(shown.noisy))
        known = plan([image], Config(method="adapted")).noise
        assert known is not None
        shapes = [rho for rho in known.autocorrelation if rho is not None]
        row: dict[str, Any] = {"kind": kind, "picture": name, "noisy": shown.psnr(shown.noisy)}
        row["correlated"] = bool(shapes)
        for method in args.methods:
            if method in MASKS and not shapes:
                continue  # noise taken for white asks for no mask
            if method in ("instant", "nlridge"):
                import unnoise

                clean = unnoise.train(shown.noisy, method=method, device="cpu").predict(
                    shown.noisy, dtype=np.float64, tta=True, device="cpu"
                )
                row[method] = shown.psnr(clean)
                continue
            config = settings(method, shapes, args.seconds / 60, args.seed)
            run = TrainingRun([image], plan([image], config), CPU, clock=time.process_time)
            for _ in run:
                pass
            model = run.model()
            if method in MASKS:
                row[f"{method} pixels"] = int(np.sum(config.footprint(2)))
                if known.known:
                    pieces = regions(model, [image], CPU, known.independent)
                    model = with_posterior(model, pieces, known.known)
            clean = predict_array(model, image, dtype=np.float64, tta=True, device="cpu")
            row[method], row[f"{method} steps"] = shown.psnr(clean), run.step
        rows.append(row)
        print(
            *(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
            flush=True,
        )
    record(f"structured_seed{args.seed}", vars(args), rows)


if __name__ == "__main__":
    main()
