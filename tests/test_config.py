"""Laws of the settings: frozen, strict, and the same again after YAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from unnoise.config import PRESETS, Config
from unnoise.errors import InputError


def test_fast_is_the_default_and_paper_the_published_recipe() -> None:
    assert Config.preset("fast") == Config() == Config.parse({})
    paper = Config.preset("paper")
    # Krull, Buchholz, Jug (CVPR 2019) and the BSD68 notebook of the reference implementation.
    net, training = paper.net, paper.training
    assert (net.depth, net.filters, net.kernel, net.unshuffle) == (2, 96, 3, 1)
    assert (net.batch_norm, net.residual, net.last_activation) == (True, True, "linear")
    assert (training.batch_size, training.loss) == (128, "mse")
    assert training.patch in (None, 64)  # None becomes 64 in 2D
    assert (training.steps, training.learning_rate) == (200 * 400, 4e-4)
    assert (paper.blind_spots.percent, paper.blind_spots.radius) == (0.198, 2)
    with pytest.raises(InputError, match=r"'slow'.*fast, paper"):
        Config.preset("slow")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"epochs": 5}, "'epochs'"),
        ({"training": {"epochs": 5}}, "'training.epochs'"),
        ({"net": {"Depth": 3}}, "'net.Depth'"),
        ({"blind_spots": {"percentage": 1}}, "'blind_spots.percentage'"),
    ],
)
def test_unknown_settings_are_refused_by_name(values: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name):
        Config.parse(values)
    with pytest.raises(ValidationError):
        Config(**values)


LIMITS: list[tuple[str, list[Any], list[Any]]] = [
    ("method", ["n2v"], ["N2V", "care", None]),
    ("ndim", [None, 2, 3], [1, 4, "two"]),
    ("blind_spots.percent", [0.05, 50], [0, 0.04, 50.1, -1, float("nan")]),
    ("blind_spots.radius", [1, 15], [0, 16, 1.5]),
    ("blind_spots.replacement", ["uniform"], ["zero"]),
    ("net.depth", [1, 6], [0, 7, 2.5, None]),
    ("net.filters", [1, 512], [0, 513]),
    ("net.kernel", [3, 5, 7], [1, 4, 9]),
    ("net.unshuffle", [1, 2, 4], [0, 3, 8]),
    ("net.activation", ["relu", "leaky_relu"], ["gelu"]),
    ("net.last_activation", ["linear", "relu"], ["sigmoid"]),
    ("net.channels", ["independent", "joint"], ["both"]),
    ("net.batch_norm", [True, False], ["maybe", 2]),
    ("training.steps", [None, 1, 10**6], [0, -5, 1.5]),
    ("training.minutes", [None, 0.01], [0, -1, float("nan")]),
    ("training.batch_size", [1], [0, None]),
    ("training.patch", [None, 16], [15]),
    ("training.patch_z", [4], [3]),
    ("training.loss", ["mse", "mae"], ["huber"]),
    ("training.learning_rate", [1e-9], [0, -1e-3, float("nan")]),
    ("training.warmup", [0, 0.99], [1, -0.1]),
    ("training.weight_decay", [0], [-1e-9]),
    ("training.ema", [0, 0.9999], [1, -0.1]),
    ("training.clip", [0.1], [0]),
    ("training.seed", [0, 2**40], [-1, "x"]),
]


def nested(name: str, value: Any) -> dict[str, Any]:
    group, _, key = name.rpartition(".")
    return {group: {key: value}} if group else {key: value}


@pytest.mark.parametrize(("name", "good", "bad"), LIMITS, ids=[limit[0] for limit in LIMITS])
def test_limits_are_kept_and_named(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        found: Any = Config.parse(nested(name, value))
        for part in name.split("."):
            found = getattr(found, part)
        assert found == value
    for value in bad:
        with pytest.raises(InputError, match=f"setting '{name}") as caught:
            Config.parse(nested(name, value))
        assert caught.value.exit_code == 2


def test_settings_cannot_change() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.method = "n2v"
    for group, key in (("net", "depth"), ("training", "steps"), ("blind_spots", "radius")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(getattr(config, group), key, 3)
    assert config == Config()


@pytest.mark.parametrize(
    "config",
    [
        *(Config.preset(name) for name in PRESETS),
        Config.parse({"ndim": 3, "training": {"minutes": 0.1, "learning_rate": 1e-9}}),
        Config.parse({"net": {"channels": "joint", "activation": "relu"}}),
        Config.parse({"training": {"seed": 2**63 - 1, "clip": 1e22, "ema": 0.1 + 0.2}}),
    ],
)
def test_yaml_brings_every_setting_back(config: Config) -> None:
    values = yaml.safe_load(config.to_yaml())
    assert Config.parse(values) == config
    for group in ("blind_spots", "net", "training"):  # every default is written out
        assert set(values[group]) == set(type(getattr(config, group)).model_fields)
    assert set(values) == set(Config.model_fields)


def test_replace_changes_what_it_names_and_nothing_else() -> None:
    config = Config.preset("paper")
    other = config.replace(ndim=3, net={"depth": 4, "filters": None}, training={"steps": 7})
    expected = config.model_dump()
    expected["ndim"] = 3
    expected["net"]["depth"] = 4
    expected["training"]["steps"] = 7
    assert other.model_dump() == expected
    assert config == Config.preset("paper")
    assert config.replace() == config.replace(ndim=None, net={"depth": None}) == config
    with pytest.raises(InputError, match=r"training\.steps"):
        config.replace(training={"steps": 0})
    with pytest.raises(InputError, match=r"net\.width"):
        config.replace(net={"width": 3})
    with pytest.raises(InputError, match="epochs"):
        config.replace(epochs=3)
