"""What ``auto`` chooses on simulated noise of known kind, and how it treats the user's wishes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
from synthetic import averaged, smooth, white
from tiny import NET
from unnoise.app.settings import assigned, wanted
from unnoise.config import struct_mask as structure
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.advice import Advice
from unnoise.training import auto
from unnoise.training.auto import Auto, choose

TINY = (*NET, "training.patch=32")


def ground(shape: tuple[int, ...]) -> NDArray:
    """A smooth scene, another one in every plane."""
    return smooth(shape, (0,) * (len(shape) - 2) + (5, 5), 1, mean=100, sd=30)


def rows(shape: tuple[int, ...] = (128, 128)) -> NDArray:
    """Noise correlated along X."""
    return ground(shape) + 12 * averaged(shape, 3, -1)


def repeats(n: int = 4) -> NDArray:
    """The same scene again and again."""
    return ground((128, 128)) + 12 * white((n, 128, 128))


@pytest.mark.parametrize("given", [(), ("context={T: 0}",), ("context={T: 1}",)])
def test_self_trained_nets_see_neighbouring_frames_that_tell_more(given: tuple[str, ...]) -> None:
    wide = smooth((96, 110), 1.5, mean=100, sd=20)
    scene = np.stack([wide[:, t : t + 96] for t in range(9)])
    movie = Image.from_array(scene + 20 * white(scene.shape, 1), "TYX")
    choice = Auto(given, steps=5).resolve([movie])
    assert choice.config.method == "n2v"
    if given:  # what the user says is what happens
        assert choice.config.neighbours == (("T", 1) if "1" in given[0] else None)
        return
    assert choice.config.neighbours is not None
    assert choice.config.neighbours[0] == "T"
    assert "frames before and after along T are seen too" in choice.why
    assert Auto(steps=5).resolve([movie], whole=False).config.neighbours is None
    # Every image must have frames beside.
    assert Auto(steps=5).resolve([movie, movie]).config.neighbours is not None
    single = Image.from_array(scene[0] + 20 * white((96, 96), 1))
    assert Auto(steps=5).resolve([single]).config.neighbours is None
    assert Auto(steps=5).resolve([movie, movie, single]).config.neighbours is None


def test_white_noise() -> None:
    choice = choose([Image.from_array(ground((96, 96)) + 10 * white((96, 96)))])
    assert choice.config.method == "n2v"
    assert choice.config.use_center_pixel
    assert choice.why.startswith("auto: n2v; ")
    assert len(choice.reports) == 1


def test_stripes_are_hidden_by_the_measured_mask() -> None:
    image = Image.from_array(rows())
    choice = choose([image])
    config = choice.config
    assert config.method == "structn2v"
    assert config.use_center_pixel
    assert config.mask is not None
    measured = unnoise.inspect(image).advice.mask
    found = config.footprint(2)
    assert found.astype(int).tolist() == structure.parse(measured, 2).astype(int).tolist()
    assert found.shape[0] == 1  # along X alone
    assert found.sum() >= 3
    # As many pixels are hidden as with the spots of n2v, whatever the size of the mask.
    assert config.mask.percent * found.sum() == pytest.approx(13.5, rel=0.01)


def test_repeats_learn_from_each_other() -> None:
    choice = choose([Image.from_array(repeats(2), "TYX")])
    assert choice.config.method == "n2n"
    assert choice.config.pairs is not None
    assert choice.config.pairs.axis == "T"
    assert not choice.config.use_center_pixel


def test_images_without_repeats_among_those_with_them_take_n2v() -> None:
    """The pairs of n2n are wanted of every image."""
    several = [Image.from_array(repeats(2), "TYX") for _ in range(3)]
    one = Image.from_array(repeats(1), "TYX")
    choice = choose([*several, one])
    assert choice.config.method == "n2v"
    assert choice.config.use_center_pixel
    assert "not all images have repeats" in choice.why


def test_a_mask_along_z_means_nothing_to_a_2d_net(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = "mask.struct=[[[1]],[[1]],[[1]]]"
    assert auto._with("structn2v", (mask,), 3).footprint(3).shape == (3, 1, 1)
    flat = auto._with("structn2v", (mask,), 2)
    assert (flat.method, flat.use_center_pixel) == ("n2v", True)
    assert flat.footprint(2) is None


def test_noise_that_cannot_be_measured() -> None:
    choice = choose([Image.from_array(np.zeros((32, 32)))])
    assert (choice.config.method, choice.config.use_center_pixel, choice.reports) == (
        "n2v",
        True,
        (),
    )
    assert "could not be measured" in choice.why


def test_images_that_differ_follow_the_majority() -> None:
    plain = [Image.from_array(ground((96, 96)) + 10 * white((96, 96), s)) for s in (0, 1)]
    choice = choose([plain[0], Image.from_array(rows((96, 96))), plain[1]])
    assert choice.config.method == "n2v"
    assert "the images differ: n2v, structn2v, n2v" in choice.why


def test_every_advice_can_be_followed() -> None:
    for method, settings in [
        ("n2v", ()),
        ("n2v2", ()),
        ("n2n", ("pairs.axis=T",)),
        ("structn2v", ("mask.struct=[[1,1,1]]",)),
        ("structn2v", ("mask.struct=" + str([[1] * 41] * 41).replace(" ", ""),)),
    ]:
        config = auto._with(method, settings, None)
        assert config.method == method
        if config.mask is not None:
            assert 0.5 <= config.mask.percent <= 25


def test_what_the_user_sets_is_applied_last() -> None:
    image = Image.from_array(rows())
    settings = Auto(
        ("mask.percent=3", "use_center_pixel=false", "net.filters=4"), steps=7, seed=5, ndim=2
    )
    config = settings.resolve([image]).config
    assert config.method == "structn2v"
    assert config.mask is not None
    assert config.net is not None
    assert (config.mask.percent, config.use_center_pixel, config.net.filters) == (3, False, 4)
    assert (config.training.steps, config.training.seed, config.ndim) == (7, 5, 2)
    minutes = Auto(minutes=2.0).resolve([image]).config.training
    assert (minutes.minutes, minutes.steps) == (2.0, None)


def test_the_reports_of_the_choice_are_kept() -> None:
    choice = Auto().resolve([Image.from_array(rows())])
    assert [report.method for report in choice.reports] == ["structn2v"]


def test_settings_of_another_method_are_refused_with_the_way_out() -> None:
    settings = Auto(("mask.percent=3",))
    settings.provisional  # noqa: B018  n2v would have them
    with pytest.raises(InputError, match=r"auto chose n2n; name a method with --method"):
        settings.resolve([Image.from_array(repeats(2), "TYX")])


@pytest.mark.parametrize(
    "given",
    [
        {"struct": "horizontal:9"},
        {"pairs": "T"},
        {"preset": "paper"},
        {"file": "run.yaml"},
    ],
)
def test_auto_refuses_what_belongs_to_a_method(given: dict[str, Any]) -> None:
    options = {"method": "auto", "preset": "fast", "file": None, "pairs": None, "struct": None}
    with pytest.raises(InputError, match="auto chooses the settings itself"):
        wanted(**{**options, **given}, **REST)


REST: dict[str, Any] = dict.fromkeys(("assignments", "minutes", "steps", "seed", "three_d"))


def of(method: str | None = None, **given: Any) -> Config | Auto:
    options = {"preset": "fast", "file": None, "pairs": None, "struct": None}
    return wanted(method, **{**options, **REST, **given})


def test_auto_is_what_no_option_asks_for() -> None:
    assert of() == Auto() == of("auto")
    assert of(steps=3, seed=1, three_d=False) == Auto((), None, 3, 1, 2)
    assert of(assignments=["mask.percent=2"]) == Auto(("mask.percent=2",))
    plain = of("n2v")
    assert isinstance(plain, Config)
    assert not plain.use_center_pixel
    for given in ({"struct": "horizontal:3"}, {"pairs": "T"}, {"preset": "paper"}):
        assert isinstance(of(**given), Config), given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"assignments": ["mask.perc=2"]}, "mask.perc"),
        ({"assignments": ["method=n2n"]}, "--method"),
        ({"minutes": 1, "steps": 1}, "one of the two"),
        ({"steps": 0}, "steps"),
    ],
)
def test_what_cannot_be_is_refused_before_any_image(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        of(**given)


def test_the_camera_file_becomes_a_setting(tmp_path: Any) -> None:
    from unnoise.noise.camera.file import Camera
    from unnoise.noise.noise_models import PoissonGauss

    path = tmp_path / 'my "camera": #1.json'
    Camera((PoissonGauss(1.0, 0.0, 1.0),)).save(path)
    assert assigned(None, None, None) == []
    config = Config().set(*assigned(["mask.percent=5"], path, None))
    assert config.noise_model == str(path)
    with pytest.raises(InputError, match="no such camera file"):
        assigned(None, tmp_path / "gone.json", None)


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({}, "adapted"),
        ({"minutes": 5.0}, "adapted"),
        ({"minutes": 0.2}, "instant"),
        ({"steps": 3}, "n2v"),
        ({"minutes": 0.2, "shipped": False}, "n2v"),
        ({"assignments": ("mask.percent=5",)}, "n2v"),
    ],
)
def test_the_road_follows_from_the_budget(given: dict[str, Any], method: str) -> None:
    images = [Image.from_array(ground((96, 96)) + 10 * white((96, 96)))]
    choice = Auto(seed=4, **given).resolve(images)
    assert choice.config.method == method
    assert choice.config.training.seed == 4
    assert f"auto: {method}" in choice.why
    if method == "adapted":
        assert choice.config.training.minutes == given.get("minutes")


def test_the_shipped_net_is_told_of_correlated_noise() -> None:
    images = [Image.from_array(rows())]
    for minutes, method in ((0.1, "instant"), (None, "adapted")):
        choice = Auto(minutes=minutes).resolve(images)
        assert choice.config.method == method
        assert choice.why.startswith(f"auto: {method}, as ")
        assert choice.why.endswith("noise correlated along X, which the shipped net is told")
    assert Auto(steps=3).resolve(images).config.method == "structn2v"
    assert Auto(shipped=False).resolve(images).config.method == "structn2v"


def test_the_shipped_net_is_for_planes() -> None:
    deep = ground((16, 48, 48)) + 10 * white((16, 48, 48))
    assert Auto().resolve([Image.from_array(deep, axes="ZYX")]).config.method == "n2v"
    assert Auto(ndim=2).resolve([Image.from_array(deep, axes="ZYX")]).config.method == "adapted"


# --- the calls of a script ----------------------------------------------------------------------


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny nets, whatever is chosen."""
    monkeypatch.setattr(auto, "choose", lambda *a, **k: _small(choose(*a, **k)))


