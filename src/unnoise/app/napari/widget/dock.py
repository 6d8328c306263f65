"""The dock widget: an image, what is known of it, a budget, and what comes of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from unnoise.app.napari import choices as ch
from unnoise.app.napari import layers as la
from unnoise.app.napari.running import Running
from unnoise.app.napari.widget.image_box import ImageBox, PlaceEdit
from unnoise.app.napari.widget.loss_plot import LossPlot
from unnoise.app.napari.widget.work import Call, new_folder, queue
from unnoise.app.problems import sentence
from unnoise.app.session.job import Job
from unnoise.app.session.look import Look, look
from unnoise.app.session.request import BUDGETS, Request
from unnoise.errors import InputError, UnnoiseError, naming_options
from unnoise.images.image import Image
from unnoise.training.duration import in_words

PAUSE = 400
"""Milliseconds without a change after which the image is looked at."""
TICK = 200
"""Milliseconds between two looks at a running job."""
ERROR = "#e05252"


class Denoise(QScrollArea):
    """Denoises a layer, or files.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._running: Running | None = None
        self.image = ImageBox(napari_viewer)
        self._build()
        self._looking = Call(self)
        self._looking.returned.connect(self._looked)
        self._looking.failed.connect(self._refused)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE)
        self._pause.timeout.connect(self._look)
        self._tick = QTimer(self)
        self._tick.setInterval(TICK)
        self._tick.timeout.connect(self._follow)
        self.image.changed.connect(self._changed)
        self.budget.currentIndexChanged.connect(self._changed)
        self.model.changed.connect(self._changed)
        self.uncertain.toggled.connect(self._changed)
        self._changed()

    def use_model(self, folder: str) -> None:
        """Denoise with a model instead of training one."""
        self.model.line.setText(folder)

    def request(self) -> tuple[Request, list[Image] | None]:
        """What is asked for, without the places that results get.

        Raises
        ------
        InputError
            If nothing is chosen, or the axes are ambiguous or do not fit.
        """
        asked, images = self.image.asked()
        model = self.model.text or None
        budget = str(self.budget.currentData())
        spread = "spread" if self.uncertain.isChecked() and model is None else None
        return replace(asked, budget=budget, model=model, uncertainty=spread), images

    @property
    def job(self) -> Job | None:
        """The job that was started last."""
        return None if self._running is None else self._running.job

    def denoise(self) -> None:
        """Start what is chosen."""
        try:
            asked, images = self.request()
            folder = new_folder()
            if self.image.choice is not ch.FILES:
                (folder / "results").mkdir()
                asked = replace(asked, out=str(folder / "results"))
            if asked.uncertainty is not None:
                (folder / "uncertainty").mkdir()
                asked = replace(asked, uncertainty=str(folder / "uncertainty"))
            if asked.model is None:
                asked = replace(asked, save_model=str(folder / "denoiser.model"))
            asked = replace(asked, preview=self._centre())
            noisy = None if not self.image.choice.layers else self.image.choice.image(asked.axes)
            job = queue().submit(asked, images)
        except (UnnoiseError, OSError) as error:
            self._fail(sentence(error))
            return
        self._running = Running(self._viewer, job, self.image.choice, noisy)
        self._tell("")
        self.plot.show_history(())
        self.bar.setVisible(True)
        self._enable()
        self._tick.start()
        self._follow()

    def stop(self) -> None:
        """Stop the job; what was trained is kept."""
        if self.job is not None and not self.job.is_over:
            queue().stop(self.job.id)
            self._tell("stopping after the step that is being done")

    def _build(self) -> None:
        self.verdict = _text("verdict")
        self.budget = QComboBox()
        self.budget.setAccessibleName("time to spend")
        for name, known in BUDGETS.items():
            self.budget.addItem(known.label, name)
            self.budget.setItemData(self.budget.count() - 1, known.about, Qt.ToolTipRole)
        self.model = PlaceEdit("train on this image", "model folder")
        self.uncertain = QCheckBox("standard deviation of every pixel")
        self.uncertain.setToolTip("trains a net that tells how far off it may be; takes longer")
        self.live = QCheckBox("show the result so far in the middle of the view")
        self.live.setChecked(True)
        self.start_button = _button("Denoise", self.denoise)
        self.stop_button = _button("Stop", self.stop)
        self.stop_button.setToolTip("what was trained is kept")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setVisible(False)
        self.state = _text("state")
        self.plot = LossPlot()
        self.residual_button = _button("Residual", self._add_residual)
        self.residual_button.setToolTip("what was taken away: noise alone, if all is well")
        self.uncertainty_button = _button("Uncertainty", self._add_uncertainty)
        self.report_button = _button("Open report", self._open_report)
        self.save_model_button = _button("Save model ...", self._save_model)
        self.copy_button = _button("Copy command", self._copy_command)
        self.copy_button.setToolTip("the same as a command line of unnoise")

        how = QGroupBox("How")
        form = QFormLayout(how)
        form.setFieldGrowthPolicy(QFormLayout.AllNonFixedFieldsGrow)
        form.addRow("Time", self.budget)
        form.addRow("Model", self.model)
        form.addRow("Uncertainty", self.uncertain)
        form.addRow("Preview", self.live)
        known = QGroupBox("What is known of it")
        QVBoxLayout(known).addWidget(self.verdict)
        row = QHBoxLayout()
        row.addWidget(self.start_button, 1)
        row.addWidget(self.stop_button)
        made = QGridLayout()
        buttons = (
            self.residual_button,
            self.uncertainty_button,
            self.report_button,
            self.save_model_button,
            self.copy_button,
        )
        for i, button in enumerate(buttons):
            made.addWidget(button, i // 2, i % 2)
        inside = QWidget()
        column = QVBoxLayout(inside)
        for box in (self.image, known, how):
            column.addWidget(box)
        column.addLayout(row)
        for part in (self.bar, self.state, self.plot):
            column.addWidget(part)
        column.addLayout(made)
        column.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self.setMinimumWidth(360)

    def _changed(self) -> None:
        """Something else is asked for: look at it soon."""
        self._looking.forget()
        self.budget.setEnabled(not self.model.text)
        self.uncertain.setEnabled(not self.model.text)
        self._ready = False
        self._enable()
        self._pause.start()

    def _look(self) -> None:
        """Look at the image, in a thread."""
        if self.image.choice is ch.FILES and not self.image.files.places:
            self.verdict.setText("Open an image, or name files above.")
            return
        try:
            request, images = self.request()
        except InputError as error:
            self._refused(error)
            return
        self.verdict.setText("looking at the noise ...")
        self._ready = True
        self._enable()

        def job() -> Look:
            with naming_options():
                return look(request, images)

        self._looking.start(job)

    def _looked(self, found: Look) -> None:
        self.verdict.setText(found.words())

    def _refused(self, error: Exception) -> None:
        self._ready = False
        self._enable()
        self.verdict.setText(_red(sentence(error)))

    def _enable(self) -> None:
        """Only what can be done now can be pressed."""
        running, job = self._running, self.job
        busy = job is not None and not job.is_over
        shown = running is not None and bool(running.results)
        self.start_button.setEnabled(self._ready and not busy)
        self.stop_button.setEnabled(busy)
        self.residual_button.setEnabled(shown)
        self.uncertainty_button.setEnabled(
            shown and job is not None and job.uncertainty is not None
        )
        self.report_button.setEnabled(job is not None and job.report is not None)
        self.save_model_button.setEnabled(job is not None and not busy and job.model is not None)
        self.copy_button.setEnabled(self._ready)

    def _follow(self) -> None:
        """Show where the job stands."""
        running = self._running
        if running is None:
            return
        job = running.job
        self.bar.setValue(round(1000 * job.fraction))
        self.plot.show_history(job.history)
        if not job.is_over:
            left = "" if job.remaining is None else f", {in_words(job.remaining)} left"
            waits = "waiting for the job before it" if job.state == "waiting" else "starting"
            self._tell(f"{job.phase or waits}{left}")
            if self.live.isChecked():
                running.show_preview()
            return
        self._tick.stop()
        self.bar.setVisible(False)
        self._ended(running)
        self._enable()

    def _ended(self, running: Running) -> None:
        """Show what came of the job."""
        job = running.job
        running.remove_preview()
        try:
            running.show_results()
        except Exception as error:  # a file that cannot be shown is told as such
            self._fail(sentence(error))
            return
        said = [text for _, text in job.messages]
        if job.state in ("failed", "interrupted"):
            self._fail(job.error)
        elif job.state == "stopped":
            self._tell("\n".join(["Stopped.", *said[-1:]]))
        else:
            warnings = [f"warning: {text}" for kind, text in job.messages if kind != "message"]
            self._tell("\n".join(filter(None, ["Done.", job.verdict, *warnings])))

    def _tell(self, text: str) -> None:
        self.state.setText(text)

    def _fail(self, text: str) -> None:
        """An error, in the widget and as a notification of napari."""
        from napari.utils.notifications import show_error

        self.state.setText(_red(text))
        show_error(text)

    def _centre(self) -> tuple[int, int] | None:
        """The middle of the view in pixels of the layer; None where it is not in the layer."""
        layers = self.image.choice.layers
        if not layers or not self.live.isChecked():
            return None
        layer = layers[0]
        at = list(self._viewer.dims.point)
        shown = self._viewer.dims.displayed
        camera = getattr(self._viewer, "scene", self._viewer).camera  # it moved in napari 0.9
        for axis, value in zip(shown, camera.center[-len(shown) :], strict=True):
            at[axis] = value
        place = [round(float(c)) for c in layer.world_to_data(at[-layer.ndim :])]
        sizes = la.pixels_of(layer).shape[: layer.ndim]
        inside = all(0 <= c < n for c, n in zip(place[-2:], sizes[-2:], strict=True))
        return (place[-2], place[-1]) if inside else None

    def _add_residual(self) -> None:
        if self._running is not None:
            self._running.add_residual()

    def _add_uncertainty(self) -> None:
        if self._running is not None:
            self._running.add_uncertainty()

    def _open_report(self) -> None:
        if self.job is not None and self.job.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.job.report)))

    def _copy_command(self) -> None:
        """Put the command line that does the same on the clipboard."""
        try:
            asked, images = self.request()
        except InputError as error:
            self._fail(sentence(error))
            return
        asked = ch.as_typed(asked, in_memory=images is not None)
        command = asked.command()
        QGuiApplication.clipboard().setText(command)
        first = f"save the layer as {asked.inputs[0]} first, then:\n" if images else ""
        self._tell(f"copied: {first}{command}")

    def _save_model(self) -> None:
        """Copy the model of the last job to a place of the user."""
        if self.job is None or self.job.model is None:
            return
        name, _ = QFileDialog.getSaveFileName(self, "Save the model as a folder", "my.model")
        if name:
            self.save_model(Path(name))

    def save_model(self, place: Path) -> None:
        """Copy the model of the last job to a new folder."""
        job = self.job
        if job is None or job.model is None:
            return
        if place.exists():
            self._fail(f"{place} exists; choose another name for the model")
            return
        try:
            shutil.copytree(job.model, place)
        except (OSError, shutil.Error) as error:
            self._fail(sentence(error))
            return
        self._tell(f"the model is in {place}; use it in the line Model, or with unnoise predict")


def _text(name: str) -> QLabel:
    """A text of several lines that can be copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextSelectableByMouse | Qt.TextSelectableByKeyboard)
    label.setAccessibleName(name)
    return label


def _button(text: str, pressed: Any) -> QPushButton:
    button = QPushButton(text)
    button.clicked.connect(lambda checked=False: pressed())
    return button


def _red(text: str) -> str:
    """A text as an error, whatever signs are in it."""
    from html import escape

    return f'<span style="color: {ERROR}">{escape(text)}</span>'
