"""Any settings make a configuration that is the same after it was written, or a sentence."""

from __future__ import annotations

from hypothesis import example, given, settings

import strategies
from unnoise.config.config import Config
from unnoise.errors import InputError


@given(strategies.settings())
@settings(max_examples=150)
@example(("n2v", ["mask.percent=nan"]))
@example(("n2v", ["training.steps=1e400"]))
def test_settings_are_kept_or_refused(chosen: tuple[str, list[str]]) -> None:
    method, assignments = chosen
    try:
        config = Config.preset(method=method).set(*assignments)
    except InputError:
        return
    for comments in (False, True):
        assert Config.from_yaml(config.to_yaml(comments=comments)) == config
