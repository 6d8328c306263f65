"""A stopped run of any method goes on as if it had not been stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from synthetic import photons
from unnoise.images import formats
from unnoise.training import filter_search as calibration

from .commands import TINY, Run, Write, assert_refused, facts
from .family import CLASSICAL, TRAINED, options, scene

pytestmark = pytest.mark.usefixtures("few_candidates")


@pytest.mark.parametrize("name", [*TRAINED, *CLASSICAL])
def test_resume_equals_the_uninterrupted_run(
    run: Run, write: Write, stop_after: Callable[[int], None], name: str
) -> None:
    """Also where the second images of pairs are only known by their path."""
    more = options(name)
    if name in TRAINED:
        more = (*more, "--steps", "5", "--set", "training.validate_every=2")
    scene(write, name, "2D")
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(2)
    stopped = run("train", "x.tif", "-o", "broken", *more)
    assert stopped.code == 130, stopped.err
    assert "unnoise train --resume broken" in stopped.err
    assert run("predict", "broken", "x.tif", "-o", "early.tif").code == 0
    stop_after(0)
    resumed = run("train", "--resume", "broken")
    assert resumed.code == 0, resumed.err
    assert "going on after step 2" in resumed.err
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("broken", weights).read_bytes()
    whole, broken = (
        [json.loads(line) for line in Path(m, "log.jsonl").read_text().splitlines()]
        for m in ("whole", "broken")
    )
    assert [{**line, "seconds": 0} for line in whole] == [{**line, "seconds": 0} for line in broken]
    assert not Path("broken/resume.pt").exists()
    assert "nothing is left to train" in run("train", "--resume", "broken").err


@pytest.mark.parametrize(
    "settings",
    [
        ["net.batch_norm=true", "training.schedule=plateau", "training.plateau_patience=1"],
        ["training.schedule=halving", "training.patience=6", "training.loss=laplace"],
        ["training.optimizer=sgd", "training.ema=0", "net.channels=separate", "net.pool=blur"],
        ["net.dropout=0.4"],
    ],
    ids=lambda settings: settings[0],
)
def test_resume_with_other_settings(
    run: Run, write: Write, stop_after: Callable[[int], None], settings: list[str]
) -> None:
    write("x.tif", (2, 24, 28), "CYX")
    more = [*TINY, "--steps", "6", "--set", "training.validate_every=1"]
    for setting in settings:
        more += ["--set", setting]
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(3)
    assert run("train", "x.tif", "-o", "broken", *more).code == 130
    stop_after(0)
    assert run("train", "--resume", "broken").code == 0
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("broken", weights).read_bytes()


def test_resume_of_pairs_whose_targets_moved(
    run: Run, write: Write, stop_after: Callable[[int], None]
) -> None:
    scene(write, "care", "2D")
    more = (*options("care"), "--steps", "4")
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(2)
    assert run("train", "x.tif", "-o", "m", *more).code == 130
    stop_after(0)
    os.rename("clean.tif", "moved.tif")
    gone = run("train", "--resume", "m")
    assert_refused(gone, "clean.tif, which is gone", "unnoise train IMAGES --targets TARGETS")
    other = run("train", "--resume", "m", "--targets", "again.tif")
    assert_refused(other, "not the ones m was trained on")
    write("two/a.tif", (24, 28), "YX")
    write("two/b.tif", (24, 28), "YX")
    assert_refused(run("train", "--resume", "m", "--targets", "two"), "(1)", "(2)")
    assert run("train", "--resume", "m", "--targets", "moved.tif").code == 0
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("m", weights).read_bytes()


@pytest.mark.parametrize("changed", ["x.tif", "mask.tif"])
def test_a_training_goes_on_with_the_files_of_before_only(
    run: Run, write: Write, stop_after: Callable[[int], None], changed: str
) -> None:
    """Also if the pixels differ anywhere but in the row that tells images apart; copies will do."""
    more = (*TINY, "--steps", "2", "--mask", "mask.tif")
    pixels = {name: photons((24, 28), seed=i) + 1 for i, name in enumerate(("x.tif", "mask.tif"))}
    pixels["mask.tif"][20:] = 0
    for name, x in pixels.items():
        formats.save(name, x, axes="YX")
    stop_after(1)
    assert run("train", "x.tif", "-o", "m", *more).code == 130
    stop_after(0)
    before = Path(changed).read_bytes()
    pixels[changed][:12] = 0 if changed == "mask.tif" else 9
    formats.save(changed, pixels[changed], axes="YX", overwrite=True)
    word = "mask" if changed == "mask.tif" else "images"
    assert_refused(run("train", "--resume", "m"), f"files of the {word} were changed", "new model")
    Path(changed).unlink()
    Path(changed).write_bytes(before)
    assert run("train", "--resume", "m").code == 0


def test_stopped_denoise_of_pairs_goes_on(
    run: Run, write: Write, stop_after: Callable[[int], None]
) -> None:
    scene(write, "care", "2D")
    more = (*options("care"), "--steps", "4")
    stop_after(2)
    assert run("denoise", "x.tif", "-o", "d.tif", *more).code == 130
    assert not Path("d.tif").exists()
    stop_after(0)
    assert run("train", "--resume", "d.model").code == 0
    assert run("predict", "d.model", "x.tif", "-o", "d.tif").code == 0
    assert facts("d.tif") == facts("clean.tif")


def test_real_ctrl_c_while_a_filter_is_calibrated(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first one ends after the candidate and keeps the best so far, a second one at once."""
    write("x.tif", (24, 28), "YX")
    risk = calibration.risk

    def interrupted(times: int) -> None:
        signals = [signal.SIGINT] * times

        def act(*arguments: object) -> float:
            while signals:
                signal.raise_signal(signals.pop())
            return risk(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(calibration, "risk", act)

    for command in (("train", "x.tif", "-o", "m"), ("denoise", "x.tif", "-o", "d.tif")):
        interrupted(1)
        stopped = run(*command, "--method", "gaussian")
        assert stopped.code == 130, stopped.err
        assert "stopped at step 1" in stopped.err
        interrupted(2)
        stopped = run(*command, "--method", "gaussian", "--overwrite")
        assert stopped.code == 130, stopped.err
        assert "Traceback" not in stopped.err
    monkeypatch.setattr(calibration, "risk", risk)
    assert not Path("d.tif").exists()
    for folder in ("m", "d.model"):
        assert run("predict", folder, "x.tif", "-o", f"{folder}.tif").code == 0
        assert run("train", "--resume", folder).code == 0
