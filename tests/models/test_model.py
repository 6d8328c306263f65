"""What a model says of itself."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import unnoise
from synthetic import white
from tiny import tiny, untrained
from unnoise.api import Model
from unnoise.errors import ModelError
from unnoise.images.image import Image
from unnoise.models.model import EnsembleMember


def test_a_model_is_shown_in_one_short_line() -> None:
    model, _ = untrained(white((32, 32)), tiny())
    both = replace(model, second=EnsembleMember(model, 0.5))
    for one in (model, both, Model.of(both), [Model.of(model)]):
        assert "n2v" in repr(one)
        assert len(repr(one)) < 100
        assert "\n" not in repr(one)


def test_channels_that_were_constant_in_training_are_named_where_they_vary() -> None:
    noisy = white((4, 48, 48)).astype(np.float32)
    model = unnoise.train(noisy * [[[1]], [[0]], [[0]], [[0]]], axes="CYX", method="gaussian")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(noisy * [[[1]], [[0]], [[0]], [[0]]], axes="CYX")
    image = Image.from_array(noisy * [[[1]], [[0]], [[1]], [[1]]], axes="CYX")
    assert "channels 3, 4 of the image were the same" in str(model.unlike(image))
    with pytest.warns(UserWarning, match="channels 3, 4 of the image .* stay as noisy as before"):
        model.predict(image)
    assert model.unlike(replace(image.part({"C": slice(0, 4)}), alpha=2)) != model.unlike(image)


def test_every_member_is_asked_for_the_frames_that_it_looks_at() -> None:
    alone, _ = untrained(white((32, 32)), tiny())
    movie = white((3, 32, 32))
    beside, image = untrained(movie, tiny().replace(context={"T": 1}), axes="TYX")
    model = replace(alone, second=EnsembleMember(beside, 0.5))
    model.check(image)
    for one in (beside, model, replace(alone, others=(model,))):
        with pytest.raises(ModelError, match="frames along T but the image has a single one"):
            one.check(Image.from_array(movie[:1], axes="TYX"))
