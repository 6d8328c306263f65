"""Laws of the settings: frozen, strict, and the same again after YAML."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from unnoise.config.config import Config
from unnoise.config.methods import METHODS, PRESETS
from unnoise.errors import InputError

SECTIONS = {
    **{method: {"mask", "net"} for method in ("n2v", "n2v2", "structn2v")},
    "n2n": {"pairs", "net"},
    "care": {"net"},
    "b2u": {"b2u", "net"},
    "r2r": {"recorruption", "net"},
    "refined": {"mask", "net"},
    **{method: set() for method in ("gaussian", "nlm", "tv", "wavelet", "bm3d", "nlridge")},
}


PLAIN = ("method", "ndim", "use_center_pixel", "noise_model", "context", "declip")
CLASSICAL = ("gaussian", "nlm", "tv", "wavelet", "bm3d")
CALIBRATED = (*CLASSICAL, "nlridge")


EVERY = [(preset, method) for preset in PRESETS for method in SECTIONS]


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
    assert (paper.mask.percent, paper.mask.radius) == (0.198, 2)
    with pytest.raises(InputError, match=r"'slow'.*fast, paper"):
        Config.preset("slow")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"epochs": 5}, "'epochs'"),
        ({"training": {"epochs": 5}}, "'training.epochs'"),
        ({"net": {"Depth": 3}}, "'net.Depth'"),
        ({"mask": {"percentage": 1}}, "'mask.percentage'"),
    ],
)
def test_unknown_settings_are_refused_by_name(values: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name):
        Config.parse(values)
    with pytest.raises(ValidationError):
        Config(**values)


LIMITS: list[tuple[str, list[Any], list[Any]]] = [
    ("method", list(SECTIONS), ["N2V", "noise2void", None, 3, ["n2v"]]),
    ("ndim", [None, 2, 3], [1, 4, "two"]),
    (
        "context",
        [None, {}, {"T": 0}, {"Z": 0}],
        [{"S": 1}, {"T": -1}, {"T": 9}, {"T": 1.5}, {"t": 1}, {"T": None}, 2, "T"],
    ),
    ("mask.percent", [0.05, 50], [0, 0.04, 50.1, -1, float("nan")]),
    ("mask.radius", [1, 15], [0, 16, 1.5]),
    ("mask.pattern", ["stratified", "grid"], ["random"]),
    (
        "mask.replacement",
        [
            "uniform",
            "uniform_with_centre",
            "normal_without_centre",
            "normal_additive",
            "normal_fitted",
            "identity",
            "mean",
            "median",
        ],
        ["zero", None, 3, ["uniform"]],
    ),
    ("b2u.side", [2, 8], [1, 9, 2.5]),
    ("b2u.phases", [1, 8], [0, 1.5]),
    ("b2u.beta", [(0.0, 0.0), (2.0, 20.0)], [(-1, 2), (1,), 3, (1, 2, 3)]),
    ("b2u.ramp", [0, 0.99], [1, -0.1]),
    ("b2u.eta", [1e-9, 5], [0, -1]),
    ("pairs.axis", [None, "S", "T", "Z"], ["C", "Y", "t", "ST"]),
    ("pairs.both_directions", [True, False], ["maybe", None]),
    ("net.depth", [1, 6], [0, 7, 2.5, None]),
    ("net.filters", [1, 512], [0, 513]),
    ("net.kernel", [3, 5, 7], [1, 4, 9]),
    ("net.unshuffle", [1, 2, 4], [0, 3, 8]),
    ("net.activation", ["relu", "leaky_relu", "elu", "gelu", "silu"], ["swish", "linear"]),
    ("net.last_activation", ["linear", "relu"], ["sigmoid"]),
    ("net.channels", ["independent", "separate", "joint"], ["both"]),
    ("net.convs", [1, 4], [0, 5]),
    ("net.pool", ["max", "blur"], ["mean"]),
    ("net.z_poolings", [None, 0, 2], [-1, 7]),
    ("net.upsample", ["nearest", "linear"], ["cubic"]),
    ("net.top_skip", [True, False], ["maybe"]),
    ("net.residual", [True, False], ["maybe"]),
    ("net.dropout", [0, 0.9], [1, -0.1]),
    ("net.batch_norm", [True, False], ["maybe", 2]),
    ("training.steps", [None, 1, 10**6], [0, -5, 1.5]),
    ("training.minutes", [None, 0.01], [0, -1, float("nan")]),
    ("training.batch_size", [1], [0, None]),
    ("training.patch", [None, 16], [15]),
    ("training.patch_z", [4], [3]),
    ("training.loss", ["mse", "mae", "gaussian", "laplace"], ["huber"]),
    ("training.eps", [1e-9, 0.1], [0, -1]),
    ("training.optimizer", ["adamw", "adam", "sgd"], ["muon"]),
    ("training.betas", [(0.0, 0.0), (0.9, 0.999)], [(1, 0.9), (0.9,), 0.9]),
    ("training.schedule", ["cosine", "plateau", "halving", "constant"], ["linear"]),
    ("training.plateau_patience", [1, 99], [0, 1.5]),
    ("training.plateau_factor", [0.1, 0.9], [0, 1]),
    ("training.validate_every", [None, 1, 400], [0, -1]),
    ("training.augment", [True, False], ["maybe"]),
    ("training.learning_rate", [1e-9], [0, -1e-3, float("nan")]),
    ("training.warmup", [0, 0.99], [1, -0.1]),
    ("training.weight_decay", [0], [-1e-9]),
    ("training.ema", [0, 0.9999], [1, -0.1]),
    ("training.clip", [None, 0.1], [0]),
    ("training.seed", [0, 2**40], [-1, "x"]),
]


def nested(name: str, value: Any) -> dict[str, Any]:
    group, _, key = name.rpartition(".")
    if not group:
        return {key: value}
    method = {"b2u": "b2u", "pairs": "n2n"}.get(group, "n2v")
    sparse = {"percent": 5} if key == "replacement" else {}  # as `mean` needs it
    return {"method": method, group: {**sparse, key: value}}


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
    for group, key in (("net", "depth"), ("training", "steps"), ("mask", "radius")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(getattr(config, group), key, 3)
    for method, key in (("b2u", "side"), ("n2n", "axis")):
        section = Config(method=method).b2u or Config(method=method).pairs
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 3)
    assert config == Config()


STRUCT = np.pad(np.eye(9, dtype=int), ((0, 0), (6, 6))).tolist()  # too long for a line of YAML


@pytest.mark.parametrize(
    "config",
    [
        *(Config.preset(*names) for names in EVERY),
        Config.parse({"ndim": 3, "training": {"minutes": 0.1, "learning_rate": 1e-9}}),
        Config.parse({"net": {"channels": "joint", "activation": "relu"}}),
        Config.parse({"training": {"seed": 2**63 - 1, "clip": 1e22, "ema": 0.1 + 0.2}}),
        Config.parse({"method": "structn2v", "mask": {"struct": STRUCT}}),
        Config.parse({"method": "structn2v", "mask": {"struct": [1, 1, 0, 1, 1]}}),
        Config.parse({"method": "n2n", "pairs": {"axis": "T"}, "training": {"loss": "laplace"}}),
        Config.parse({"method": "b2u", "b2u": {"beta": (0.1 + 0.2, 1e22), "eta": 1e-7}}),
        Config.parse({"method": "nlm", "training": {"seed": 7}}),
    ],
    ids=lambda config: f"{config.method}",
)
def test_yaml_brings_every_setting_back(config: Config) -> None:
    calibrated = config.method in CALIBRATED
    if calibrated and config.training.seed:
        config = config.replace(training={"seed": 0})
    for comments in (False, True):
        text = config.to_yaml(comments=comments)
        values = yaml.safe_load(text)
        assert Config.parse(values) == Config.from_yaml(text) == config
        # Every default of every section that the method uses is written out, and nothing else.
        used = SECTIONS[config.method] | (set() if calibrated else {"training"})
        assert set(values) == {*PLAIN} | used
        for group in used:
            assert set(values[group]) == set(type(getattr(config, group)).model_fields)
    # What the file says is what `values` says, which is plain: no tuples, no enumerations.
    assert yaml.safe_load(config.to_yaml()) == config.values()


@pytest.mark.parametrize(("preset", "method"), EVERY)
def test_every_setting_is_explained_above_its_line(preset: str, method: str) -> None:
    config = Config.preset(preset, method)
    lines = config.to_yaml(comments=True).splitlines()
    assert all(len(line) <= 100 for line in lines)
    explained = {}
    group = ""
    for above, line in zip(["", *lines], lines, strict=False):
        if found := re.match(r"( *)(\w+):", line):
            group = "" if not found[1] else group
            name = f"{group}.{found[2]}" if group else found[2]
            explained[name] = re.fullmatch(rf"{found[1]}# .*\S", above) is not None
            group = group or (found[2] if line.endswith(":") else "")
        else:
            assert line == "" or line.lstrip().startswith("# ")
    every = {*PLAIN}
    for section, values in config.values().items():
        if isinstance(values, dict):
            every |= {section, *(f"{section}.{key}" for key in values)}
    assert explained == dict.fromkeys(every, True)


@pytest.mark.parametrize(
    "text", ["just words", "- a\n- list", "", "training: [1", "a: b: c", "method: n2v\n\tx: 1"]
)
def test_what_is_no_settings_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"settings (must be|are not valid YAML)"):
        Config.from_yaml(text)


def test_numbers_as_people_write_them_in_yaml() -> None:
    # YAML 1.1 reads 1e-3 (no dot) as a text.
    text = "method: n2v\ntraining: {learning_rate: 1e-3, steps: 1_000}\nmask: {percent: 5}\n"
    config = Config.from_yaml(text)
    assert (config.training.learning_rate, config.training.steps) == (1e-3, 1000)
    assert config.mask.percent == 5


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


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"training": {"learning_rat": 1}}, "did you mean 'learning_rate'?"),
        ({"net": {"filter": 1}}, "did you mean 'filters'?"),
        ({"mask": {"percentage": 1}}, "did you mean 'percent'?"),
        ({"method": "b2u", "b2u": {"phase": 1}}, "did you mean 'phases'?"),
        ({"method": "n2n", "pairs": {"axes": "T"}}, "did you mean 'axis'?"),
        ({"methods": "n2v"}, "did you mean 'method'?"),
        ({"trainig": {}}, "did you mean 'training'?"),
        ({"mask": {"qqqq": 1}}, "known are percent, pattern, replacement, radius, struct"),
    ],
)
def test_a_misspelt_setting_is_answered_with_the_right_one(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=re.escape(f"there is no such setting; {reason}")):
        Config.parse(values)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"training": {"steps": 5, "minutes": 1}}, "either training.steps or training.minutes"),
    ({"mask": {"struct": "horizontal:5"}}, "mask.struct belongs to the method structn2v, not n2v"),
    ({"method": "n2v2", "mask": {"struct": [1, 1, 1]}}, "structn2v, not n2v2"),
    ({"method": "structn2v", "mask": {"struct": None}}, "structn2v needs mask.struct"),
    ({"mask": {"replacement": "mean"}}, "mask.replacement mean needs mask.percent of at most"),
    ({"training": {"patience": 5}}, "cannot go with the cosine schedule"),
    ({"method": "b2u", "training": {"loss": "gaussian"}}, "gaussian cannot go with b2u"),
    ({"method": "b2u", "training": {"loss": "laplace"}}, "laplace cannot go with b2u"),
    ({"net": {"depth": 1, "z_poolings": 2}}, "net.z_poolings is larger than net.depth"),
    ({"ndim": 2, "net": {"z_poolings": 1}}, "net.z_poolings is for 3D nets"),
    ({"method": "b2u", "b2u": {"phases": 9}}, "b2u.phases is larger than"),
    ({"method": "b2u", "ndim": 2, "b2u": {"phases": 5}}, "b2u.phases is larger than"),
    *(
        ({"method": method, "training": training}, f"{method} is calibrated, not trained")
        for method in CALIBRATED
        for training in ({"steps": 5}, {"minutes": 1}, {"batch_size": 8}, {"loss": "mae"})
    ),
    ({"method": "bm3d", "ndim": 3}, "bm3d works on planes"),
    ({"context": {"T": 0, "Z": 0}}, "context looks along one axis"),
    *(
        ({"method": method, "context": {"T": 2}}, f"{method} cannot look at neighbouring frames")
        for method in SECTIONS
        if not METHODS[method].context
    ),
    ({"context": {"Z": 1}, "ndim": 3}, "context along Z is for 2D nets"),
    ({"method": "structn2v", "ndim": 2, "mask": {"struct": "z:3"}}, "3 dimensions but the net"),
    ({"method": "structn2v", "mask": {"struct": "horizontal:4"}}, "odd length"),
    ({"method": "structn2v", "mask": {"struct": [1, 2, 1]}}, "only 0 and 1"),
]


@pytest.mark.parametrize(("values", "reason"), IMPOSSIBLE)
def test_impossible_combinations_are_refused_with_the_reason(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        Config.parse(values)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "Value error" not in text
    assert caught.value.exit_code == 2
    with pytest.raises(ValidationError, match=re.escape(reason)):
        Config(**values)


POSSIBLE: list[dict[str, Any]] = [  # just beside the impossible
    {"mask": {"replacement": "mean", "percent": 5}},
    {"training": {"patience": 5, "schedule": "plateau"}},
    {"training": {"patience": 5, "schedule": "constant"}},
    {"net": {"depth": 2, "z_poolings": 2}},
    {"ndim": 3, "net": {"z_poolings": 0}},
    {"method": "b2u", "b2u": {"phases": 8}},
    {"method": "b2u", "ndim": 2, "b2u": {"phases": 16, "side": 4}},
    {"method": "structn2v", "ndim": 3, "mask": {"struct": "z:3"}},
    {"method": "structn2v", "mask": {"struct": "z:3"}},
    {"method": "care", "training": {"loss": "gaussian"}},
    {"method": "n2n", "training": {"loss": "laplace"}},
    {"method": "bm3d", "ndim": 2},
    {"method": "bm3d", "context": {"T": 0}},
    {"context": {"Z": 0}, "ndim": 3},
    {"method": "nlm", "training": {"seed": 5}},
]


@pytest.mark.parametrize("values", POSSIBLE)
def test_what_is_possible_is_not_refused(values: dict[str, Any]) -> None:
    Config.parse(values)


@pytest.mark.parametrize("section", ["mask", "b2u", "pairs", "net"])
@pytest.mark.parametrize("method", SECTIONS)
def test_sections_of_other_methods_are_refused(method: str, section: str) -> None:
    if section in SECTIONS[method]:
        assert getattr(Config(method=method), section) is not None
        with pytest.raises(InputError, match=f"{method} needs the settings '{section}'"):
            Config.parse({"method": method, section: None})
    else:
        assert getattr(Config(method=method), section) is None
        users = [name for name, used in SECTIONS.items() if section in used]
        reason = f"the method {method} has no settings '{section}'; they belong to "
        with pytest.raises(InputError, match=re.escape(reason + ", ".join(users))):
            Config.parse({"method": method, section: {}})


def test_unknown_methods_are_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown method 'n3v'.*n2v, n2v2, structn2v, n2n"):
        Config.preset(method="n3v")


def test_kinds_of_methods_and_losses() -> None:
    for method in SECTIONS:
        config = Config(method=method)
        assert config.is_classical == (method in CLASSICAL)
        assert config.needs_pairs == (method in ("n2n", "care"))
        assert not config.is_probabilistic
    for loss in ("mse", "mae", "gaussian", "laplace"):
        config = Config().set(f"training.loss={loss}")
        assert config.is_probabilistic == (loss in ("gaussian", "laplace"))


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_footprint_decides_the_symmetries(ndim: int) -> None:
    assert Config().footprint(ndim) is None
    assert len(Config().symmetries(ndim)) == 8
    line = Config(method="structn2v").set("mask.struct=horizontal:5")
    np.testing.assert_array_equal(line.footprint(ndim), np.ones((1,) * (ndim - 1) + (5,), bool))
    assert set(line.symmetries(ndim)) == {(t, f) for t in (0, 2) for f in (False, True)}
    square = line.set("mask.struct=square:3")
    assert len(square.symmetries(ndim)) == 8
