"""The published recipes, number by number, and the table of methods."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from unnoise.config.config import Config
from unnoise.config.methods import METHODS, PRESETS
from unnoise.nets.classical import FILTERS
from unnoise.training.start import RUNS

# The notebook BSD68_reproducibility of n2v, and the defaults of csbdeep that it leaves alone.
BSD68 = {
    "net.depth": 2,
    "net.filters": 96,
    "net.kernel": 3,
    "net.convs": 2,
    "net.unshuffle": 1,
    "net.batch_norm": True,
    "net.dropout": 0,
    "net.activation": "relu",
    "net.last_activation": "linear",
    "net.upsample": "nearest",
    "training.steps": 200 * 400,
    "training.minutes": None,
    "training.batch_size": 128,
    "training.patch": 64,
    "training.loss": "mse",
    "training.optimizer": "adam",
    "training.learning_rate": 4e-4,
    "training.betas": (0.9, 0.999),  # the defaults of Keras
    "training.weight_decay": 0,
    "training.warmup": 0,
    "training.schedule": "plateau",  # ReduceLROnPlateau(factor=0.5, patience=10), every epoch
    "training.validate_every": 400,
    "training.plateau_patience": 10,
    "training.plateau_factor": 0.5,
    "training.patience": None,
    "training.ema": 0,
    "training.clip": None,
    "training.precision": "float32",
    "training.augment": True,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "n2v": BSD68
    | {
        "net.residual": True,
        "net.pool": "max",
        "net.top_skip": True,
        "mask.percent": 0.198,
        "mask.radius": 2,
        "mask.replacement": "uniform_with_centre",
        "mask.pattern": "stratified",
        "mask.struct": None,
    },
    # The README of n2v: blurpool=True, skip_skipone=True, n2v_manipulator="median",
    # unet_residual=False.
    "n2v2": BSD68
    | {
        "net.residual": False,
        "net.pool": "blur",
        "net.top_skip": False,
        "mask.percent": 0.198,
        "mask.radius": 2,
        "mask.replacement": "median",
        "mask.struct": None,
    },
    # The Convallaria example: the mask [[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]] and radius 5.
    "structn2v": BSD68
    | {
        "mask.percent": 0.198,
        "mask.radius": 5,
        "mask.replacement": "uniform_with_centre",
        "mask.struct": "horizontal:9",
    },
    "n2n": BSD68 | {"pairs.axis": None, "pairs.both_directions": True},
    "care": BSD68,
    # train_b2u.py: 16 masked copies of 4x4 grids, beta from 2 to 20 after 80 % of the epochs.
    "b2u": {
        "b2u.side": 4,
        "b2u.phases": 16,
        "b2u.beta": (2.0, 20.0),
        "b2u.ramp": 0.8,
        "b2u.eta": 1.0,
        "net.filters": 48,
        "net.unshuffle": 1,
        "training.batch_size": 4,
        "training.patch": 128,
        "training.loss": "mse",
        "training.optimizer": "adam",
        "training.learning_rate": 3e-4,
        "training.weight_decay": 1e-8,
        "training.schedule": "halving",
        "training.warmup": 0,
        "training.ema": 0,
        "training.clip": None,
        "training.precision": "float32",
    },
}


@pytest.mark.parametrize("method", PUBLISHED)
def test_the_preset_paper_is_the_published_recipe(method: str) -> None:
    values = Config.preset("paper", method).model_dump()
    flat = {
        f"{section}.{key}": value
        for section, inner in values.items()
        if isinstance(inner, dict)
        for key, value in inner.items()
    }
    assert {key: flat[key] for key in PUBLISHED[method]} == PUBLISHED[method]


def test_the_published_footprint_is_nine_pixels_in_a_row() -> None:
    config = Config.preset("paper", "structn2v")
    published = [[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]]
    same = config.replace(mask={"struct": published})
    assert config.footprint(2).tolist() == same.footprint(2).tolist() == [[True] * 9]


@pytest.mark.parametrize("method", METHODS)
def test_fast_is_what_a_method_does_by_default(method: str) -> None:
    fast = Config.preset("fast", method)
    assert fast == Config.preset(method=method) == Config(method=method)
    assert fast == Config.parse({"method": method})
    if METHODS[method].run == "filter":  # nothing is published to train
        assert Config.preset("paper", method) == fast


def test_n2v2_is_n2v_with_four_changes() -> None:
    for preset in PRESETS:
        config = Config.preset(preset, "n2v2")
        assert (config.net.pool, config.net.top_skip, config.net.residual) == ("blur", False, False)
        assert config.mask.replacement == "median"
    a, b = (Config.preset("paper", method).model_dump() for method in ("n2v", "n2v2"))
    changed = {
        f"{section}.{key}"
        for section in ("mask", "net", "training")
        for key in a[section]
        if a[section][key] != b[section][key]
    }
    assert changed == {"mask.replacement", "net.pool", "net.top_skip", "net.residual"}


def test_tables_of_methods_agree() -> None:
    assert set(FILTERS) == {name for name, entry in METHODS.items() if entry.run == "filter"}
    for entry in METHODS.values():
        assert entry.run in RUNS
        trained = entry.run in ("training", "refined")
        assert bool(entry.build) == bool(entry.defaults) == trained
        if entry.build:
            module, name = entry.build.split(":")
            assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_line_its_assumptions_and_its_cost(method: str) -> None:
    entry = METHODS[method]
    for text in (entry.line, entry.assumes, entry.cost):
        assert text.strip() == text != ""
        assert "\n" not in text
    assert len(entry.line) < 90


def test_what_has_no_net() -> None:
    without = {name for name, entry in METHODS.items() if not entry.has_net}
    assert without == {"gaussian", "nlm", "tv", "wavelet", "bm3d", "nlridge"}
