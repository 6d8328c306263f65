"""The setting declip: results are the signal behind clipped pixels."""

from __future__ import annotations

import numpy as np
import pytest

import unnoise
from unnoise.config.config import Config


def clipped(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    clean = np.tile(np.linspace(0, 60, 160), (96, 1))
    noisy = np.random.default_rng(seed).normal(clean, 20).clip(0, 255).round()
    return clean, noisy.astype(np.float32)


@pytest.mark.parametrize("method", ["gaussian", "nlm"])
def test_dark_parts_get_their_signal_back(method: str) -> None:
    clean, noisy = clipped()
    config = Config(method=method)
    plain = unnoise.train(noisy, config=config).predict(noisy)
    model = unnoise.train(noisy, config=config.set("declip=true"))
    found = model.predict(noisy)
    dark = clean < 12
    before, after = ((x[dark] - clean[dark]).mean() for x in (plain, found))
    assert before > 4, "means of clipped pixels are kept unless asked"
    assert abs(after) < 1.5
    bright = clean > 45
    assert abs((found - plain)[bright].mean()) < 0.5


def test_a_model_keeps_it(tmp_path: object) -> None:
    _, noisy = clipped()
    model = unnoise.train(noisy, config=Config(method="gaussian").set("declip=true"))
    model.save(str(tmp_path) + "/my.model")
    again = unnoise.load(str(tmp_path) + "/my.model")
    np.testing.assert_array_equal(again.predict(noisy), model.predict(noisy))


def test_without_clipping_nothing_changes() -> None:
    noisy = np.random.default_rng(0).normal(100, 5, (96, 96)).astype(np.float32)
    plain = unnoise.train(noisy, config=Config(method="gaussian"))
    asked = unnoise.train(noisy, config=Config(method="gaussian").set("declip=true"))
    np.testing.assert_array_equal(plain.predict(noisy), asked.predict(noisy))
