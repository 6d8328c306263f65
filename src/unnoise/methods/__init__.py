"""Training methods by name: each turns noisy patches into (input, target, weight)."""

from unnoise.methods.n2v import Noise2Void

METHODS = {"n2v": Noise2Void}

__all__ = ["METHODS", "Noise2Void"]
