"""NL-Ridge beside a net that was trained by recorruption, where noise is correlated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import averaged, smooth, white
from tiny import CPU, two_steps
from tiny import finish as trained
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models import backends
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.noise.excluded_pixels import with_mask
from unnoise.training import nl_ridge
from unnoise.training.duration import expected_duration
from unnoise.training.finish import finish
from unnoise.training.loop import TrainingRun
from unnoise.training.nl_ridge import RIDGE
from unnoise.training.plan import plan
from unnoise.training.weighed import LEAST_SHARE

SIDE = 64
TRUTH = smooth((SIDE, SIDE), 4, mean=100, sd=20)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Any:
    """Calibrations and searches that are over at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unnoise.nets.nl_ridge.SEARCH", 4)
        patch.setattr("unnoise.training.instant.PIECES", 4)
        yield


def striped(seed: int = 0) -> NDArray[np.float64]:
    """The truth with noise that is a moving average along X."""
    return TRUTH + 15 * averaged((SIDE, SIDE), 3, 1, seed)


def finished(
    x: NDArray, *settings: str, axes: str | None = None, mask: NDArray | None = None
) -> tuple[Model, list[str]]:
    """A net of two steps that is no good, and what is told at its end."""
    image = Image.from_array(x, axes)
    if mask is not None:
        image = with_mask(image, mask)
    config = two_steps("r2r", *settings)
    run = TrainingRun([image], plan([image], config), CPU)
    model, told, _ = finish(trained(run), [image], (), CPU)
    return model, told


@pytest.fixture(scope="module")
def model() -> Model:
    return finished(striped())[0]


def result(model: Model, x: NDArray, **options: Any) -> NDArray:
    return predict_array(model, x, dtype=np.float64, device="cpu", **options)


def test_a_net_that_is_no_good_leaves_most_to_nl_ridge(model: Model) -> None:
    assert model.config.method == "r2r"
    assert model.second is not None
    assert 0.7 < model.second.share <= 1 - LEAST_SHARE
    assert model.choice is not None
    assert model.choice.candidate == "r2r + nlridge"
    risks = model.choice.risks
    assert set(risks) == {"r2r", RIDGE, "r2r + nlridge"}
    errors = {
        name: ((result(m, striped()) - TRUTH) ** 2).mean()
        for name, (m, _) in zip(("r2r", RIDGE), model.members, strict=True)
    }
    assert risks["r2r"] > risks[RIDGE], "as is true"
    assert errors["r2r"] > 2 * errors[RIDGE]
    assert ((result(model, striped()) - TRUTH) ** 2).mean() < 0.5 * errors["r2r"]


def test_the_line_tells_what_was_chosen() -> None:
    _, told = finished(striped(1))
    assert told[0].startswith("chosen: r2r + nlridge (")
    assert "by the estimated risk on held-out pixels (r2r " in told[0]


def test_the_result_is_the_weighted_mean_of_the_two(model: Model) -> None:
    assert model.second is not None
    bare = replace(model, mean_correction=None)
    parts = [
        share * result(replace(bare, second=replace(model.second, share=w)), striped())
        for w, (_, share) in enumerate(model.members)
    ]
    np.testing.assert_allclose(result(bare, striped()), sum(parts), rtol=1e-9)
    assert model.mean_correction is not None, "that of the mean of two"
    assert result(model, striped()).mean() == pytest.approx(striped().mean(), rel=1e-3)


def test_it_is_kept_in_the_folder(model: Model, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "m", model)
    loaded = checkpoint.load(tmp_path / "m")
    assert np.array_equal(result(loaded, striped()), result(model, striped()))
    assert loaded.choice == model.choice
    assert loaded.second is not None
    assert loaded.second.model.config.method == RIDGE


def test_tiles_do_not_change_the_result(model: Model) -> None:
    wide = Image.from_array(np.tile(striped(), (2, 3)))
    found = []
    for tile in ((4096, 4096), (32, 64)):
        out = np.full(wide.shape, np.nan)
        for block in predict(model, wide, tile=tile, device="cpu"):
            out[block.where["Y"], block.where["X"]] = block.values[0, 0, 0, 0]
        found.append(out)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_where_the_risk_does_not_praise_nl_ridge_each_has_a_half(monkeypatch: Any) -> None:
    monkeypatch.setattr(nl_ridge, "DOUBT", 1e6)
    found, told = finished(striped())
    assert found.second is not None
    assert found.second.share == 0.5
    assert told == ["chosen: r2r + nlridge, half of each, as the two err in different ways"]


def test_every_channel_has_its_transform() -> None:
    colours = np.stack([striped(s) * k for s, k in enumerate((1.0, 0.5, 2.0))])
    found, _ = finished(colours, axes="CYX")
    assert found.second is not None
    assert found.second.model.weights["knots"].shape[0] == 3
    clean = result(found, colours, axes="CYX")
    truth = np.stack([TRUTH * k for k in (1.0, 0.5, 2.0)])
    for noisy, own, clear in zip(colours, clean, truth, strict=True):
        assert ((own - clear) ** 2).mean() < 0.5 * ((noisy - clear) ** 2).mean()


def test_pixels_that_are_no_measurement_have_no_say() -> None:
    rng, x = np.random.default_rng(0), striped()
    mask = np.ones(x.shape, np.bool_)
    mask[:, :12] = False
    risks = []
    for broken in (x, np.where(mask, x, 1e4 * rng.random(x.shape))):
        found, _ = finished(broken, mask=mask)
        assert found.choice is not None
        risks.append(dict(found.choice.risks))
        clean = result(found, broken)
        assert np.abs(clean[:, 16:] - TRUTH[:, 16:]).mean() < 20
    assert risks[0] == pytest.approx(risks[1], rel=0.05)


@pytest.mark.parametrize(
    ("settings", "noise", "axes"),
    [
        ((), white((SIDE, SIDE)), None),
        (("recorruption.nlridge=false",), averaged((SIDE, SIDE), 3, 1), None),
        (("recorruption.correlated=false",), averaged((SIDE, SIDE), 3, 1), None),
        (("context={T: 1}",), averaged((3, SIDE, SIDE), 3, 2), "TYX"),
    ],
    ids=["white", "not wanted", "said to be white", "sees other frames"],
)
def test_where_it_is_not_asked(settings: tuple[str, ...], noise: NDArray, axes: str | None) -> None:
    found, told = finished(TRUTH + 15 * noise, *settings, axes=axes)
    assert found.second is None
    assert found.choice is None
    assert told == []


def test_the_published_recipe_is_without_it() -> None:
    recorruption = Config.preset("paper", "r2r").recorruption
    assert recorruption is not None
    assert not recorruption.nlridge


def test_its_time_is_told() -> None:
    image = Image.from_array(striped())
    with_it, without = (
        expected_duration(plan([image], two_steps("r2r", *more)), [image], CPU)
        for more in ((), ("recorruption.nlridge=false",))
    )
    assert with_it is not None
    assert without is not None
    assert with_it.whole > without.whole


def test_onnx_is_refused_before_the_training(model: Model) -> None:
    image = Image.from_array(striped())
    planned = plan([image], two_steps("r2r"))
    with pytest.raises(InputError, match=r"nlridge.*--set recorruption\.nlridge=false"):
        backends.check_model(planned, "onnx")
    backends.check_model(plan([image], two_steps("r2r", "recorruption.nlridge=false")), "onnx")
    with pytest.raises(InputError, match="no U-Net"):
        backends.check_model(model, "onnx")
