"""The methods by name: what each assumes and costs, its own defaults, and the published recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A method for people.

    Attributes
    ----------
    line : str
        What it does.
    assumes : str
        What must hold for it to work.
    cost : str
        Time, relative to Noise2Void.
    """

    line: str
    assumes: str
    cost: str


METHODS: dict[str, Entry] = {
    "instant": Entry(
        "the shipped denoiser behind a transform that is calibrated on the image; no training",
        "noise independent from pixel to pixel, of any strength that depends on the signal",
        "seconds",
    ),
    "adapted": Entry(
        "as instant, the shipped net fine-tuned, and n2v; the best or a mean of two is kept",
        "as instant",
        "2 a step, few steps",
    ),
    "n2v": Entry(
        "Noise2Void: hide pixels, predict them from their neighbours",
        "noise independent from pixel to pixel, zero mean",
        "1",
    ),
    "n2v2": Entry(
        "N2V2: Noise2Void with median replacement, blur pooling and no top skip",
        "as n2v; for checkerboard artefacts and hot pixels",
        "4 to 5 a step",
    ),
    "structn2v": Entry(
        "structN2V: hides the neighbours with correlated noise too (--struct horizontal:9)",
        "noise correlated only along a known, short direction",
        "1",
    ),
    "n2n": Entry(
        "Noise2Noise: predict one noisy image from another (--targets FOLDER or --pairs T)",
        "two looks at the same scene with independent noise",
        "0.9",
    ),
    "care": Entry(
        "CARE: supervised, from noisy to clean images (--targets FOLDER)",
        "clean images of the same scenes",
        "0.9",
    ),
    "b2u": Entry(
        "Blind2Unblind: grid masks, then the hidden pixel made visible again",
        "as n2v",
        "1.3 a phase",
    ),
    "r2r": Entry(
        "Recorrupted-to-Recorrupted: split the noise in two, predict one part from the other",
        "noise known (--noise-model) or measurable, normal or of photons; may be correlated",
        "1",
    ),
    "gaussian": Entry("Gaussian blur, width by J-invariance", "as n2v", "seconds"),
    "nlm": Entry("non-local means, strength by J-invariance", "as n2v", "seconds to minutes"),
    "tv": Entry("total variation, weight by J-invariance", "as n2v", "seconds"),
    "wavelet": Entry(
        "wavelet shrinkage, level by J-invariance (needs PyWavelets)", "as n2v", "seconds"
    ),
    "bm3d": Entry(
        "BM3D, level by J-invariance (needs the package bm3d)",
        "as n2v, one noise level everywhere",
        "minutes",
    ),
}
"""Every method by name."""

BLIND_SPOT = ("n2v", "n2v2", "structn2v")
"""The methods of the Noise2Void family."""
SHIPPED = ("instant", "adapted")
"""The methods that start from the weights of the package; their nets work plane by plane."""
CLASSICAL = ("gaussian", "nlm", "tv", "wavelet", "bm3d")
"""Filters that are calibrated, not trained."""

MIN_SLICES = 16
"""From this many Z slices on, a 3D net is chosen by itself."""
ADAPTED_STEPS = 1000
"""Steps of all stages of `adapted`, in steps of fine-tuning: 80 to 100 s on two cores."""
DEFAULT_STEPS = {2: 2200, 3: 500}
"""Steps, by dimensions, that take about two minutes on two cores with the default net."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "n2v": {"mask": {}, "net": {}},
    # Hoeck, Buchholz, Brachmann, Jug, Freytag: N2V2, ECCV workshops 2022.
    # Without the top skip the finest level that reaches the output is the second, which must not
    # lie below a stem of 2x2 cells; and the medians of dense masks show hidden neighbours. The two
    # changes together gave 0.9 dB at equal time (Train400, sigma 25, 90 CPU seconds, one run).
    "n2v2": {
        "mask": {"replacement": "median", "percent": 10.0},
        "net": {"pool": "blur", "top_skip": False, "residual": False, "unshuffle": 1},
    },
    # Broaddus, Krull, Weigert, Schmidt, Myers: structN2V, ISBI 2020; its example hides 1x9 pixels.
    # Dense masks hide most of what is around a spot: 1 to 2 % were best, 5 % cost 2 dB.
    "structn2v": {"mask": {"struct": "horizontal:9", "percent": 1.5}, "net": {}},
    "n2n": {"pairs": {}, "net": {}},
    "care": {"net": {}},
    "b2u": {"b2u": {}, "net": {}},
    # A residual net was 0.8 dB worse in one pass (camera, sigma 25, 20 CPU seconds, one run).
    "r2r": {"recorruption": {}, "net": {}},
    "adapted": {"training": {"learning_rate": 3e-4, "ema": 0.998}},
}
"""What a method sets apart from the defaults of `config`."""

_REFERENCE: dict[str, Any] = {
    "net": {
        "depth": 2,
        "filters": 96,
        "kernel": 3,
        "unshuffle": 1,
        "batch_norm": True,
        "residual": True,
        "activation": "relu",
    },
    "training": {
        "steps": 80_000,
        "batch_size": 128,
        "patch": 64,
        "optimizer": "adam",
        "learning_rate": 4e-4,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
        "warmup": 0.0,
        "schedule": "plateau",
        "validate_every": 400,
        "ema": 0.0,
        "clip": None,
        "precision": "float32",
    },
}
"""The BSD68 recipe of the reference notebook: 200 epochs of 400 steps, Adam, halved on plateaus."""

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {},
    "paper": {
        "n2v": {
            **_REFERENCE,
            "mask": {"percent": 0.198, "radius": 2, "replacement": "uniform_with_centre"},
        },
        "n2v2": {
            **_REFERENCE,
            "net": {**_REFERENCE["net"], "residual": False},
            "mask": {"percent": 0.198, "radius": 2},
        },
        "structn2v": {
            **_REFERENCE,
            "mask": {"percent": 0.198, "radius": 5, "replacement": "uniform_with_centre"},
        },
        "n2n": _REFERENCE,
        "care": _REFERENCE,
        # Pang et al. train a DnCNN, which is batch-normalised and residual too, with alpha 0.5.
        "r2r": {**_REFERENCE, "recorruption": {"decay": 1.0}},
        # Wang, Liu, Li, Han: Blind2Unblind, CVPR 2022, and its released training script: every
        # phase of a 4x4 grid, 48 filters, 100 epochs, 3e-4 halved after each fifth of them.
        "b2u": {
            "b2u": {"side": 4, "phases": 16},
            "net": {"depth": 4, "filters": 48, "unshuffle": 1},
            "training": {
                "steps": 100_000,
                "batch_size": 4,
                "patch": 128,
                "optimizer": "adam",
                "learning_rate": 3e-4,
                "betas": (0.9, 0.999),
                "weight_decay": 1e-8,
                "warmup": 0.0,
                "schedule": "halving",
                "ema": 0.0,
                "clip": None,
                "precision": "float32",
            },
        },
    },
}
"""Named settings by method: ``fast`` is the defaults, ``paper`` the published recipe."""
