"""Settings are plain values, whatever they were given as, so a model can be saved and read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unnoise.config.config import Config
from unnoise.errors import InputError

SQUARE = np.ones((3, 3), int)


@pytest.mark.parametrize(
    ("struct", "plain"),
    [
        (np.ones(5, int), [1] * 5),
        (np.ones(5, bool), [True] * 5),
        (SQUARE.astype(np.uint8), [[1] * 3] * 3),
        ([np.int64(1)] * 3, [1] * 3),
        (list(SQUARE), [[1] * 3] * 3),
        (tuple(map(tuple, SQUARE)), [[1] * 3] * 3),
        ("cross:3", "cross:3"),
    ],
    ids=str,
)
def test_a_footprint_may_be_an_array(struct: Any, plain: Any) -> None:
    config = Config.parse({"method": "structn2v", "mask": {"struct": struct}})
    assert config.mask is not None
    assert config.mask.struct == plain
    again = Config.from_yaml(config.to_yaml())
    np.testing.assert_array_equal(again.footprint(2), config.footprint(2))
    assert Config.preset(method="structn2v").replace(mask={"struct": struct}) == config


def test_a_name_that_no_settings_file_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"noise_model.*no text; give the file another name"):
        Config().replace(noise_model="camera\udc80.npz")
    named = Config().replace(noise_model="камера µ.npz")
    assert Config.from_yaml(named.to_yaml()) == named
