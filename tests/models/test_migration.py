"""Model folders of format 1 load and predict as the version that wrote them did.

They were written by version 0.1.0 before its folders had format 2, from the synthetic photons of
`golden/run.py`; what they predicted is in ``format_1/expected.json``.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import unnoise
from unnoise.models.folder import load
from unnoise.models.migration import upgraded
from unnoise.training.resume import resume

HERE = Path(__file__).parent / "format_1"
EXPECTED = json.loads((HERE / "expected.json").read_text())
NAMES = sorted(set(EXPECTED) - {"processor", "unfinished"})


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return runpy.run_path(str(HERE.parents[1] / "golden" / "run.py"))


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_those_of_the_version_that_wrote_it(
    golden: dict[str, Any], name: str
) -> None:
    _check(golden, name, unnoise.load(HERE / name))


def test_an_unfinished_training_goes_on_as_if_nothing_had_been(golden: dict[str, Any]) -> None:
    """After 5 steps of 12; expected is what 12 steps without a stop made."""
    model = load(HERE / "unfinished")
    images = [unnoise.Image.from_array(golden["photons"]())]
    run = resume(HERE / "unfinished", model, images, torch.device("cpu"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    steps = [progress.step for progress in run]
    torch.set_num_threads(threads)
    assert steps == list(range(6, 13))
    _check(golden, "unfinished", unnoise.Model.of(run.model()))


def _check(golden: dict[str, Any], name: str, model: unnoise.Model) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    y = model.predict(golden["photons"](), dtype=np.float64, device="cpu")
    torch.set_num_threads(threads)
    told = EXPECTED[name]
    found = [y.mean(), y.std(), y.ravel()[0], y.ravel()[y.size // 2]]
    assert np.allclose(found, [told[k] for k in ("mean", "std", "corner", "middle")], rtol=1e-5)
    if golden["processor"]() == EXPECTED["processor"]:
        assert golden["arrays"](y) == told["hash"]


def test_what_was_known_is_known() -> None:
    posterior = unnoise.load(HERE / "n2v_posterior")
    assert posterior.config.use_center_pixel
    assert posterior.posterior is not None
    assert posterior.posterior.width == 4
    assert posterior.posterior_test is not None
    assert posterior.noise is not None
    assert posterior.record is not None
    assert posterior.provenance.steps == 30
    assert posterior.provenance.data[0].shape == (72, 80)
    split = unnoise.load(HERE / "r2r").noise
    assert split is not None
    assert split.autocorrelation == (None,)
    mean = unnoise.load(HERE / "mean_of_two")
    assert mean.second is not None
    assert mean.second.share == 0.25
    assert mean.second.model.posterior is None
    assert unnoise.load(HERE / "uncertainty").coverage is not None
    assert unnoise.load(HERE / "care").target_affine is not None


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_as_a_folder_of_today(tmp_path: Path, name: str) -> None:
    model = unnoise.load(HERE / name)
    model.save(tmp_path / "m")
    values = yaml.safe_load((tmp_path / "m" / "config.yaml").read_text())
    assert values["format"] == 2
    assert not {"origin", "partner", "centre"} & set(values)
    again = unnoise.load(tmp_path / "m")
    assert again.config == model.config
    assert again.provenance == model.provenance
    x = np.random.default_rng(0).poisson(30, (40, 40)).astype(np.uint16)
    assert np.array_equal(again.predict(x), model.predict(x))


def test_everything_that_was_known_of_an_origin_has_a_place() -> None:
    """As version 0.1.0 wrote it of a model of two candidates whose noise was split."""
    model = {"kind": "curve", "levels": [0.0, 1.0], "variances": [1.0, 2.0]}
    known = {
        "noise": [model],
        "relative_error": [0.25],
        "correlated": ["X"],
        "dependence": [0.5],
        "memorised": [[1.0, 0.5]],
        "familiar": [None],
    }
    whole = {
        "steps": 7,
        "road": "n2v",
        "risks": {"n2v": 0.5, "r2r": 0.75},
        "centre": {"used": True},
        "calibration": {"variance_ratio": 1.5},
        "independent": ["Y"],
    }
    split = [{"noise": {**model, "variances": [3.0, 4.0]}, "rho": [[1.0]]}]

    def found(**origin: object) -> dict[str, Any]:
        values = {"format": 1, "channels": [0], "centre": {"width": 4}, "origin": whole | origin}
        return upgraded(values)

    both = found(known=known, recorruption=split)
    assert both["noise"] == {
        "models": [split[0]["noise"]],
        "relative_error": [0.25],
        "correlated": ["X"],
        "independent": ["Y"],
        "autocorrelation": [[[1.0]]],
    }
    assert both["record"] == {
        "dependence": [0.5],
        "memorised": [[1.0, 0.5]],
        "looks": [None],
    }
    assert both["choice"] == {"candidate": "n2v", "risks": {"n2v": 0.5, "r2r": 0.75}}
    assert both["posterior"] == {"width": 4}
    assert both["posterior_test"] == {"used": True}
    assert both["coverage"] == {"variance_ratio": 1.5}
    assert both["provenance"] == {"steps": 7}
    assert found(known=known)["noise"] == {
        **both["noise"],
        "models": [model],
        "autocorrelation": [],
    }
    alone = found(recorruption=split)
    assert alone["noise"] == {**both["noise"], "relative_error": [1.0], "correlated": [""]}
    assert "record" not in alone
    assert "noise" not in found()
