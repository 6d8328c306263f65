"""A model folder that is damaged or made to harm is refused in one sentence, and at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import unnoise
from synthetic import photon_ground
from tiny import two_steps, untrained
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.levels import Level
from unnoise.images.normalization import ChannelStatistics
from unnoise.models import folder
from unnoise.models.folder import CONFIG, RESUME, WEIGHTS, load_state
from unnoise.models.integrity import fault
from unnoise.models.model import EnsembleMember, Model
from unnoise.models.record import JoinedFrames

X = photon_ground((40, 44))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "m"
    settings = two_steps("n2v", "net.batch_norm=true", "use_center_pixel=true")
    unnoise.train(X, config=settings).save(folder)
    return folder


@pytest.fixture
def broken(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m"))


def edit(folder: Path, *keys: Any, value: Any) -> None:
    """Set a value within the settings of a folder."""
    values = yaml.safe_load((folder / CONFIG).read_text())
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / CONFIG).write_text(yaml.safe_dump(values))


def assert_refused(folder: Path, words: str = "") -> None:
    with pytest.raises(ModelError, match=f"damaged.*{words}") as caught:
        unnoise.load(folder)
    assert "\n" not in caught.value.args[0]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), None, "x", [1.0]])
def test_standard_deviations_must_be_above_0(broken: Path, value: Any) -> None:
    edit(broken, "std", 0, value=value)
    assert_refused(broken)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [[1.0]], [float("nan")]])
@pytest.mark.parametrize("name", ["mean", "std", "channels", "patch"])
def test_lists_of_numbers_must_be_such(broken: Path, name: str, value: Any) -> None:
    edit(broken, name, value=value)
    assert_refused(broken)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("channels",), [0, 0]),
        (("channels",), [10**40]),
        (("patch",), [0, 32]),
        (("patch",), [32, float("inf")]),
        (("record", "dependence"), "x"),
        (("record", "memorised"), [0.5]),
        (("record", "looks", 0, "directions"), "x"),
        (("posterior_test", "used"), "perhaps"),
        (("noise", "models"), []),
        (("noise", "models", 0, "variances"), [-1.0]),
        (("noise", "models", 0, "kind"), "unheard"),
        (("provenance", "data", 0, "shape"), "x"),
        (("provenance", "steps"), [1]),
        (("config", "net", "filters"), 512),
        (("config", "net", "filters"), 10**9),
        (("config", "net", "depth"), 6),
        (("config", "training", "seed"), -1),
        (("config", "method"), 3),
        (("config",), None),
    ],
)
def test_every_part_has_its_schema(broken: Path, keys: tuple[Any, ...], value: Any) -> None:
    edit(broken, *keys, value=value)
    assert_refused(broken)


def test_settings_that_are_a_bomb_are_refused_at_once(broken: Path) -> None:
    lines = (broken / CONFIG).read_text()
    for text in ("a: &a [*a]\n", "a: " + "[" * 5000, "- 1\n", "", "\x00", "format: 2\n"):
        (broken / CONFIG).write_text(text)
        assert_refused(broken)
    bomb = "".join(
        f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in zip("pqrstuvw", "qrstuvwx", strict=True)
    )
    (broken / CONFIG).write_text(f"p: &p [{'0, ' * 9}]\n{bomb}{lines}")
    assert_refused(broken, "repeat")  # fmt: skip


def change(
    function: Callable[[torch.Tensor], torch.Tensor], name: str = ""
) -> Callable[[Path], None]:
    """A change of the first weights whose name contains a word."""  # fmt: skip

    def apply(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        key = next(key for key in sorted(weights) if name in key and weights[key].ndim)
        weights[key] = function(weights[key]).contiguous()
        save_file(weights, folder / WEIGHTS)

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        change(lambda w: w * float("nan")),
        change(lambda w: w / 0),
        change(lambda w: torch.cat([w[:1] / 0, w[1:]])),
        change(lambda w: w[:1]),
        change(lambda w: w.int()),
        change(lambda w: w.bool()),
        change(lambda w: w.to(torch.float8_e4m3fn)),
        change(lambda w: w.to(torch.complex64)),
        change(lambda w: -w - 1, "running_var"),
    ],
)
def test_weights_are_finite_numbers_of_the_shapes_of_their_net(
    broken: Path, damage: Callable[[Path], None]
) -> None:
    damage(broken)
    assert_refused(broken)


def test_weights_that_are_no_parameters_have_bounds(whole: Path) -> None:
    """Knots of the transform rise, bins are those of the net, parameters of filters above 0."""
    shipped, _ = untrained(X, Config.preset(method="instant"))
    assert fault(shipped) == ""
    knots = shipped.weights["knots"]
    for worse in (knots.flip(-1), torch.ones_like(knots)):
        assert "knots" in fault(replace(shipped, weights={**shipped.weights, "knots": worse}))
    for bins, words in ((1, ""), (2, ""), (4, ""), (3, "bins"), (0, "bins")):
        weights = {**shipped.weights, "bins": torch.tensor(bins)}
        assert words in (found := fault(replace(shipped, weights=weights)))
        assert bool(words) == bool(found)
    normed = folder.load(whole)
    for value, words in ((0.0, ""), (0.5, ""), (-0.5, "variances")):
        weights = {k: w * 0 + value if "running_var" in k else w for k, w in normed.weights.items()}
        assert words in (found := fault(replace(normed, weights=weights)))
        assert bool(words) == bool(found)
    smooth, _ = untrained(X, Config.preset(method="gaussian"))
    weights = {name: weight * 0 for name, weight in smooth.weights.items()}
    assert "above 0" in fault(replace(smooth, weights=weights))


@pytest.fixture(scope="module")
def of_two() -> Model:
    """A model for the first of two channels."""
    model, _ = untrained(np.stack([X, 2 * X]), two_steps("n2v"), "CYX")
    return replace(model, channels=(0,))


@pytest.mark.parametrize(
    ("patch", "channels", "std", "share", "words"),
    [
        ((32, 32), (0,), (0.5, 0.0), 1.0, ""),  # a constant channel may stay as it is
        ((32, 32), (0,), (0.5, -1.0), 0.0, "std not below 0"),
        ((32, 32), (0,), (0.5, float("inf")), 0.0, "std not below 0"),
        ((32, 32), (0,), (0.0, 0.5), 0.0, "above 0"),
        ((32, 32), (0,), (0.5,), 0.0, "per channel"),
        ((32, 32), (-1,), (0.5, 0.5), 0.0, "below 2"),
        ((32, 32), (2,), (0.5, 0.5), 0.0, "below 2"),
        ((32, 32), (0, 0), (0.5, 0.5), 0.0, "different"),
        ((32,), (0,), (0.5, 0.5), 0.0, "2 or 3 lengths"),
        ((8, 32, 32), (0,), (0.5, 0.5), 0.0, "do not fit the net"),  # which is 2D
        ((32, 32, 32, 32), (0,), (0.5, 0.5), 0.0, "2 or 3 lengths"),
        ((32, 2**16), (0,), (0.5, 0.5), 0.0, ""),
        ((32, 2**16 + 1), (0,), (0.5, 0.5), 0.0, "lengths"),
        ((32, 32), (0,), (0.5, 0.5), 1.5, "two models"),
        ((32, 32), (0,), (0.5, 0.5), -0.1, "two models"),
    ],
)
def test_statistics_channels_patches_and_shares_have_bounds(
    of_two: Model,
    patch: tuple[int, ...],
    channels: tuple[int, ...],
    std: tuple[float, ...],
    share: float,
    words: str,
) -> None:
    affine = ChannelStatistics(np.zeros(2), np.array(std))
    model = replace(of_two, patch=patch, channels=channels, affine=affine)
    found = fault(replace(model, second=EnsembleMember(model, share)))
    assert words in found
    assert bool(words) == bool(found)


def test_two_models_are_for_the_same_channels_and_units(of_two: Model) -> None:
    for other in (replace(of_two, channels=(1,)), replace(of_two, target_affine=of_two.affine)):
        assert "two models" in fault(replace(of_two, second=EnsembleMember(other, 0.5)))


LEVEL = Level((1.0, 2.0), (1.0, 1.0))


def own(model: Model) -> Model:
    """The same with weights of its own, as a file needs them."""
    return replace(model, weights={name: w.clone() for name, w in model.weights.items()})


@pytest.mark.parametrize("name", ["second", "others"])
@pytest.mark.parametrize("value", [0.0, [[0.0, 0.0]], [], [0.0]])
def test_all_members_are_looked_at(of_two: Model, tmp_path: Path, name: str, value: Any) -> None:
    """Of a mean of two for each of two groups; a mean of 0.0 was a `TypeError`."""
    two, other = (
        replace(own(of_two), second=EnsembleMember(own(of_two), 0.5), level=LEVEL) for _ in "ab"
    )
    place = tmp_path / "m"
    folder.save(place, replace(two, others=(other,)))
    assert len(unnoise.load(place).levels[1].members) == 2
    keys = ("second",) if name == "second" else ("others", 0, "second")
    edit(place, *keys, "mean", value=value)
    assert_refused(place)


def test_a_check_that_fails_is_a_damaged_folder(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "fault", lambda model: len(model))
    assert_refused(broken, "no len")


def test_a_net_for_each_channel_is_not_made_before_weights_are_counted(of_two: Model) -> None:
    """150 channels of 1.7 kB took 6.9 s."""
    settings = two_steps("n2v", "net.channels=separate", "net.depth=6", "net.filters=1")
    right, _ = untrained(np.stack([X, 2 * X]), settings, "CYX")
    assert fault(right) == ""
    assert "do not fit the net" in fault(replace(right, channels=(0,)))
    n = 300
    affine = ChannelStatistics(np.zeros(n), np.ones(n))
    many = replace(right, channels=tuple(range(n)), affine=affine, noise=None, record=None)
    started = time.process_time()
    assert "do not fit the net" in fault(many)
    assert time.process_time() - started < 3


def test_weights_of_many_groups_are_found_at_once(of_two: Model, tmp_path: Path) -> None:
    """Each group looked through the weights of all: some hundred kB took seconds and more."""
    first, *others = (replace(own(of_two), level=LEVEL) for _ in "abc")
    place = tmp_path / "m"
    folder.save(place, replace(first, others=tuple(others)))
    found = unnoise.load(place)
    assert len(found.levels) == 3
    for part in found.levels:
        assert set(part.weights) == set(of_two.weights)
    weights = load_file(place / WEIGHTS)
    save_file({k.replace("others.2.", "others.."): w for k, w in weights.items()}, place / WEIGHTS)
    assert_refused(place, "do not fit the net")


def test_names_of_weights_are_those_of_the_net(broken: Path) -> None:
    weights = load_file(broken / WEIGHTS)
    for changed in ({**weights, "more": torch.zeros(2)}, dict(list(weights.items())[1:]), {}):
        save_file(changed, broken / WEIGHTS)
        assert_refused(broken)


def test_one_number_that_cannot_be_is_enough(whole: Path) -> None:
    normed = folder.load(whole)
    for name, words in (("running_var", "variances"), ("weight", "finite")):
        key = next(k for k in normed.weights if k.endswith(name) and normed.weights[k].numel() > 1)
        weight = normed.weights[key].clone()
        weight.view(-1)[1] = -1 if words == "variances" else torch.nan
        assert words in fault(replace(normed, weights={**normed.weights, key: weight}))


@pytest.mark.parametrize(
    ("mean", "level", "words"),
    [
        ([0.0, 0.0], (1.0, 1.0), ""),
        (0.0, (1.0, 1.0), "list of numbers"),
        ([0.0], (1.0, 1.0), "do not fit each other"),
        ([0.0, 0.0], None, "do not fit each other"),
        ([0.0, 0.0], (1.0,), "another number of channels"),
        ([0.0, np.nan], (1.0, 1.0), "finite"),
    ],
)
def test_all_groups_are_looked_at(
    of_two: Model, mean: Any, level: tuple[float, ...] | None, words: str
) -> None:
    """What is wrong is in the last of three."""
    right = replace(of_two, level=LEVEL)
    last = replace(
        of_two,
        affine=replace(of_two.affine, mean=np.array(mean)),
        level=None if level is None else Level(level, level),
    )
    found = fault(replace(right, others=(right, last)))
    assert words in found
    assert bool(words) == bool(found)


def test_only_the_shipped_net_joins_frames(of_two: Model) -> None:
    joined = JoinedFrames("T", 2)
    assert "shipped net" in fault(replace(of_two, joined=joined))
    shipped, _ = untrained(X, Config.preset(method="instant"))
    assert fault(replace(shipped, joined=joined)) == ""
    assert "as many channels" in fault(
        replace(shipped, joined=replace(joined, blur=((0.5, 1),) * 2))
    )


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("evil",))


@pytest.mark.parametrize("content", [Evil(), {"net": Evil()}, [1], "text", np.zeros(3)])
def test_states_are_never_advised_to_be_read_unsafely(
    broken: Path, content: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, broken / RESUME)
    with pytest.raises(InputError, match=r"resume.pt is damaged; the model itself") as caught:
        load_state(broken)
    assert "weights_only" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_states_that_are_compressed_are_no_states(broken: Path) -> None:
    import zipfile

    torch.save({"step": torch.zeros(10**6)}, broken / RESUME)
    assert load_state(broken)
    with zipfile.ZipFile(broken / RESUME) as plain:
        parts = {name: plain.read(name) for name in plain.namelist()}
    with zipfile.ZipFile(broken / RESUME, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    with pytest.raises(InputError, match="damaged"):
        load_state(broken)
