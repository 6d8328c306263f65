"""What a model remembers survives its file, and says what the reports and images said."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from unnoise.images.image import Image
from unnoise.models.record import TrainingRecord, plain
from unnoise.quality.novelty import novel_share, novelty
from unnoise.quality.training_record import record


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray:
    return np.random.default_rng(seed).normal(100, 5, shape).astype(np.float32)


def known(images: list[Image], channels: tuple[int, ...] = (0,), seed: int = 0) -> TrainingRecord:
    return record(images, channels, [0.25] * len(channels), seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_to_dict_and_back_through_files(dtype: str) -> None:
    image = Image.from_array(noise((2, 64, 64)).astype(dtype), "CYX")
    found = known([image], (0, 1))
    values = plain(asdict(found))
    assert TrainingRecord.from_dict(values) == found
    assert TrainingRecord.from_dict(yaml.safe_load(yaml.safe_dump(values))) == found
    assert TrainingRecord.from_dict(json.loads(json.dumps(values))) == found
    assert found.dependence == (0.25, 0.25)


def test_what_was_seen_is_familiar_and_something_else_is_not() -> None:
    found = known([Image.from_array(noise((96, 96)))])
    assert novel_share(novelty(noise((96, 96), 1), found.looks[0])) < 0.1
    assert novel_share(novelty(3 * noise((96, 96), 1), found.looks[0])) > 0.9


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((16, 16), "YX"), ((5, 40, 40), "ZYX"), ((3, 32, 32), "TYX"), ((2, 2, 3, 20, 20), "STZYX")],
)
@pytest.mark.parametrize("offset", [0.0, 65000.0, 1e6])
def test_any_shape_and_offset(shape: tuple[int, ...], axes: str, offset: float) -> None:
    x = np.random.default_rng(0).normal(offset, 5, shape)
    image = Image.from_array(x, axes)
    found = record([image], (0,), [0.0])
    plane = x.reshape(-1, *shape[-2:])[0]
    assert np.isfinite(novelty(plane, found.looks[0])).all()


def test_the_same_seed_remembers_the_same() -> None:
    images = [Image.from_array(noise((64, 64), seed)) for seed in range(5)]
    assert known(images) == known(images)
    assert known(images, seed=1).looks != known(images).looks


class Counted:
    """Pixels that count how often they are read."""

    def __init__(self, x: NDArray) -> None:
        self.x, self.shape, self.dtype, self.reads = x, x.shape, x.dtype, 0

    def __getitem__(self, index: Any, /) -> Any:
        self.reads += 1
        return self.x[index]


def test_only_three_images_are_looked_at() -> None:
    pixels = [Counted(noise((32, 32), i)) for i in range(9)]
    images = [Image.from_array(p) for p in pixels]
    record(images, (0,), [0.0])
    assert [i for i, p in enumerate(pixels) if p.reads] == [0, 4, 8]
