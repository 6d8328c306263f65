"""What is denoised, its axes and the size of its pixels."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from unnoise.app.napari import layers as la
from unnoise.app.napari.choices import FILES, Choice, choices, files_request
from unnoise.app.session.request import Request
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image

HEARD = ("inserted", "removed", "reordered")
"""Events of the layers after which others can be chosen."""


class PlaceEdit(QWidget):
    """A line for a place on the disk, with a button that looks for it."""

    changed = Signal()

    def __init__(self, hint: str, name: str, *, folder: bool = True) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(hint)
        self.line.setAccessibleName(name)
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self.changed)
        self._folder, self._title = folder, name
        button = QPushButton("Browse ...")
        button.setAccessibleName(f"browse for {name}")
        button.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(button)

    @property
    def text(self) -> str:
        """The place, or nothing."""
        return str(self.line.text().strip())

    @property
    def places(self) -> list[str]:
        """Several places, quoted where they hold spaces."""
        if not self.text or Path(self.text).exists():
            return [self.text] if self.text else []
        try:
            return shlex.split(self.text)
        except ValueError:  # a quotation mark that belongs to a name
            return [self.text]

    def _browse(self) -> None:
        if self._folder:
            found = QFileDialog.getExistingDirectory(self, self._title, self.text)
        else:
            names, _ = QFileDialog.getOpenFileNames(self, self._title)
            found = shlex.join(names)
        if found:
            self.line.setText(found)


class ImageBox(QGroupBox):
    """Chooses a layer, a file with several channels, or files; shows and edits what was read.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__("Image")
        self._viewer = viewer
        self._choices: list[Choice] = []
        self._is_wanted = False
        self.combo = QComboBox()
        self.combo.setAccessibleName("image to denoise")
        self.combo.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(12)
        self.files = PlaceEdit("files or a folder", "noisy images", folder=False)
        self.out = PlaceEdit("beside the files", "folder for the results")
        self.axes = QLineEdit()
        self.axes.setAccessibleName("axes")
        self.axes.setToolTip("one letter for each dimension: S T C Z Y X")
        self.size = QLabel()
        self.size.setWordWrap(True)
        self.pixel_size = QLineEdit()
        self.pixel_size.setAccessibleName("pixel size")
        self.pixel_size.setToolTip("one number for each axis, in the units of the layer")
        self._form = QFormLayout(self)
        self._form.setFieldGrowthPolicy(QFormLayout.AllNonFixedFieldsGrow)
        for label, field in (
            ("Image", self.combo),
            ("Files", self.files),
            ("Results", self.out),
            ("Axes", self.axes),
            ("Size", self.size),
            ("Pixel size", self.pixel_size),
        ):
            self._form.addRow(label, field)
        self.combo.currentIndexChanged.connect(self._chosen)
        self.combo.activated.connect(self._want)
        self.files.changed.connect(self.changed)
        self.out.changed.connect(self.changed)
        self.axes.textEdited.connect(self.changed)
        self.axes.editingFinished.connect(self._relabel)
        self.pixel_size.editingFinished.connect(self._rescale)
        heard = [getattr(viewer.layers.events, name) for name in HEARD]
        refresh = self.refresh
        for event in heard:
            event.connect(refresh)
        self.destroyed.connect(lambda: [event.disconnect(refresh) for event in heard])
        self.refresh()

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        at = self.combo.currentIndex()
        return self._choices[at] if 0 <= at < len(self._choices) else FILES

    def refresh(self, event: Any = None) -> None:
        """Offer the layers that are there now; what a person chose stays so."""
        before = self.choice
        self._choices = choices(self._viewer.layers)
        for layer in (layer for one in self._choices for layer in one.layers):
            layer.events.name.connect(self._renamed)
            layer.events.scale.connect(self._show_scale)
        places = {one.layers: i for i, one in enumerate(self._choices)}
        self._is_wanted = self._is_wanted and before.layers in places
        self.combo.blockSignals(True)
        self.combo.clear()
        self.combo.addItems([one.name for one in self._choices])
        self.combo.setCurrentIndex(places[before.layers] if self._is_wanted else 0)
        self.combo.blockSignals(False)
        if self.choice.layers != before.layers or not before.layers:
            self._chosen()

    def choose(self, layer: Any) -> None:
        """Choose a layer."""
        found = [i for i, one in enumerate(self._choices) if one.layers == (layer,)]
        self._is_wanted = True
        self.combo.setCurrentIndex(found[0])

    def asked(self) -> tuple[Request, list[Image] | None]:
        """The images as a request, without what is done with them.

        Raises
        ------
        InputError
            If nothing is chosen, or the axes are ambiguous or do not fit.
        """
        axes = self.axes.text().strip().upper() or None
        if self.choice is FILES:
            if not self.files.places:
                raise InputError("no image is open; open one, or name files above")
            return files_request(self.files.places, self.out.text, axes), None
        self.choice.image(axes)  # refuses axes that do not fit
        return self.choice.request(axes)

    def _want(self, index: int) -> None:
        self._is_wanted = True

    def _renamed(self, event: Any = None) -> None:
        self.refresh()

    def _chosen(self, index: int = 0) -> None:
        """Show what was read of the image that was chosen."""
        is_files = self.choice is FILES
        for field in (self.files, self.out, self.size, self.pixel_size):
            shown = is_files == (field in (self.files, self.out))
            field.setVisible(shown)
            self._form.labelForField(field).setVisible(shown)
        self.axes.setPlaceholderText("those of the files" if is_files else "such as ZYX")
        if is_files:
            self.axes.clear()
        else:
            layer = self.choice.layers[0]
            try:
                self.axes.setText(self.choice.axes())
            except InputError:
                self.axes.clear()
            whole = la.joined(self.choice.layers)
            data = la.pixels_of(layer) if whole is None else whole.data
            shape = " x ".join(map(str, data.shape))
            self.size.setText(f"{shape}, {data.dtype}")
            self._show_scale()
        self.changed.emit()

    def _show_scale(self, event: Any = None) -> None:
        """The size of a pixel as the layer has it now."""
        if self.choice.layers:
            layer = self.choice.layers[0]
            units = [f"{unit:~P}" or "pixel" for unit in getattr(layer, "units", ())]
            own = dict.fromkeys(unit.replace("px", "pixel") for unit in units)
            steps = " x ".join(f"{step:.6g}" for step in layer.scale)
            self.pixel_size.setText(f"{steps} {', '.join(own)}".strip())

    def _relabel(self) -> None:
        """Tell the layer the axes that were typed, where they fit."""
        axes, layers = self.axes.text().strip(), self.choice.layers
        if len(layers) == 1 and axes:
            layer = layers[0]
            with suppress(InputError):
                letters = ax.check(axes, tuple(la.pixels_of(layer).shape)).lower()
                layer.axis_labels = tuple(letters[: layer.ndim])

    def _rescale(self) -> None:
        """Give the layer the pixel size that was typed."""
        text = self.pixel_size.text()
        steps = []
        for word in re.split("[x\u00d7,\\s]+", text):
            try:
                steps.append(float(word))
            except ValueError:
                break
        layers = self.choice.layers
        if layers and len(steps) == len(layers[0].scale) and all(step > 0 for step in steps):
            for layer in layers:
                layer.scale = steps
        self._show_scale()
