"""Structured noise, self-trained: recorruption and NL-Ridge, structN2V, and a hole instead of it.

    python benchmarks/structured.py                  # development pictures, 60 CPU seconds each
    python benchmarks/structured.py --half report --seconds 25 --kinds stripes --seed 1
    python benchmarks/structured.py table            # differences in markdown, of all seeds

Crops of 256x256 of pictures of correlated.py and an OCT scan, one channel. All are told what was
measured on the noisy picture alone: *r2r* adds noise of the measured strength and autocorrelation,
and is what users get, its mean with NL-Ridge; *net* is its net alone, from the same training;
*mask* is structN2V that hides pixels with a correlation above 0.08, as `adapted` does; *hole* hides
all above 0.02. Both take a pixel's own value in where the posterior mean helps. Results are means
over the symmetries that keep the correlation. PSNR as in correlated.py; where noise is synthetic,
every seed is another noise.
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

import structured_table
from common import RESULTS, alone, record, recorded
from correlated_pictures import Picture, Spec, load, read
from stored import Results
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model, asks_nlridge
from unnoise.models.predict import predict_array
from unnoise.noise.advice import joined
from unnoise.noise.correlation import without_gaps
from unnoise.noise.image_noise import inspect_images
from unnoise.training.auto import MASKED
from unnoise.training.center_pixel import with_posterior
from unnoise.training.held_out_regions import regions
from unnoise.training.instant import VstCalibration
from unnoise.training.loop import TrainingRun
from unnoise.training.nl_ridge import with_ridge_beside
from unnoise.training.plan import plan

SIDE = 256
CPU = torch.device("cpu")
PICTURES = {
    "stripes": ("stripes", ("kodak4/kodim07", "kodak4/kodim01"), ("coins", "camera")),
    "all around": ("widefield", ("scene/0", "scene/1"), ("scene/2", "scene/3")),
    "widefield": ("widefield", ("w2s/005_0", "w2s/013_1"), ("fmd/confocal_BPAE_G_fov1",)),
    "SIDD, green": (
        "sidd",
        tuple(f"photo_sidd/{scene}_5" for scene in (1, 2, 3, 4)),
        tuple(f"photo_sidd/{scene}_5" for scene in (5, 6, 7, 8)),
    ),
    "OCT": ("", ("oct/subj2", "oct/subj5"), ()),
}
"""By kind: the row of correlated_pictures.py, development pictures, and those of the report."""
MASKS = {"mask": 0.08, "hole": 0.02}
HALVES = ("dev", "report")


def picture(row: str, name: str, seed: int = 0) -> Picture:
    """The middle of a channel of a picture."""
    if row:
        found = load(Spec(row, name, seed), side=SIDE)
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


def measured(args: argparse.Namespace, kind: str, name: str) -> dict[str, Any]:
    """A row of the record: all methods on a picture."""
    shown = picture(PICTURES[kind][0], name, args.seed)
    image = Image.from_array(np.ascontiguousarray(shown.noisy))
    known = plan([image], Config(method="adapted")).noise
    assert known is not None
    shapes = [rho for rho in known.autocorrelation if rho is not None]
    row: dict[str, Any] = {"kind": kind, "picture": name, "noisy": shown.psnr(shown.noisy)}
    row["correlated"] = bool(shapes)

    def psnr(model: Model) -> float:
        return shown.psnr(predict_array(model, image, dtype=np.float64, tta=True, device="cpu"))

    for method in args.methods:
        if method in MASKS and not shapes:
            continue  # noise taken for white asks for no mask
        started = time.process_time()
        if method in ("instant", "nlridge"):
            config = Config(method=method).replace(training={"seed": args.seed})
            calibration = VstCalibration([image], plan([image], config), CPU)
            for _ in calibration:
                pass
            row[method] = psnr(calibration.model())
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
        elif asks_nlridge(model):
            row["net"] = psnr(model)
            model, _ = with_ridge_beside(model, [image], inspect_images([image]), CPU)
            row["share"] = model.second.share if model.second else 0.0
        row[method], row[f"{method} steps"] = psnr(model), run.step
        row[f"{method} CPU s"] = time.process_time() - started
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    parser.add_argument("--half", choices=HALVES, default=HALVES[0])
    parser.add_argument("--kinds", nargs="+", choices=tuple(PICTURES), default=list(PICTURES))
    parser.add_argument("--methods", nargs="+", default=["instant", "nlridge", "r2r", *MASKS])
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds of a training")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.what == "table":
        print(structured_table.table(Results(RESULTS).records, args.half))
        return
    torch.set_num_threads(1)
    place = f"structured_{args.half}_seed{args.seed}"
    for kind in args.kinds:
        for name in PICTURES[kind][1 + HALVES.index(args.half)]:
            row = measured(args, kind, name)
            values = row.items()
            print(*(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in values))
            with alone(place):
                rows = {(r["kind"], r["picture"]): r for r in recorded(place)}
                key = kind, name
                rows[key] = rows.get(key, {}) | row  # other methods stay
                record(place, vars(args), list(rows.values()))


if __name__ == "__main__":
    main()
