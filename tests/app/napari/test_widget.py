"""From a file or a layer to a result, in a real viewer."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile

pytest.importorskip("qtpy", reason="needs a screen: run make test-gui")
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

import unnoise
from unnoise.app.napari.widget import work
from unnoise.app.napari.widget.dock import Denoise

pytestmark = pytest.mark.gui


def noisy(*shape: int) -> np.ndarray:
    """Photons over a ramp."""
    ramp = np.linspace(20, 60, shape[-1])
    return np.random.default_rng(0).poisson(np.broadcast_to(ramp, shape)).astype(np.uint16)


def run(widget: Any, qtbot: Any, budget: str = "instant", timeout: int = 120_000) -> Any:
    """Press the button, and wait for the end."""
    widget.budget.setCurrentIndex(widget.budget.findData(budget))
    qtbot.waitUntil(widget.start_button.isEnabled, timeout=timeout)
    widget.denoise()
    qtbot.waitUntil(lambda: widget.job.is_over, timeout=timeout)
    qtbot.waitUntil(widget.start_button.isEnabled, timeout=timeout)
    return widget.job


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job is a Gaussian filter, where only the layers matter."""
    asked = Denoise.request

    def request(self: Any) -> Any:
        found, images = asked(self)
        return replace(found, method="gaussian" if found.model is None else None), images

    monkeypatch.setattr(Denoise, "request", request)


def test_from_a_file_to_a_saved_result(
    viewer: Any, denoise: Any, qtbot: Any, tmp_path: Path
) -> None:
    image = unnoise.Image.from_array(noisy(64, 64), "YX")
    path, saved = tmp_path / "cells.ome.tif", tmp_path / "clean.ome.tif"
    like = unnoise.Image(image.data, "YX", {"Y": 0.2, "X": 0.1}, {"Y": "µm", "X": "µm"})
    unnoise.save(path, image.data, like=like)
    viewer.open(path, plugin="unnoise")
    qtbot.waitUntil(lambda: "noise:" in denoise.verdict.text(), timeout=120_000)
    assert "cells.ome.tif: axes YX, 64 x 64, uint16" in denoise.verdict.text()
    job = run(denoise, qtbot)
    assert (job.state, job.in_memory) == ("done", False), job.error
    _, result = viewer.layers
    assert result.name == "cells.ome.tif denoised"
    viewer.layers.selection = {result}
    assert viewer.layers.save(str(saved), selected=True, plugin="unnoise") == [str(saved)]
    clean = unnoise.open(saved)
    assert (clean.axes, clean.dtype, dict(clean.scale), dict(clean.units)) == (
        "YX",
        image.dtype,
        {"Y": 0.2, "X": 0.1},
        {"Y": "µm", "X": "µm"},
    )
    truth = np.broadcast_to(np.linspace(20, 60, 64), (64, 64))
    errors = [np.mean((one.data[...] - truth) ** 2) for one in (clean, image)]
    assert errors[0] < errors[1] / 2


def test_a_result_is_drawn_as_its_source_and_follows_it(
    viewer: Any, denoise: Any, qtbot: Any, quick: None
) -> None:
    source = viewer.add_image(
        noisy(3, 48, 48),
        name="movie",
        scale=(2, 0.5, 0.25),
        translate=(1, 2, 3),
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
        colormap="green",
        contrast_limits=(10, 80),
        metadata={"slide": 7},
        affine=np.diag([1, 2, 1, 1]),
    )
    assert run(denoise, qtbot).state == "done"
    result = viewer.layers["movie denoised"]
    for name in ("scale", "translate", "units", "axis_labels", "contrast_limits"):
        assert tuple(getattr(result, name)) == tuple(getattr(source, name)), name
    assert np.array_equal(result.affine.affine_matrix, source.affine.affine_matrix)
    assert result.colormap.name == "green"
    assert result.metadata["slide"] == 7
    assert result.data.shape == source.data.shape
    source.scale = (3, 1, 1)
    source.contrast_limits = (0, 50)
    assert tuple(result.scale) == (3, 1, 1)
    assert tuple(result.contrast_limits) == (0, 50)
    viewer.dims.set_current_step(0, 2)
    assert np.array_equal(result._data_view, np.asarray(result.data)[2])


