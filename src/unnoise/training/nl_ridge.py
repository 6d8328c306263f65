"""NL-Ridge as a candidate of ``adapted``: its model, and the pieces that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unnoise.config.config import Config
from unnoise.images.axes import middle
from unnoise.models.build import NET
from unnoise.models.model import Model, Passes
from unnoise.quality.risk import CELL, Piece

RIDGE = "nlridge"
"""The name of the candidate."""
TRUSTED = 0.5
"""This much of its weight is taken: on W2S (development) the risk said 0.2 where 0.03 was best.
Half of the best weight still has three quarters of the gain."""
SIDE = 256
"""Side of the middle of a piece that is enough to judge it, as half of its weight is taken."""


def with_ridge(instant: Model) -> Model:
    """NL-Ridge behind the transform of instant. One pass is enough: eight gain 0.01 dB."""
    own = instant.config
    kept = {"ndim": 2, "noise_model": own.noise_model, "training": {"seed": own.training.seed}}
    config = Config.parse({"method": RIDGE, **kept})
    # Copies: a file of weights cannot hold one tensor under two names.
    weights = {k: w.clone() for k, w in instant.weights.items() if not k.startswith(NET)}
    return replace(instant, config=config, weights=weights, passes=Passes(1, 0.0))


def middles(pieces: Sequence[Piece]) -> list[Piece]:
    """The middles of pieces; NL-Ridge sees no neighbouring frames."""
    found = []
    for piece in pieces:
        rows, columns = (middle(n, SIDE, CELL) for n in piece.noisy.shape[1:])
        found.append(
            replace(
                piece,
                noisy=piece.noisy[:, rows, columns],
                held_out=piece.held_out[:, rows, columns],
                redrawn=piece.redrawn[:, rows, columns],
                noise=piece.noise[:, rows, columns],
                frames=None,
            )
        )
    return found
