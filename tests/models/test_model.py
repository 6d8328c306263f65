"""What a model says of itself."""

from __future__ import annotations

from dataclasses import replace

from synthetic import white
from tiny import tiny, untrained
from unnoise.api import Model
from unnoise.models.model import EnsembleMember


def test_a_model_is_shown_in_one_short_line() -> None:
    model, _ = untrained(white((32, 32)), tiny())
    both = replace(model, second=EnsembleMember(model, 0.5))
    for one in (model, both, Model.of(both), [Model.of(model)]):
        assert "n2v" in repr(one)
        assert len(repr(one)) < 100
        assert "\n" not in repr(one)
