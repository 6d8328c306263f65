"""The methods by name: what each assumes and costs, its own defaults, and the published recipe.

A new method is one file, whose function `build` makes it from settings (see
`unnoise.training.methods`), and one entry of `METHODS`; or, in a package of its own, an entry point
of the group ``unnoise.methods`` whose object is a `Method`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from unnoise.errors import InputError, expect

GROUP = "unnoise.methods"
"""Entry points of installed packages that bring methods."""


@dataclass(frozen=True)
class Method:
    """A method for people and for the settings; what trains it is found by name.

    Attributes
    ----------
    line, assumes, cost : str
        What it does, what must hold for it to work, and its time relative to Noise2Void.
    defaults : mapping
        The sections of the settings that it uses, with what it sets apart from their defaults.
    paper : mapping
        What the preset ``paper`` changes: the published recipe.
    build : str
        ``module:function`` that makes the training method from (settings, dimensions, noise).
    run : str
        Name out of `unnoise.training.start.RUNS`.
    pairs : str
        ``noisy`` or ``clean``: what the second images are, for methods that learn from pairs.
    blind_spot : bool
        Whether single pixels are hidden, so that a prediction does not know its own pixel.
    pretrained : bool
        Whether it starts from the weights of the package.
    planes_only : bool
        Whether its net or filter works on planes, never on stacks.
    context : bool
        Whether its results can look at neighbouring frames.
    only_mse : str
        Why likelihoods cannot be its loss, as the end of a sentence; empty where they can.
    no_early_stopping : str
        Why its held-out loss cannot end a run, as the end of a sentence.
    keeps_last : bool
        Whether the last weights are kept, whatever the held-out loss says.
    """

    line: str
    assumes: str
    cost: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, Any] = field(default_factory=dict)
    build: str = ""
    run: str = "training"
    pairs: str = ""
    blind_spot: bool = False
    pretrained: bool = False
    planes_only: bool = False
    context: bool = False
    only_mse: str = ""
    no_early_stopping: str = ""
    keeps_last: bool = False

    @property
    def is_stabilized(self) -> bool:
        """Whether a variance-stabilising transform, made of the measured noise, goes before."""
        return self.run in ("instant", "adapted")

    @property
    def has_net(self) -> bool:
        """Whether a net makes the results, which may show what it has seen in other images."""
        return self.pretrained or self.run not in ("filter", "instant")

    @property
    def draws_noise(self) -> bool:
        """Whether noise of the measured kind is drawn anew, so that its tails matter."""
        return self.run == "refined"


MIN_SLICES = 16
"""From this many Z slices on, a 3D net is chosen by itself."""
ADAPTED_STEPS = 1500
"""Steps of the training of `adapted`."""
DEFAULT_STEPS = {2: 2200, 3: 500}
"""Steps, by dimensions, that take about two minutes on two cores with the default net."""

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

_METHODS = "unnoise.training.methods"

METHODS: dict[str, Method] = {
    "instant": Method(
        "the shipped denoiser behind a transform that is calibrated on the image; no training",
        "noise whose strength depends on the signal, independent or correlated over a few pixels",
        "seconds",
        run="instant",
        pretrained=True,
        planes_only=True,
        context=True,
    ),
    "adapted": Method(
        "instant, n2v and nlridge; one or a mean of two is kept, by the estimated error",
        "as instant",
        "1",
        run="adapted",
        pretrained=True,
        planes_only=True,
        context=True,
        only_mse="whose net predicts no spread",
    ),
    "n2v": Method(
        "Noise2Void: hide pixels, predict them from their neighbours",
        "noise independent from pixel to pixel, zero mean",
        "1",
        defaults={"mask": {}, "net": {}},
        paper={
            **_REFERENCE,
            "mask": {"percent": 0.198, "radius": 2, "replacement": "uniform_with_centre"},
        },
        build=f"{_METHODS}.n2v:build",
        blind_spot=True,
        context=True,
    ),
    # Hoeck, Buchholz, Brachmann, Jug, Freytag: N2V2, ECCV workshops 2022.
    # Without the top skip the finest level that reaches the output is the second, which must not
    # lie below a stem of 2x2 cells; and the medians of dense masks show hidden neighbours. The two
    # changes together gave 0.9 dB at equal time (Train400, sigma 25, 90 CPU seconds, one run).
    "n2v2": Method(
        "N2V2: Noise2Void with median replacement, blur pooling and no top skip",
        "as n2v; for checkerboard artefacts and hot pixels",
        "4 to 5 a step",
        defaults={
            "mask": {"replacement": "median", "percent": 10.0},
            "net": {"pool": "blur", "top_skip": False, "residual": False, "unshuffle": 1},
        },
        paper={
            **_REFERENCE,
            "net": {**_REFERENCE["net"], "residual": False},
            "mask": {"percent": 0.198, "radius": 2},
        },
        build=f"{_METHODS}.n2v:build",
        blind_spot=True,
        context=True,
    ),
    # Broaddus, Krull, Weigert, Schmidt, Myers: structN2V, ISBI 2020; its example hides 1x9 pixels.
    # Dense masks hide most of what is around a spot: 1 to 2 % were best, 5 % cost 2 dB.
    "structn2v": Method(
        "structN2V: hides the neighbours with correlated noise too (--struct horizontal:9)",
        "noise correlated only along a known, short direction",
        "1",
        defaults={"mask": {"struct": "horizontal:9", "percent": 1.5}, "net": {}},
        paper={
            **_REFERENCE,
            "mask": {"percent": 0.198, "radius": 5, "replacement": "uniform_with_centre"},
        },
        build=f"{_METHODS}.n2v:build",
        blind_spot=True,
        context=True,
    ),
    "n2n": Method(
        "Noise2Noise: predict one noisy image from another (--targets FOLDER or --pairs T)",
        "two looks at the same scene with independent noise",
        "0.9",
        defaults={"pairs": {}, "net": {}},
        paper=_REFERENCE,
        build=f"{_METHODS}.n2n:build",
        pairs="noisy",
    ),
    "care": Method(
        "CARE: supervised, from noisy to clean images (--targets FOLDER)",
        "clean images of the same scenes",
        "0.9",
        defaults={"net": {}},
        paper=_REFERENCE,
        build=f"{_METHODS}.care:build",
        pairs="clean",
        context=True,
    ),
    # Wang, Liu, Li, Han: Blind2Unblind, CVPR 2022, and its released training script: every
    # phase of a 4x4 grid, 48 filters, 100 epochs, 3e-4 halved after each fifth of them.
    "b2u": Method(
        "Blind2Unblind: grid masks, then the hidden pixel made visible again",
        "as n2v",
        "1.3 a phase",
        defaults={"b2u": {}, "net": {}},
        paper={
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
        build=f"{_METHODS}.b2u:build",
        context=True,
        only_mse="whose target is not a noisy pixel",
        no_early_stopping="whose held-out loss does not see what its last phase gains",
        keeps_last=True,
    ),
    # A residual net was 0.8 dB worse in one pass (camera, sigma 25, 20 CPU seconds, one run).
    # Pang et al. train a DnCNN, which is batch-normalised and residual too, with alpha 0.5.
    "r2r": Method(
        "Recorrupted-to-Recorrupted: split the noise in two, predict one part from the other",
        "noise known (--noise-model) or measurable, normal or of photons; may be correlated",
        "1",
        defaults={"recorruption": {}, "net": {}},
        paper={**_REFERENCE, "recorruption": {"decay": 1.0, "nlridge": False}},
        build=f"{_METHODS}.r2r:build",
        context=True,
        only_mse="whose target is noisier than the image",
    ),
    # Zhang et al., IDR, CVPR 2022, whose rounds begin with noisier images instead of blind spots.
    "refined": Method(
        "n2v, then a net that learns from its sharpened result with noise drawn anew",
        "noise known (--noise-model) or measurable, independent from pixel to pixel",
        "1",
        defaults={"mask": {}, "net": {}},
        build=f"{_METHODS}.n2v:build",
        run="refined",
        planes_only=True,
        only_mse="whose target is a result",
        no_early_stopping="which trains two nets, one after the other",
    ),
    "gaussian": Method("Gaussian blur, width by J-invariance", "as n2v", "seconds", run="filter"),
    "nlm": Method(
        "non-local means, strength by J-invariance", "as n2v", "seconds to minutes", run="filter"
    ),
    "tv": Method("total variation, weight by J-invariance", "as n2v", "seconds", run="filter"),
    "wavelet": Method(
        "wavelet shrinkage, level by J-invariance (needs PyWavelets)",
        "as n2v",
        "seconds",
        run="filter",
    ),
    "nlridge": Method(
        "NL-Ridge behind a transform that is calibrated on the image; sees no other picture",
        "as instant",
        "seconds",
        run="instant",
        planes_only=True,
    ),
    "bm3d": Method(
        "BM3D, level by J-invariance (needs the package bm3d)",
        "as n2v, one noise level everywhere",
        "minutes",
        run="filter",
        planes_only=True,
    ),
}
"""Every method of the package by name."""

PRESETS = ("fast", "paper")
"""Named settings: ``fast`` is the defaults, ``paper`` the published recipe of the method."""


@functools.cache
def known() -> dict[str, Method]:
    """Every method by name, those of installed packages included.

    Raises
    ------
    InputError
        If an installed package promises a method that cannot be loaded.
    """
    found = dict(METHODS)
    for point in entry_points(group=GROUP):
        try:
            method = point.load()
        except Exception as error:  # whatever the package raises
            raise InputError(
                f"the method '{point.name}' of an installed package cannot be loaded ({error}); "
                f"update or remove the package"
            ) from error
        if not isinstance(method, Method):
            raise InputError(
                f"the entry point '{point.name}' of {GROUP} is no unnoise Method; update or remove "
                f"the package that brings it"
            )
        found.setdefault(point.name, method)
    return found


def method(name: str) -> Method:
    """The method of a name; packages are asked only for names that unnoise itself does not have.

    Raises
    ------
    InputError
        For an unknown name; the known ones are listed.

    Examples
    --------
    >>> method("care").pairs
    'clean'
    """
    expect("method", name, str, "a name like 'n2v'")
    if name in METHODS:
        return METHODS[name]
    if name not in known():
        raise InputError(f"unknown method '{name}'; the methods are {', '.join(known())}")
    return known()[name]


def users(section: str) -> list[str]:
    """The methods that use a section of the settings.

    Examples
    --------
    >>> users("mask")
    ['n2v', 'n2v2', 'structn2v', 'refined']
    """
    return [name for name, entry in METHODS.items() if section in entry.defaults]
