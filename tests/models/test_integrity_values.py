"""Values of a model folder that no training makes are refused, not predicted with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import unnoise
from synthetic import photon_ground
from unnoise.errors import ModelError
from unnoise.models.folder import CONFIG, WEIGHTS

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "m"
    unnoise.train(photon_ground((40, 44)), method="instant").save(folder)
    return folder


@pytest.fixture
def edited(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m"))


def corrected(less: list[float], **more: Any) -> dict[str, Any]:
    return {"mean_correction": {"at": [[0.0]], "add": [[0.0]], "less": less, **more}}


@pytest.mark.parametrize(
    "values",
    [
        *(corrected([less]) for less in (NAN, INF, -1.0)),
        corrected([0.0], averaged=corrected([NAN])["mean_correction"]),
        *({"passes": {"count": n, "disagreement": 0.1}} for n in (0, -1, 5)),
    ],
)
def test_settings_that_no_training_makes(edited: Path, values: dict[str, Any]) -> None:
    settings = yaml.safe_load((edited / CONFIG).read_text())
    (edited / CONFIG).write_text(yaml.safe_dump(settings | values))
    with pytest.raises(ModelError, match="damaged"):
        unnoise.load(edited)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("blur_width", width) for width in (0.0, -1.0, 2000.0, 1e12)),
        *(("blur_share", share) for share in (-0.1, 50.0)),
        *(("rho", rho) for rho in (-2.5, 100.0)),
    ],
)
def test_weights_that_no_training_makes(edited: Path, name: str, value: float) -> None:
    weights = load_file(edited / WEIGHTS)
    weights[name] = torch.full_like(weights[name], value)
    save_file(weights, edited / WEIGHTS)
    with pytest.raises(ModelError, match=f"damaged.*{name} must be from"):
        unnoise.load(edited)


def test_those_at_the_ends_are_taken(edited: Path) -> None:
    settings = yaml.safe_load((edited / CONFIG).read_text())
    more = corrected([0.0]) | {"passes": {"count": 4, "disagreement": 0.1}}
    (edited / CONFIG).write_text(yaml.safe_dump(settings | more))
    weights = load_file(edited / WEIGHTS)
    ends = {"blur_width": 8.0, "blur_share": 1.0, "rho": 1.0}
    weights |= {name: torch.full_like(weights[name], value) for name, value in ends.items()}
    save_file(weights, edited / WEIGHTS)
    unnoise.load(edited)