def _small(choice: auto.MethodChoice) -> auto.MethodChoice:
    return auto.MethodChoice(choice.config.set(*TINY), choice.reports, choice.why)


def test_scripts_use_auto_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    x = ground((96, 96)) + 10 * white((96, 96))
    model = unnoise.train(x, steps=2)
    assert (model.config.method, model.config.use_center_pixel) == ("n2v", True)
    assert model.record is not None
    assert model.posterior_test is not None
    assert unnoise.train(rows(), steps=1, method="auto").config.method == "structn2v"
    plain = unnoise.train(x, method="n2v", config=Config().set(*TINY, "training.steps=1"))
    assert not plain.config.use_center_pixel
    assert plain.posterior is None
    assert plain.record is not None


def test_the_same_seed_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    x = ground((96, 96)) + 10 * white((96, 96))
    one, two, other = (unnoise.denoise(x, steps=3, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_photons_of_mean_a_fifth_keep_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    truth = 0.2 * ground((96, 96)) / ground((96, 96)).mean()
    x = np.random.default_rng(0).poisson(np.maximum(truth, 0)).astype(np.float32)
    clean = unnoise.denoise(x, steps=60)
    assert clean.dtype == np.float32
    assert clean.mean() == pytest.approx(x.mean(), rel=0.02)


def test_targets_do_not_go_with_auto() -> None:
    x = white((64, 64))
    with pytest.raises(InputError, match="method"):
        unnoise.train(x, x + white((64, 64), 1), steps=1)


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError):
        unnoise.train([], steps=1)


def test_advice_without_reports() -> None:
    assert isinstance(Advice("n2v", (), "because"), Advice)


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        (Auto(), {"n2n": "adapted", "adapted": "n2v", "n2v": "gaussian", "gaussian": None}),
        (Auto(minutes=0.2), {"n2n": "instant", "instant": "n2v", "n2v2": "gaussian"}),
        (Auto(steps=5), {"n2n": "n2v", "structn2v": "n2v", "n2v": "gaussian"}),
        (Auto(shipped=False), {"n2n": "n2v", "n2v": "gaussian"}),
        (Auto(("mask.percent=3",)), {"n2n": "n2v", "n2v": None}),  # no setting of a filter
        (Auto(("training.loss=gaussian",)), {"n2v": None}),
    ],
)
def test_what_is_tried_where_a_result_is_a_loss(
    settings: Auto, after: dict[str, str | None]
) -> None:
    """Ever less is assumed, nothing is tried twice, and what the user set holds."""
    images = [Image.from_array(ground((96, 96)) + 10 * white((96, 96)))]
    reports = choose(images).reports
    for method, expected in after.items():
        choice = auto.MethodChoice(Config.preset(method=method), reports, "")
        found = settings.after(choice, images)
        assert (None if found is None else found.config.method) == expected
        if found is not None:
            assert found.why == f"auto: {expected}, as {method} did not help"
            budget = found.config.training
            if found.config.is_trained:
                assert settings.steps is None or budget.steps == settings.steps
                assert settings.minutes is None or budget.minutes == settings.minutes


def test_a_budget_may_be_a_text_as_in_settings() -> None:
    """The choice compared what was given, not what was checked."""
    assert Auto(minutes="0.001", seed="3") == Auto(minutes=0.001, seed=3)  # type: ignore[arg-type]
    image = Image.from_array(ground((64, 64)) + 10 * white((64, 64)))
    found = Auto(minutes="0.001").resolve([image])  # type: ignore[arg-type]
    assert found.config.method == "instant"
    for wrong in ({"minutes": "soon"}, {"steps": 0}, {"seed": -1}, {"minutes": 1, "steps": 2}):
        with pytest.raises(InputError):
            Auto(**wrong)  # type: ignore[arg-type]
