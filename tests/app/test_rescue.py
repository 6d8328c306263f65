"""What was trained or denoised is never lost because its place went away meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unnoise
from synthetic import photons
from tiny import two_steps
from unnoise.app import denoise, train
from unnoise.app.events import Message, Saved, Stopped
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.app.predict import predict_files
from unnoise.errors import InputError
from unnoise.models import folder as model_folder
from unnoise.models.claim import claimed
from unnoise.training.finish import finish

READING, QUIET = InputOptions(), ReportOptions(wanted=False)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with an image, and another one for what is kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "kept"))
    np.save("x.npy", photons((24, 28)))


@pytest.fixture
def at_the_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen when the last step is done."""

    def arrange(happen: Callable[[], Any]) -> None:
        for module in (denoise, train):
            finish = module.finish  # type: ignore[attr-defined]

            def finished(*arguments: Any, finish: Any = finish) -> Any:
                happen()
                return finish(*arguments)

            monkeypatch.setattr(module, "finish", finished)

    return arrange


def run_training(**options: Any) -> list[Any]:
    job = train.train_files(
        ["x.npy"], "m", two_steps(), reading=READING, reporting=QUIET, **options
    )
    return list(job)


def kept_in(error: BaseException) -> Path:
    found = re.search(r"kept in (\S+)$", str(error))
    assert found is not None, error
    return Path(found[1])


def test_a_model_whose_place_is_taken_at_the_end_is_kept_elsewhere(
    at_the_end: Callable[[Callable[[], Any]], None],
) -> None:
    at_the_end(lambda: Path("m").write_text("a file"))
    with pytest.raises(InputError, match="m is a file, not a model folder") as caught:
        run_training()
    assert Path("m").read_text() == "a file"
    model = unnoise.load(kept_in(caught.value))
    assert model.provenance.steps == 2
    assert model.record is not None


def test_another_model_that_came_meanwhile_is_not_replaced(
    at_the_end: Callable[[Callable[[], Any]], None],
) -> None:
    other = unnoise.train(photons((24, 28)), config=two_steps("n2v", "training.seed=1"))
    at_the_end(lambda: other.save("m"))
    with pytest.raises(InputError, match="the model m exists") as caught:
        run_training()
    assert unnoise.load("m").config.training.seed == 1
    assert unnoise.load(kept_in(caught.value)).config.training.seed == 0
    run_training(overwrite=True)
    assert unnoise.load("m").config.training.seed == 0


def test_results_and_models_whose_folder_goes_are_kept_elsewhere(
    at_the_end: Callable[[Callable[[], Any]], None],
) -> None:
    def gone() -> None:
        shutil.rmtree("out")
        Path("out").write_text("a file")

    Path("out").mkdir()
    writing = OutputOptions(out="out/y.npy", tta=False)
    job = denoise.denoise_files(
        ["x.npy"], two_steps(), reading=READING, writing=writing, reporting=QUIET
    )
    at_the_end(gone)
    with pytest.raises(InputError, match=r"out/y.npy cannot be made") as caught:
        list(job)
    result, model = re.findall(r"kept in (\S+?)(?:;|$)", str(caught.value))
    assert np.load(result).shape == (24, 28)
    assert os.name == "nt" or all(
        Path(one).parent.stat().st_mode & 0o077 == 0 for one in (result, model)
    )
    np.testing.assert_array_equal(unnoise.load(model).predict(np.load("x.npy")), np.load(result))
    assert sorted(os.listdir()) == ["kept", "out", "x.npy"]