def test_the_residual_is_what_was_taken_away(
    viewer: Any, denoise: Any, qtbot: Any, quick: None
) -> None:
    source = viewer.add_image(noisy(48, 48), name="cells")
    run(denoise, qtbot)
    denoise.residual_button.click()
    residual, result = viewer.layers["cells residual"], viewer.layers["cells denoised"]
    clean = np.asarray(result.data).astype(np.float32)
    assert np.array_equal(np.asarray(residual.data), source.data - clean)
    low, high = residual.contrast_limits
    assert low == -high
    assert "cells residual" not in [denoise.image.combo.itemText(i) for i in range(5)]


def test_no_more_of_a_lazy_layer_is_read_than_a_part(viewer: Any, denoise: Any, qtbot: Any) -> None:
    pixels, largest = noisy(8, 48, 48), []

    class Watched:
        shape, dtype, ndim = pixels.shape, pixels.dtype, 3

        def __getitem__(self, index: Any) -> np.ndarray:
            largest.append(pixels[index].size)
            return pixels[index]

    lazy = da.from_array(Watched(), chunks=(1, 48, 48), name=False, meta=pixels[:0])
    viewer.add_image(lazy, name="lazy", axis_labels=("s", "y", "x"), contrast_limits=(0, 90))
    run(denoise, qtbot)
    assert viewer.layers["lazy denoised"].data.shape == pixels.shape
    assert max(largest) <= 48 * 48


def test_of_several_levels_the_full_one_is_denoised(
    viewer: Any, denoise: Any, qtbot: Any, quick: None
) -> None:
    full = noisy(64, 64)
    viewer.add_image([full, full[::2, ::2]], name="levels", multiscale=True)
    run(denoise, qtbot)
    result = viewer.layers["levels denoised"]
    assert result.data.shape == full.shape
    assert not result.multiscale


def test_channels_and_colours(
    viewer: Any, denoise: Any, qtbot: Any, quick: None, tmp_path: Path
) -> None:
    path = tmp_path / "two.ome.tif"
    unnoise.save(path, noisy(2, 48, 48), axes="CYX")
    viewer.open(path, plugin="unnoise")
    assert denoise.image.combo.currentText() == "two.ome.tif (2 channels)"
    assert denoise.image.axes.text() == "CYX"
    assert run(denoise, qtbot).state == "done"
    names = [layer.name for layer in viewer.layers]
    assert names == [f"two.ome.tif: {c}{word}" for c in (0, 1) for word in ("", " denoised")]
    viewer.layers.clear()
    photo = viewer.add_image(noisy(48, 48, 3).astype(np.uint8), rgb=True, name="photo")
    assert run(denoise, qtbot).state == "done"
    result = viewer.layers["photo denoised"]
    assert result.rgb
    assert result.data.shape == photo.data.shape


def test_a_model_is_saved_and_used_again(
    viewer: Any, denoise: Any, qtbot: Any, quick: None, tmp_path: Path
) -> None:
    viewer.add_image(noisy(48, 48), name="cells")
    run(denoise, qtbot)
    first = np.asarray(viewer.layers["cells denoised"].data)
    denoise.save_model(tmp_path / "my.model")
    viewer.layers.remove("cells denoised")
    viewer.open(tmp_path / "my.model", plugin="unnoise")
    assert denoise.model.text == str(tmp_path / "my.model")
    assert not denoise.budget.isEnabled()
    assert run(denoise, qtbot).request.model == str(tmp_path / "my.model")
    assert np.abs(np.asarray(viewer.layers["cells denoised"].data, float) - first).mean() < 1


def test_axes_that_are_unknown_are_asked_for(viewer: Any, denoise: Any, qtbot: Any) -> None:
    viewer.add_image(noisy(5, 48, 48), name="stack")
    qtbot.waitUntil(lambda: "ambiguous" in denoise.verdict.text(), timeout=120_000)
    assert not denoise.start_button.isEnabled()
    denoise.image.axes.setText("ZYX")
    denoise.image.axes.textEdited.emit("ZYX")
    qtbot.waitUntil(denoise.start_button.isEnabled, timeout=120_000)
    qtbot.waitUntil(lambda: "5 x 48 x 48" in denoise.verdict.text(), timeout=120_000)


