"""A method of another package takes part by its entry point alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.config import methods
from unnoise.errors import InputError

TOY = """
from unnoise.config.methods import Method

METHOD = Method(
    "toy: predict the noisy image from itself", "nothing", "1", defaults={"net": {}},
    build="toy_method:build",
)


class Toy:
    def batch(self, step):
        return step.x, step.y, (~step.held_out).to(step.x.dtype)

    def validation(self, step):
        return step.x, step.y, step.held_out.to(step.x.dtype)


def build(config, ndim, noise=()):
    return Toy()
"""


def installed(folder: Path, module: str, entry: str) -> None:
    """A package as an installer leaves it: a module and the metadata of a distribution."""
    (folder / "toy_method.py").write_text(module)
    info = folder / "toy_method-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-method\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[unnoise.methods]\n{entry}\n")
    importlib.invalidate_caches()
    methods.known.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    methods.known.cache_clear()
    sys.modules.pop("toy_method", None)


def test_it_trains_predicts_and_is_listed(packages: Path, tmp_path: Path) -> None:
    installed(packages, TOY, "toy = toy_method:METHOD")
    x = np.random.default_rng(0).normal(100, 5, (48, 48)).astype(np.float32)
    settings = ("net.filters=4", "training.steps=2", "training.patch=32")
    config = unnoise.Config.preset(method="toy").set(*settings)
    model = unnoise.train(x, config=config)
    assert model.config.method == "toy"
    model.save(tmp_path / "m")
    again = unnoise.load(tmp_path / "m")
    assert np.array_equal(again.predict(x), model.predict(x))
    assert unnoise.Config.from_yaml(config.to_yaml()) == config
    assert list(methods.known())[-1] == "toy"


def test_names_of_unnoise_itself_stay_its_own(packages: Path) -> None:
    installed(packages, TOY, "n2v = toy_method:METHOD")
    assert methods.known()["n2v"] == methods.METHODS["n2v"] == methods.method("n2v")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise RuntimeError('broken')", "'toy' of an installed package cannot be loaded"),
        ("METHOD = 3", "'toy' of unnoise.methods is no unnoise Method"),
    ],
)
def test_a_broken_package_is_named(packages: Path, module: str, message: str) -> None:
    installed(packages, module, "toy = toy_method:METHOD")
    with pytest.raises(InputError, match=message):
        unnoise.Config.preset(method="toy")
    assert unnoise.Config.preset(method="n2v2").method == "n2v2"  # others are not disturbed