def test_a_full_disk_at_the_last_write_costs_no_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A picture is encoded when all its pixels are there."""
    unnoise.save("x.png", photons((24, 28), dtype="uint8"))
    run_training()
    write, full = Path.write_bytes, Path("x_denoised.png").absolute().parent

    def limited(self: Path, data: bytes) -> int:
        if self.absolute().parent == full and "x_denoised" in self.name:
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", limited)
    job = predict_files("m", ["x.png"], reading=READING, writing=OutputOptions(), reporting=QUIET)
    with pytest.raises(InputError, match="no space left on the disk for x_denoised") as caught:
        list(job)
    place = kept_in(caught.value)
    assert unnoise.open(place).shape == (24, 28)


def test_a_model_that_needs_more_space_than_there_is_is_not_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_folder, "needed", lambda model: 2**60)
    with pytest.raises(InputError, match="No space left"):
        run_training()
    writing = OutputOptions(tta=False)
    with pytest.raises(InputError, match="No space left"):
        list(
            denoise.denoise_files(
                ["x.npy"],
                two_steps(),
                reading=READING,
                writing=writing,
                save_model="m",
                reporting=QUIET,
            )
        )
    assert sorted(os.listdir()) == ["kept", "x.npy"]


def test_a_link_that_leads_nowhere_is_refused_before_any_work_and_others_are_followed() -> None:
    os.symlink("gone", "m")
    with pytest.raises(InputError, match=r"m is a link to .*gone, which is missing"):
        run_training()
    Path("gone").mkdir()
    run_training()
    assert Path("m").is_symlink()
    assert unnoise.load("gone").provenance.steps == 2
    run_training(overwrite=True)
    assert Path("m").is_symlink()
    assert unnoise.load("gone").provenance.steps == 2


def test_a_disk_that_is_full_for_a_moment_stops_no_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "SAVE_EVERY", -1.0)
    save, times = model_folder.save, []

    def sometimes(*arguments: Any, **options: Any) -> None:
        times.append(1)
        if len(times) == 1:
            raise InputError("the model cannot be written to m: No space left on device")
        save(*arguments, **options)

    monkeypatch.setattr(model_folder, "save", sometimes)
    events = run_training()
    assert any("the training goes on" in e.text for e in events if isinstance(e, Message))
    assert unnoise.load("m").provenance.steps == 2


def test_only_one_run_at_a_time_writes_a_model() -> None:
    first = train.train_files(["x.npy"], "m", two_steps(), reading=READING, reporting=QUIET)
    next(first)
    with pytest.raises(InputError, match="another run is writing the model m"):
        run_training(overwrite=True)
    writing = OutputOptions(tta=False)
    second = denoise.denoise_files(
        ["x.npy"], two_steps(), reading=READING, writing=writing, save_model="m", reporting=QUIET
    )
    with pytest.raises(InputError, match="another run is writing the model m"):
        list(second)
    assert isinstance(list(first)[-1], Saved)
    run_training(overwrite=True)
    assert sorted(os.listdir()) == ["kept", "m", "x.npy"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")
def test_a_killed_run_claims_nothing() -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with claimed(Path("m")):
            os.write(told, b"x")
            signal.pause()
    os.read(ready, 1)
    with pytest.raises(InputError, match="another run"), claimed(Path("m")):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    run_training()
    assert sorted(os.listdir()) == ["kept", "m", "x.npy"]


@pytest.mark.parametrize("when", ["last step", "last save", "test", "save"])
def test_a_stop_after_the_last_step_is_told_and_loses_nothing(
    when: str,
    monkeypatch: pytest.MonkeyPatch,
    at_the_end: Callable[[Callable[[], Any]], None],
) -> None:
    def stop(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    if when == "test":
        at_the_end(stop)
    save = model_folder.save
    stops = iter({"last save": [False, True], "save": [True]}.get(when, []))

    def interrupted(*arguments: Any, **options: Any) -> None:
        if next(stops, False):
            stop()
        save(*arguments, **options)

    monkeypatch.setattr(model_folder, "save", interrupted)
    if when == "last save":
        monkeypatch.setattr(train, "SAVE_EVERY", 0.0)  # after every step
    events = []
    job = train.train_files(["x.npy"], "m", two_steps(), reading=READING, reporting=QUIET)
    for event in job:
        events.append(event)
        if when == "last step" and getattr(event, "fraction", 0) == 1:
            stop()
    assert isinstance(events[-1], Stopped)
    if when == "save":
        assert "after the last step; m holds the finished model" in events[-1].text
    else:
        assert "stopped at step 2 (the last one)" in events[-1].text
        monkeypatch.setattr(train, "finish", finish)
        assert isinstance(list(train.resume("m", reporting=QUIET))[-1], Saved)
    assert not model_folder.is_resumable(Path("m"))
    assert unnoise.load("m").record is not None