def test_an_error_is_a_sentence_here_and_a_notification(
    viewer: Any, denoise: Any, qtbot: Any
) -> None:
    from napari.utils.notifications import notification_manager

    viewer.add_image(np.full((48, 48), 7.0), name="flat")
    qtbot.waitUntil(lambda: "color" in denoise.verdict.text(), timeout=120_000)
    before = len(notification_manager.records)
    denoise.denoise()
    qtbot.waitUntil(lambda: denoise.job.is_over, timeout=120_000)
    qtbot.waitUntil(lambda: len(notification_manager.records) > before, timeout=120_000)
    assert denoise.job.state == "failed"
    assert notification_manager.records[-1].message == denoise.job.error
    assert "color" in denoise.state.text()


def test_the_window_lives_while_a_job_runs_and_a_stopped_one_keeps_its_model(
    viewer: Any, denoise: Any, qtbot: Any
) -> None:
    viewer.add_image(noisy(96, 96), name="cells")
    denoise.budget.setCurrentIndex(denoise.budget.findData("five"))
    qtbot.waitUntil(denoise.start_button.isEnabled, timeout=120_000)
    ticks: list[int] = []
    beats, over = [0], threading.Event()

    def beat() -> None:
        """The time of this process: a machine that is busy elsewhere stops it, too."""
        while not over.wait(0.01):
            beats[0] += 1

    threading.Thread(target=beat, daemon=True).start()
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(beats[0]))
    timer.start(10)
    denoise.denoise()
    assert not denoise.start_button.isEnabled()
    qtbot.waitUntil(lambda: denoise.job.phase == "training", timeout=120_000)
    qtbot.wait(1500)
    denoise.stop_button.click()
    qtbot.waitUntil(lambda: denoise.job.is_over, timeout=120_000)
    timer.stop()
    over.set()
    assert denoise.job.state == "stopped", denoise.job.error
    assert len(ticks) > 50
    assert np.diff(ticks).max() < 300  # 3 s
    assert denoise.job.model is not None
    assert denoise.job.model.is_dir()
    qtbot.waitUntil(denoise.save_model_button.isEnabled, timeout=120_000)


def test_the_command_is_copied(viewer: Any, denoise: Any, qtbot: Any) -> None:
    viewer.add_image(noisy(48, 48), name="my cells")
    denoise.budget.setCurrentIndex(denoise.budget.findData("minute"))
    qtbot.waitUntil(denoise.copy_button.isEnabled, timeout=120_000)
    denoise.copy_button.click()
    command = "unnoise denoise my_cells.ome.tif --minutes 1"
    assert QApplication.clipboard().text() == command
    assert "save the layer as my_cells.ome.tif first" in denoise.state.text()


def test_files_on_the_disk_are_denoised_beside_them(
    viewer: Any, denoise: Any, qtbot: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a b.tif"
    unnoise.save(path, noisy(48, 48), axes="YX")
    denoise.image.files.line.setText(str(path))
    job = run(denoise, qtbot)
    assert job.results == (tmp_path / "a b_denoised.tif",), job.error
    assert [layer.name for layer in viewer.layers] == ["a b_denoised.tif"]


def test_a_closed_widget_leaves_no_listeners(viewer: Any, denoise: Any, qtbot: Any) -> None:
    viewer.window.remove_dock_widget(denoise)
    denoise.deleteLater()
    qtbot.wait(100)
    viewer.add_image(noisy(32, 32))
    assert work.queue() is work.queue()


def test_a_file_that_does_not_tell_its_axes_opens_and_is_asked_for_them(
    viewer: Any, denoise: Any, qtbot: Any, quick: None, tmp_path: Path
) -> None:
    path, saved = tmp_path / "stack.tif", tmp_path / "clean.tif"
    tags = [(65000, "s", 0, "laser at 3 %", True)]
    tifffile.imwrite(path, noisy(5, 48, 48), extratags=tags, photometric="minisblack")
    (layer,) = viewer.open(path, plugin="unnoise")
    qtbot.waitUntil(lambda: "ambiguous" in denoise.verdict.text(), timeout=120_000)
    denoise.image.axes.setText("TYX")
    denoise.image.axes.textEdited.emit("TYX")
    denoise.image.axes.editingFinished.emit()
    assert layer.axis_labels == ("t", "y", "x")
    job = run(denoise, qtbot)
    assert (job.state, job.in_memory, job.request.axes) == ("done", False, "TYX"), job.error
    viewer.layers["stack.tif denoised"].save(str(saved), plugin="unnoise")
    with tifffile.TiffFile(saved) as file:
        assert file.pages[0].tags[65000].value == "laser at 3 %"
    assert unnoise.open(saved, axes="TYX").shape == (5, 48, 48)
