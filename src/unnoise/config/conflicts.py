"""Settings that cannot be together, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unnoise.config.methods import BLIND_SPOT
from unnoise.config.sections import Training

if TYPE_CHECKING:
    from unnoise.config.config import Config

MAX_MEAN = 6.25
"""Percent up to which `mean` is safe: at 25 % the hidden noise can be solved for, at 6.25 % not."""


def conflicts(c: Config) -> list[tuple[bool, str]]:
    """Every combination that cannot work, as (whether it is there, why)."""
    t, net, struct = c.training, c.net, c.mask.struct if c.mask else None
    return [
        (
            t.steps is not None and t.minutes is not None,
            "a budget is either training.steps or training.minutes; set one of the two",
        ),
        (
            struct is not None and c.method != "structn2v",
            f"mask.struct belongs to the method structn2v, not {c.method}; change the method",
        ),
        (
            struct is None and c.method == "structn2v",
            "structn2v needs mask.struct, the direction in which noise is correlated, e.g. "
            "horizontal:9",
        ),
        (
            c.mask is not None and c.mask.replacement == "mean" and c.mask.percent > MAX_MEAN,
            f"mask.replacement mean needs mask.percent of at most {MAX_MEAN:g}: in denser masks "
            f"the means of windows that overlap give the hidden pixels away",
        ),
        (
            t.patience is not None and t.schedule == "cosine",
            "early stopping (training.patience) cannot go with the cosine schedule, whose last "
            "part decides; choose training.schedule plateau, halving or constant",
        ),
        (
            t.loss != "mse" and c.method == "b2u",
            f"the loss {t.loss} cannot go with b2u, whose target is not a noisy pixel; choose mse",
        ),
        (
            t.loss != "mse" and c.method == "r2r",
            f"the loss {t.loss} cannot go with r2r, whose target is noisier than the image; choose "
            f"mse",
        ),
        (
            c.recorruption is not None
            and c.recorruption.kind == "thinning"
            and c.recorruption.correlated is True,
            "recorruption.correlated cannot go with thinning, as photons are independent; leave "
            "it out or set recorruption.kind to gaussian",
        ),
        (
            t.patience is not None and c.method == "b2u",
            "early stopping (training.patience) cannot go with b2u, whose held-out loss does not "
            "see what its last phase gains; leave it out",
        ),
        (
            net is not None and net.z_poolings is not None and net.z_poolings > net.depth,
            "net.z_poolings is larger than net.depth, the number of all poolings",
        ),
        (
            net is not None and net.z_poolings is not None and c.ndim == 2,
            "net.z_poolings is for 3D nets; leave it out or set ndim to 3",
        ),
        (
            c.b2u is not None and c.b2u.phases > c.b2u.side ** (c.ndim or 3),
            "b2u.phases is larger than the number of phases of the grid, b2u.side ** ndim",
        ),
        (
            not c.is_trained and t.model_copy(update={"seed": 0}) != Training(),
            f"{c.method} is calibrated, not trained, so no training setting applies; leave out "
            f"minutes, steps and other training settings",
        ),
        (
            c.centre and c.method not in BLIND_SPOT,
            f"the pixel itself (centre) can be brought back after a blind spot only, and "
            f"{c.method} has none; leave centre out",
        ),
        (
            c.is_shipped and c.ndim == 3,
            f"{c.method} works on planes; add --2d (ndim: 2) or choose another method",
        ),
        (
            t.loss != "mse" and c.method == "adapted",
            f"the loss {t.loss} cannot go with adapted, whose net predicts no spread; choose mse",
        ),
        (
            c.method == "bm3d" and c.ndim == 3,
            "bm3d works on planes; add --2d (ndim: 2) or choose another method",
        ),
    ]
