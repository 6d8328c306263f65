"""How long a run is expected to take."""

import time

import numpy as np
import pytest
import torch

from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.training.duration import Duration, expected_duration, is_long
from unnoise.training.plan import plan
from unnoise.training.start import start

CPU = torch.device("cpu")


def image(side: int = 64) -> Image:
    return Image.from_array(np.random.default_rng(0).poisson(20.0, size=(side, side)) * 1.0)


def settings(method: str = "n2v", **training: float) -> Config:
    config = Config(method=method)
    return config.replace(training=training) if training else config


def test_is_near_the_time_of_the_processor() -> None:
    """Within a factor of three on a busy machine, apart from what does not grow."""
    config = settings(steps=60)
    expected = expected_duration(plan([image()], config), [image()], CPU, clock=time.process_time)
    none = expected_duration(
        plan([image()], settings(steps=1)), [image()], CPU, clock=time.process_time
    )
    assert expected is not None
    assert none is not None
    started = time.process_time()
    for _ in start([image()], plan([image()], config), CPU):
        pass
    taken = time.process_time() - started
    assert taken / 3 < expected.whole - none.whole < taken * 3


def test_grows_with_steps() -> None:
    few, many = (
        expected_duration(planned, [image()], CPU, clock=time.process_time)
        for planned in (plan([image()], settings("adapted", steps=n)) for n in (100, 20_000))
    )
    assert few is not None
    assert many is not None
    assert many.whole > 20 * few.whole
    assert many.least < many.whole / 2, "a training that cannot help ends early"


def test_of_volumes_a_piece_in_three_dimensions_is_timed() -> None:
    """A plane of it was once given to the net, which asked for Z."""
    volume = Image(np.random.default_rng(0).normal(size=(20, 24, 24)), "ZYX")
    expected = expected_duration(plan([volume], settings(steps=2)), [volume], CPU)
    assert expected is not None
    assert expected.whole > 0


def test_a_budget_in_minutes_is_kept() -> None:
    planned = plan([image()], settings(minutes=7))
    expected = expected_duration(planned, [image()], CPU)
    assert expected is not None
    assert 7 * 60 < expected.whole == expected.least < 8 * 60


def test_asking_changes_no_result() -> None:
    def weights(ask: bool) -> list[torch.Tensor]:
        planned = plan([image()], settings(steps=3))
        if ask:
            expected_duration(planned, [image()], CPU)
        run = start([image()], planned, CPU)
        for _ in run:
            pass
        return list(run.model().weights.values())

    for a, b in zip(weights(ask=False), weights(ask=True), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("method", "training", "side", "expected"),
    [
        ("n2v", {"steps": 2000}, 64, True),
        ("n2v", {"steps": 20}, 64, False),
        ("n2v", {"minutes": 1}, 64, True),
        ("instant", {}, 64, False),
        ("instant", {}, 1500, True),
    ],
)
def test_only_long_work_is_worth_a_look(
    method: str, training: dict[str, float], side: int, expected: bool
) -> None:
    assert is_long(plan([image()], settings(method, **training)), [image(side)]) is expected


def test_is_told_in_words() -> None:
    assert str(Duration(48.2, 48.2)) == "about 50 s on this machine"
    assert str(Duration(100.0, 14.0)) == (
        "about 1.7 minutes on this machine; about 14 s where it turns out that training cannot help"
    )


def test_a_net_that_sees_neighbouring_frames_is_timed_too() -> None:
    movie = [Image.from_array(np.random.default_rng(0).poisson(20.0, (4, 48, 48)) * 1.0, "TYX")]
    config = settings(steps=10).set("context={T: 1}")
    found = expected_duration(plan(movie, config), movie, CPU)
    assert found is not None
    assert found.whole > 0
